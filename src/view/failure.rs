//! What went wrong in a run, in words: the first failure, its place in the chain, and what became of the outputs.
//! Mistakes in a chain that never ran are told elsewhere.

use super::report::partial;
use crate::diagnostic::{Span, underline, visible};
use crate::engine::{Failure, Outcome, Output, OutputState, Report};
use crate::flow::Reading;
use nix::sys::signal::Signal;

/// How much of what went wrong is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The root cause.
    RootCause,
    /// Every failure there was.
    Everything,
}

/// Where a stage stands, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `gzip (stage 2)`.
    pub name: String,
    /// Its words in the chain's text; `None` for one that is not written there.
    pub span: Option<Span>,
}

/// Why a run did not end well; empty when it did. Every line ends with a line feed, and none can give orders to a terminal.
///
/// `places` has one for each stage of the scheme.
pub fn failures(report: &Report, chain_text: &[u8], places: &[Place], detail: Detail) -> String {
    let mut lines: Vec<String> = Vec::new();
    let shown = match detail {
        Detail::RootCause => 1,
        Detail::Everything => usize::MAX,
    };
    for failure in report.failures.iter().take(shown) {
        told(&mut lines, failure, chain_text, places);
    }
    if report.failures.is_empty() {
        if matches!(report.outcome, Outcome::Done | Outcome::HungUp) {
            return String::new();
        }
        lines.extend(ended_by(report).map(|words| format!("weir: {words}")));
    }
    lines.extend(report.outputs.iter().map(|output| format!("  {}", visible(&became(output)))));
    lines.into_iter().fold(String::new(), |text, line| text + &line + "\n")
}

/// What has become of an output: `b.gz is as it was`.
pub(super) fn became(output: &Output) -> String {
    let name = &output.name;
    match &output.state {
        OutputState::Published => format!("{name} is complete and in place"),
        OutputState::AsItWas => format!("{name} is as it was"),
        OutputState::NotCreated => format!("{name} was not created"),
        OutputState::Changed(how) => format!("{name} is not as it was: {how}"),
        OutputState::Partial(bytes) => partial(name, *bytes),
    }
}

/// What ended a run in which no stage failed by itself; `None` if nothing did.
pub(super) fn ended_by(report: &Report) -> Option<String> {
    match report.outcome {
        Outcome::Cancelled(signal) => {
            let name = Signal::try_from(signal);
            Some(name.map_or_else(|_| format!("ended by signal {signal}"), |name| format!("ended by {name}")))
        }
        Outcome::Stalled => Some(format!("no byte moved for too long{}", waited_for(&report.reading))),
        Outcome::Done | Outcome::HungUp | Outcome::Failed(_) => None,
    }
}

fn told(lines: &mut Vec<String>, failure: &Failure, chain_text: &[u8], places: &[Place]) {
    let place = failure.stage.and_then(|stage| places.get(stage));
    let message = visible(&failure.message);
    lines.push(match place {
        // An end that goes without saying is a standard stream, and its message says which.
        Some(place) if place.span.is_none() && message.starts_with("standard ") => format!("weir: {message}"),
        Some(place) => format!("weir: {}: {message}", visible(&place.name)),
        None => format!("weir: {message}"),
    });
    if let Some(span) = place.and_then(|place| place.span.clone()) {
        lines.push(underline(chain_text, span));
    }
    lines.extend(failure.help.iter().map(|help| format!("  {}", visible(help))));
}

/// Who kept everybody waiting: the last stage that waits for neither neighbour.
fn waited_for(reading: &Reading) -> String {
    let stages = &reading.scheme.stages;
    let waits = |stage: usize| {
        let info = &stages[stage];
        info.input.is_some_and(|link| reading.links[link].starve.is_open())
            || info.outputs.iter().any(|&link| reading.links[link].stall.is_open())
    };
    // A peer that was given nothing owes nothing, and one whose answers nobody takes cannot go on.
    let waits_with_peer = |stage: usize| {
        let other = stages[stage].returns.or_else(|| reading.scheme.outward_of(stage));
        waits(stage) || other.is_some_and(waits)
    };
    let culprit = (0..stages.len())
        .rev()
        .find(|&stage| reading.stages[stage].ended_nanos == 0 && !waits_with_peer(stage));
    culprit.map_or_else(String::new, |stage| {
        let label = Some(&stages[stage].label).filter(|label| !label.is_empty());
        let label = label.map_or_else(String::new, |label| format!(" {}", visible(label)));
        format!("; the others wait for {}{label}", visible(&stages[stage].name))
    })
}

