//! The bounded channel between two stages: it blocks, it joins small chunks, it ends in three ways, it counts.
//! Knows nothing of stages; its model is checked against every schedule in `tests/link_model.rs`.
//!
//! A writer that finds the link full is stalled until it has drained to the low mark: far fewer wake-ups than one
//! for each chunk taken. A reader that finds it empty is woken at once. Whoever ends a wait stamps its end, so the
//! time a woken thread then queues for a core is not taken for waiting.

use super::alarm::Alarm;
use super::bounds::Bounds;
use super::chunk::{Chunk, Parcel};
use super::clock::Clock;
use super::closed::Closed;
use super::gauge::{LinkCounts, LinkGauge};
use super::sync::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Finished,
    Aborted,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<Parcel>,
    fill_bytes: usize,
    end: Option<End>,
    hung_up: bool,
    cancelled: bool,
    /// The reader has been told of the finished end.
    end_was_read: bool,
    /// The reader found the link empty and has not been let go yet.
    held: bool,
    bounds: Bounds,
    /// The writer, the reader is to wait until somebody lets it go on.
    writer_is_paused: bool,
    reader_is_paused: bool,
    counts: LinkCounts,
    upstream: Option<Arc<Upstream>>,
}

/// What a stage reads, for as long as somebody wants what it makes of it: one for all of its outputs.
///
/// Without it a stage would hear of a hang-up only with its next send, and a source that is silent would keep it from that.
#[derive(Debug)]
pub struct Upstream {
    input: Arc<Link>,
    outputs_wanted: AtomicUsize,
}

impl Upstream {
    /// For a stage that reads `input` and writes `outputs` links.
    pub fn new(input: Arc<Link>, outputs: usize) -> Arc<Self> {
        Arc::new(Upstream { input, outputs_wanted: AtomicUsize::new(outputs) })
    }

    /// One output less is wanted; with the last the input is hung up, too.
    fn lose_one(&self) {
        if self.outputs_wanted.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.input.hang_up();
        }
    }
}

/// What both ends and the engine share.
#[derive(Debug)]
pub struct Link {
    state: Mutex<State>,
    writer_may_go: Condvar,
    reader_may_go: Condvar,
    /// As it was opened.
    first_bounds: Bounds,
    clock: Arc<Clock>,
    gauge: LinkGauge,
    writer_alarm: Option<Arc<Alarm>>,
    reader_alarm: Option<Arc<Alarm>>,
    takes_extents: AtomicBool,
}

impl Link {
    /// A link and its two ends. An end's alarm rings when the other side will not go on: it wakes a thread that
    /// polls a descriptor instead of waiting here.
    pub fn open(
        bounds: Bounds,
        clock: Arc<Clock>,
        writer_alarm: Option<Arc<Alarm>>,
        reader_alarm: Option<Arc<Alarm>>,
    ) -> (LinkWriter, LinkReader, Arc<Link>) {
        let counts = LinkCounts {
            changed_nanos: clock.now_nanos(),
            high_bytes: bounds.high_bytes as u64,
            ..LinkCounts::default()
        };
        let state = State {
            queue: VecDeque::new(),
            fill_bytes: 0,
            end: None,
            hung_up: false,
            cancelled: false,
            end_was_read: false,
            held: false,
            bounds,
            writer_is_paused: false,
            reader_is_paused: false,
            counts,
            upstream: None,
        };
        let link = Arc::new(Link {
            state: Mutex::new(state),
            writer_may_go: Condvar::new(),
            reader_may_go: Condvar::new(),
            first_bounds: bounds,
            clock,
            gauge: LinkGauge::default(),
            writer_alarm,
            reader_alarm,
            takes_extents: AtomicBool::new(false),
        });
        link.gauge.publish(&counts);
        (LinkWriter { link: Arc::clone(&link), ended: false }, LinkReader { link: Arc::clone(&link) }, link)
    }

    /// The counters.
    pub fn gauge(&self) -> &LinkGauge {
        &self.gauge
    }

    /// Its bounds.
    pub fn bounds(&self) -> Bounds {
        self.lock().bounds
    }

    /// Gives it another high mark, in bytes: at once, whatever it holds.
    pub fn resize(&self, high_bytes: usize) {
        let mut state = self.lock();
        // Of those there were first: whatever has been between, the same size is the same link.
        state.bounds = self.first_bounds.resized(high_bytes);
        state.counts.high_bytes = state.bounds.high_bytes as u64;
        let now = self.clock.now_nanos();
        if state.counts.stall.is_open() && !self.is_full(&state) {
            state.counts.stall.end(now);
            self.writer_may_go.notify_one();
        }
        if self.release_reader(&mut state, now) {
            self.reader_may_go.notify_one();
        }
        self.gauge.publish(&state.counts);
    }

    /// Has the writer wait at its next send, or go on. Neither a hang-up nor a cancel waits for that.
    pub fn pause_writer(&self, is_paused: bool) {
        self.lock().writer_is_paused = is_paused;
        self.writer_may_go.notify_one();
    }

