//! From an address to a connected socket: every address of a name is tried, and every wait can be given up.
//! Knows nothing of what goes over it.

use super::address::Address;
use super::resolve::resolve;
use super::wire::Wire;
use crate::diagnostic::printable;
use crate::flow::{Closed, Medium};
use crate::stage::contract::Context;
use crate::stage::fault::Fault;
use crate::stage::outside::stream::reason;
use crate::units;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, connect, getsockopt,
    setsockopt, socket, sockopt,
};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// How long one address of a peer may take to answer, where nobody says.
pub(in crate::stage) const CONNECT_TIME: Duration = Duration::from_secs(10);

/// A full queue of a listening Unix socket cannot be waited for; it is tried again after this time.
const QUEUE_INTERVAL: Duration = Duration::from_millis(20);

/// Connects to a peer over TCP; each of its addresses has `time` to answer.
///
/// # Errors
/// A [`Fault`] that names the peer and why it cannot be reached; a [`Closed`] when the run is given up meanwhile.
pub(in crate::stage) fn dial(address: &Address, time: Duration, context: &Context) -> anyhow::Result<Wire> {
    context.waits_for(Medium::Socket);
    let name = address.to_string();
    let found = match resolve(address, context) {
        Ok(found) => found,
        Err(error) if Closed::cause_of(&error).is_some() => return Err(error.into()),
        Err(error) => {
            return Err(Fault::failed(format!("cannot find {}: {}", address.host, unresolved(&error)))
                .of(name)
                .into());
        }
    };
    dial_any(&found, name, time, context)
}

/// Connects to the first of `addresses` that answers, in their order.
fn dial_any(
    addresses: &[SocketAddr],
    name: String,
    time: Duration,
    context: &Context,
) -> anyhow::Result<Wire> {
    let mut refusals: Vec<(SocketAddr, io::Error)> = Vec::new();
    for &candidate in addresses {
        match dial_one(candidate, time, context) {
            Ok(socket) => return Ok(Wire::plain(socket, name)),
            Err(error) if Closed::cause_of(&error).is_some() => return Err(error.into()),
            Err(error) => refusals.push((candidate, error)),
        }
    }
    Err(Fault::failed(told(&refusals, time)).of(name).into())
}

/// Connects to whoever listens at a Unix socket.
///
/// # Errors
/// As [`dial`].
pub(in crate::stage) fn dial_unix(path: &Path, context: &Context) -> anyhow::Result<Wire> {
    context.waits_for(Medium::Socket);
    let name = printable(path.as_os_str().as_bytes());
    let fault = |error: io::Error| match Closed::cause_of(&error) {
        Some(_) => anyhow::Error::from(error),
        None => Fault::failed(format!("cannot connect: {}", reason(&error))).of(&name).into(),
    };
    let address = UnixAddr::new(path).map_err(|error| fault(error.into()))?;
    loop {
        let socket = unblocking(AddressFamily::Unix).map_err(fault)?;
        match connect(socket.as_raw_fd(), &address) {
            Ok(()) => return Ok(Wire::plain(socket, name)),
            Err(Errno::EAGAIN) => context.sleep(QUEUE_INTERVAL).map_err(fault)?,
            Err(error) => return Err(fault(error.into())),
        }
    }
}

