//! The runs of a server: each made from the same chain, between the ends of a connection, and seen to its end.
//! Knows nothing of sockets; what a connection is, the server stage knows.

use super::orders::Master;
use super::report::{Outcome, OutputState, Report};
use super::roster::{Roster, busiest, readings};
use super::run::Notice;
use super::start::{Settings, begin};
use crate::flow::{Clock, ServerGauge, ServerReading, Workers};
use crate::plan::{Plan, Recipe};
use crate::stage::{Ends, GivenEnds, Orders, Saying, Served, Template, Touch};
use std::sync::Arc;

/// So many of the busiest runs are told of.
const BUSIEST: usize = 3;

/// Who is served now, and how many were.
#[derive(Debug, Default)]
pub(super) struct Guests {
    gauge: ServerGauge,
    roster: Roster,
}

impl Guests {
    pub(super) fn reading(&self) -> ServerReading {
        let mut reading = self.gauge.reading();
        let runs = readings(self.roster.looks());
        reading.busiest = busiest(&runs, BUSIEST).into_iter().map(|place| runs[place].clone()).collect();
        reading
    }
}

/// What the runs of a server are made of.
pub(super) struct Runs {
    /// `None` for a server that needs no chain.
    pub(super) recipe: Option<Recipe>,
    pub(super) guests: Arc<Guests>,
    pub(super) settings: Settings,
    /// One pool for all of them.
    pub(super) workers: Workers,
    pub(super) clock: Arc<Clock>,
    pub(super) umask: u32,
}

impl Template for Runs {
    fn run(&self, ends: Ends, orders: &Orders, tell: &mut dyn FnMut(Saying)) -> Served {
        self.guests.gauge.run_begins();
        let served = self.see_through(ends, orders, tell);
        self.guests.gauge.run_ends(matches!(served, Served::Failed(_)));
        served
    }

    fn has_chain(&self) -> bool {
        self.recipe.is_some()
    }

    fn gauge(&self) -> &ServerGauge {
        &self.guests.gauge
    }
}

impl Runs {
    fn see_through(&self, ends: Ends, orders: &Orders, tell: &mut dyn FnMut(Saying)) -> Served {
        let broken = || Served::Failed("internal error: the chain was right, and is not any more".to_owned());
        let Some(Ok(plan)) = self.recipe.as_ref().map(Recipe::plan) else { return broken() };
        let places: Vec<String> = (0..plan.stages.len()).map(|stage| plan.place(stage)).collect();
        let total_bytes = total_bytes(&plan, ends.stdin_bytes);
        let output_bytes = output_bytes(&plan, total_bytes);
        let stdout = Some((ends.stdout)(output_bytes));
        let (takes_extents, reader) = (ends.takes_extents, ends.reader);
        let given = GivenEnds { stdin: Some(ends.stdin), stdout, takes_extents, reader };
        let master = Master::Server { clock: &self.clock, umask: self.umask, orders };
        let settings = Settings { total_bytes, ..self.settings.clone() };
        let report = match begin(plan, master, &settings, &self.workers, Some(given)) {
            Ok(running) => {
                let _noted = self.guests.roster.note(ends.name, running.monitor());
                running.wait(&mut |notice| match notice {
                    Notice::Remark { stage, line } => {
                        tell(Saying::Remark(format!("{}: {line}", places[stage])));
                    }
                    Notice::Quote { lines, .. } => tell(Saying::Quote(lines)),
                    Notice::Status | Notice::Stopping | Notice::Resumed | Notice::Resized => {}
                })
            }
            Err(report) => *report,
        };
        if report.outcome == Outcome::Done {
            report.notes.iter().for_each(|note| tell(Saying::Remark(note.clone())));
        }
        outcome(&report, &places)
    }
}

/// How many bytes the source of `plan` will give.
fn total_bytes(plan: &Plan, stdin_bytes: Option<u64>) -> Option<u64> {
    let source = plan.stages.first()?;
    match &source.stage.touches()[..] {
        [Touch::Stdin] => stdin_bytes,
        touches if touches.contains(&Touch::Stdin) => None,
        _ => source.stage.size_after(None),
    }
}

/// How many bytes its standard output will be given.
fn output_bytes(plan: &Plan, total_bytes: Option<u64>) -> Option<u64> {
    let is_stdout = |touch: &Touch| matches!(touch, Touch::Stdout { .. });
    let at = plan.stages.iter().position(|planned| planned.stage.touches().iter().any(is_stdout))?;
    plan.sizes(total_bytes)[at]
}

fn outcome(report: &Report, places: &[String]) -> Served {
    match report.outcome {
        Outcome::Done => Served::Done,
        Outcome::HungUp => Served::HungUp,
        Outcome::Cancelled(_) => Served::GivenUp,
        Outcome::Stalled => Served::Failed("no byte moved for the time of `--stall-timeout`".to_owned()),
        Outcome::Failed(_) => {
            let told = report.failures.first().map(|failure| match failure.stage {
                Some(stage) => format!("{}: {}", places[stage], failure.message),
                None => failure.message.clone(),
            });
            let changed = report.outputs.iter().filter_map(|output| match &output.state {
                OutputState::Changed(how) => Some(format!("; {} is not as it was: {how}", output.name)),
                _ => None,
            });
            Served::Failed(told.unwrap_or_else(|| "failed".to_owned()) + &changed.collect::<String>())
        }
    }
}