#[cfg(test)]
mod tests {
    use super::{Detail, Place, failures};
    use crate::engine::{Failure, Outcome, Output, OutputState, Report};
    use crate::exit::Exit;
    use crate::flow::Medium;
    use crate::verdict::planted::{Part, chain};

    const CHAIN: &[u8] = b"read data.gz | gunzip | write data";

    fn place(name: &str, span: Option<std::ops::Range<usize>>) -> Place {
        Place { name: name.to_string(), span }
    }

    fn places() -> [Place; 3] {
        [
            place("read (stage 1)", Some(0..12)),
            place("gunzip (stage 2)", Some(15..21)),
            place("write (stage 3)", Some(24..34)),
        ]
    }

    fn failure(stage: Option<usize>, message: &str) -> Failure {
        Failure { stage, exit: Exit::Refused, message: message.to_string(), help: None }
    }

    fn ended(outcome: Outcome, failures: Vec<Failure>) -> Report {
        let parts = [
            Part::new("read", [0.1, 0.0, 0.9, 0.0]),
            Part::new("gunzip", [0.98, 0.0, 0.0, 0.02]),
            Part { label: "data", ..Part::new("write", [0.1, 0.2, 0.0, 0.7]).on(Medium::Disk) },
        ];
        let mut reading = chain(4.0, &parts);
        reading.links[0].stall.since_nanos = 1;
        reading.links[1].stall.since_nanos = 1;
        let outputs = vec![Output { name: "data".to_string(), state: OutputState::AsItWas }];
        Report { outcome, failures, outputs, notes: Vec::new(), reading }
    }

    #[test]
    fn the_first_failure_is_told_with_its_place() {
        let corrupt = "data.gz: corrupt data at input byte 4711: crc mismatch";
        let caused = Failure { help: Some("free some space".to_string()), ..failure(Some(2), "disk full") };
        let report = ended(Outcome::Failed(Exit::Refused), vec![failure(Some(1), corrupt), caused]);
        let root = "\
weir: gunzip (stage 2): data.gz: corrupt data at input byte 4711: crc mismatch
  read data.gz | gunzip | write data
                 ^^^^^^
";
        let end = "  data is as it was\n";
        assert_eq!(failures(&report, CHAIN, &places(), Detail::RootCause), format!("{root}{end}"));
        let other = "\
weir: write (stage 3): disk full
  read data.gz | gunzip | write data
                          ^^^^^^^^^^
  free some space
";
        assert_eq!(failures(&report, CHAIN, &places(), Detail::Everything), format!("{root}{other}{end}"));
    }

    #[test]
    fn a_stage_that_is_not_written_has_no_number() {
        let report =
            ended(Outcome::Failed(Exit::Failed), vec![failure(Some(0), "gone\u{1b}[2J"), failure(None, "x")]);
        let places = [place("read", None), place("gunzip (stage 1)", Some(0..6))];
        let text = failures(&report, b"gunzip | write data", &places, Detail::Everything);
        assert_eq!(text, "weir: read: gone\\x1b[2J\nweir: x\n  data is as it was\n");
        let second = ended(Outcome::Failed(Exit::Failed), vec![failure(Some(1), "y")]);
        let text = failures(&second, b"gunzip | write data", &places, Detail::RootCause);
        assert!(text.starts_with("weir: gunzip (stage 1): y\n  gunzip | write data\n  ^^^^^^\n"), "{text}");
        assert!(failures(&second, b"", &[], Detail::RootCause).starts_with("weir: y\n"));
    }

    #[test]
    fn what_went_well_is_not_told() {
        assert_eq!(failures(&ended(Outcome::Done, Vec::new()), CHAIN, &places(), Detail::Everything), "");
        assert_eq!(failures(&ended(Outcome::HungUp, Vec::new()), CHAIN, &places(), Detail::RootCause), "");
    }

    #[test]
    fn a_signal_and_a_standstill_say_so() {
        let cancelled = ended(Outcome::Cancelled(2), Vec::new());
        let text = failures(&cancelled, CHAIN, &places(), Detail::RootCause);
        assert_eq!(text, "weir: ended by SIGINT\n  data is as it was\n");
        let mut stalled = ended(Outcome::Stalled, Vec::new());
        stalled.outputs[0].state = OutputState::Partial(1);
        let text = failures(&stalled, CHAIN, &places(), Detail::RootCause);
        let expected = "\
weir: no byte moved for too long; the others wait for write data
  data: partial, 1 byte
";
        assert_eq!(text, expected);
    }
}
