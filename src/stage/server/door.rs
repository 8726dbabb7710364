//! The door of a server: connections are let in while there is room, until the server is to end; then those inside have a time to
//! finish.
//! Knows nothing of what is done with a connection.

use crate::flow::{Closed, Medium};
use crate::stage::contract::Context;
use crate::stage::fault::Fault;
use crate::stage::net::listen::Listener;
use crate::stage::net::wire::Wire;
use crate::stage::outside::stream::reason;
use crate::stage::serving::Orders;
use crate::units;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// When the system has no descriptor left, it is asked again after this time.
const SCARCITY_INTERVAL: Duration = Duration::from_millis(100);

/// Who waits longer than this for the server to end is told why.
const SILENT_TIME: Duration = Duration::from_millis(500);

/// How long connections that are given up may take.
const GIVING_UP: Duration = Duration::from_secs(1);

/// How often it is looked whether the server is to end, where nothing else wakes it.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How many may be inside at once, and how many are.
#[derive(Debug)]
pub(in crate::stage) struct Room {
    places: usize,
    taken: AtomicUsize,
    /// Readable when somebody left.
    left: EventFd,
}

/// A place inside. Dropped, it is free.
#[derive(Debug)]
pub(in crate::stage) struct Seat(Arc<Room>);

impl Room {
    /// For at most `places`.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(in crate::stage) fn new(places: usize) -> io::Result<Arc<Room>> {
        let left = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Arc::new(Room { places, taken: AtomicUsize::new(0), left }))
    }

    /// A place, if there is one.
    pub(in crate::stage) fn sit(self: &Arc<Self>) -> Option<Seat> {
        let more = |taken| (taken < self.places).then_some(taken + 1);
        let sat = self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        sat.ok().map(|_| Seat(Arc::clone(self)))
    }

    /// How many are inside.
    pub(in crate::stage) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::SeqCst);
        // A counter that is about to overflow is as rung as can be.
        let _ = self.0.left.write(1);
    }
}

/// Lets connections in until the run is told to end; `enter` is given each with its place, and does not wait.
///
/// # Errors
/// A [`Fault`] when the system does not listen any more; a [`Closed`] when the run is given up.
pub(in crate::stage) fn let_in(
    listener: &Listener,
    room: &Arc<Room>,
    context: &Context,
    mut enter: impl FnMut(Wire, Seat) -> io::Result<()>,
) -> anyhow::Result<()> {
    context.waits_for(Medium::Socket);
    let mut is_scarce = false;
    while !context.is_ending() {
        let Some(seat) = room.sit() else {
            // Who waits outside is in the queue of the system, and sees that nobody answers yet.
            let _ = room.left.read();
            if room.taken() >= room.places {
                context.await_more(Some(room.left.as_fd()), LOOK_INTERVAL)?;
            }
            continue;
        };
        let accepted = listener.accept();
        if accepted.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            context.await_more(Some(listener.as_fd()), LOOK_INTERVAL)?;
            continue;
        }
        match accepted.and_then(|wire| enter(wire, seat)) {
            Ok(()) => is_scarce = false,
            Err(error) if Closed::cause_of(&error).is_some() => return Err(error.into()),
            Err(error) if is_scarcity(&error) => {
                if !std::mem::replace(&mut is_scarce, true) {
                    context.remark(format!("no more connections for now: {}", reason(&error)));
                }
                context.await_more(None, SCARCITY_INTERVAL)?;
            }
            Err(error) => return Err(Fault::failed(reason(&error)).of(listener.name()).into()),
        }
    }
    Ok(())
}

/// Whether it passes when others have ended (accept(2), pthread_create(3)).
fn is_scarcity(error: &io::Error) -> bool {
    use Errno::{EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM};
    let scarce = [EMFILE, ENFILE, ENOBUFS, ENOMEM, EAGAIN];
    error.raw_os_error().is_some_and(|number| scarce.contains(&Errno::from_raw(number)))
}

/// Sees those inside to their end: endless ones are told to end; after `grace`, or when the run is given up, all are.
///
/// # Errors
/// A [`Closed`] when the run was given up.
pub(in crate::stage) fn see_out(
    room: &Room,
    orders: &Orders,
    grace: Duration,
    context: &Context,
) -> io::Result<()> {
    orders.ending.ring();
    let until = Instant::now() + grace;
    let mut waited = wait_outside(room, until.min(Instant::now() + SILENT_TIME), context);
    let left = until.saturating_duration_since(Instant::now());
    if waited.is_ok() && room.taken() > 0 && !left.is_zero() {
        let (inside, left) = (room.taken(), units::whole_seconds(left));
        let connections = if inside == 1 { "1 connection" } else { &format!("{inside} connections") };
        context.remark(format!(
            "{connections} may finish within {left}; a second signal ends everything at once"
        ));
        waited = wait_outside(room, until, context);
    }
    turn_out(room, orders);
    waited
}

/// Returns when nobody is inside any more, or at `until`.
fn wait_outside(room: &Room, until: Instant, context: &Context) -> io::Result<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if room.taken() == 0 || left.is_zero() {
            return Ok(());
        }
        let _ = room.left.read();
        if room.taken() > 0 {
            context.ready_within(room.left.as_fd(), PollFlags::POLLIN, left)?;
        }
    }
}

/// Has those inside give up, and waits for them, but not for long.
pub(in crate::stage) fn turn_out(room: &Room, orders: &Orders) {
    orders.given_up.ring();
    let until = Instant::now() + GIVING_UP;
    while room.taken() > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// About so many descriptors a run, with its connection, has open, and the process besides.
const DESCRIPTORS_EACH: u64 = 16;
const DESCRIPTORS_BESIDE: u64 = 32;

/// Has the system allow as many descriptors as it may; returns for how many runs at once they last, at least one.
pub fn places_allowed() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return usize::MAX };
    let is_raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    let limit = if is_raised { hard } else { soft };
    let places = limit.saturating_sub(DESCRIPTORS_BESIDE) / DESCRIPTORS_EACH;
    usize::try_from(places).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::Room;

    #[test]
    fn a_room_holds_as_many_as_it_has_places() {
        let room = Room::new(2).unwrap();
        let (first, second) = (room.sit(), room.sit());
        assert!(first.is_some() && second.is_some() && room.sit().is_none());
        drop(first);
        assert_eq!(room.taken(), 1);
        assert!(room.sit().is_some());
    }
}
