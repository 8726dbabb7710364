//! The end of a run as text: the same facts as in the live picture, over the whole run and settled.
//! Judges nothing itself; failures have a file of their own.

use super::look::{Look, clean};
use super::picture::{Frame, body_lines};
use super::progress;
use crate::engine::{Outcome, OutputState, Report};
use crate::units;
use crate::verdict::Verdict;

/// The report of one run, over lines of at most `columns`; every line ends with a line feed.
///
/// Without a terminal, `usize::MAX` columns show everything.
pub fn report(report: &Report, verdict: &Verdict, columns: usize, look: Look) -> String {
    let reading = &report.reading;
    let frame = Frame { now: reading, previous: None, recent: None, verdict };
    let mut lines = body_lines(&frame, columns, look);
    lines.push(progress::summary(reading));
    if reading.server.is_none() {
        lines.extend(verdict.words(&reading.scheme).map(|words| clean(&words, look)));
        lines.extend(verdict.advice_line());
    }
    let caveats = reading.scheme.stages.iter().filter_map(|stage| Some((&stage.name, stage.caveat?)));
    lines.extend(caveats.map(|(name, caveat)| clean(&format!("{name}: {caveat}"), look)));
    // Of a run that failed its failure tells what became of the outputs.
    let is_well = matches!(report.outcome, Outcome::Done | Outcome::HungUp);
    for output in report.outputs.iter().filter(|_| is_well) {
        if let OutputState::Partial(bytes) = output.state {
            lines.push(clean(&partial(&output.name, bytes), look));
        }
    }
    lines.into_iter().fold(String::new(), |text, line| text + &line + "\n") + &notes(report, look)
}

/// What the stages of a run had to tell; every line ends with a line feed.
pub fn notes(report: &Report, look: Look) -> String {
    report.notes.iter().fold(String::new(), |text, note| text + &clean(note, look) + "\n")
}

/// `standard output: partial, 4 096 bytes`.
pub(super) fn partial(name: &str, bytes: u64) -> String {
    format!("{name}: partial, {} byte{}", units::count(bytes), if bytes == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::{notes, report};
    use crate::diagnostic::Colour;
    use crate::engine::{Outcome, Output, OutputState, Report};
    use crate::flow::Medium;
    use crate::verdict::judge;
    use crate::verdict::planted::{Part, chain};
    use crate::view::{Charset, Look};

    #[test]
    fn a_report_tells_the_whole_run() {
        let parts = [
            Part::new("read", [0.1, 0.0, 0.9, 0.0]).on(Medium::Disk),
            Part { advice: vec!["gzip -1"], ..Part::new("gzip", [0.99, 0.0, 0.0, 0.01]) },
            Part::new("stdout", [0.05, 0.0, 0.0, 0.95]).on(Medium::Pipe),
        ];
        let reading = chain(4.0, &parts);
        let verdict = judge(&reading, None);
        let outputs = [
            Output { name: "standard output".to_string(), state: OutputState::Partial(4096) },
            Output { name: "a".to_string(), state: OutputState::AsItWas },
        ];
        let ended = Report {
            outcome: Outcome::HungUp,
            failures: Vec::new(),
            outputs: outputs.to_vec(),
            notes: vec!["md5 00  a\u{1b}[2J".to_string()],
            reading,
        };
        let look = Look { charset: Charset::Unicode, colour: Colour::Never };
        let expected = "\
read    64.0 MiB   16 MiB/s   busy  10%
  ██████████████████    90%     stalled   900×   3.6 s   90%
gzip    64.0 MiB   16 MiB/s   busy  99%   ◀ limits: computing
  ▎                     empty   starved   950×   3.8 s   95%
stdout  64.0 MiB   16 MiB/s   busy   5%
64.0 MiB in 4.0 s, 16 MiB/s
limited by gzip (computing); next would be read (computing)
try: gzip -1
standard output: partial, 4 096 bytes
md5 00  a\\x1b[2J
";
        assert_eq!(notes(&ended, look), "md5 00  a\\x1b[2J\n");
        assert_eq!(report(&ended, &verdict, usize::MAX, look), expected);
    }

    #[test]
    fn a_report_of_nothing_is_short() {
        let nothing = Report {
            outcome: Outcome::Done,
            failures: Vec::new(),
            outputs: Vec::new(),
            notes: Vec::new(),
            reading: crate::flow::Reading::default(),
        };
        let verdict = judge(&nothing.reading, None);
        assert_eq!(report(&nothing, &verdict, 80, Look::PLAIN), "0 B in 0 ms, 0 B/s\n");
    }
}
