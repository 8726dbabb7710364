//! A peer at the other end of a socket that does what a test has it do, well or badly.
//! Ordered by what is read and written, never by time; nothing in it waits longer than anybody's patience.

use crate::harness::PATIENCE;
use nix::libc::linger;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::{self, JoinHandle};

/// What listens for a stage, and where.
pub struct Peer {
    listener: TcpListener,
}

impl Peer {
    pub fn new() -> Peer {
        Peer { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    /// As a stage is told it.
    pub fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    #[cfg(feature = "web")]
    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Does `act` with the first connection.
    pub fn does<T: Send + 'static>(self, act: impl FnOnce(TcpStream) -> T + Send + 'static) -> JoinHandle<T> {
        thread::spawn(move || {
            await_one(&self.listener);
            let (stream, _) = self.listener.accept().unwrap();
            // Nobody else is listened to.
            drop(self.listener);
            act(patient(stream))
        })
    }
}

/// As [`Peer::does`], at a name in the file system.
pub fn at_name<T: Send + 'static>(
    path: &Path,
    act: impl FnOnce(UnixStream) -> T + Send + 'static,
) -> JoinHandle<T> {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        await_one(&listener);
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        act(stream)
    })
}

fn await_one(listener: &impl AsFd) {
    let patience = PollTimeout::try_from(PATIENCE).unwrap();
    let count = poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], patience).unwrap();
    assert_eq!(count, 1, "nobody came");
}

/// A stream that waits no longer than anybody's patience.
pub fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Ends a connection by a reset.
pub fn reset(stream: TcpStream) {
    setsockopt(&stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 }).unwrap();
    drop(stream);
}

/// Reads until the connection ends: what came, and whether it was an end and no reset.
pub fn read_all(stream: &mut impl Read) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => (all, true),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            (all, false)
        }
    }
}

/// That many bytes.
pub fn read_some(stream: &mut impl Read, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Bytes that differ from their neighbours, so that none can be lost or doubled unseen.
pub fn numbered(count: usize) -> Vec<u8> {
    (0..count.div_ceil(4)).flat_map(|number| (number as u32).to_le_bytes()).take(count).collect()
}
