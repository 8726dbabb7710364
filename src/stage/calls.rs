//! What a run and a stage call out to each other beside the bytes: that an endless source is to end, remarks for people.
//! Knows nothing of signals, or of who reads a remark.

use super::context::Context;
use crate::flow::{Alarm, Closed, Woken};
use nix::poll::{PollFlags, PollTimeout};
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// What a stage has to tell people while the run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saying {
    /// Its own words, about what it reads or writes: a line without its line feed.
    Remark(String),
    /// Those of its peer, as they came: whole lines.
    Quote(Vec<u8>),
}

/// A run's side of it.
#[derive(Clone)]
pub struct Calls {
    ending: Arc<Alarm>,
    say: Arc<dyn Fn(Saying) + Send + Sync>,
}

impl Calls {
    /// `ending` is rung when the endless source of the run is to end; `say` is given what the stage has to say, and
    /// returns when there is room for it.
    pub fn new(ending: Arc<Alarm>, say: impl Fn(Saying) + Send + Sync + 'static) -> Self {
        Calls { ending, say: Arc::new(say) }
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Calls").field("ending", &self.ending).finish_non_exhaustive()
    }
}

impl Context {
    /// The same, in a run that can be called and calls.
    #[must_use]
    pub fn with_calls(mut self, calls: Calls) -> Self {
        self.calls = Some(calls);
        self
    }

    /// Whether an endless source is to give no more: what it gave is finished, so it returns as any other at its end.
    pub fn is_ending(&self) -> bool {
        self.calls.as_ref().is_some_and(|calls| calls.ending.has_rung())
    }

    /// Waits until `fd` is readable, an endless source is to end, or `time` is over.
    ///
    /// # Errors
    /// [`Closed`] when the run is given up or the next stage takes no more: go no further. Those of `poll`.
    pub fn await_more(&self, fd: Option<BorrowedFd<'_>>, time: Duration) -> io::Result<()> {
        let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        let fd = fd.map(|fd| (fd, PollFlags::POLLIN));
        let woken = match &self.calls {
            Some(calls) => self.alarm.wait_beside(&calls.ending, fd, timeout)?,
            None => self.alarm.wait(fd, timeout)?,
        };
        if woken == Woken::Rung { Err(Closed::HungUp.into()) } else { Ok(()) }
    }

    /// Tells people something while the run goes on: a line about what the stage reads or writes. Not for failures.
    pub fn remark(&self, line: impl Into<String>) {
        self.say(Saying::Remark(line.into()));
    }

    /// Tells people what a peer of the stage says, in whole lines. Waits for as long as they have to hear what came before.
    pub fn quote(&self, lines: Vec<u8>) {
        self.say(Saying::Quote(lines));
    }

    fn say(&self, saying: Saying) {
        if let Some(calls) = &self.calls {
            (calls.say)(saying);
        }
    }
}
