//! The main loop of a run: ends, failures, signals, closed streams, time limits, and at last the commits.
//! Starts nothing and shows nothing; what people should see is told to the caller's `notice`.

use super::commits::{self, Commits};
use super::controls::Controls;
use super::orders::Master;
use super::removals::{Use, remove};
use super::report::{Failure, Outcome, Output, OutputState, Report};
use super::shared::{Monitor, Scopes, Shared};
use super::stall::StallWatch;
use super::stops::Stops;
use super::thread::Ended;
use crate::exit::Exit;
use crate::flow::{Closed, Link, Reading};
use crate::stage::{Commit, Notes, Published, Removal, Saying, SourceFile};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// How often the loop looks around when nothing happens.
pub(super) const TICK: Duration = Duration::from_millis(200);

/// How long the stages behind a failed one may take to deal with what it still gave, and cancelled ones to end.
/// A thread that is stuck in the kernel is not waited for beyond it.
const GRACE: Duration = Duration::from_secs(1);

/// What the caller may want to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A status line was asked for (SIGUSR1).
    Status,
    /// The process is about to be stopped (Ctrl-Z).
    Stopping,
    /// It goes on.
    Resumed,
    /// The window's size changed.
    Resized,
    /// A stage has something to tell people that is no failure.
    Remark {
        /// Which one, as an index of the scheme's stages.
        stage: usize,
        /// `log: has become shorter: read again from its beginning`.
        line: String,
    },
    /// The peer of a stage has said something.
    Quote {
        /// Which stage, as an index of the scheme's stages.
        stage: usize,
        /// As it came, in whole lines.
        lines: Vec<u8>,
    },
}

/// So much that stages say may be unheard; then they wait until it is.
const SAYINGS: usize = 64;

/// What a stage's thread tells.
#[derive(Debug)]
pub(super) enum Event {
    /// Its stage ended in this way; its neighbours do not know yet.
    Ended { stage: usize, at_nanos: u64, ended: Ended },
    /// It holds nothing any more.
    Gone,
}

/// The threads' end of the channel to the main loop.
#[derive(Debug, Clone)]
pub(super) struct Teller {
    events: mpsc::Sender<Event>,
    sayings: mpsc::SyncSender<(usize, Saying)>,
    bell: Arc<EventFd>,
}

/// The main loop's end of it.
#[derive(Debug)]
pub(super) struct Hearer {
    events: mpsc::Receiver<Event>,
    sayings: mpsc::Receiver<(usize, Saying)>,
    /// Taken from the channel, and waiting for somebody who can hear it.
    unheard: Option<(usize, Saying)>,
    bell: Arc<EventFd>,
}

impl Teller {
    pub(super) fn new() -> io::Result<(Teller, Hearer)> {
        let (events, heard_events) = mpsc::channel();
        let (sayings, heard_sayings) = mpsc::sync_channel(SAYINGS);
        let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let teller = Teller { events, sayings, bell: Arc::clone(&bell) };
        Ok((teller, Hearer { events: heard_events, sayings: heard_sayings, unheard: None, bell }))
    }

    pub(super) fn tell(&self, event: Event) {
        // A run that has given this thread up hears nothing any more, and the bell can only be rung already.
        let _ = self.events.send(event);
        let _ = self.bell.write(1);
    }

    /// Has something told to people; waits while too much is unheard.
    pub(super) fn say(&self, stage: usize, saying: Saying) {
        let _ = self.sayings.send((stage, saying));
        let _ = self.bell.write(1);
    }
}

impl Hearer {
    /// The next that is said, if it can be shown now. Who cannot be told anything (a pipe that is full, a terminal that was
    /// stopped) must not keep the loop from its signals.
    fn next_saying(&mut self) -> Option<(usize, Saying)> {
        if self.unheard.is_none() {
            self.unheard = self.sayings.try_recv().ok();
        }
        let stderr = io::stderr();
        let mut polled = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        let is_heard = self.unheard.is_some() && poll(&mut polled, PollTimeout::ZERO) != Ok(0);
        self.unheard.take_if(|_| is_heard)
    }
}

