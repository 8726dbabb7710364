//! What limits a run, judged from two readings of it.
//! Pure: knows no stage by its name, no thread and no screen; the words for people are in [`words`](Verdict::words).
//!
//! Whoever limits a run is neither stalled nor starved: everybody before it is stalled by it, everybody behind it is starved
//! by it. So the share of a stretch that a stage spends on its own (computing, or waiting in the system) is what the rule
//! looks at. It holds on a tree as it does on a chain: a stage with several outputs is stalled by one of them.

mod words;

pub use words::subject;

#[cfg(test)]
pub(crate) mod planted;
#[cfg(test)]
pub(crate) mod tests;

use crate::flow::{Medium, Reading, Share, worker_threads};

/// Shorter stretches say more about threads that start and end than about the run.
const STRETCH_NANOS_MIN: u64 = 20_000_000;
/// A stage that is more than half stalled or starved limits nothing.
const OWN_MIN: f64 = 0.5;
/// A stage this close to the one that is on its own the most, as a part of it, would limit the run as soon as that got faster.
const CLOSE: f64 = 0.85;
/// What a link keeps of the bytes that enter it, as a part of them, before that tells which of its ends is the slower one.
const KEPT_MIN: f64 = 0.1;
/// The part of its busy time in which a stage found no core free, from which on cores are what is missing.
const QUEUED_MIN: f64 = 0.2;
/// The part of the allowed cores, from which on all of them count as used.
const ALL_CORES: f64 = 0.85;
/// A stage that is on its own less than this would hardly limit the run next.
const NEXT_MIN: f64 = 0.02;

/// What limits a run, over one stretch of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What was found.
    pub finding: Finding,
    /// What would limit the run if whatever limits it was faster.
    pub next: Option<Limit>,
    /// What to try, or why nothing is left to try.
    pub advice: Advice,
}

/// Whether one stage limits the run, and which.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Finding {
    /// The stretch is too short to tell.
    TooShort,
    /// No byte has moved since the run began; everybody waits for this stage, as far as it can be told.
    NothingMoved(Option<Limit>),
    /// No stage is above the rest.
    Balanced(Balance),
    /// This one limits the run.
    Limited(Limit),
}

/// How a run is balanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Several stages are at work nearly all the time.
    Even,
    /// They are, and find no core free.
    ShortOfCores,
    /// All of them wait for each other by turns.
    ByTurns,
}

/// A stage and what it does while the others wait for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// As an index of the scheme's stages.
    pub stage: usize,
    /// What it does.
    pub state: State,
    /// The part of the stretch in which it did anything but wait for its neighbours, 0 to 1.
    pub own: f64,
}

/// What a stage does while the others wait for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum State {
    /// It computes, with its workers.
    Computing(Cores),
    /// It would compute, and finds no core free.
    ShortOfCores,
    /// It is inside system calls that use a core: copies, mostly.
    CopyingInKernel,
    /// It waits in the system.
    Waiting(Medium),
}

/// How many cores a stage uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    /// On average, rounded; at least 1.
    pub used: usize,
    /// How many it may use; 0 when that is not known or the stage has no workers.
    pub allowed: usize,
}

impl Cores {
    fn are_all_used(self) -> bool {
        self.allowed > 0 && self.used as f64 >= self.allowed as f64 * ALL_CORES
    }
}

