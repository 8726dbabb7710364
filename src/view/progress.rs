//! How far a run is: percent, rate and time left, as a line of the picture and as a line of its own.
//! Pure. Never more than 100 %, never less than nothing, and no time left that is a guess from nothing.

use super::batch::standing;
use super::look::{Look, Piece, Style, width};
use super::picture::Frame;
use crate::flow::Reading;
use crate::units;
use crate::verdict::{Verdict, judge};
use std::time::Duration;

/// A forecast beyond this is no forecast.
const LEFT_SECONDS_MAX: f64 = 1000.0 * 3600.0;
const BAR_COLUMNS: [usize; 4] = [30, 20, 10, 0];

/// How far a run is.
pub(super) struct Progress {
    pub(super) taken_bytes: u64,
    /// Of what has come to the end of the chain, 0 to 1.
    pub(super) done: Option<f64>,
    /// Of the same.
    pub(super) bytes_per_second: f64,
    pub(super) left: Left,
}

pub(super) enum Left {
    Unknown,
    Time(Duration),
    /// All of the input is taken; the rest of the chain is still at it.
    Finishing,
}

impl Progress {
    pub(super) fn of(now: &Reading, recent: Option<&Reading>) -> Progress {
        let taken_bytes = now.taken_bytes();
        let rate =
            |bytes: u64, nanos: u64| if nanos == 0 { 0.0 } else { bytes as f64 / (nanos as f64 / 1e9) };
        let through_bytes = through_bytes(now);
        let whole_rate = rate(through_bytes, now.elapsed_nanos());
        let bytes_per_second = recent.map_or(whole_rate, |recent| {
            rate(
                through_bytes.saturating_sub(self::through_bytes(recent)),
                now.at_nanos.saturating_sub(recent.at_nanos),
            )
        });
        let Some(total) = now.total_bytes() else {
            return Progress { taken_bytes, done: None, bytes_per_second, left: Left::Unknown };
        };
        let done = if through_bytes >= total { 1.0 } else { through_bytes as f64 / total as f64 };
        // The present rate alone makes the forecast jump, the average alone makes it late.
        let seconds =
            total.saturating_sub(through_bytes) as f64 / f64::midpoint(bytes_per_second, whole_rate);
        let left = match seconds {
            _ if through_bytes >= total => Left::Finishing,
            s if s.is_finite() && s <= LEFT_SECONDS_MAX && bytes_per_second > 0.0 => {
                Left::Time(Duration::from_secs_f64(s))
            }
            _ => Left::Unknown,
        };
        Progress { taken_bytes, done: Some(done), bytes_per_second, left }
    }

    fn left_words(&self) -> Option<String> {
        match self.left {
            Left::Unknown => None,
            Left::Time(time) => Some(format!("{} left", units::whole_seconds(time))),
            Left::Finishing => Some("finishing".to_string()),
        }
    }
}

/// How much of what was taken has come to the end of the chain, and of its branches: of the rest each link holds a part. Behind
/// a stage that makes more or less of what it takes, or nothing for long, a link says nothing of that.
fn through_bytes(now: &Reading) -> u64 {
    let scheme = &now.scheme;
    let mut parts = vec![1.0; now.stages.len()];
    for (link, reading) in scheme.links.iter().zip(&now.links) {
        let (Some(from), Some(&before)) = (scheme.stages.get(link.from), parts.get(link.from)) else {
            continue;
        };
        let is_source = from.input.is_none() && scheme.outward_of(link.from).is_none();
        let is_telling = is_source || (from.keeps_size && !from.holds_back);
        let held = if is_telling && reading.bytes_in > 0 {
            reading.fill_bytes as f64 / reading.bytes_in as f64
        } else {
            0.0
        };
        // A stage is read behind the one that writes for it.
        if let Some(part) = parts.get_mut(link.to) {
            *part = before * (1.0 - held);
        }
    }
    let least = parts.into_iter().fold(1.0, f64::min);
    (now.taken_bytes() as f64 * least) as u64
}