/// What the stages registered while they opened.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    pub(super) owned: Vec<Owned>,
    pub(super) watched: Vec<Watched>,
    pub(super) irrevocable: Vec<Irrevocable>,
    /// The one file that the run reads.
    pub(super) source: Option<Arc<SourceFile>>,
    /// What is removed when everything lasts.
    pub(super) removals: Vec<Arc<Removal>>,
    /// Whether the source ends only when it is told to.
    pub(super) is_endless: bool,
    /// What each stage that was opened has to tell.
    pub(super) notes: Vec<(usize, Notes)>,
}

/// An output that cannot be undone, and the stage that writes it.
#[derive(Debug)]
pub(super) struct Irrevocable {
    pub(super) stage: usize,
    pub(super) name: String,
}

/// A commit and the stage that writes for it.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) stage: usize,
    pub(super) commit: Box<dyn Commit>,
}

/// A stream whose reader may go away, and the link to hang up then.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) stream: OwnedFd,
    pub(super) input: Arc<Link>,
}

/// A run whose threads have started.
#[derive(Debug)]
pub struct Running<'a> {
    shared: Arc<Shared>,
    master: Master<'a>,
    scopes: Scopes,
    holdings: Holdings,
    hearer: Hearer,
    stall: Option<StallWatch>,
    threads: usize,
    ended_well: Vec<bool>,
    failures: Vec<(u64, Failure)>,
    cancelled: Option<Outcome>,
    is_hung_up: bool,
    /// How the run stood when it was found to be stalled: afterwards nobody waits for anybody any more.
    stalled: Option<Reading>,
    /// Until when what still runs may end by itself.
    grace_until_nanos: Option<u64>,
    stops: Stops,
}

impl<'a> Running<'a> {
    pub(super) fn new(
        shared: Arc<Shared>,
        master: Master<'a>,
        scopes: Scopes,
        holdings: Holdings,
        hearer: Hearer,
        stall_timeout: Option<Duration>,
    ) -> Self {
        let stages = shared.scheme.stages.len();
        let stall = stall_timeout.map(|limit| StallWatch::new(limit, shared.started_nanos));
        Running {
            shared,
            master,
            scopes,
            holdings,
            hearer,
            stall,
            threads: 0,
            ended_well: vec![false; stages],
            failures: Vec::new(),
            cancelled: None,
            is_hung_up: false,
            stalled: None,
            grace_until_nanos: None,
            stops: Stops::new(master.clock()),
        }
    }

    /// One more thread runs.
    pub(super) fn has_started(&mut self) {
        self.threads += 1;
    }

    /// A stage failed in this very moment.
    pub(super) fn has_failed(&mut self, stage: usize, failure: Failure) {
        self.fail(stage, self.shared.clock.now_nanos(), failure);
    }

    /// A look at the run for others.
    pub fn monitor(&self) -> Monitor {
        Monitor(Arc::clone(&self.shared))
    }

    /// What may be changed of the run while it lasts.
    pub fn controls(&self) -> Controls {
        Controls(Arc::clone(&self.shared))
    }

    /// Sees the run to its end and puts its outputs in place, or none of them.
    pub fn wait(mut self, notice: &mut dyn FnMut(Notice)) -> Report {
        while (self.threads > 0 || self.hearer.unheard.is_some()) && !self.is_overdue() {
            self.pause();
            self.hear();
            self.pass_on_sayings(notice);
            self.obey_signals(notice);
            self.watch_for_a_stall();
            self.stops.seen();
        }
        self.finish(notice)
    }

