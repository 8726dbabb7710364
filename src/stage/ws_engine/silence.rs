//! How long the peer has been silent after all was said to it: a WebSocket has no half-close, and most servers drop what
//! they have not yet answered when they are told that this was all. Knows nothing of what is said.

use crate::stage::contract::Context;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The ping that a peer is sent behind our last message: its answer shows that the peer has read all of ours.
pub(super) const QUESTION: &[u8] = b"was that all?";

/// What a peer is given before it is told that the input has ended.
#[derive(Debug, Clone, Copy)]
pub(in crate::stage) struct Patience {
    /// It must have been silent for so long, on the run's clock.
    pub(in crate::stage) pause: Duration,
    /// Silence counts from the pong to our last ping, or from so long after it without one.
    pub(in crate::stage) pong_time: Duration,
}

impl Patience {
    /// What a client has with its server.
    pub(in crate::stage) const OF_A_CLIENT: Patience =
        Patience { pause: Duration::from_secs(1), pong_time: Duration::from_secs(10) };
}

/// What the way back knows of the peer's silence, and the way out waits for.
#[derive(Debug)]
pub(super) struct Silence {
    patience: Patience,
    /// Since when the way back has waited for the peer, on the run's clock; `IN_HAND` while it has something of it.
    since_nanos: AtomicU64,
    was_answered: AtomicBool,
    /// Readable when the way out should look again.
    bell: EventFd,
}

/// Something of the peer's is being passed on, or may be.
const IN_HAND: u64 = u64::MAX;

impl Silence {
    /// Of a peer that may have said something already.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(super) fn new(patience: Patience) -> io::Result<Silence> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let was_answered = AtomicBool::new(false);
        Ok(Silence { patience, since_nanos: AtomicU64::new(IN_HAND), was_answered, bell })
    }

    /// Something has come.
    pub(super) fn is_broken(&self) {
        self.since_nanos.store(IN_HAND, Ordering::Release);
    }

    /// A pong has come; only the one to our question is any.
    pub(super) fn hears_pong(&self, payload: &[u8]) {
        if payload == QUESTION {
            self.is_broken();
            self.was_answered.store(true, Ordering::Release);
            self.ring();
        }
    }

    /// All that had come is passed on, and more is waited for.
    pub(super) fn goes_on(&self, now_nanos: u64) {
        if self.since_nanos.load(Ordering::Acquire) == IN_HAND {
            self.since_nanos.store(now_nanos, Ordering::Release);
        }
    }

    /// Has the way out look again.
    pub(super) fn ring(&self) {
        // The only failure is a counter about to overflow, which is as readable as can be.
        let _ = self.bell.write(1);
    }

    /// How much longer the peer, asked at `asked_nanos`, must be silent; `None` while something of it is in hand.
    fn left(&self, asked_nanos: u64, now_nanos: u64) -> Option<Duration> {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(IN_HAND);
        let pong_time =
            if self.was_answered.load(Ordering::Acquire) { Duration::ZERO } else { self.patience.pong_time };
        let since_nanos = self.since_nanos.load(Ordering::Acquire);
        let begun_nanos = since_nanos.max(asked_nanos.saturating_add(nanos(pong_time)));
        let until_nanos = begun_nanos.saturating_add(nanos(self.patience.pause));
        (since_nanos != IN_HAND).then(|| Duration::from_nanos(until_nanos.saturating_sub(now_nanos)))
    }

    /// Waits until the peer, asked just now over `wire`, has been silent for long enough, or `is_over`.
    ///
    /// # Errors
    /// A [`Closed`](crate::flow::Closed) when the run ends, or nobody wants more of what the peer says.
    pub(super) fn wait(
        &self,
        wire: BorrowedFd<'_>,
        context: &Context,
        is_over: impl Fn() -> bool,
    ) -> io::Result<()> {
        let asked_nanos = context.clock().now_nanos();
        let mut was_looked_at = false;
        while !is_over() {
            let time = match self.left(asked_nanos, context.clock().now_nanos()) {
                None => self.patience.pause.max(LOOK_TIME),
                Some(Duration::ZERO) => {
                    // What has come and was not heard yet is no silence; a mere ping gains no more than one look.
                    if was_looked_at || !context.ready_within(wire, PollFlags::POLLIN, Duration::ZERO)? {
                        return Ok(());
                    }
                    was_looked_at = true;
                    LOOK_TIME
                }
                Some(left) => {
                    was_looked_at = false;
                    // Polls count in whole milliseconds: rounded up, none is a busy loop.
                    left + Duration::from_millis(1)
                }
            };
            self.wait_for_bell(context, time)?;
        }
        Ok(())
    }

    /// Waits for the way back to end, which it does at once when the run does, and says that it `is_over`.
    ///
    /// # Errors
    /// Those of `poll`.
    pub(super) fn await_the_way_back(&self, is_over: impl Fn() -> bool) -> io::Result<()> {
        let until = Instant::now() + END_TIME;
        while !is_over() && Instant::now() < until {
            let mut bell = [PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)];
            match poll(&mut bell, PollTimeout::try_from(END_TIME).unwrap_or(PollTimeout::MAX)) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => drop(self.bell.read()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn wait_for_bell(&self, context: &Context, time: Duration) -> io::Result<()> {
        if context.ready_within(self.bell.as_fd(), PollFlags::POLLIN, time)? {
            // Unread, it would ring for ever; if somebody else has read it, it will not.
            let _ = self.bell.read();
        }
        Ok(())
    }
}

/// No end of a run takes longer.
const END_TIME: Duration = Duration::from_secs(1);

/// For so long the way back may be busy with what has come before the way out looks again.
const LOOK_TIME: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::{Patience, QUESTION, Silence};
    use std::time::Duration;

    fn silence() -> Silence {
        Silence::new(Patience { pause: Duration::from_nanos(10), pong_time: Duration::from_nanos(100) })
            .unwrap()
    }

    fn left(silence: &Silence, now_nanos: u64) -> Option<u64> {
        silence.left(1000, now_nanos).map(|left| u64::try_from(left.as_nanos()).unwrap())
    }

    #[test]
    fn a_pause_counts_from_the_pong_or_from_when_it_is_not_waited_for_any_more() {
        let silence = silence();
        silence.goes_on(7);
        assert_eq!(left(&silence, 1000), Some(110), "however long it was silent before");
        assert_eq!(left(&silence, 1110), Some(0));
        silence.hears_pong(b"another");
        assert_eq!(left(&silence, 1000), Some(110));
        silence.hears_pong(QUESTION);
        silence.goes_on(1050);
        assert_eq!((left(&silence, 1050), left(&silence, 1060)), (Some(10), Some(0)));
    }

    #[test]
    fn a_pause_counts_from_the_last_word_when_it_has_been_passed_on() {
        let silence = silence();
        assert_eq!(left(&silence, 5000), None, "who has not listened yet has heard no silence");
        silence.hears_pong(QUESTION);
        silence.goes_on(1001);
        silence.is_broken();
        assert_eq!(left(&silence, 5000), None);
        silence.goes_on(5000);
        silence.goes_on(5005);
        assert_eq!((left(&silence, 5005), left(&silence, 5010)), (Some(5), Some(0)));
        // Nor is the last word before an answer the end of it.
        let silence = self::silence();
        silence.goes_on(1105);
        assert_eq!(left(&silence, 1105), Some(10));
    }
}
