//! A run at one moment as lines of text: stages, the links between them, progress, verdict.
//! Pure: where the lines go, and whether anybody sees them, is decided elsewhere.

use super::batch::batch_rows;
use super::links::link_rows;
use super::look::{Look, Piece, Style, clean, line, width};
use super::progress;
use super::server::server_rows;
use super::stages::stage_rows;
use crate::flow::Reading;
use crate::verdict::Verdict;

/// With fewer rows than this the verdict has none of its own.
const FOOTER_ROWS_MIN: usize = 7;

/// What a picture is made of. All readings are of one run.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The moment that is shown.
    pub now: &'a Reading,
    /// The frame before it, for the bars: a link's average fill since then. `None`: since the run began.
    pub previous: Option<&'a Reading>,
    /// About two seconds before it, for rates and shares. `None`: since the run began.
    pub recent: Option<&'a Reading>,
    /// What limits the run, since `recent`.
    pub verdict: &'a Verdict,
}

impl Frame<'_> {
    /// The stretch that rates and shares are about, in seconds.
    pub(super) fn recent_seconds(&self) -> f64 {
        let begin = self.recent.map_or(self.now.started_nanos, |recent| recent.at_nanos);
        self.now.at_nanos.saturating_sub(begin) as f64 / 1e9
    }
}

/// The room for a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// No line is wider.
    pub columns: usize,
    /// There are no more lines.
    pub rows: usize,
}

/// The live picture: a line for each stage and for each link, then progress and verdict.
///
/// What does not fit is left out: columns first, then lines far from the stage that limits the run.
pub fn picture(frame: &Frame<'_>, size: Size, look: Look) -> Vec<String> {
    if size.columns == 0 || size.rows == 0 {
        return Vec::new();
    }
    let mut footer = vec![progress::line_pieces(frame, size.columns, look)];
    // The verdict is marked beside its stage as well: where rows are few the stages have them. A server has one for each run.
    if frame.now.server.is_none() && size.rows >= FOOTER_ROWS_MIN {
        footer.extend(verdict_words(frame, size.columns, look).map(|words| vec![Piece::plain(words)]));
    }
    let body = body(frame, size.columns, look);
    let mut pieces = elided(body, size.rows - footer.len().min(size.rows), look);
    pieces.extend(footer);
    let lines = pieces.iter().map(|pieces| line(pieces, size.columns, look));
    // Of a line that is cut to its indent nothing is left.
    lines.filter(|line| !line.is_empty()).collect()
}

/// The verdict's line, without what would be next where both do not fit.
pub(super) fn verdict_words(frame: &Frame<'_>, columns: usize, look: Look) -> Option<String> {
    let scheme = &frame.now.scheme;
    let words = clean(&frame.verdict.words(scheme)?, look);
    if width(&words) <= columns {
        return Some(words);
    }
    let shorter = Verdict { next: None, ..frame.verdict.clone() };
    shorter.words(scheme).map(|words| clean(&words, look))
}

/// The lines of stages and links in full, as the report has them.
pub(super) fn body_lines(frame: &Frame<'_>, columns: usize, look: Look) -> Vec<String> {
    body(frame, columns, look).iter().map(|row| line(&row.pieces, columns, look)).collect()
}

/// A line of the picture's upper part.
struct BodyRow {
    pieces: Vec<Piece>,
    /// How gladly it is left out: 0 is kept to the last.
    distance: usize,
    is_stage: bool,
}

fn body(frame: &Frame<'_>, columns: usize, look: Look) -> Vec<BodyRow> {
    if let Some(rows) = server_rows(frame, look).or_else(|| batch_rows(frame.now, look)) {
        let row = |(distance, pieces)| BodyRow { pieces, distance, is_stage: false };
        return rows.into_iter().enumerate().map(row).collect();
    }
    let stages = stage_rows(frame, columns, look);
    let links = link_rows(frame, columns, look);
    let mut rows = Vec::with_capacity(stages.len() + links.len());
    let mut centre = 0;
    for (stage, pieces) in stages.into_iter().enumerate() {
        if let Some(link) = frame.now.scheme.stages[stage].input.and_then(|link| links.get(link)) {
            rows.push(BodyRow { pieces: link.clone(), distance: 0, is_stage: false });
        }
        if frame.verdict.limiting() == Some(stage) {
            centre = rows.len();
        }
        rows.push(BodyRow { pieces, distance: 0, is_stage: true });
    }
    let last = rows.len().saturating_sub(1);
    for (at, row) in rows.iter_mut().enumerate() {
        // The ends of the chain say what it is; of two lines equally far the stage says more.
        let is_end = at == 0 || at == last;
        row.distance = match at.abs_diff(centre) * 2 + usize::from(!row.is_stage) {
            0 => 0,
            _ if is_end => 1,
            distance => distance + 1,
        };
    }
    rows
}

/// At most `room` rows: those far from what counts are replaced by a line that tells their number.
fn elided(rows: Vec<BodyRow>, room: usize, look: Look) -> Vec<Vec<Piece>> {
    if rows.len() <= room {
        return rows.into_iter().map(|row| row.pieces).collect();
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&at| rows[at].distance);
    let mut kept = vec![false; rows.len()];
    for (place, at) in order.into_iter().enumerate() {
        kept[at] = true;
        if lines_needed(&kept) > room {
            kept[at] = false;
        }
        if place == 0 && !kept[at] {
            break;
        }
    }
    if !kept.contains(&true) {
        // No room for a row beside the lines that tell what is missing: the row that counts, alone.
        let first = rows.into_iter().min_by_key(|row| row.distance);
        return first.into_iter().take(room).map(|row| row.pieces).collect();
    }
    let mut shown = Vec::with_capacity(room);
    let mut missing_stages = 0;
    let mut is_gap = false;
    for (row, kept) in rows.into_iter().zip(kept) {
        if kept {
            if is_gap {
                shown.push(gap(missing_stages, look));
            }
            shown.push(row.pieces);
            (is_gap, missing_stages) = (false, 0);
        } else {
            is_gap = true;
            missing_stages += usize::from(row.is_stage);
        }
    }
    if is_gap {
        shown.push(gap(missing_stages, look));
    }
    shown
}

/// The lines that are kept, and one for each gap between them.
fn lines_needed(kept: &[bool]) -> usize {
    let gaps = kept.chunk_by(|a, b| a == b).filter(|run| run.first() == Some(&false)).count();
    kept.iter().filter(|kept| **kept).count() + gaps
}

fn gap(stages: usize, look: Look) -> Vec<Piece> {
    let sign = look.glyphs().gap;
    let text = match stages {
        0 => format!("  {sign}"),
        1 => format!("  {sign} 1 more stage"),
        more => format!("  {sign} {more} more stages"),
    };
    vec![Piece::new(text, Style::Faint)]
}
