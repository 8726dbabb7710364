//! One row for each link: how full it is, and who waits on it.
//! Pure: readings in, pieces of lines out.

use super::layout::{Block, Column, Lean};
use super::look::{Look, Piece, Style};
use super::picture::Frame;
use super::stages::{INDENT, Shown};
use crate::flow::{Episodes, LinkReading};
use crate::units;
use std::time::Duration;

/// Less than a frame: whoever has waited that long by now is said to wait, with the time.
const OPEN_NANOS_MIN: u64 = 80_000_000;
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

/// The rows of all links, as the stages' are chosen.
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
    let open_nanos = |episodes: &Episodes| match episodes.since_nanos {
        0 => 0,
        since => now.at_nanos.saturating_sub(since),
    };
    // Who waits at this moment, at once; else who waited more of late; where nobody did, who ever did.
    let waits_now = |episodes: &Episodes| open_nanos(episodes) >= OPEN_NANOS_MIN;
    let is_stalled = match (waits_now(&reading.stall), waits_now(&reading.starve)) {
        (true, false) => true,
        (false, true) => false,
        _ if stalled == starved => total(&reading.stall) >= total(&reading.starve),
        _ => stalled > starved,
    };
    let (kind, episodes, nanos) =
        if is_stalled { ("stalled", &reading.stall, stalled) } else { ("starved", &reading.starve, starved) };
    let ever = episodes.count > 0;
    let share = match frame.recent_seconds() {
        s if s > 0.0 => (nanos as f64 / 1e9 / s).clamp(0.0, 1.0),
        _ => 0.0,
    };
    let open_nanos = open_nanos(episodes);
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
