//! Several runs of a batch at once: each on a thread that sees to it, all of them speaking one after another.
//! Knows nothing of signals: the conductor has the runs obey them.

use super::batch::Checked;
use super::show::{Quoted, places};
use super::{Ending, Session, ending, refuse};
use crate::engine::{BatchMonitor, Conducted, Conductor, Fared, Notice, Process, Report};
use crate::exit::Exit;
use crate::lang::Batch;
use crate::stage::places_allowed;
use crate::view::json::Turn;
use crate::view::{Live, PIECE_BYTES, Place, Records, Sample, batch_report, is_heard, tell};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many runs never lack descriptors where a process may have the usual 1024.
const SURELY_ALLOWED: usize = 32;

/// How often somebody who has to speak looks whether all was given up.
const LOOK: Duration = Duration::from_millis(100);

/// How long a status line waits for others to have spoken.
const PATIENCE: Duration = Duration::from_millis(300);

/// Sees the runs of `batch` to their ends, `jobs` of them at once.
pub(super) fn at_once(
    session: &Session,
    batch: &Batch,
    checked: Checked,
    jobs: usize,
    process: &Process,
    records: &Arc<Records>,
) -> Ending {
    let cannot = |error| refuse(&format!("weir: cannot start the runs: {error}\n"), Exit::Failed);
    let conductor = match Conductor::new(process, session.settings(None), checked.sizes) {
        Ok(conductor) => conductor,
        Err(error) => return cannot(error),
    };
    let allowed = allowed(jobs);
    if allowed < jobs && !session.arguments.quiet {
        let text = format!("weir: only {allowed} runs at once: the system allows no more open files\n");
        session.show.notice(&text);
    }
    let monitor = conductor.monitor();
    let sampled = monitor.clone();
    let live = Live::start(&checked.live, Arc::new(move || sampled.reading()));
    let together = Together {
        session,
        batch,
        conductor: &conductor,
        next: Mutex::new(0),
        voice: Mutex::default(),
        live,
        records,
    };
    let conducted =
        conductor.conduct(allowed, &|| together.work(), &mut |notice| together.show(&notice, &monitor));
    match conducted {
        Ok(()) => together.finish(&monitor),
        Err(error) => cannot(error),
    }
}

/// As many of the runs as the system has descriptors for.
fn allowed(jobs: usize) -> usize {
    if jobs <= SURELY_ALLOWED { jobs } else { jobs.min(places_allowed()) }
}

/// The runs of a batch, as the threads that see to them know it.
struct Together<'a> {
    session: &'a Session,
    batch: &'a Batch,
    conductor: &'a Conductor<'a>,
    /// The run that starts next. Held while it does: they start in their order, and while one asks something, no other does.
    next: Mutex<usize>,
    /// Held while something is said or asked, so that it stands whole.
    voice: Mutex<Voice>,
    live: Live,
    records: &'a Arc<Records>,
}

/// What is to be said, and how the runs ended.
#[derive(Default)]
struct Voice {
    done: usize,
    failed: usize,
    /// The signal that a run ended with.
    signal: Option<i32>,
    notes: InOrder,
}

/// A run that goes on.
struct Started<'a> {
    index: usize,
    conducted: Conducted<'a>,
    places: Vec<Place>,
}

impl<'a> Together<'a> {
    /// Starts the next run and sees it to its end, again and again.
    fn work(&self) {
        while let Some(started) = self.start_next() {
            let Started { index, conducted, places } = started;
            let monitor = conducted.monitor();
            let sample: Sample = Arc::new(move || monitor.reading());
            let number = self.session.meter.begin(Arc::clone(&sample));
            let recorder = self.records.record(sample);
            let report = conducted.wait(&mut |notice| self.pass_on(index, &places, notice));
            self.session.meter.end(Some(number), &report);
            recorder.finish(&report);
            self.ends(index, report, &places);
        }
    }

