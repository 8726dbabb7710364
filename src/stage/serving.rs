//! What a server and the engine are to each other: a chain that is run again and again, once for each connection.
//! Knows nothing of sockets and protocols, and nothing of how a run is made.

use super::calls::Saying;
use super::contract::Body;
use crate::flow::{Alarm, ServerGauge};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The chain of a server, ready to be run: all that a server stage knows of its group.
pub trait Template: Send + Sync {
    /// Runs it once, between the ends of a connection, on the calling thread; returns when its outputs are in place, or none of
    /// them. Several threads may do so at once.
    fn run(&self, ends: Ends, orders: &Orders, tell: &mut dyn FnMut(Saying)) -> Served;

    /// Whether there is a chain at all.
    fn has_chain(&self) -> bool;

    /// Where the server counts its connections; the runs count themselves.
    fn gauge(&self) -> &ServerGauge;
}

/// The standard streams of a run that a server starts.
pub struct Ends {
    /// How messages and the view call the peer.
    pub name: String,
    /// What the chain's `stdin` is: a [`Body::Source`]. Dropped, if it has none.
    pub stdin: Body,
    /// How many bytes that will give, where it is known.
    pub stdin_bytes: Option<u64>,
    /// What the chain's `stdout` is, a [`Body::Sink`], when it will be given so many bytes, as far as that is known. Dropped, if
    /// the chain has none.
    pub stdout: Box<dyn FnOnce(Option<u64>) -> Body + Send>,
    /// Whether that takes stretches of files, to have them moved by the system.
    pub takes_extents: bool,
    /// What tells, by an error or a hang-up (poll(2)), that the peer wants no more.
    pub reader: Option<OwnedFd>,
}

/// What a run of a server obeys, in place of the signals of the process.
#[derive(Debug, Clone)]
pub struct Orders {
    /// Rung when the run is to be given up.
    pub given_up: Arc<Alarm>,
    /// Rung when an endless source is to end.
    pub ending: Arc<Alarm>,
}

impl Orders {
    /// None yet.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Orders> {
        Ok(Orders { given_up: Arc::new(Alarm::new()?), ending: Arc::new(Alarm::new()?) })
    }
}

/// How a run of a server ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// All of it succeeded.
    Done,
    /// The peer wanted no more of it; what it left stands.
    HungUp,
    /// It was given up.
    GivenUp,
    /// It failed: `gunzip (stage 2): corrupt data at input byte 4711`.
    Failed(String),
}
