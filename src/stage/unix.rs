//! `unix`: a connection over a Unix socket as a stage, made or awaited.
//! Knows nothing of sockets: `net` connects, and moves the bytes.

use super::arguments::PathArgument;
use super::contract::{Body, Entry, Opening, Peer, Role, Stage, Touch};
use super::net::both_ways;
use super::net::dial::dial_unix;
use super::net::listen::Listener;
use super::net::meet_one::meet_one;

/// Talk over a Unix socket: what comes in is sent, what the peer sends goes on
///
/// As `tcp` does, with a name in the file system in place of an address. With `--listen` the name is made, and removed again.
#[derive(Debug, clap::Parser)]
pub(super) struct Unix {
    /// The socket's name
    #[arg(value_name = "PATH")]
    path: PathArgument,

    /// Wait for one connection to PATH instead
    #[arg(short, long)]
    listen: bool,
}

pub(super) const ENTRY: Entry =
    Entry { peer: Peer::Fed, shown: &["unix /run/service.sock"], ..Entry::of::<Unix>("unix", Role::Filter) };

impl Stage for Unix {
    fn label(&self) -> String {
        self.path.to_string()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Send(self.path.to_string())]
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        opening.cannot_be_undone(format!("what {} was sent", self.path));
        opening.take_extents();
        if self.listen {
            let listener = Listener::unix(&self.path.path)?;
            return Ok(both_ways::body(move |context| meet_one(listener, context))?);
        }
        Ok(both_ways::body(move |context| dial_unix(&self.path.path, context))?)
    }
}
