//! The runs of a batch that go on at once as lines of text: how many are done, and what those that go on are doing.
//! Pure: readings in, words and pieces of lines out. How far all of them are is told as for a single run.

use super::look::{Look, Piece, Style};
use super::progress;
use super::runs::run_rows;
use crate::flow::{BatchReading, Reading};
use crate::units;

/// The lines of a batch, if it is one: how many runs there are, then the busiest of them.
pub(super) fn batch_rows(now: &Reading, look: Look) -> Option<Vec<Vec<Piece>>> {
    let batch = now.batch.as_ref()?;
    let mut rows = vec![vec![Piece::new(standing(batch), Style::Strong)]];
    rows.extend(run_rows(&batch.busiest, batch.runs_open, look));
    Some(rows)
}

/// `12 of 1 000 runs done, 4 now, 1 failed`.
pub(super) fn standing(batch: &BatchReading) -> String {
    let done = batch.runs_ended.saturating_sub(batch.runs_failed);
    let mut words = format!("{} of {} runs done", units::count(done), units::count(batch.runs));
    for (count, what) in [(batch.runs_open, "now"), (batch.runs_failed, "failed")] {
        if count > 0 {
            words.push_str(&format!(", {} {what}", units::count(count)));
        }
    }
    words
}

/// The end of a batch as a line: `12 runs: 1.20 GiB in 3.0 s, 410 MiB/s`.
pub fn batch_report(reading: &Reading) -> String {
    let runs = reading.batch.as_ref().map_or(0, |batch| batch.runs);
    format!("{} runs: {}\n", units::count(runs), progress::summary(reading))
}

#[cfg(test)]
mod tests {
    use super::batch_report;
    use crate::diagnostic::Colour;
    use crate::flow::{BatchReading, Reading, RunReading};
    use crate::verdict::judge;
    use crate::verdict::planted::{Part, chain};
    use crate::view::{Charset, Frame, Look, Size, picture, status_line};

    fn reading(total_bytes: Option<u64>) -> Reading {
        let parts = [Part::new("read", [0.1, 0.0, 0.9, 0.0]), Part::new("gzip", [0.98, 0.0, 0.0, 0.02])];
        let mut run = chain(2.0, &parts);
        run.stages[0].bytes_read = 64 << 20;
        let batch = BatchReading {
            runs: 1000,
            runs_open: 2,
            runs_ended: 13,
            runs_failed: 1,
            taken_bytes: 1 << 30,
            total_bytes,
            busiest: vec![RunReading { name: "a\\n b".to_owned(), reading: run }],
        };
        let (started_nanos, at_nanos) = (1_000_000_000, 3_000_000_000);
        Reading { started_nanos, at_nanos, batch: Some(batch), ..Reading::default() }
    }

    fn drawn(reading: &Reading, rows: usize) -> Vec<String> {
        let verdict = judge(reading, None);
        let frame = Frame { now: reading, previous: None, recent: None, verdict: &verdict };
        let look = Look { charset: Charset::Unicode, colour: Colour::Never };
        picture(&frame, Size { columns: 80, rows }, look)
    }

    #[test]
    fn a_batch_tells_how_many_are_done_what_limits_the_busiest_and_how_far_all_are() {
        let lines = drawn(&reading(Some(4 << 30)), 24);
        assert_eq!(lines[0], "12 of 1 000 runs done, 2 now, 1 failed");
        assert!(lines[1].starts_with("  a\\n b  64.0 MiB  32 MiB/s  limited by gzip"), "{}", lines[1]);
        assert_eq!(lines[2], "  ⋮ 1 more");
        assert!(lines[3].ends_with("25%   512 MiB/s   6 s left"), "{}", lines[3]);
        assert_eq!(lines.len(), 4);
        let unknown = drawn(&reading(None), 24);
        assert_eq!(unknown[3], "2 s   512 MiB/s");
    }

    #[test]
    fn in_a_low_window_the_sum_is_kept() {
        let lines = drawn(&reading(None), 3);
        assert_eq!(lines, ["12 of 1 000 runs done, 2 now, 1 failed", "  ⋮", "2 s   512 MiB/s"]);
    }

    #[test]
    fn a_batch_in_a_line() {
        let known = reading(Some(4 << 30));
        assert_eq!(
            status_line(&known, None),
            "weir: 12 of 1 000 runs done, 2 now, 1 failed; 25%, 1.00 GiB in 2.0 s, 512 MiB/s, 6 s left"
        );
        assert_eq!(batch_report(&known), "1 000 runs: 1.00 GiB in 2.0 s, 512 MiB/s\n");
    }
}
