//! The runs of a batch: all of them checked before any starts, then one after another, or several at once.
//! Knows nothing of how operands were put into the chain.

use super::at_once::at_once;
use super::show::write_out;
use super::{Ending, Session, Unready, refuse, refuse_for};
use crate::engine::Process;
use crate::exit::Exit;
use crate::flow::worker_threads;
use crate::lang::Batch;
use crate::plan::{Claims, Course, Facts, Plan, dry_run};
use crate::view::json::Turn;
use crate::view::{LiveSettings, Records};
use std::sync::Arc;

/// What is known of a batch before any of its runs starts.
pub(super) struct Checked {
    /// How many bytes the source of each run will give, as far as that is known.
    pub(super) sizes: Vec<Option<u64>>,
    /// How the runs are shown, if they go on at once.
    pub(super) live: LiveSettings,
}

impl Session {
    /// More runs than one. What the chain says, and two runs with one output, is refused before any starts.
    pub(super) fn several(&self, batch: &Batch) -> Ending {
        let checked = match self.check(batch) {
            Ok(checked) => checked,
            Err(ending) => return ending,
        };
        let jobs = worker_threads(self.arguments.jobs).min(batch.len());
        let work = |process: &Process, records: &Arc<Records>| match checked {
            Some(checked) if jobs > 1 && !self.arguments.dry_run => {
                at_once(self, batch, checked, jobs, process, records)
            }
            _ => self.one_by_one(batch, process, records),
        };
        self.attached(|process| self.recording.during(process, &self.show, |records| work(process, records)))
    }

    /// Looks at every run; `None` for a batch without any.
    fn check(&self, batch: &Batch) -> Result<Option<Checked>, Ending> {
        self.recording.holds(batch.len()).map_err(|problem| refuse_for(&problem))?;
        // Whatever the number of cores is that 0 stands for.
        let course = if self.arguments.jobs == 1 { Course::InTurn } else { Course::AtOnce };
        let mut claims = Claims::new(course);
        let mut claim = |index, plan: &Plan, facts: &Facts| {
            let name = self.show.run_name(batch.operands(index));
            let claimed = claims.add(&name, plan, facts);
            let settled = claimed.and_then(|()| self.recording.is_apart_from(plan));
            settled.map_err(|problem| refuse_for(&problem))
        };
        let (mut sizes, mut live) = (Vec::with_capacity(batch.len()), None);
        for index in 0..batch.len() {
            let size = match self.prepare(&batch.chain(index)) {
                Err(Unready::Chain(refusal)) => return Err(self.refused(&refusal)),
                // What is wrong with its files is said when the run's turn comes: it may be mended by then.
                Err(Unready::Files(plan, hindered)) => {
                    self.can_be_one_of_several(&plan)?;
                    claim(index, &plan, &hindered.facts)?;
                    live.get_or_insert_with(|| self.show.live(&plan, Turn::all(batch.len())));
                    Some(0)
                }
                Ok(ready) => {
                    self.can_be_one_of_several(&ready.plan)?;
                    if index == 0 {
                        self.announce(&ready);
                    }
                    claim(index, &ready.plan, &ready.facts)?;
                    live.get_or_insert_with(|| self.show.live(&ready.plan, Turn::all(batch.len())));
                    if ready.facts.skip.is_some() { Some(0) } else { ready.facts.total_bytes }
                }
            };
            sizes.push(size);
        }
        Ok(live.map(|live| Checked { sizes, live }))
    }

    /// What a plan alone tells.
    fn can_be_one_of_several(&self, plan: &Plan) -> Result<(), Ending> {
        if plan.is_endless() {
            let place = plan.place(0);
            let message =
                format!("weir: {place} ends only when it is told to, so no other run would start\n");
            return Err(refuse(&(message + "  start weir once for each of them\n"), Exit::Usage));
        }
        self.can_be_inspected(plan)
    }

    /// A run that fails does not keep the others from theirs; a signal does.
    fn one_by_one(&self, batch: &Batch, process: &Process, records: &Arc<Records>) -> Ending {
        let mut failed = 0;
        for index in 0..batch.len() {
            let turn = Turn::new(index + 1, batch.len(), batch.operands(index));
            // Signals are a run's to hear: those that came while there was none are heard here.
            if let Some(signal) = process.ended_by() {
                self.show.batch_cancelled(batch.len(), index - failed, failed, signal, "");
                return Ending::Signal(signal);
            }
            let ending = match self.prepare(&batch.chain(index)) {
                Err(unready) => self.unready(&unready, &turn),
                Ok(ready) if self.arguments.dry_run => {
                    let text = dry_run(&ready.plan, &ready.facts);
                    write_out(format!("{}{text}\n", self.heading(batch, index)).as_bytes())
                }
                Ok(ready) => self.go(ready, process, turn, records),
            };
            match ending {
                Ending::Exit(Exit::Done) => {}
                Ending::Exit(_) => failed += 1,
                Ending::Signal(signal) => {
                    if self.show.is_json() {
                        self.show.batch_cancelled(batch.len(), index - failed, failed, signal, "");
                    }
                    return Ending::Signal(signal);
                }
            }
        }
        self.sum(batch, failed)
    }

    /// Which run the lines below are about: `run 2 of 3: b.log`, with its line feed.
    pub(super) fn heading(&self, batch: &Batch, index: usize) -> String {
        let name = self.show.run_name(batch.operands(index));
        format!("run {} of {}: {name}\n", index + 1, batch.len())
    }

    /// How a batch ends whose runs had all their turn, and what is said of it.
    pub(super) fn sum(&self, batch: &Batch, failed: usize) -> Ending {
        self.show.batch(batch.len(), failed);
        Ending::Exit(if failed == 0 { Exit::Done } else { Exit::Batch })
    }
}
