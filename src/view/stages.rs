//! One row for each stage: what is said of it, and what is left out first where room is short.
//! Pure: readings in, pieces of lines out.

use super::layout::{Block, Column, Lean};
use super::look::{Look, Piece, Style, clean, shortened, width};
use super::picture::Frame;
use crate::flow::{Medium, Reading, Share};
use crate::units;

/// Input and output that differ by less are the same to the eye.
const RATIO_MIN: f64 = 1.05;
/// While a stage runs, no ratio is told of less than that, in bytes.
const RATIO_BYTES_MIN: f64 = 4096.0;
/// A stage that does nothing else does it entirely.
const WHOLE: f64 = 0.995;
/// Columns for each group that a stage stands in.
pub(super) const INDENT: usize = 2;
/// Room for the longest mark, kept free whether there is one or not, so that the columns stay where they are.
const MARK_COLUMNS: usize = 38;

/// A stage's row before its columns are chosen.
struct StageRow {
    indent: usize,
    name: String,
    label: String,
    bytes: String,
    bytes_short: String,
    rate: String,
    state: String,
    mark: Option<String>,
}

/// What of a stage is shown.
#[derive(Clone, Copy)]
struct StageColumns {
    label_columns: usize,
    bytes: Bytes,
    rate: Shown,
    state: Shown,
    mark: Mark,
}

/// Whether a column is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Yes,
    No,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    InAndOut,
    Out,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Reason,
    Word,
    Sign,
}

/// From all there is to nearly nothing: the first that fits is taken.
const STAGE_COLUMNS: [StageColumns; 9] = {
    const ALL: StageColumns = StageColumns {
        label_columns: 32,
        bytes: Bytes::InAndOut,
        rate: Shown::Yes,
        state: Shown::Yes,
        mark: Mark::Reason,
    };
    const OUT: StageColumns = StageColumns { label_columns: 12, bytes: Bytes::Out, mark: Mark::Sign, ..ALL };
    [
        ALL,
        StageColumns { label_columns: 16, ..ALL },
        StageColumns { label_columns: 24, mark: Mark::Word, ..ALL },
        StageColumns { label_columns: 16, mark: Mark::Word, ..ALL },
        StageColumns { label_columns: 12, mark: Mark::Sign, ..ALL },
        OUT,
        StageColumns { label_columns: 0, ..OUT },
        StageColumns { label_columns: 0, rate: Shown::No, ..OUT },
        StageColumns { label_columns: 0, rate: Shown::No, bytes: Bytes::None, ..OUT },
    ]
};

/// The rows of all stages, at most `columns` wide where that is possible; whoever shows them cuts them off.
pub(super) fn stage_rows(frame: &Frame<'_>, columns: usize, look: Look) -> Vec<Vec<Piece>> {
    let rows: Vec<StageRow> =
        (0..frame.now.scheme.stages.len()).map(|stage| stage_row(frame, stage, look)).collect();
    let mut last = None;
    for choice in STAGE_COLUMNS {
        let (block, tail_columns) = stage_block(&rows, choice, look);
        if block.width() + tail_columns <= columns {
            return block.rows();
        }
        last = Some(block);
    }
    // Too narrow even for that: the names, and the sign beside the one that counts.
    let Some(mut block) = last else { return Vec::new() };
    block.columns.truncate(1);
    block.rows()
}

fn stage_block(rows: &[StageRow], choice: StageColumns, look: Look) -> (Block, usize) {
    let column = |lean, style, gap, width_min| Column { lean, style, gap, width_min };
    let cells = |cell: &dyn Fn(&StageRow) -> String| rows.iter().map(cell).collect::<Vec<String>>();
    let shown = |shown: Shown, text: &String| if shown == Shown::Yes { text.clone() } else { String::new() };
    let bytes = |row: &StageRow| match choice.bytes {
        Bytes::InAndOut => row.bytes.clone(),
        Bytes::Out => row.bytes_short.clone(),
        Bytes::None => String::new(),
    };
    let columns = vec![
        (column(Lean::Left, Style::Strong, 0, 0), cells(&|row| row.name.clone())),
        (
            column(Lean::Left, Style::Plain, 2, 0),
            cells(&|row| shortened(&row.label, choice.label_columns, look)),
        ),
        (column(Lean::Left, Style::Plain, 2, 9), cells(&bytes)),
        (column(Lean::Left, Style::Plain, 2, 9), cells(&|row| shown(choice.rate, &row.rate))),
        (column(Lean::Left, Style::Plain, 2, 10), cells(&|row| shown(choice.state, &row.state))),
    ];
    let sign = look.glyphs().mark;
    let mark = |reason: &String| match choice.mark {
        Mark::Reason => format!("  {sign} limits: {reason}"),
        Mark::Word => format!("  {sign} limits"),
        Mark::Sign => format!(" {sign}"),
    };
    let tail =
        |row: &StageRow| row.mark.iter().map(|reason| Piece::new(mark(reason), Style::Alarm)).collect();
    let tail_columns = match choice.mark {
        Mark::Reason => MARK_COLUMNS,
        Mark::Word | Mark::Sign => width(&mark(&String::new())),
    };
    let block = Block {
        indents: rows.iter().map(|row| row.indent).collect(),
        columns,
        tails: rows.iter().map(tail).collect(),
    };
    (block, tail_columns)
}

