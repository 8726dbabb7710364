//! A connection that is a run by itself: its bytes are the standard streams, its end tells the peer how the run has ended.
//! Knows nothing of how the connection came about.

use super::door::Seat;
use super::line::Line;
use crate::stage::calls::Saying;
use crate::stage::contract::Context;
use crate::stage::net::wire::Wire;
use crate::stage::serving::{Ends, Orders, Served, Template};
use nix::poll::PollFlags;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// So long, and so much, is still heard from a peer that was told the end: closed at once, the connection would be reset, and the
/// peer could lose what it has not read yet.
const LAST_WORDS: Duration = Duration::from_secs(2);
const LAST_WORDS_BYTES: usize = 1024 * 1024;

/// What every connection of a server is given.
#[derive(Clone)]
pub(in crate::stage) struct House {
    pub(in crate::stage) template: Arc<dyn Template>,
    pub(in crate::stage) orders: Orders,
    pub(in crate::stage) patience: Option<Duration>,
    /// The server's own.
    pub(in crate::stage) context: Context,
}

impl House {
    /// Runs the chain for a connection, on a thread of its own.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(in crate::stage) fn run_beside(&self, wire: Wire, seat: Seat) -> io::Result<()> {
        let house = self.clone();
        thread::Builder::new().name("connection".to_owned()).spawn(move || {
            house.template.gauge().connection_begins();
            // A panic in here would be one of the server, not of a stage: the seat is left in any case.
            house.serve(wire);
            house.template.gauge().connection_ends();
            drop(seat);
        })?;
        Ok(())
    }

    /// Runs the chain for a connection, and ends it so that the peer knows whether that went well.
    pub(in crate::stage) fn serve(&self, wire: Wire) {
        let name = wire.name().to_owned();
        let line = Line::new(wire, Arc::clone(&self.template), self.patience, &self.context);
        let (stdin, stdout) = (line.stdin(), line.stdout());
        let ends = Ends {
            name: name.clone(),
            stdin,
            stdin_bytes: None,
            stdout: Box::new(move |_| stdout),
            takes_extents: true,
            reader: line.wire.as_fd().try_clone_to_owned().ok(),
        };
        match self.template.run(ends, &self.orders, &mut |saying| self.tell(&name, saying)) {
            Served::Done => self.take_leave(&line.wire),
            Served::HungUp => {}
            Served::GivenUp => line.wire.give_up(),
            Served::Failed(message) => {
                line.wire.give_up();
                self.tell(&name, Saying::Remark(message));
            }
        }
    }

    /// Passes on what a run has to say.
    pub(in crate::stage) fn tell(&self, name: &str, saying: Saying) {
        match saying {
            Saying::Remark(line) => self.context.remark(format!("{name}: {line}")),
            Saying::Quote(lines) => self.context.quote(lines),
        }
    }

    /// Tells the peer the end, and waits until it has it, but not for long.
    fn take_leave(&self, wire: &Wire) {
        if wire.finish(&self.context).is_err() {
            return;
        }
        let until = Instant::now() + LAST_WORDS;
        let mut scrap = [0; 4096];
        let mut heard_bytes = 0;
        while heard_bytes < LAST_WORDS_BYTES {
            match wire.try_read(&mut scrap) {
                Ok(0) => return,
                Ok(count) => heard_bytes += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = until.saturating_duration_since(Instant::now());
                    match self.context.ready_within(wire.as_fd(), PollFlags::POLLIN, left) {
                        Ok(true) => {}
                        _ => return,
                    }
                }
                Err(_) => return,
            }
        }
    }
}