/// Whether somebody listens at the socket that is there, and be it without having the time to answer.
///
/// # Errors
/// Those of `connect`, but for the one that says that nobody does.
pub(super) fn is_listened_at(path: &Path) -> io::Result<bool> {
    let address = UnixAddr::new(path)?;
    let socket = unblocking(AddressFamily::Unix)?;
    match connect(socket.as_raw_fd(), &address) {
        Ok(()) | Err(Errno::EAGAIN) => Ok(true),
        Err(Errno::ECONNREFUSED) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn dial_one(address: SocketAddr, time: Duration, context: &Context) -> io::Result<OwnedFd> {
    let address = match address {
        SocketAddr::V4(address) => SockaddrStorage::from(address),
        SocketAddr::V6(address) => SockaddrStorage::from(address),
    };
    let socket = unblocking(address.family().unwrap_or(AddressFamily::Inet))?;
    match connect(socket.as_raw_fd(), &address) {
        Ok(()) => {}
        Err(Errno::EINPROGRESS | Errno::EINTR) => {
            if !context.ready_within(socket.as_fd(), PollFlags::POLLOUT, time)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match getsockopt(&socket, sockopt::SocketError)? {
                0 => {}
                error => return Err(Errno::from_raw(error).into()),
            }
        }
        Err(error) => return Err(error.into()),
    }
    make_lively(&socket);
    Ok(socket)
}

fn unblocking(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(family, SockType::Stream, flags, None)?)
}

/// What every TCP connection is set to: small pieces go at once, and a peer that has vanished is found out.
pub(super) fn make_lively(socket: &impl AsFd) {
    // Only wishes.
    let _ = setsockopt(socket, sockopt::TcpNoDelay, &true);
    let _ = setsockopt(socket, sockopt::KeepAlive, &true);
}

/// Why no address could be connected to. One reason for all is told once.
fn told(refusals: &[(SocketAddr, io::Error)], time: Duration) -> String {
    let why = |error: &io::Error| match error.kind() {
        io::ErrorKind::TimedOut => format!("no answer within {}", units::duration(time)),
        _ => reason(error),
    };
    let Some((_, first)) = refusals.first() else { return "cannot connect".to_owned() };
    if refusals.iter().all(|(_, error)| why(error) == why(first)) {
        return format!("cannot connect: {}", why(first));
    }
    let each: Vec<String> =
        refusals.iter().map(|(address, error)| format!("{}: {}", address.ip(), why(error))).collect();
    format!("cannot connect: {}", each.join("; "))
}

/// What the resolver says, without the words around it.
fn unresolved(error: &io::Error) -> String {
    let words = reason(error);
    words.rsplit(": ").next().map_or(words.clone(), str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::{Address, dial, dial_any, dial_unix, told};
    use crate::flow::Closed;
    use crate::stage::testing_ends::{bench, fault};
    use std::io::{self, Read, Write};
    use std::net::TcpListener;
    use std::path::Path;
    use std::time::Duration;

    #[test]
    fn a_name_is_looked_up_and_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let bench = bench(64);
        let wire = dial(&Address::new("localhost", port), Duration::from_secs(10), &bench.context).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"hello").unwrap();
        let mut buffer = [0; 9];
        assert_eq!(wire.read(&mut buffer, &bench.context).unwrap(), 5);
        wire.write(b"and back", &bench.context).unwrap();
        wire.finish(&bench.context).unwrap();
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"and back");
    }

    #[test]
    fn a_wire_that_was_given_up_is_a_reset_to_its_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::new("127.0.0.1", listener.local_addr().unwrap().port());
        let bench = bench(64);
        let wire = dial(&address, Duration::from_secs(10), &bench.context).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        wire.write(b"some", &bench.context).unwrap();
        wire.give_up();
        drop(wire);
        let error = peer.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn who_cannot_be_reached_is_named_and_why() {
        let bench = bench(64);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let told = fault(dial(&Address::new("127.0.0.1", port), Duration::from_secs(10), &bench.context))
            .to_string();
        assert_eq!(told, format!("127.0.0.1:{port}: cannot connect: connection refused"));
        let unknown = Address::new("no-such-host.invalid", 80);
        let told = fault(dial(&unknown, Duration::from_secs(10), &bench.context)).to_string();
        assert!(told.starts_with("no-such-host.invalid:80: cannot find no-such-host.invalid: "), "{told}");
        let told = fault(dial_unix(Path::new("/no/such/socket"), &bench.context)).to_string();
        assert_eq!(told, "/no/such/socket: cannot connect: no such file or directory");
    }

    #[test]
    fn connecting_ends_when_the_run_is_given_up() {
        let bench = bench(64);
        bench.alarm.ring();
        let error = dial(&Address::new("localhost", 9), Duration::from_secs(10), &bench.context).unwrap_err();
        assert!(Closed::cause_of(error.as_ref()).is_some());
    }

    #[test]
    fn every_address_of_a_name_is_tried() {
        let bench = bench(64);
        let time = Duration::from_secs(10);
        let (gone, there) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.2:0").unwrap());
        let addresses = [gone.local_addr().unwrap(), there.local_addr().unwrap()];
        drop(gone);
        let wire = dial_any(&addresses, "a name".to_owned(), time, &bench.context).unwrap();
        let (mut peer, _) = there.accept().unwrap();
        assert_eq!(wire.write(b"hello", &bench.context).unwrap(), 5);
        drop(wire);
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"hello");
        drop((there, peer));
        let told = fault(dial_any(&addresses, "a name".to_owned(), time, &bench.context)).to_string();
        assert_eq!(told, "a name: cannot connect: connection refused");
    }

    #[test]
    fn reasons_that_differ_are_told_for_each_address() {
        let refused =
            |ip: &str, kind: io::ErrorKind| (format!("{ip}:80").parse().unwrap(), io::Error::from(kind));
        let time = Duration::from_secs(10);
        let both = [
            refused("[::1]", io::ErrorKind::TimedOut),
            refused("127.0.0.1", io::ErrorKind::ConnectionRefused),
        ];
        assert_eq!(
            told(&both, time),
            "cannot connect: ::1: no answer within 10.0 s; 127.0.0.1: connection refused"
        );
        assert_eq!(told(&both[1..], time), "cannot connect: connection refused");
    }
}
