//! Sockets that listen: at a loopback address unless the caller allows others, or at a name in the file system.
//! Knows nothing of what is done with a connection.

use super::address::Address;
use super::dial::{is_listened_at, make_lively};
use super::wire::Wire;
use crate::diagnostic::printable;
use crate::stage::fault::Fault;
use crate::stage::outside::stream::reason;
use nix::errno::Errno;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Who may be listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Only what runs on this machine.
    Loopback,
    /// Whoever can reach the address.
    Remote,
}

/// A socket that listens and does not block. Dropped, it listens no more; the name of a Unix socket is removed.
#[derive(Debug)]
pub(in crate::stage) struct Listener {
    socket: Socket,
    name: String,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix {
        socket: UnixListener,
        /// Removed with it.
        _place: Place,
    },
}

/// The name of a Unix socket, and which file it is.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    file: (u64, u64),
}

impl Drop for Place {
    fn drop(&mut self) {
        // Somebody else may have taken the name meanwhile.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix { socket, .. } => socket.as_fd(),
        }
    }
}

impl Listener {
    /// Listens at `address`; a port of 0 is chosen by the system.
    ///
    /// # Errors
    /// Those of [`listen_at`].
    pub(in crate::stage) fn tcp(address: &Address, reach: Reach) -> Result<Listener, Fault> {
        let (socket, place) = listen_at(address, reach, "--allow-remote")?;
        Ok(Listener { socket: Socket::Tcp(socket), name: place.to_string() })
    }

    /// Listens at a name in the file system. A socket that nobody listens at any more is replaced.
    ///
    /// # Errors
    /// A [`Fault`] that names the path: something else is there, or somebody listens.
    pub(in crate::stage) fn unix(path: &Path) -> Result<Listener, Fault> {
        let name = printable(path.as_os_str().as_bytes());
        let fault = |message: &str| Fault::failed(format!("cannot listen: {message}")).of(&name);
        if let Ok(metadata) = fs::symlink_metadata(path) {
            if !metadata.file_type().is_socket() {
                return Err(fault("it is there already, and is no socket"));
            }
            match is_listened_at(path) {
                Ok(true) => return Err(fault("somebody listens there already")),
                Ok(false) => fs::remove_file(path).map_err(|error| fault(&reason(&error)))?,
                Err(error) => return Err(fault(&reason(&error))),
            }
        }
        let listen = || -> io::Result<Listener> {
            let socket = UnixListener::bind(path)?;
            let metadata = fs::symlink_metadata(path)?;
            let place = Place { path: path.to_owned(), file: (metadata.dev(), metadata.ino()) };
            socket.set_nonblocking(true)?;
            Ok(Listener { socket: Socket::Unix { socket, _place: place }, name: name.clone() })
        };
        listen().map_err(|error| fault(&reason(&error)))
    }

    /// Where it listens: with the port that was chosen.
    pub(in crate::stage) fn name(&self) -> &str {
        &self.name
    }

