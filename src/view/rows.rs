//! One row for each stage and each link: what is said of it, and what is left out first where room is short.
//! Pure: readings in, pieces of lines out.

use super::layout::{Block, Column, Lean};
use super::look::{Look, Piece, Style, clean, shortened, width};
use super::picture::Frame;
use crate::flow::{Episodes, LinkReading, Medium, Reading, Share};
use crate::units;
use std::time::Duration;

/// Less than a frame: whoever has waited that long by now is said to wait, with the time.
const OPEN_NANOS_MIN: u64 = 80_000_000;
/// Input and output that differ by less are the same to the eye.
const RATIO_MIN: f64 = 1.02;
/// A stage that does nothing else does it entirely.
const WHOLE: f64 = 0.995;
const INDENT: usize = 2;
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
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
    let changes = info.input.is_some() && !info.outputs.is_empty() && less > 0.0 && ratio >= RATIO_MIN;
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
fn bytes_of(reading: &Reading, stage: usize) -> [u64; 2] {
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
    let part = |nanos: u64| share.fraction(nanos);
    let waits = part(share.waiting_nanos);
    if waits > part(share.busy_nanos) && waits >= 0.1 {
        return match reading.medium {
            Medium::Opener if waits >= WHOLE && now.scheme.stages[stage].input.is_none() => {
                "waiting for a writer".to_string()
            }
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

/// A link's row before its columns are chosen.
struct LinkRow {
    indent: usize,
    fill: f64,
    word: String,
    kind: &'static str,
    count: String,
    time: String,
    share: String,
    open: String,
}

/// What of a link is shown.
#[derive(Clone, Copy)]
struct LinkColumns {
    bar_columns: usize,
    word: Shown,
    count: Shown,
    time: Shown,
    kind: Shown,
    open: Shown,
}

/// From all there is to a short bar.
const LINK_COLUMNS: [LinkColumns; 7] = {
    const ALL: LinkColumns = LinkColumns {
        bar_columns: 20,
        word: Shown::Yes,
        count: Shown::Yes,
        time: Shown::Yes,
        kind: Shown::Yes,
        open: Shown::Yes,
    };
    const SHARE: LinkColumns =
        LinkColumns { bar_columns: 10, count: Shown::No, time: Shown::No, open: Shown::No, ..ALL };
    [
        ALL,
        LinkColumns { bar_columns: 10, ..ALL },
        LinkColumns { bar_columns: 10, count: Shown::No, ..ALL },
        SHARE,
        LinkColumns { word: Shown::No, ..SHARE },
        LinkColumns { kind: Shown::No, ..SHARE },
        LinkColumns { bar_columns: 5, kind: Shown::No, word: Shown::No, ..SHARE },
    ]
};

/// The rows of all links, as [`stage_rows`].
pub(super) fn link_rows(frame: &Frame<'_>, columns: usize, look: Look) -> Vec<Vec<Piece>> {
    let rows: Vec<LinkRow> =
        (0..frame.now.scheme.links.len()).map(|link| link_row(frame, link, look)).collect();
    let mut last = Vec::new();
    for choice in LINK_COLUMNS {
        let (block, tail_columns) = link_block(&rows, choice, look);
        last = block.rows();
        if block.width() + tail_columns <= columns {
            break;
        }
    }
    last
}

fn link_block(rows: &[LinkRow], choice: LinkColumns, look: Look) -> (Block, usize) {
    let column = |lean, style, gap, width_min| Column { lean, style, gap, width_min };
    let cells = |shown: Shown, cell: &dyn Fn(&LinkRow) -> String| {
        rows.iter()
            .map(|row| if shown == Shown::Yes { cell(row) } else { String::new() })
            .collect::<Vec<String>>()
    };
    let share = |row: &LinkRow| {
        let has_room = choice.open == Shown::Yes || row.open.is_empty();
        if has_room { row.share.clone() } else { row.open.clone() }
    };
    let faint = Style::Faint;
    // `100%`, or `59.9 s` where an open wait has no place of its own.
    let share_columns = if choice.open == Shown::Yes { 4 } else { 6 };
    let columns = vec![
        (
            column(Lean::Left, Style::Bar, 0, 0),
            cells(Shown::Yes, &|row| bar(row.fill, choice.bar_columns, look)),
        ),
        (column(Lean::Left, Style::Plain, 2, 5), cells(choice.word, &|row| row.word.clone())),
        (column(Lean::Left, faint, 3, 7), cells(choice.kind, &|row| row.kind.to_string())),
        (column(Lean::Right, faint, 2, 5), cells(choice.count, &|row| row.count.clone())),
        (column(Lean::Right, faint, 2, 6), cells(choice.time, &|row| row.time.clone())),
        (column(Lean::Right, faint, 2, share_columns), cells(choice.kind, &share)),
    ];
    let tail = |row: &LinkRow| match choice.open {
        Shown::Yes if !row.open.is_empty() => vec![Piece::plain(format!("  now {}", row.open))],
        _ => Vec::new(),
    };
    let tails: Vec<Vec<Piece>> = rows.iter().map(tail).collect();
    // Room for `  now 59.9 s` is kept free, as for a mark.
    let tail_columns = if choice.open == Shown::Yes { 12 } else { 0 };
    (Block { indents: rows.iter().map(|row| row.indent).collect(), columns, tails }, tail_columns)
}

/// A bar of `columns`, full at 1; never quite empty, so that one sees where it is.
fn bar(fill: f64, columns: usize, look: Look) -> String {
    let glyphs = look.glyphs();
    let inner = columns.saturating_sub(glyphs.bar_ends.iter().map(|end| end.len()).sum());
    // The cast saturates, and makes 0 of what is no number.
    let eighths = ((fill * inner as f64 * 8.0).round() as usize).clamp(1, inner.max(1) * 8);
    let mut bar = glyphs.bar_ends[0].to_string();
    bar.extend(std::iter::repeat_n(glyphs.eighths[7], eighths / 8));
    if !eighths.is_multiple_of(8) {
        bar.push(glyphs.eighths[eighths % 8 - 1]);
    }
    bar.extend(std::iter::repeat_n(' ', inner.saturating_sub(eighths.div_ceil(8))));
    bar + glyphs.bar_ends[1]
}

fn link_row(frame: &Frame<'_>, link: usize, look: Look) -> LinkRow {
    let now = frame.now;
    let (info, reading) = (&now.scheme.links[link], &now.links[link]);
    let fill = now.fill(frame.previous, link);
    let recently = |of: fn(&LinkReading) -> Episodes| {
        let before = frame.recent.map_or(0, |recent| of(&recent.links[link]).total_nanos(recent.at_nanos));
        of(reading).total_nanos(now.at_nanos).saturating_sub(before)
    };
    let (stalled, starved) = (recently(|link| link.stall), recently(|link| link.starve));
    let total = |episodes: &Episodes| episodes.total_nanos(now.at_nanos);
    // Who waits more now; where nobody does, who did.
    let is_stalled = match stalled.cmp(&starved) {
        std::cmp::Ordering::Equal => total(&reading.stall) >= total(&reading.starve),
        order => order.is_gt(),
    };
    let (kind, episodes, nanos) =
        if is_stalled { ("stalled", &reading.stall, stalled) } else { ("starved", &reading.starve, starved) };
    let ever = episodes.count > 0;
    let share = match frame.recent_seconds() {
        s if s > 0.0 => (nanos as f64 / 1e9 / s).clamp(0.0, 1.0),
        _ => 0.0,
    };
    let open_nanos = match episodes.since_nanos {
        0 => 0,
        since => now.at_nanos.saturating_sub(since),
    };
    let when = |is: bool, text: String| if is { text } else { String::new() };
    let duration = |nanos: u64| units::duration(Duration::from_nanos(nanos));
    LinkRow {
        indent: INDENT + now.scheme.stages[info.to].depth * INDENT,
        fill,
        word: match fill {
            f if f >= 0.97 => "full".to_string(),
            f if f > 0.03 => units::percent(f),
            _ => "empty".to_string(),
        },
        kind: if ever { kind } else { "" },
        count: when(ever, format!("{}{}", units::count(episodes.count), look.glyphs().times)),
        time: when(ever, duration(total(episodes))),
        share: when(ever, units::percent(share)),
        open: when(open_nanos >= OPEN_NANOS_MIN, tenths(open_nanos)),
    }
}

/// A time that goes on: `0.3 s`, then as any other.
fn tenths(nanos: u64) -> String {
    if nanos < 1_000_000_000 {
        format!("{:.1} s", nanos as f64 / 1e9)
    } else {
        units::duration(Duration::from_nanos(nanos))
    }
}
