//! A run in a line each: what it consists of, and what became of it; for files that are read without the command beside them.
//! Pure: no line holds anything that a terminal would obey.

use super::failure::ended_by;
use crate::diagnostic::visible;
use crate::engine::{Outcome, Report};
use crate::flow::Scheme;
use crate::units;
use crate::verdict::{Verdict, subject};

/// The stages as they could be typed: `read a | tee { gzip -6 | write b } | discard`.
pub(super) fn chain(scheme: &Scheme) -> String {
    let mut words = String::new();
    let mut depth = 0;
    // Both rows of a duplex are one stage.
    for (at, info) in scheme.stages.iter().enumerate().filter(|(at, _)| scheme.outward_of(*at).is_none()) {
        let from_outside = || info.input.is_some_and(|link| depth_of_writer(scheme, link) < info.depth);
        let joint = match info.depth {
            inner if inner > depth => " { ".repeat(inner - depth),
            inner if inner < depth => format!("{} | ", " }".repeat(depth - inner)),
            _ if at == 0 => String::new(),
            // A branch after a branch.
            _ if depth > 0 && from_outside() => " } { ".to_string(),
            _ => " | ".to_string(),
        };
        words.push_str(&joint);
        words.push_str(&subject(info));
        depth = info.depth;
    }
    words + &" }".repeat(depth)
}

fn depth_of_writer(scheme: &Scheme, link: usize) -> usize {
    scheme.stages[scheme.links[link].from].depth
}

/// What became of a run, or else what limited it: `limited by gzip -6 (computing, 2 cores)`.
pub(super) fn headline(report: &Report, verdict: &Verdict) -> String {
    let scheme = &report.reading.scheme;
    if let Some(failure) = report.failures.first() {
        let stage = failure.stage.and_then(|stage| scheme.stages.get(stage));
        let place = stage.map(|info| format!("{}: ", visible(&info.name))).unwrap_or_default();
        return format!("failed: {place}{}", visible(&failure.message).replace('\n', "\\n"));
    }
    if let Some(why) = ended_by(report) {
        return why;
    }
    if let Some(server) = &report.reading.server {
        let failed = match server.runs_failed {
            0 => String::new(),
            failed => format!(", {} of them failed", units::count(failed)),
        };
        let plural = if server.runs == 1 { "" } else { "s" };
        return format!("served {} run{plural}{failed}", units::count(server.runs));
    }
    verdict.words(scheme).unwrap_or_else(|| "too short to tell what limits it".to_string())
}

/// How a run ended, in a word or two.
pub(super) fn outcome(report: &Report) -> &'static str {
    match report.outcome {
        Outcome::Done => "done",
        Outcome::HungUp => "done: standard output was closed",
        Outcome::Failed(_) => "failed",
        Outcome::Cancelled(_) => "cancelled",
        Outcome::Stalled => "stalled",
    }
}

#[cfg(test)]
mod tests {
    use super::{chain, headline};
    use crate::engine::{Failure, Outcome, Report};
    use crate::exit::Exit;
    use crate::verdict::judge;
    use crate::verdict::planted::{self, Part, tree};

    fn part(name: &'static str, depth: usize) -> Part {
        Part { depth, ..Part::new(name, [0.1, 0.0, 0.9, 0.0]) }
    }

    #[test]
    fn branches_stand_in_braces() {
        let parts = [part("read", 0), part("tee", 0), part("a", 1), part("b", 1), part("c", 1), part("d", 0)];
        let links = [(0, 1), (1, 5), (1, 2), (2, 3), (1, 4)];
        assert_eq!(chain(&tree(1.0, &parts, &links).scheme), "read | tee { a | b } { c } | d");
        assert_eq!(chain(&tree(1.0, &parts[..3], &[(0, 1), (1, 2)]).scheme), "read | tee { a }");
    }

    #[test]
    fn both_rows_of_a_duplex_are_one_stage() {
        let mut reading = planted::chain(1.0, &[part("stdin", 0), part("exec", 0), part("exec", 0)]);
        planted::alter(&mut reading, |scheme| scheme.stages[1].returns = Some(2));
        assert_eq!(chain(&reading.scheme), "stdin | exec");
    }

    #[test]
    fn a_failure_is_told_before_what_limited_the_run() {
        let reading = planted::chain(1.0, &[part("read", 0), Part::new("gunzip", [1.0, 0.0, 0.0, 0.0])]);
        let verdict = judge(&reading, None);
        let failure =
            Failure { stage: Some(1), exit: Exit::Refused, message: "a\u{1b}\nb".to_owned(), help: None };
        let ended = |outcome, failures| Report {
            outcome,
            failures,
            outputs: Vec::new(),
            notes: Vec::new(),
            reading: reading.clone(),
        };
        let failed = ended(Outcome::Failed(Exit::Refused), vec![failure]);
        assert_eq!(headline(&failed, &verdict), "failed: gunzip: a\\x1b\\nb");
        assert_eq!(headline(&ended(Outcome::Cancelled(2), Vec::new()), &verdict), "ended by SIGINT");
        assert!(headline(&ended(Outcome::Done, Vec::new()), &verdict).starts_with("limited by gunzip"));
    }
}