    /// The connection that waits longest.
    ///
    /// # Errors
    /// Those of `accept`: `WouldBlock` when there is none; that of a peer that is gone already is left out.
    pub(in crate::stage) fn accept(&self) -> io::Result<Wire> {
        loop {
            let accepted: io::Result<(OwnedFd, String)> = match &self.socket {
                Socket::Tcp(socket) => socket.accept().and_then(|(socket, peer)| {
                    socket.set_nonblocking(true)?;
                    make_lively(&socket);
                    Ok((socket.into(), peer.to_string()))
                }),
                Socket::Unix { socket, .. } => socket.accept().and_then(|(socket, _)| {
                    socket.set_nonblocking(true)?;
                    Ok((socket.into(), self.name.clone()))
                }),
            };
            match accepted {
                Ok((socket, peer)) => return Ok(Wire::plain(socket, peer)),
                Err(error) if is_of_that_peer(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A socket that listens at `address` and does not block, and where that is: a port of 0 is chosen by the system.
///
/// # Errors
/// A [`Fault`] that names the address: it is none of this machine, another program listens there, it can be reached
/// from other machines and `reach` does not allow that; then `option` is what would.
pub fn listen_at(address: &Address, reach: Reach, option: &str) -> Result<(TcpListener, SocketAddr), Fault> {
    let fault = |message: String| Fault::failed(message).of(address.to_string());
    let mut found: Vec<SocketAddr> = (address.host.as_str(), address.port)
        .to_socket_addrs()
        .map_err(|error| fault(format!("cannot listen: {}", reason(&error))))?
        .collect();
    // It listens at one of them: at the one that most people mean by `localhost`.
    found.sort_by_key(SocketAddr::is_ipv6);
    if reach == Reach::Loopback
        && let Some(open) = found.iter().find(|found| !found.ip().is_loopback())
    {
        return Err(fault(format!("{} can be reached from other machines", open.ip()))
            .help(format!("if that is meant: `{option}`")));
    }
    let socket = bind_first(&found).map_err(|error| {
        let fault = fault(format!("cannot listen: {}", reason(&error)));
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EADDRINUSE) => fault.help("another program listens there; port 0 takes a free one"),
            Some(Errno::EACCES) => fault.help("ports below 1024 need the right to it"),
            _ => fault,
        }
    })?;
    let socket_name = |error: io::Error| fault(format!("cannot listen: {}", reason(&error)));
    socket.set_nonblocking(true).map_err(socket_name)?;
    let place = socket.local_addr().map_err(socket_name)?;
    Ok((socket, place))
}

/// Listens at the first of `places` that this machine has. One that is taken is not passed over: who asks for the name
/// would reach whoever has it.
fn bind_first(places: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut refusal = io::ErrorKind::AddrNotAvailable.into();
    for place in places {
        match TcpListener::bind(place) {
            Err(error) if is_of_no_interface(&error) => refusal = error,
            bound => return bound,
        }
    }
    Err(refusal)
}

/// Whether the address is none of this machine, or of a family that it does not speak.
fn is_of_no_interface(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw);
    matches!(number, Some(Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT))
}

/// Whether `accept` failed for a connection that was lost before it could be taken (accept(2)).
fn is_of_that_peer(error: &io::Error) -> bool {
    use Errno::{ECONNABORTED, EHOSTDOWN, EHOSTUNREACH, EINTR, ENETDOWN, ENETUNREACH, EPROTO};
    let lost = [ECONNABORTED, EPROTO, EINTR, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN];
    error.raw_os_error().is_some_and(|number| lost.contains(&Errno::from_raw(number)))
}

#[cfg(test)]
mod tests {
    use super::{Address, Listener, Reach};
    use std::io;
    use std::net::TcpStream;
    use std::os::unix::net::UnixListener;

    #[test]
    fn one_listens_on_loopback_unless_more_is_allowed() {
        let told = Listener::tcp(&Address::new("0.0.0.0", 0), Reach::Loopback).unwrap_err();
        assert_eq!(told.to_string(), "0.0.0.0:0: 0.0.0.0 can be reached from other machines");
        assert_eq!(told.help.as_deref(), Some("if that is meant: `--allow-remote`"));
        Listener::tcp(&Address::new("0.0.0.0", 0), Reach::Remote).unwrap();
        let listener = Listener::tcp(&Address::new("localhost", 0), Reach::Loopback).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let peer = TcpStream::connect(listener.name()).unwrap();
        // The connection is there when connecting has returned.
        assert_eq!(listener.accept().unwrap().name(), peer.local_addr().unwrap().to_string());
    }

    #[test]
    fn a_port_in_use_is_told() {
        let first = Listener::tcp(&Address::new("127.0.0.1", 0), Reach::Loopback).unwrap();
        let address = Address::parse(first.name()).unwrap();
        let told = Listener::tcp(&address, Reach::Loopback).unwrap_err().to_string();
        assert_eq!(told, format!("{address}: cannot listen: address already in use"));
        // Whatever else the name stands for.
        let name = Address::new("localhost", address.port);
        let told = Listener::tcp(&name, Reach::Loopback).unwrap_err().to_string();
        assert_eq!(told, format!("{name}: cannot listen: address already in use"));
    }

    #[test]
    fn the_name_of_a_unix_socket_goes_with_it_and_a_dead_one_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        let listener = Listener::unix(&path).unwrap();
        assert!(Listener::unix(&path).unwrap_err().to_string().ends_with("somebody listens there already"));
        drop(listener);
        assert!(!path.exists());
        std::fs::write(&path, "mine").unwrap();
        assert!(Listener::unix(&path).unwrap_err().to_string().ends_with("and is no socket"));
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }
}