    /// Sleeps until something happens, at most a tick.
    fn pause(&mut self) {
        let stderr = io::stderr();
        let mut polled = vec![PollFd::new(self.hearer.bell.as_fd(), PollFlags::POLLIN)];
        // What is rung for a run stays rung.
        if self.cancelled.is_none() || matches!(self.master, Master::Process(_)) {
            polled.push(PollFd::new(self.master.wake(), PollFlags::POLLIN));
        }
        if self.hearer.unheard.is_some() {
            polled.push(PollFd::new(stderr.as_fd(), PollFlags::POLLOUT));
        }
        let own = polled.len();
        // Only errors and hang-ups are asked for, and those are always reported.
        polled.extend(
            self.holdings
                .watched
                .iter()
                .map(|watched| PollFd::new(watched.stream.as_fd(), PollFlags::empty())),
        );
        let timeout = PollTimeout::try_from(TICK).unwrap_or(PollTimeout::MAX);
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            // Nothing to poll with: go on in small steps rather than spin.
            Err(_) => std::thread::sleep(TICK / 10),
        }
        let gone: Vec<bool> = polled[own..].iter().map(|polled| polled.any() == Some(true)).collect();
        drop(polled);
        let mut gone = gone.into_iter();
        self.holdings.watched.retain(|watched| {
            let is_gone = gone.next() == Some(true);
            if is_gone {
                watched.input.hang_up();
            }
            !is_gone
        });
    }

    fn hear(&mut self) {
        let _ = self.hearer.bell.read();
        while let Ok(event) = self.hearer.events.try_recv() {
            match event {
                Event::Gone => self.threads -= 1,
                Event::Ended { stage, at_nanos, ended } => {
                    if matches!(ended, Ended::Failed(_) | Ended::Stopped(Closed::Aborted)) {
                        self.shared.peer_was_given_up(stage);
                    }
                    match ended {
                        Ended::Well => self.ended_well[stage] = true,
                        Ended::Stopped(closed) => self.has_stopped(stage, closed),
                        Ended::Failed(failure) => self.fail(stage, at_nanos, failure),
                    }
                    self.shared.peer_has_ended(stage);
                }
            }
        }
    }

    /// Passes on what stages say. Called after their ends were heard, so that of who is gone nothing is left out.
    fn pass_on_sayings(&mut self, notice: &mut dyn FnMut(Notice)) {
        while let Some((stage, saying)) = self.hearer.next_saying() {
            notice(match saying {
                Saying::Remark(line) => Notice::Remark { stage, line },
                Saying::Quote(lines) => Notice::Quote { stage, lines },
            });
        }
    }

    fn has_stopped(&mut self, stage: usize, closed: Closed) {
        // A last stage has nobody behind it that could hang up but the reader of the stream it writes.
        let info = &self.shared.scheme.stages[stage];
        let is_last = info.outputs.is_empty() && info.returns.is_none();
        self.is_hung_up |= is_last && closed == Closed::HungUp;
        // Nobody wants more of it, so what it has made so far stands.
        self.ended_well[stage] = closed == Closed::HungUp;
    }

    fn fail(&mut self, stage: usize, at_nanos: u64, failure: Failure) {
        self.failures.push((at_nanos, failure));
        let scope = self.scopes.of(stage);
        self.scopes.fail(scope);
        self.shared.cancel_beside(stage, |stage| self.scopes.contains(scope, stage));
        if scope == Scopes::RUN {
            self.grace_until_nanos.get_or_insert(self.shared.clock.now_nanos() + GRACE.as_nanos() as u64);
        }
    }

    fn obey_signals(&mut self, notice: &mut dyn FnMut(Notice)) {
        for signal in self.master.take() {
            match self.stops.obey(signal, notice) {
                None => {}
                Some(Signal::SIGINT | Signal::SIGTERM) if self.ends_the_source() => {}
                // Who is no process says it once, and for good.
                Some(_) if self.cancelled.is_some() && !matches!(self.master, Master::Process(_)) => {}
                Some(ending) => self.cancel(Outcome::Cancelled(ending as i32)),
            }
        }
    }

    /// Tells an endless source to end; `false` if there is none, or it has been told before.
    fn ends_the_source(&self) -> bool {
        let is_first = self.holdings.is_endless && !self.shared.ending.has_rung();
        if is_first {
            // Who was paused could not end.
            self.controls().resume_all();
            self.shared.ending.ring();
        }
        is_first
    }

    fn watch_for_a_stall(&mut self) {
        let Some(watch) = &mut self.stall else { return };
        let reading = self.shared.reading();
        if watch.is_stalled(&reading) && self.cancelled.is_none() {
            self.stalled = Some(reading);
            self.cancel(Outcome::Stalled);
        }
    }

    /// Gives the run up; asked a second time, it does not wait for the threads either.
    fn cancel(&mut self, outcome: Outcome) {
        let now = self.shared.clock.now_nanos();
        let grace = if self.cancelled.is_some() { 0 } else { GRACE.as_nanos() as u64 };
        self.grace_until_nanos = Some(now + grace);
        self.cancelled.get_or_insert(outcome);
        self.shared.cancel();
    }

    /// Whether the grace is over, after everything was given up.
    fn is_overdue(&mut self) -> bool {
        let Some(until) = self.grace_until_nanos else { return false };
        if self.shared.clock.now_nanos() < until {
            return false;
        }
        if self.cancelled.is_none() {
            // A failure's grace: what still runs is given up now, and has another to end.
            let failed = self.failures.first().map_or(Exit::Internal, |(_, failure)| failure.exit);
            self.cancel(Outcome::Failed(failed));
            return false;
        }
        true
    }

    fn finish(mut self, notice: &mut dyn FnMut(Notice)) -> Report {
        self.failures.sort_by_key(|(at_nanos, _)| *at_nanos);
        let mut failures: Vec<Failure> = self.failures.drain(..).map(|(_, failure)| failure).collect();
        let removals = std::mem::take(&mut self.holdings.removals);
        // What a filter writes beside its output, such as a digest, does not hold what was read.
        let is_sink = |stage: usize| self.shared.scheme.stages[stage].outputs.is_empty();
        let is_whole = |owned: &Owned| is_sink(owned.stage) && self.shared.was_taken_whole(owned.stage);
        let used = if self.holdings.owned.iter().any(is_whole) { Use::Whole } else { Use::Part };
        let (mut whole, mut broken) = self.sort_commits(&mut failures);
        let mut left = commits::discard(&mut broken);
        let mut outputs = commits::outputs(&broken);
        if failures.iter().all(|failure| failure.exit != Exit::Internal)
            && self.cancelled.is_none()
            && !whole.is_empty()
        {
            let run = Published { outputs: whole.len(), removes_input: !removals.is_empty() };
            match commits::publish(&mut whole, run) {
                Ok(()) if failures.is_empty() => failures.extend(remove(&removals, used, notice)),
                Ok(()) => {}
                Err(error) => failures.push(super::thread::failure(None, &error)),
            }
        } else {
            left.extend(commits::discard(&mut whole));
        }
        outputs.extend(commits::outputs(&whole));
        for error in &left {
            match failures.first_mut() {
                Some(failure) => failure.message = format!("{}; {error:#}", failure.message),
                None => failures.push(super::thread::failure(None, error)),
            }
        }
        if !failures.is_empty() || self.cancelled.is_some() {
            outputs.extend(self.partial_outputs());
        }
        let outcome = match (self.cancelled, failures.first()) {
            (Some(Outcome::Cancelled(signal)), _) => Outcome::Cancelled(signal),
            (Some(Outcome::Stalled), _) => Outcome::Stalled,
            (_, Some(failure)) => Outcome::Failed(failure.exit),
            (Some(other), None) => other,
            (None, None) if self.is_hung_up => Outcome::HungUp,
            (None, None) => Outcome::Done,
        };
        let reading = self.stalled.take().unwrap_or_else(|| self.shared.reading());
        let notes = self.notes();
        Report { outcome, failures, outputs, notes, reading }
    }

    /// What stages had to tell that ended well in a scope that did. A run that was given up tells nothing.
    fn notes(&self) -> Vec<String> {
        let is_well = |stage: usize| {
            self.cancelled.is_none()
                && self.ended_well[stage]
                && !self.scopes.has_failed(self.scopes.of(stage))
        };
        let notes = self.holdings.notes.iter().filter(|(stage, _)| is_well(*stage));
        notes.flat_map(|(_, notes)| notes.take()).collect()
    }

    /// The commits to publish and those to drop. One whose stage did not end well is dropped whatever the reason.
    fn sort_commits(&mut self, failures: &mut Vec<Failure>) -> (Commits, Commits) {
        let (mut whole, mut broken) = (Vec::new(), Vec::new());
        for Owned { stage, commit } in self.holdings.owned.drain(..) {
            if self.cancelled.is_some() || self.scopes.has_failed(self.scopes.of(stage)) {
                broken.push(commit);
            } else if self.ended_well[stage] {
                whole.push(commit);
            } else {
                let message =
                    "internal error: the stage stopped before its end and nothing failed".to_owned();
                failures.push(Failure { stage: Some(stage), exit: Exit::Internal, message, help: None });
                broken.push(commit);
            }
        }
        (whole, broken)
    }

    /// What has gone where nothing can be taken back.
    fn partial_outputs(&self) -> Vec<Output> {
        let partial = |output: &Irrevocable| {
            let bytes = self.shared.gauges[output.stage].reading().bytes_written;
            (bytes > 0).then(|| Output { name: output.name.clone(), state: OutputState::Partial(bytes) })
        };
        self.holdings.irrevocable.iter().filter_map(partial).collect()
    }
}
