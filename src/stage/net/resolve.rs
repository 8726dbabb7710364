//! Names to addresses, by the system's resolver, in a way that can be given up.
//! Connects to nothing.

use super::address::Address;
use crate::stage::contract::Context;
use nix::poll::PollFlags;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::{Arc, mpsc};
use std::thread;

/// Every address that `address` has, in the order in which the system would have them tried; at least one.
///
/// # Errors
/// What the system says of the name; a [`Closed`](crate::flow::Closed) when the run is given up meanwhile.
pub(in crate::stage) fn resolve(address: &Address, context: &Context) -> io::Result<Vec<SocketAddr>> {
    if let Ok(number) = address.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(number, address.port)]);
    }
    // The resolver cannot be interrupted: a thread of its own waits for it.
    let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
    let (told, found) = mpsc::channel();
    let (name, port, ring) = (address.host.clone(), address.port, Arc::clone(&bell));
    thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs();
        // Who has given up hears nothing.
        let _ = told.send(found.map(Iterator::collect::<Vec<_>>));
        let _ = ring.write(1);
    })?;
    context.ready(bell.as_fd(), PollFlags::POLLIN)?;
    let found = found.recv().map_err(|_| io::Error::other("the resolver did not answer"))??;
    if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
}