/// What to do about a limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Advice {
    /// Nothing comes to mind.
    #[default]
    None,
    /// Any of these may help.
    Try(Vec<&'static str>),
    /// Nothing will, for this reason.
    Settled(&'static str),
}

impl Verdict {
    /// The stage that limits the run; `None` when the run is balanced, too short, or has not moved yet.
    pub fn limiting(&self) -> Option<usize> {
        self.limit().map(|limit| limit.stage)
    }

    /// As [`Verdict::limiting`], with what the stage does.
    pub fn limit(&self) -> Option<Limit> {
        match self.finding {
            Finding::Limited(limit) => Some(limit),
            Finding::TooShort | Finding::NothingMoved(_) | Finding::Balanced(_) => None,
        }
    }

    fn of(finding: Finding, next: Option<Limit>, advice: Advice) -> Verdict {
        Verdict { finding, next, advice }
    }
}

/// Judges the stretch from `earlier` to `now`; that since the start of the run if there is no earlier reading.
///
/// Both are of one run. Never names a stage that is more than half stalled or starved.
pub fn judge(now: &Reading, earlier: Option<&Reading>) -> Verdict {
    let begin = earlier.map_or(now.started_nanos, |reading| reading.at_nanos);
    let contenders = contenders(now, earlier);
    let top = contenders.iter().copied().reduce(|top, other| if other.own >= top.own { other } else { top });
    let Some(top) = top else {
        return Verdict::of(Finding::TooShort, None, Advice::None);
    };
    if now.at_nanos.saturating_sub(begin) < STRETCH_NANOS_MIN {
        return Verdict::of(Finding::TooShort, None, Advice::None);
    }
    if !has_moved(now) {
        let waited_for = (top.own >= OWN_MIN).then(|| limit(now, &top));
        return Verdict::of(Finding::NothingMoved(waited_for), None, Advice::None);
    }
    if top.own < OWN_MIN {
        return balanced(Balance::ByTurns);
    }
    let close: Vec<Contender> =
        contenders.iter().copied().filter(|contender| contender.own >= top.own * CLOSE).collect();
    let chosen = match close.as_slice() {
        [only] => Some(*only),
        [first, second] => slower(now, earlier, *first, *second),
        _ => None,
    };
    let Some(chosen) = chosen else {
        // Of all they do, waiting in the system included: who hardly computes does not lack cores.
        let (own, queued) = close.iter().fold((0.0, 0.0), |(own, queued), contender| {
            let share = contender.share;
            (own + (share.busy_nanos + share.waiting_nanos) as f64, queued + share.queued_nanos as f64)
        });
        let is_short = queued > 0.0 && queued >= own * QUEUED_MIN;
        return balanced(if is_short { Balance::ShortOfCores } else { Balance::Even });
    };
    let limiting = limit(now, &chosen);
    let next = contenders
        .iter()
        .filter(|contender| contender.stage != chosen.stage && contender.own >= NEXT_MIN)
        .max_by(|a, b| a.own.total_cmp(&b.own))
        .map(|contender| limit(now, contender));
    let advice = words::advice(limiting.state, &now.scheme.stages[chosen.stage]);
    Verdict::of(Finding::Limited(limiting), next, advice)
}

fn balanced(balance: Balance) -> Verdict {
    Verdict::of(Finding::Balanced(balance), None, words::advice_when_balanced(balance))
}

/// A stage that may limit the run.
#[derive(Debug, Clone, Copy)]
struct Contender {
    stage: usize,
    share: Share,
    own: f64,
}

/// Every stage with its own part of the stretch; of the two rows of a duplex the one with the greater part.
fn contenders(now: &Reading, earlier: Option<&Reading>) -> Vec<Contender> {
    let mut all: Vec<Contender> = (0..now.scheme.stages.len())
        .map(|stage| {
            let share = now.share(earlier, stage);
            Contender { stage, share, own: share.fraction(share.busy_nanos + share.waiting_nanos) }
        })
        .collect();
    for (out, info) in now.scheme.stages.iter().enumerate() {
        let Some(back) = info.returns.filter(|&back| back < all.len() && back != out) else { continue };
        // A peer that was given nothing owes nothing, and one whose answers nobody takes is not what is slow.
        let (given, taken) = (all[out].share, all[back].share);
        let owed = taken.waiting_nanos.saturating_sub(given.starved_nanos);
        let due = given.waiting_nanos.saturating_sub(taken.stalled_nanos);
        all[back].own = taken.fraction(taken.busy_nanos + owed);
        all[out].own = given.fraction(given.busy_nanos + due);
        let lesser = if all[out].own > all[back].own { back } else { out };
        all[lesser].own = 0.0;
    }
    all
}

fn limit(now: &Reading, contender: &Contender) -> Limit {
    let Contender { stage, share, own } = *contender;
    let state = if share.waiting_nanos > share.busy_nanos {
        State::Waiting(now.stages[stage].medium)
    } else if share.queued_nanos > 0 && share.queued_nanos as f64 >= share.busy_nanos as f64 * QUEUED_MIN {
        State::ShortOfCores
    } else if share.worked_nanos == 0
        && share.on_core_nanos > 0
        && share.system_nanos * 2 >= share.on_core_nanos
    {
        State::CopyingInKernel
    } else {
        // The cast saturates.
        let used = (share.cores().round() as usize).max(1);
        let allowed = if share.worked_nanos > 0 { worker_threads(now.scheme.threads) } else { 0 };
        State::Computing(Cores { used, allowed })
    };
    Limit { stage, state, own }
}

/// Which of two stages that are both at work nearly all the time is slower, told by the link in front of the later one: it
/// fills when that one is, and drains when the earlier one is. `None` when it does neither.
fn slower(
    now: &Reading,
    earlier: Option<&Reading>,
    first: Contender,
    second: Contender,
) -> Option<Contender> {
    let (up, down) = if is_upstream(now, first.stage, second.stage) {
        (first, second)
    } else if is_upstream(now, second.stage, first.stage) {
        (second, first)
    } else {
        return None;
    };
    let link = now.scheme.feed_of(down.stage)?;
    let before = earlier.map(|reading| reading.links[link]).unwrap_or_default();
    let entered = now.links[link].bytes_in.saturating_sub(before.bytes_in) as f64;
    let left = now.links[link].bytes_out.saturating_sub(before.bytes_out) as f64;
    if entered > 0.0 && entered - left > entered * KEPT_MIN {
        Some(down)
    } else if left > 0.0 && left - entered > left * KEPT_MIN {
        Some(up)
    } else {
        None
    }
}

/// Whether the bytes of `down` come from `up`.
fn is_upstream(now: &Reading, up: usize, down: usize) -> bool {
    let mut at = down;
    // No path is longer than the list of stages, even in a scheme that goes round in circles.
    for _ in 0..now.scheme.stages.len() {
        match now.scheme.feed_of(at) {
            Some(link) => at = now.scheme.links[link].from,
            None => return false,
        }
        if at == up {
            return true;
        }
    }
    false
}

fn has_moved(now: &Reading) -> bool {
    now.links.iter().any(|link| link.bytes_in > 0)
        || now.stages.iter().any(|stage| stage.bytes_read > 0 || stage.bytes_written > 0)
}
