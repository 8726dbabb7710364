//! A server that speaks HTTP/1.1: all its connections live in one runtime, on a thread of its own; each request has a run, on threads
//! of its own.
//! Knows nothing of the door: it is handed connections that are made.

mod answer;
mod chain;
mod converse;
mod errand;
mod guest;
mod hall;
mod lending;
mod request;
mod response;
pub(in crate::stage) mod screen;
mod service;
mod shelf;
mod socket;
mod watched;

use super::bridge::{Sender, bridge};
use super::files::directory::Directory;
use super::sending::Kind;
use crate::stage::contract::Context;
use crate::stage::net::wire::Wire;
use crate::stage::server::connection::House;
use crate::stage::server::door::Seat;
use crate::stage::serving::{Orders, Template};
use crate::stage::ws_engine::Messages;
use hall::Hall;
use nix::sys::resource::{Resource, getrlimit};
use screen::Rules;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

/// So many connections may be open at least, whatever is served at once: most of them are silent at any time.
const CONNECTIONS_MIN: usize = 1280;

/// So many may be open for each request that may be served at once.
const CONNECTIONS_EACH: usize = 4;

/// About how many descriptors a request takes while it is served, with those of its run.
const DESCRIPTORS_EACH: usize = 32;

/// Connections that are let in and not yet in the runtime.
const ARRIVALS: usize = 16;

/// What a request gets. Another kind of answer is a row here and an arm in `service`.
#[derive(Debug)]
pub(in crate::stage) enum Work {
    /// A run of the chain, between its body and that of the answer.
    Chain,
    /// The file that it asks for.
    Files(Directory),
    /// A run of the chain, between that file and the body of the answer.
    FilesThrough(Directory),
    /// A conversation over a WebSocket, between the two ways of which the chain is run.
    Socket(Messages),
}

/// What every connection of a server is given.
pub(in crate::stage) struct Site {
    template: Arc<dyn Template>,
    orders: Orders,
    /// How long a peer may neither give nor take while it is waited for; `None` is for ever.
    patience: Option<Duration>,
    /// The server's own.
    context: Context,
    /// How many connections there may be, served or not.
    connections: usize,
    /// A place for each request that may be served at once.
    places: Arc<Semaphore>,
    rules: Rules,
    /// What kind of bytes the chain gives.
    kind: Kind,
    work: Work,
}

impl Site {
    /// One where so many requests are served at once, and there may be so many connections.
    pub(in crate::stage) fn new(
        house: House,
        rules: Rules,
        work: Work,
        kind: Kind,
        served_max: usize,
        connections: usize,
    ) -> Site {
        let House { template, orders, patience, context } = house;
        let places = Arc::new(Semaphore::new(served_max));
        Site { template, orders, patience, context, connections, places, rules, kind, work }
    }
}

/// How many connections there may be when so many requests are served at once: as many as the descriptors last for.
pub(in crate::stage) fn connections_max(served_max: usize) -> usize {
    let wished = CONNECTIONS_MIN.max(served_max.saturating_mul(CONNECTIONS_EACH));
    let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    let left = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let left = left.saturating_sub(served_max.saturating_mul(DESCRIPTORS_EACH));
    wished.min(left).max(served_max + 8)
}

/// Where connections are handed over to the runtime.
pub(in crate::stage) struct Lobby {
    arrivals: Option<Sender<(Wire, Seat)>>,
    context: Context,
    thread: Option<JoinHandle<()>>,
}

impl Lobby {
    /// Starts the runtime.
    ///
    /// # Errors
    /// When the process has no thread or no descriptor left.
    pub(in crate::stage) fn open(site: Site) -> io::Result<Lobby> {
        let (arrivals, arriving) = bridge(ARRIVALS)?;
        let context = site.context.clone();
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let thread = thread::Builder::new().name("http".to_owned()).spawn(move || {
            let local = LocalSet::new();
            local.block_on(&runtime, async {
                let hall = Rc::new(Hall::new(Arc::new(site)));
                hall.attend(arriving).await;
            });
        })?;
        Ok(Lobby { arrivals: Some(arrivals), context, thread: Some(thread) })
    }

    /// Hands a connection over.
    ///
    /// # Errors
    /// A [`Closed`](crate::flow::Closed) when the run is given up meanwhile; that the runtime is gone.
    pub(in crate::stage) fn enter(&self, wire: Wire, seat: Seat) -> io::Result<()> {
        let entered = match &self.arrivals {
            Some(arrivals) => arrivals.send((wire, seat), &self.context)?,
            None => false,
        };
        if entered { Ok(()) } else { Err(io::Error::other("internal error: nobody serves any more")) }
    }

    /// Ends the runtime when the last connection has left it, which all do when they are given up.
    pub(in crate::stage) fn close(mut self) {
        self.arrivals = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it was told already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::connections_max;

    #[test]
    fn there_is_more_room_for_connections_than_for_requests() {
        for served_max in [1, 64, 1000, 100_000] {
            assert!(connections_max(served_max) > served_max);
        }
    }
}
