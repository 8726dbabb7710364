//! A verdict in words, and the advice that goes with it: a table keyed by what a stage does.
//! What one stage could do better, that stage has said itself in its row of the scheme.

use super::{Advice, Balance, Cores, Finding, Limit, State, Verdict};
use crate::diagnostic::visible;
use crate::flow::{Medium, Scheme, StageInfo};

/// What a medium is called, and what follows from having to wait for it.
struct MediumWords {
    /// `waiting for …`.
    waiting_for: &'static str,
    /// In one word or two.
    short: &'static str,
    advice: MediumAdvice,
}

enum MediumAdvice {
    None,
    Try(&'static str),
    Settled(&'static str),
}

fn medium_words(medium: Medium) -> MediumWords {
    use MediumAdvice::{None, Settled, Try};
    let (waiting_for, short, advice) = match medium {
        Medium::Unknown => ("the system", "waiting", None),
        Medium::Disk => ("the disk", "disk", Settled("this is the disk's speed")),
        Medium::Pipe => {
            ("the pipe", "pipe", Try("a look at the other end of the pipe: it is the slower one"))
        }
        Medium::Terminal => ("the terminal", "terminal", Settled("somebody types")),
        Medium::Clock => ("the clock", "clock", Settled("this is the speed that was asked for")),
        Medium::Opener => {
            ("somebody to open the other end", "not opened", Try("a look at who should open the FIFO"))
        }
        Medium::Child => ("its child", "child", Try("a faster child: weir is waiting for it")),
        Medium::Writer => {
            ("somebody to write more", "nothing new", Settled("all that is there has been read"))
        }
        Medium::Pause => ("somebody to resume it", "paused", Settled("it was paused")),
        Medium::Socket => ("its peer", "network", Try("compression in front of the network")),
    };
    MediumWords { waiting_for, short, advice }
}

/// What to try when a stage that limits the run does `state`.
pub(super) fn advice(state: State, stage: &StageInfo) -> Advice {
    let own = |more: Option<&'static str>| {
        let tries: Vec<&'static str> = stage.advice.iter().copied().chain(more).collect();
        if tries.is_empty() { Advice::None } else { Advice::Try(tries) }
    };
    match state {
        State::Computing(cores) => own(cores.are_all_used().then_some("more cores")),
        State::ShortOfCores => own(Some("more cores")),
        State::CopyingInKernel => own(None),
        State::Waiting(medium) => match medium_words(medium).advice {
            MediumAdvice::None => Advice::None,
            MediumAdvice::Try(what) => Advice::Try(vec![what]),
            MediumAdvice::Settled(why) => Advice::Settled(why),
        },
    }
}

/// What to try when no stage is above the rest.
pub(super) fn advice_when_balanced(balance: Balance) -> Advice {
    match balance {
        Balance::Even => Advice::None,
        Balance::ShortOfCores => Advice::Try(vec!["more cores"]),
        Balance::ByTurns => Advice::Try(vec!["a larger --buffer"]),
    }
}

impl Verdict {
    /// The verdict as one line: `limited by gzip -6 (computing, 2 cores); next would be read (disk)`. `None` when there is
    /// nothing to tell. Holds nothing that a terminal would obey.
    pub fn words(&self, scheme: &Scheme) -> Option<String> {
        let subject = |limit: Limit| subject(&scheme.stages[limit.stage]);
        let mut line = match self.finding {
            Finding::TooShort | Finding::NothingMoved(None) => return None,
            Finding::NothingMoved(Some(limit)) => {
                format!("nothing has moved yet: {} is {}", subject(limit), doing(limit.state))
            }
            Finding::Balanced(Balance::Even) => "balanced: no stage is slower than the rest".to_string(),
            Finding::Balanced(Balance::ShortOfCores) => {
                "balanced: no stage is slower than the rest, and no core is free".to_string()
            }
            Finding::Balanced(Balance::ByTurns) => {
                "balanced: the stages wait for each other by turns".to_string()
            }
            Finding::Limited(limit @ Limit { state: State::Waiting(Medium::Clock), .. }) => {
                format!("limited by {}, as asked", subject(limit))
            }
            Finding::Limited(limit) => format!("limited by {} ({})", subject(limit), doing(limit.state)),
        };
        if let Some(next) = self.next {
            let name = printed(&scheme.stages[next.stage].name);
            line.push_str(&format!("; next would be {name} ({})", shortly(next.state)));
        }
        Some(line)
    }

    /// What to try, as one line: `try: gzip -1, zstd, or more cores`.
    pub fn advice_line(&self) -> Option<String> {
        match &self.advice {
            Advice::None => None,
            Advice::Settled(why) => Some(format!("nothing to try: {why}")),
            Advice::Try(tries) => Some(format!("try: {}", alternatives(tries))),
        }
    }

    /// What the limiting stage does, for a mark beside it: `computing on 2 of 2 cores`.
    pub fn mark(&self) -> Option<String> {
        let mark = match self.limit()?.state {
            State::Computing(Cores { used: 0 | 1, allowed: 0 }) => "computing".to_string(),
            State::Computing(Cores { used, allowed: 0 }) => format!("computing on {used} cores"),
            State::Computing(Cores { used, allowed }) => {
                format!("computing on {} of {allowed} cores", used.min(allowed))
            }
            State::Waiting(Medium::Clock) => "as asked".to_string(),
            state => doing(state),
        };
        Some(mark)
    }
}

/// A stage as people know it: `gzip -6`. Holds nothing that a terminal would obey.
pub fn subject(stage: &StageInfo) -> String {
    let (name, label) = (printed(&stage.name), printed(&stage.label));
    if label.is_empty() { name } else { format!("{name} {label}") }
}

fn printed(text: &str) -> String {
    visible(text).replace('\n', "\\n")
}

fn doing(state: State) -> String {
    match state {
        State::Computing(Cores { used: 0 | 1, .. }) => "computing".to_string(),
        State::Computing(Cores { used, .. }) => format!("computing, {used} cores"),
        State::ShortOfCores => "computing, short of cores".to_string(),
        State::CopyingInKernel => "copying in the kernel".to_string(),
        State::Waiting(Medium::Pause) => "paused".to_string(),
        State::Waiting(medium) => format!("waiting for {}", medium_words(medium).waiting_for),
    }
}

fn shortly(state: State) -> String {
    match state {
        State::Waiting(medium) => medium_words(medium).short.to_string(),
        State::Computing(_) => "computing".to_string(),
        other => doing(other),
    }
}

fn alternatives(tries: &[&'static str]) -> String {
    match tries {
        [] => String::new(),
        [only] => (*only).to_string(),
        [first, second] => format!("{first} or {second}"),
        [all @ .., last] => format!("{}, or {last}", all.join(", ")),
    }
}