    /// Has the reader wait before it takes anything more, or go on. As [`Link::pause_writer`].
    pub fn pause_reader(&self, is_paused: bool) {
        self.lock().reader_is_paused = is_paused;
        self.reader_may_go.notify_one();
    }

    /// Whether the reader has taken everything and found the finished end behind it. One that had enough before has not.
    pub fn was_read_to_its_end(&self) -> bool {
        self.lock().end_was_read
    }

    /// The reader can have stretches of files moved by the system. Said before the stages run.
    pub fn take_extents(&self) {
        self.takes_extents.store(true, Ordering::Relaxed);
    }

    /// Has a hang-up of this link passed on, at once, to what its writer reads. Said before any byte moves.
    pub fn pass_hang_up_on(&self, upstream: Arc<Upstream>) {
        self.lock().upstream = Some(upstream);
    }

    /// Gives the link up: both ends hear [`Closed::Cancelled`], and what it holds is dropped.
    pub fn cancel(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        self.empty(&mut state);
        self.release_both(&mut state);
        drop(state);
        self.ring(self.writer_alarm.as_ref());
        self.ring(self.reader_alarm.as_ref());
    }

    /// The reader takes no more, on its own account or on that of what it writes to. Nothing, if it has taken all there is.
    pub fn hang_up(&self) {
        let mut state = self.lock();
        let has_all = state.end == Some(End::Finished) && state.queue.is_empty();
        if state.hung_up || has_all {
            return;
        }
        state.hung_up = true;
        self.empty(&mut state);
        self.release_both(&mut state);
        let upstream = state.upstream.take();
        drop(state);
        self.ring(self.writer_alarm.as_ref());
        if let Some(upstream) = upstream {
            upstream.lose_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere never leaves the state half-changed: nothing in here can panic between two changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, as soon as the end that waits with `may_go` is not paused, or can do nothing more.
    fn lock_unpaused(&self, is_paused: impl Fn(&State) -> bool, may_go: &Condvar) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        while is_paused(&state) && !state.hung_up && !state.cancelled {
            state = may_go.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    fn ring(&self, alarm: Option<&Arc<Alarm>>) {
        if let Some(alarm) = alarm {
            alarm.ring();
        }
    }

    fn empty(&self, state: &mut State) {
        state.queue.clear();
        state.fill_bytes = 0;
        state.counts.refill(0, self.clock.now_nanos());
    }

    fn release_both(&self, state: &mut State) {
        let now = self.clock.now_nanos();
        state.held = false;
        state.counts.stall.end(now);
        state.counts.starve.end(now);
        self.gauge.publish(&state.counts);
        self.writer_may_go.notify_one();
        self.reader_may_go.notify_one();
    }

    fn is_full(&self, state: &State) -> bool {
        state.fill_bytes >= state.bounds.high_bytes || state.queue.len() >= state.bounds.slots
    }

    fn has_drained(&self, state: &State) -> bool {
        state.queue.is_empty()
            || (state.fill_bytes <= state.bounds.low_bytes && state.queue.len() <= state.bounds.slots / 2)
    }

    /// Lets a held or starved reader go if there is enough for it: then it is to be notified, once the state is unlocked.
    /// One that is woken before that goes to sleep again over the lock, and is woken a second time.
    #[must_use]
    fn release_reader(&self, state: &mut State, now: u64) -> bool {
        let enough = state.fill_bytes >= state.bounds.start_bytes || self.is_full(state);
        let is_let_go = state.held && (state.end.is_some() || (enough && !state.queue.is_empty()));
        if is_let_go {
            state.held = false;
            state.counts.starve.end(now);
        }
        is_let_go
    }

    fn send(&self, parcel: Parcel) -> Result<(), Closed> {
        let bytes = usize::try_from(parcel.len()).unwrap_or(usize::MAX);
        if bytes == 0 {
            return Ok(());
        }
        let mut state = self.lock_unpaused(|state| state.writer_is_paused, &self.writer_may_go);
        if self.is_full(&state) && !state.hung_up && !state.cancelled {
            state.counts.stall.begin(self.clock.now_nanos());
            self.gauge.publish(&state.counts);
            // The reader ends the episode when it has drained the link; so does a hang-up or a cancel.
            while state.counts.stall.is_open() {
                state = self.writer_may_go.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        if state.cancelled {
            return Err(Closed::Cancelled);
        }
        if state.hung_up {
            return Err(Closed::HungUp);
        }
        let now = self.clock.now_nanos();
        state.counts.bytes_in += bytes as u64;
        state.fill_bytes += bytes;
        if let Some(parcel) = join(state.queue.back_mut(), parcel) {
            state.queue.push_back(parcel);
        }
        let fill_bytes = state.fill_bytes;
        state.counts.refill(fill_bytes, now);
        let reader_goes_on = self.release_reader(&mut state, now);
        self.gauge.publish(&state.counts);
        drop(state);
        if reader_goes_on {
            self.reader_may_go.notify_one();
        }
        Ok(())
    }

    fn receive(&self) -> Result<Option<Parcel>, Closed> {
        let mut state = self.lock_unpaused(|state| state.reader_is_paused, &self.reader_may_go);
        loop {
            if state.cancelled {
                return Err(Closed::Cancelled);
            }
            if state.hung_up {
                return Err(Closed::HungUp);
            }
            if !state.held
                && let Some(parcel) = state.queue.pop_front()
            {
                let writer_goes_on =
                    self.took(&mut state, usize::try_from(parcel.len()).unwrap_or(usize::MAX));
                drop(state);
                if writer_goes_on {
                    self.writer_may_go.notify_one();
                }
                return Ok(Some(parcel));
            }
            match state.end {
                Some(End::Finished) if !state.held => {
                    state.end_was_read = true;
                    return Ok(None);
                }
                Some(End::Aborted) if !state.held => return Err(Closed::Aborted),
                _ => {}
            }
            if !state.held {
                state.held = true;
                state.counts.starve.begin(self.clock.now_nanos());
                self.gauge.publish(&state.counts);
            }
            while state.held {
                state = self.reader_may_go.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Accounts for what was taken. Whether the writer goes on: as [`Link::release_reader`].
    #[must_use]
    fn took(&self, state: &mut State, bytes: usize) -> bool {
        let now = self.clock.now_nanos();
        state.counts.bytes_out += bytes as u64;
        state.fill_bytes -= bytes;
        let fill_bytes = state.fill_bytes;
        state.counts.refill(fill_bytes, now);
        let is_drained = state.counts.stall.is_open() && self.has_drained(state);
        if is_drained {
            state.counts.stall.end(now);
        }
        self.gauge.publish(&state.counts);
        is_drained
    }

    fn end(&self, end: End) {
        let mut state = self.lock();
        state.end = Some(end);
        let now = self.clock.now_nanos();
        let reader_goes_on = self.release_reader(&mut state, now);
        self.gauge.publish(&state.counts);
        drop(state);
        if reader_goes_on {
            self.reader_may_go.notify_one();
        }
    }
}

/// Copies a small chunk to the end of `tail` if it fits there; gives it back otherwise.
fn join(tail: Option<&mut Parcel>, parcel: Parcel) -> Option<Parcel> {
    if let (Some(Parcel::Chunk(tail)), Parcel::Chunk(chunk)) = (tail, &parcel)
        && chunk.len() <= chunk.capacity() / Bounds::JOIN_PART
        && tail.spare().len() >= chunk.len()
    {
        tail.append(chunk);
        return None;
    }
    Some(parcel)
}

/// The writing end. Dropped without a [`LinkWriter::finish`] it is an abort.
#[derive(Debug)]
pub struct LinkWriter {
    link: Arc<Link>,
    ended: bool,
}

impl LinkWriter {
    /// Puts a chunk on the link, waiting while it is full; an empty chunk is nothing.
    ///
    /// # Errors
    /// [`Closed::HungUp`] when the reader takes no more, [`Closed::Cancelled`] when the run is given up.
    pub fn send(&mut self, chunk: Chunk) -> Result<(), Closed> {
        self.link.send(Parcel::Chunk(chunk))
    }

    /// As [`LinkWriter::send`], for anything that can travel.
    ///
    /// # Errors
    /// As [`LinkWriter::send`].
    pub fn send_parcel(&mut self, parcel: Parcel) -> Result<(), Closed> {
        self.link.send(parcel)
    }

    /// Whether the reader takes stretches of files.
    pub fn takes_extents(&self) -> bool {
        self.link.takes_extents.load(Ordering::Relaxed)
    }

    /// Why a send now would be refused, if it would.
    pub fn refusal(&self) -> Option<Closed> {
        let state = self.link.lock();
        match (state.cancelled, state.hung_up) {
            (true, _) => Some(Closed::Cancelled),
            (false, true) => Some(Closed::HungUp),
            (false, false) => None,
        }
    }

    /// All was sent: the reader hears the end after the last chunk.
    pub fn finish(mut self) {
        self.ended = true;
        self.link.end(End::Finished);
    }
}

impl Drop for LinkWriter {
    fn drop(&mut self) {
        if !self.ended {
            self.link.end(End::Aborted);
        }
    }
}

/// The reading end. Dropped, it hangs up.
#[derive(Debug)]
pub struct LinkReader {
    link: Arc<Link>,
}

impl LinkReader {
    /// The next parcel, waiting while there is none; `None` at the finished end.
    ///
    /// # Errors
    /// [`Closed::Aborted`] when the writer failed, after all that it sent before; [`Closed::Cancelled`] when the run is
    /// given up; [`Closed::HungUp`] after a hang-up made for this reader.
    pub fn receive(&mut self) -> Result<Option<Parcel>, Closed> {
        self.link.receive()
    }

    /// Whether a receive now would wait.
    pub fn would_wait(&self) -> bool {
        let state = self.link.lock();
        state.queue.is_empty() && state.end.is_none() && !state.hung_up && !state.cancelled
    }
}

impl Drop for LinkReader {
    fn drop(&mut self) {
        self.link.hang_up();
    }
}