    /// The next run that starts; `None` if there is none, or none is to start any more.
    fn start_next(&self) -> Option<Started<'a>> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        while *next < self.batch.len() && self.conductor.signal().or(self.voice().signal).is_none() {
            let index = *next;
            *next += 1;
            if let Some(started) = self.start(index) {
                return Some(started);
            }
        }
        None
    }

    fn start(&self, index: usize) -> Option<Started<'a>> {
        let ready = match self.session.prepare(&self.batch.chain(index)) {
            Ok(ready) => ready,
            Err(unready) => {
                self.passes(index, Fared::Ill, || {
                    if !self.session.show.is_json() {
                        tell(&self.session.heading(self.batch, index));
                    }
                    self.session.unready(&unready, &self.turn(index))
                });
                return None;
            }
        };
        if let Some(name) = &ready.facts.skip {
            self.passes(index, Fared::Well, || {
                self.session.show.left_out(&self.turn(index), &ready.plan, name);
                Ending::Exit(Exit::Done)
            });
            return None;
        }
        let places = places(&ready.plan);
        // A question stands alone on the terminal until it is answered.
        let question = ready.plan.asks().then(|| self.voice());
        if question.is_some() {
            self.conductor.asks(true);
            self.live.suspend();
        }
        let started = self.conductor.start(index, self.name(index), ready.plan, ready.facts.total_bytes);
        if question.is_some() {
            self.conductor.asks(false);
            self.live.resume();
        }
        drop(question);
        match started {
            Ok(conducted) => Some(Started { index, conducted, places }),
            Err(report) => {
                self.session.meter.end(None, &report);
                self.records.note(&report);
                self.ends(index, *report, &places);
                None
            }
        }
    }

    /// A run's turn passes, for the reason that `say` gives.
    fn passes(&self, index: usize, fared: Fared, say: impl FnOnce() -> Ending) {
        self.conductor.did_not_start(index, fared);
        let mut voice = self.voice();
        if !self.is_heard() {
            return;
        }
        self.live.suspend();
        let ending = say();
        tell(&voice.ends(index, ending, String::new()));
        self.live.resume();
    }

    /// A run has ended: what went wrong, and its report, are said at once; what its stages have to tell, in its turn.
    fn ends(&self, index: usize, mut report: Report, places: &[Place]) {
        let Session { show, text, .. } = self.session;
        let mut notes = String::new();
        if !show.wants_report() && !show.is_json() {
            notes = show.notes(&report);
            report.notes.clear();
        }
        let mut said = show.end_words(&self.turn(index), &report, text, places, false);
        if !said.is_empty() && !show.is_json() {
            said.insert_str(0, &self.session.heading(self.batch, index));
        }
        let mut voice = self.voice();
        said.push_str(&voice.ends(index, ending(&report), notes));
        if said.is_empty() {
            return;
        }
        self.live.suspend();
        let mut rest = said.as_str();
        // So much is taken at once where anything is.
        while !rest.is_empty() && self.is_heard() {
            let (piece, behind) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
            show.tell_of(&report, piece);
            rest = behind;
        }
        self.live.resume();
    }

    /// Waits until somebody listens; `false` when all is given up before that. Asked while the voice is held, which everybody
    /// else waits for.
    fn is_heard(&self) -> bool {
        loop {
            if is_heard(LOOK) {
                return true;
            }
            if self.conductor.signal().is_some() {
                return false;
            }
        }
    }

    /// Says what a stage has to tell while its run goes on.
    fn pass_on(&self, index: usize, places: &[Place], notice: Notice) {
        let show = &self.session.show;
        let turn = self.turn(index);
        let speaker = |stage: usize| match show.is_json() {
            true => places[stage].clone(),
            false => Place {
                name: format!("{}: {}", self.name(index), places[stage].name),
                ..places[stage].clone()
            },
        };
        let _voice = self.voice();
        if !self.is_heard() {
            return;
        }
        match notice {
            Notice::Remark { stage, line } => show.remark(&turn, &speaker(stage), &line, &self.live),
            Notice::Quote { stage, lines } => {
                show.quote(&turn, &speaker(stage), Quoted::Several, &lines, &self.live);
            }
            Notice::Status | Notice::Stopping | Notice::Resumed | Notice::Resized => {}
        }
    }

    /// Shows what the process as a whole is asked for.
    fn show(&self, notice: &Notice, monitor: &BatchMonitor) {
        match notice {
            Notice::Status => {
                if let Some(_voice) = self.voice_soon() {
                    self.session.show.status(&Turn::all(self.batch.len()), &monitor.reading(), &self.live);
                }
            }
            Notice::Stopping => self.live.suspend(),
            // Whoever is asked something has the terminal alone.
            Notice::Resumed if self.conductor.is_asking() => {}
            Notice::Resumed => self.live.resume(),
            Notice::Resized => self.live.resized(),
            Notice::Remark { .. } | Notice::Quote { .. } => {}
        }
    }

    /// All runs have ended that began.
    fn finish(self, monitor: &BatchMonitor) -> Ending {
        let was_shown = self.live.finish();
        let voice = self.voice.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(signal) = self.conductor.signal().or(voice.signal) {
            // Of the runs that are done some may have waited for others that never will be.
            let rest = voice.notes.rest();
            self.session.show.batch_cancelled(self.batch.len(), voice.done, voice.failed, signal, &rest);
            return Ending::Signal(signal);
        }
        if (was_shown || self.session.show.wants_report()) && !self.session.show.is_json() {
            tell(&batch_report(&monitor.reading()));
        }
        self.session.sum(self.batch, voice.failed)
    }

    fn turn(&self, index: usize) -> Turn {
        Turn::new(index + 1, self.batch.len(), self.batch.operands(index))
    }

    fn name(&self, index: usize) -> String {
        self.session.show.run_name(self.batch.operands(index))
    }

    /// The voice, for the thread that hears the signals: unless somebody is asked something, or does not listen.
    fn voice_soon(&self) -> Option<MutexGuard<'_, Voice>> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Ok(voice) = self.voice.try_lock() {
                return Some(voice);
            }
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(PATIENCE / 30);
        }
    }

    fn voice(&self) -> MutexGuard<'_, Voice> {
        self.voice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Voice {
    /// A run has ended, and its stages have `notes` to tell; returns those whose turn it is.
    fn ends(&mut self, index: usize, ending: Ending, notes: String) -> String {
        match ending {
            Ending::Exit(Exit::Done) => self.done += 1,
            Ending::Exit(_) => self.failed += 1,
            Ending::Signal(signal) => self.signal = Some(signal),
        }
        self.notes.add(index, notes)
    }
}

/// Texts that are said in the order of their numbers, in whatever order they come.
#[derive(Debug, Default)]
struct InOrder {
    next: usize,
    held: BTreeMap<usize, String>,
}

impl InOrder {
    /// Adds the text of a number, of which there is one; returns all whose turn it is.
    fn add(&mut self, number: usize, text: String) -> String {
        self.held.insert(number, text);
        let mut due = String::new();
        while let Some(text) = self.held.remove(&self.next) {
            due.push_str(&text);
            self.next += 1;
        }
        due
    }

    /// What is left, behind numbers that never came.
    fn rest(self) -> String {
        self.held.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::InOrder;

    #[test]
    fn texts_wait_for_those_before_them() {
        let mut texts = InOrder::default();
        let mut add = |number: usize| texts.add(number, format!("{number} "));
        assert_eq!([2, 0, 1, 5, 3].map(&mut add), ["", "0 ", "1 2 ", "", "3 "]);
        assert_eq!(texts.rest(), "5 ");
    }
}
