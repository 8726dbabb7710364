//! One connection, awaited: whoever comes first is the peer, and nobody else is.
//! Knows nothing of what goes over it.

use super::listen::Listener;
use super::wire::Wire;
use crate::flow::{Closed, Medium};
use crate::stage::contract::Context;
use crate::stage::fault::Fault;
use crate::stage::outside::stream::reason;
use nix::poll::PollFlags;
use std::io;
use std::os::fd::AsFd;

/// Waits for a connection, and listens no more. People are told where it waits.
///
/// # Errors
/// A [`Fault`] that names the address; a [`Closed`] when the run is given up meanwhile.
pub(in crate::stage) fn meet_one(listener: Listener, context: &Context) -> anyhow::Result<Wire> {
    context.waits_for(Medium::Socket);
    context.remark(format!("waiting for a connection to {}", listener.name()));
    loop {
        context.ready(listener.as_fd(), PollFlags::POLLIN)?;
        match listener.accept() {
            Ok(wire) => {
                drop(listener);
                return Ok(wire);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if Closed::cause_of(&error).is_some() => return Err(error.into()),
            Err(error) => return Err(Fault::failed(reason(&error)).of(listener.name()).into()),
        }
    }
}