fn stage_row(frame: &Frame<'_>, stage: usize, look: Look) -> StageRow {
    let now = frame.now;
    let info = &now.scheme.stages[stage];
    let [taken, given] = bytes_of(now, stage);
    let [taken_before, _] = frame.recent.map_or([0, 0], |recent| bytes_of(recent, stage));
    let seconds = frame.recent_seconds();
    let rate = |bytes: u64, before: u64| match seconds {
        s if s > 0.0 && bytes > 0 => units::rate(bytes.saturating_sub(before) as f64 / s),
        _ => String::new(),
    };
    let glyphs = look.glyphs();
    let (more, less) = (taken.max(given) as f64, taken.min(given) as f64);
    let ratio = more / less;
    // A header that went ahead of the first block says nothing of the ratio.
    let is_telling = less >= RATIO_BYTES_MIN || (less > 0.0 && now.stages[stage].ended_nanos != 0);
    let is_between = info.input.is_some() && !info.outputs.is_empty();
    let changes = is_between && !info.keeps_size && is_telling && ratio >= RATIO_MIN;
    let (bytes, rate) = if changes {
        let both = format!("{} {} {}", units::size(taken), glyphs.arrow, units::size(given));
        let ratio = if ratio < 99.95 { format!("{ratio:.1}") } else { units::count(ratio.round() as u64) };
        (both, format!("{ratio}{}", glyphs.times))
    } else {
        (units::size(taken), rate(taken, taken_before))
    };
    let marked = frame.verdict.limiting() == Some(stage);
    StageRow {
        indent: info.depth * INDENT,
        name: clean(&info.name, look),
        label: clean(&info.label, look),
        bytes,
        bytes_short: units::size(if changes { given } else { taken }),
        rate,
        state: state(now, stage, &now.share(frame.recent, stage)),
        mark: marked.then(|| frame.verdict.mark().unwrap_or_default()),
    }
}

/// What a stage took and what it gave; the same number twice for a source or a sink.
pub(super) fn bytes_of(reading: &Reading, stage: usize) -> [u64; 2] {
    let info = &reading.scheme.stages[stage];
    let (taken, given) = (reading.bytes_in(stage), reading.bytes_out(stage));
    match (info.input, info.outputs.is_empty()) {
        // A source that makes its bytes reads none.
        (None, _) => [taken.max(given); 2],
        (Some(_), true) => [taken; 2],
        (Some(_), false) => [taken, given],
    }
}

/// What a stage does, in one or two words.
fn state(now: &Reading, stage: usize, share: &Share) -> String {
    let reading = &now.stages[stage];
    if reading.ended_nanos != 0 && share.present_nanos() == 0 {
        return "done".to_string();
    }
    if reading.started_nanos == 0 {
        return String::new();
    }
    if reading.medium == Medium::Pause {
        return "paused".to_string();
    }
    let part = |nanos: u64| share.fraction(nanos);
    let waits = part(share.waiting_nanos);
    if waits > part(share.busy_nanos) && waits >= 0.1 {
        return match reading.medium {
            Medium::Opener if waits >= WHOLE && now.scheme.stages[stage].input.is_none() => {
                "waiting for a writer".to_string()
            }
            Medium::Writer if waits >= WHOLE => "waiting for more".to_string(),
            Medium::Opener if waits >= WHOLE => "waiting for a reader".to_string(),
            _ => format!("waits {:>4}", units::percent(waits)),
        };
    }
    if part(share.stalled_nanos) >= WHOLE {
        return "stalled".to_string();
    }
    if part(share.starved_nanos) >= WHOLE {
        return "starved".to_string();
    }
    format!("busy {:>4}", units::percent(part(share.busy_nanos)))
}
