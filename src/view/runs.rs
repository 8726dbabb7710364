//! Several runs that go on at once as lines of text: what each has moved, and what limits it.
//! Pure: readings in, pieces of lines out.

use super::look::{Look, Piece, Style, clean};
use crate::flow::{Reading, RunReading, StageReading};
use crate::units;
use crate::verdict::judge;

/// A line for each run that is told of, and one for those of the `open` ones that are not.
pub(super) fn run_rows(told: &[RunReading], open: u64, look: Look) -> Vec<Vec<Piece>> {
    let mut rows: Vec<Vec<Piece>> = told.iter().map(|run| run_row(run, look)).collect();
    let untold = open.saturating_sub(told.len() as u64);
    if untold > 0 && !told.is_empty() {
        let text = format!("  {} {} more", look.glyphs().gap, units::count(untold));
        rows.push(vec![Piece::new(text, Style::Faint)]);
    }
    rows
}

fn run_row(run: &RunReading, look: Look) -> Vec<Piece> {
    let reading = &run.reading;
    let seconds = reading.elapsed_nanos() as f64 / 1e9;
    let bytes = moved(reading);
    let rate = if seconds > 0.0 { units::rate(bytes as f64 / seconds) } else { String::new() };
    let mut pieces = vec![
        Piece::new(format!("  {}", clean(&run.name, look)), Style::Strong),
        Piece::plain(format!("  {}  {rate}", units::size(bytes))),
    ];
    if let Some(words) = judge(reading, None).words(&reading.scheme) {
        pieces.push(Piece::new(format!("  {}", clean(&words, look)), Style::Faint));
    }
    pieces
}

/// What a run has moved: what came in or what went out, whichever is more.
pub(super) fn moved(reading: &Reading) -> u64 {
    let most = |bytes: fn(&StageReading) -> u64| reading.stages.iter().map(bytes).max();
    most(|stage| stage.bytes_read).max(most(|stage| stage.bytes_written)).unwrap_or(0)
}