/// The line below the stages: `━━━╸──  62%   412 MiB/s   8 s left`, or the elapsed time and the rate.
pub(super) fn line_pieces(frame: &Frame<'_>, columns: usize, look: Look) -> Vec<Piece> {
    let progress = Progress::of(frame.now, frame.recent);
    if frame.now.server.is_some() {
        let elapsed = units::whole_seconds(Duration::from_nanos(frame.now.elapsed_nanos()));
        return if width(&elapsed) <= columns { vec![Piece::plain(elapsed)] } else { Vec::new() };
    }
    let rate = units::rate(progress.bytes_per_second);
    let (mut words, bars) = match progress.done {
        Some(done) => (vec![format!("{:>4}", units::percent(done)), rate], BAR_COLUMNS.as_slice()),
        None => {
            let elapsed = units::whole_seconds(Duration::from_nanos(frame.now.elapsed_nanos()));
            (vec![elapsed, rate], [0].as_slice())
        }
    };
    words.extend(progress.left_words());
    while !words.is_empty() {
        let text = words.join("   ");
        for &bar_columns in bars {
            // Without a bar nothing stands in front of the number.
            let text = if bar_columns == 0 { text.trim_start() } else { &text };
            let gap = usize::from(bar_columns > 0);
            if bar_columns + gap + width(text) <= columns {
                let mut pieces = bar(progress.done.unwrap_or(0.0), bar_columns, look);
                pieces.push(Piece::plain(" ".repeat(gap) + text));
                return pieces;
            }
        }
        // The rate goes before the time left, and the percentage last. Half a number would be a wrong one.
        words.remove(if words.len() == 3 { 1 } else { words.len() - 1 });
    }
    Vec::new()
}

fn bar(done: f64, columns: usize, look: Look) -> Vec<Piece> {
    let [full, head, rest] = look.glyphs().progress;
    let halves = (done * columns as f64 * 2.0) as usize;
    let mut filled: String = std::iter::repeat_n(full, (halves / 2).min(columns)).collect();
    if halves % 2 == 1 && halves / 2 < columns {
        filled.push(head);
    }
    let left = columns.saturating_sub(filled.chars().count());
    vec![Piece::new(filled, Style::Bar), Piece::new(rest.to_string().repeat(left), Style::Faint)]
}

/// One line about a run or a batch, without escape sequences: for SIGUSR1, and for progress in plain lines. Rate and verdict are about
/// the time since `earlier`.
pub fn status_line(now: &Reading, earlier: Option<&Reading>) -> String {
    if let Some(summary) = super::server::summary(now) {
        return format!("weir: {summary}");
    }
    let standing = now.batch.as_ref().map(|batch| standing(batch) + "; ").unwrap_or_default();
    let verdict = judge(now, earlier);
    let progress = Progress::of(now, earlier);
    let elapsed = units::duration(Duration::from_nanos(now.elapsed_nanos()));
    let size = units::size(progress.taken_bytes);
    let mut parts: Vec<String> = progress.done.map(units::percent).into_iter().collect();
    parts.push(format!("{size} in {elapsed}"));
    parts.push(units::rate(progress.bytes_per_second));
    parts.extend(progress.left_words());
    format!("weir: {standing}{}{}", parts.join(", "), tail(&verdict, now))
}

fn tail(verdict: &Verdict, now: &Reading) -> String {
    verdict.words(&now.scheme).map_or_else(String::new, |words| format!("; {words}"))
}

/// `3.10 GiB in 7.4 s, 412 MiB/s`: the whole run.
pub(super) fn summary(reading: &Reading) -> String {
    let progress = Progress::of(reading, None);
    let elapsed = units::duration(Duration::from_nanos(reading.elapsed_nanos()));
    if reading.server.is_some() {
        return format!("served for {elapsed}");
    }
    let size = units::size(progress.taken_bytes);
    format!("{size} in {elapsed}, {}", units::rate(progress.bytes_per_second))
}
