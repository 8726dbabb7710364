//! The inspector: a run on a screen of its own, with the history of each link, and keys that change the run.
//! Knows the run by its readings and its controls alone; terminal and keys are [`FullScreen`](super::fullscreen::FullScreen)'s.

use super::fullscreen::Key;
use super::links::link_rows;
use super::look::{Look, Piece, Style, line};
use super::picture::{Frame, Size, verdict_words};
use super::progress;
use super::server::server_rows;
use super::stages::stage_rows;
use crate::engine::Controls;
use crate::flow::Reading;
use crate::units;
use crate::verdict::{judge, subject};
use std::collections::VecDeque;

/// A column of a link's history stands for so much time.
const COLUMN_NANOS: u64 = 500_000_000;
/// More columns than a screen has are not kept.
const COLUMNS_MAX: usize = 512;
/// Within these a link's high mark is changed, in bytes.
const HIGH_BYTES: std::ops::RangeInclusive<u64> = 4096..=1 << 30;
/// In front of a row that is not selected.
const MARGIN: &str = "  ";

/// What a key asks of whoever runs the inspector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// To go on.
    Stay,
    /// To close the inspector; the run goes on.
    Close,
}

/// A row that can be selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Stage(usize),
    Link(usize),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Inspector {
    controls: Controls,
    /// As an index of the rows.
    selected: usize,
    histories: Histories,
    /// What is shown for as long as the picture is frozen.
    frozen: Option<Moment>,
    /// Why the last key did nothing.
    message: Option<String>,
}

/// Nobody else could resume what is paused.
impl Drop for Inspector {
    fn drop(&mut self) {
        self.controls.resume_all();
    }
}

/// All that a frame is made of.
#[derive(Debug, Clone)]
struct Moment {
    now: Reading,
    previous: Option<Reading>,
    recent: Option<Reading>,
    histories: Histories,
}

impl Inspector {
    pub(super) fn new(controls: Controls) -> Inspector {
        Inspector { controls, selected: 0, histories: Histories::default(), frozen: None, message: None }
    }

    /// Notes a reading for the histories.
    pub(super) fn note(&mut self, now: &Reading) {
        self.histories.note(now);
    }

    /// Does what a key stands for.
    pub(super) fn press(&mut self, key: Key, now: &Reading, frame: [Option<&Reading>; 2]) -> Wish {
        self.message = None;
        let items = items(now);
        let item = items.get(self.selected).copied();
        match key {
            Key::Gone | Key::Character('q') => return Wish::Close,
            Key::Character('f') => self.freeze(now, frame),
            // Of a server there is nothing to change.
            _ if items.is_empty() => {}
            Key::Up | Key::Character('k') => self.selected = self.selected.saturating_sub(1),
            Key::Down | Key::Character('j') => {
                self.selected = (self.selected + 1).min(items.len().saturating_sub(1));
            }
            Key::Character(' ') if self.is_paused_anywhere(now) => self.controls.resume_all(),
            Key::Character(' ') => self.controls.pause_all(),
            Key::Character('p') => self.pause(item),
            Key::Character('+' | '=') => self.turn(item, now, Step::Up),
            Key::Character('-') => self.turn(item, now, Step::Down),
            Key::Character(_) => {}
        }
        Wish::Stay
    }

    fn pause(&mut self, item: Option<Item>) {
        match item {
            Some(Item::Stage(stage)) if self.controls.is_paused(stage) => self.controls.resume(stage),
            Some(Item::Stage(stage)) => self.controls.pause(stage),
            Some(Item::Link(_)) => self.message = Some("p pauses a stage: select one".to_string()),
            None => {}
        }
    }

    /// As it is at this very moment, whatever the picture says.
    fn is_paused_anywhere(&self, now: &Reading) -> bool {
        (0..now.stages.len()).any(|stage| self.controls.is_paused(stage))
    }

    fn turn(&mut self, item: Option<Item>, now: &Reading, step: Step) {
        match item {
            Some(Item::Link(link)) => {
                let high = step.of_two(self.controls.high_bytes(link));
                self.controls.resize(link, high.clamp(*HIGH_BYTES.start(), *HIGH_BYTES.end()));
            }
            Some(Item::Stage(stage)) => match self.controls.knob(stage) {
                Some(knob) => knob.set(step.of_ten(knob.value())),
                None => {
                    let name = subject(&now.scheme.stages[stage]);
                    self.message =
                        Some(format!("{name} has nothing to change: + and - are for links and throttle"));
                }
            },
            None => {}
        }
    }

    fn freeze(&mut self, now: &Reading, [previous, recent]: [Option<&Reading>; 2]) {
        self.frozen = match self.frozen {
            Some(_) => None,
            None => Some(Moment {
                now: now.clone(),
                previous: previous.cloned(),
                recent: recent.cloned(),
                histories: self.histories.clone(),
            }),
        };
    }

    /// The screen's lines: no wider and no more than `size`.
    pub(super) fn lines(
        &self,
        now: &Reading,
        frame: [Option<&Reading>; 2],
        size: Size,
        look: Look,
    ) -> Vec<String> {
        let [previous, recent] = frame;
        let live = now;
        let (now, previous, recent, histories) = match &self.frozen {
            Some(moment) => {
                (&moment.now, moment.previous.as_ref(), moment.recent.as_ref(), &moment.histories)
            }
            None => (now, previous, recent, &self.histories),
        };
        let verdict = judge(now, recent);
        let frame = Frame { now, previous, recent, verdict: &verdict };
        let mut footer = vec![progress::line_pieces(&frame, size.columns, look)];
        footer.extend(verdict_words(&frame, size.columns, look).map(|words| vec![Piece::plain(words)]));
        footer.push(self.hint(live));
        let room = size.rows.saturating_sub(footer.len());
        let mut pieces = self.body(&frame, histories, Size { rows: room, ..size }, look);
        pieces.extend(footer);
        pieces.truncate(size.rows);
        pieces.iter().map(|pieces| line(pieces, size.columns, look)).collect()
    }

    /// The rows of stages and links; those around the selected one where there is no room for all.
    fn body(&self, frame: &Frame<'_>, histories: &Histories, size: Size, look: Look) -> Vec<Vec<Piece>> {
        if let Some(rows) = server_rows(frame, look) {
            return rows.into_iter().take(size.rows).collect();
        }
        let columns = size.columns.saturating_sub(MARGIN.len());
        let (stages, links) = (stage_rows(frame, columns, look), link_rows(frame, columns, look));
        let items = items(frame.now);
        // Histories go first where rows are few.
        let has_histories = items.len() + links.len() <= size.rows;
        let mut rows = Vec::new();
        let mut selected_at = 0;
        for (at, item) in items.into_iter().enumerate() {
            let is_selected = at == self.selected;
            if is_selected {
                selected_at = rows.len();
            }
            let (row, history) = match item {
                Item::Stage(stage) => {
                    let rate = self.controls.knob(stage).map(|knob| units::rate(knob.value() as f64));
                    let rate = rate.map(|rate| Piece::plain(format!("  set to {rate}")));
                    (stages[stage].iter().cloned().chain(rate).collect::<Vec<Piece>>(), None)
                }
                Item::Link(link) => {
                    (links[link].clone(), Some(histories.row(frame.now, link, columns, look)))
                }
            };
            let margin = if is_selected { look.glyphs().selected } else { MARGIN };
            rows.push([vec![Piece::new(margin, Style::Alarm)], row].concat());
            rows.extend(
                history.filter(|_| has_histories).map(|row| [vec![Piece::plain(MARGIN)], row].concat()),
            );
        }
        let first = selected_at.saturating_sub(size.rows / 2).min(rows.len().saturating_sub(size.rows));
        rows.drain(..first);
        rows.truncate(size.rows);
        rows
    }

    /// What the keys do now; or why one did nothing.
    fn hint(&self, now: &Reading) -> Vec<Piece> {
        if let Some(message) = &self.message {
            return vec![Piece::new(message.clone(), Style::Alarm)];
        }
        let verb = |is_paused: bool| if is_paused { "resume" } else { "pause" };
        let items = items(now);
        let mut hints = Vec::new();
        if !items.is_empty() {
            hints.push(format!("space {} all", verb(self.is_paused_anywhere(now))));
        }
        match items.get(self.selected) {
            Some(&Item::Stage(stage)) => {
                hints.push(format!(
                    "p {} {}",
                    verb(self.controls.is_paused(stage)),
                    now.scheme.stages[stage].name
                ));
                hints.extend(self.controls.knob(stage).map(|_| "+ - rate".to_string()));
            }
            Some(&Item::Link(link)) => {
                hints.push(format!("+ - size: {}", units::size(self.controls.high_bytes(link))));
            }
            None => {}
        }
        hints.push(if self.frozen.is_some() { "f unfreeze" } else { "f freeze" }.to_string());
        if !items.is_empty() {
            hints.push("j k select".to_string());
        }
        hints.push("q close".to_string());
        let mut pieces = Vec::new();
        if self.frozen.is_some() {
            pieces.push(Piece::new("FROZEN  ", Style::Alarm));
        }
        pieces.push(Piece::new(hints.join("   "), Style::Faint));
        pieces
    }
}

/// The rows of a run, as they stand under each other: before each stage the link that it reads.
fn items(now: &Reading) -> Vec<Item> {
    if now.server.is_some() {
        return Vec::new();
    }
    let stages = now.scheme.stages.iter().enumerate();
    stages
        .flat_map(|(stage, info)| info.input.map(Item::Link).into_iter().chain([Item::Stage(stage)]))
        .collect()
}

/// The way a number goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Up,
    Down,
}

impl Step {
    /// To the next power of two.
    fn of_two(self, value: u64) -> u64 {
        match self {
            Step::Up => value.saturating_add(1).checked_next_power_of_two().unwrap_or(value),
            Step::Down => 1 << (value.max(2) - 1).ilog2(),
        }
    }

    /// To the next of 1, 2, 5, 10, 20, 50 … in the unit (of 1024) that the value is shown in.
    fn of_ten(self, value: u64) -> u64 {
        let ladder = (0..6).flat_map(|power| {
            let unit = 1_u64 << (10 * power);
            [1, 2, 5, 10, 20, 50, 100, 200, 500].map(|step| step * unit)
        });
        let next = match self {
            Step::Up => ladder.into_iter().find(|&step| step > value),
            Step::Down => ladder.into_iter().take_while(|&step| step < value).last(),
        };
        next.unwrap_or(value)
    }
}

/// How full each link was.
#[derive(Debug, Clone, Default)]
struct Histories {
    /// For each link the average fill of every column, 0 to 1, the latest last.
    fills: Vec<VecDeque<f64>>,
    /// Where the column begins that is not complete yet.
    begun: Option<Reading>,
}

impl Histories {
    fn note(&mut self, now: &Reading) {
        self.fills.resize_with(now.links.len(), VecDeque::new);
        let begun = self.begun.get_or_insert_with(|| now.clone());
        if now.at_nanos.saturating_sub(begun.at_nanos) < COLUMN_NANOS {
            return;
        }
        for (link, fills) in self.fills.iter_mut().enumerate() {
            fills.push_back(now.fill(Some(begun), link));
            if fills.len() > COLUMNS_MAX {
                fills.pop_front();
            }
        }
        self.begun = Some(now.clone());
    }

    /// A link's history as a row, the present at its right end; and how much time it shows, if there is room to say so.
    fn row(&self, now: &Reading, link: usize, columns: usize, look: Look) -> Vec<Piece> {
        let depth = now.scheme.stages[now.scheme.links[link].to].depth;
        let indent = " ".repeat(2 * (depth + 1));
        let room = columns.saturating_sub(indent.len());
        let levels = look.glyphs().levels;
        let fills = self.fills.get(link).map(VecDeque::as_slices).unwrap_or_default();
        let present = self.begun.as_ref().map(|begun| now.fill(Some(begun), link));
        let all: Vec<f64> = fills.0.iter().chain(fills.1).copied().chain(present).collect();
        // Something is never shown as nothing. The cast saturates.
        let level = |fill: &f64| levels[((fill * 8.0).ceil() as usize).min(8)];
        let shown: String = all[all.len().saturating_sub(room)..].iter().map(level).collect();
        vec![Piece::plain(indent), Piece::new(shown, Style::Bar)]
    }
}

#[cfg(test)]
mod tests {
    use super::{Histories, Item, Step, items};
    use crate::verdict::planted::{Part, chain};
    use crate::view::Look;

    #[test]
    fn sizes_go_by_powers_of_two() {
        assert_eq!([1, 4096, 5000, 1 << 20].map(|size| Step::Up.of_two(size)), [2, 8192, 8192, 2 << 20]);
        assert_eq!(
            [1, 2, 4096, 5000, 1 << 20].map(|size| Step::Down.of_two(size)),
            [1, 1, 2048, 4096, 1 << 19]
        );
        assert_eq!(Step::Up.of_two(u64::MAX), u64::MAX);
    }

    #[test]
    fn rates_go_by_ones_twos_and_fives() {
        assert_eq!([1, 2, 3, 500, 700, 1024].map(|rate| Step::Up.of_ten(rate)), [2, 5, 5, 1024, 1024, 2048]);
        assert_eq!([1, 2, 1024, 5000].map(|rate| Step::Down.of_ten(rate)), [1, 1, 500, 2048]);
        assert_eq!(Step::Up.of_ten(u64::MAX), u64::MAX);
    }

    #[test]
    fn each_link_stands_before_the_stage_that_reads_it() {
        let reading =
            chain(1.0, &[Part::new("read", [1.0, 0.0, 0.0, 0.0]), Part::new("write", [1.0, 0.0, 0.0, 0.0])]);
        assert_eq!(items(&reading), [Item::Stage(0), Item::Link(0), Item::Stage(1)]);
    }

    #[test]
    fn a_history_has_a_column_for_each_half_second_and_the_present() {
        let parts = [Part::new("read", [0.1, 0.0, 0.9, 0.0]), Part::new("write", [1.0, 0.0, 0.0, 0.0])];
        let mut histories = Histories::default();
        for half_seconds in 2..10 {
            let now = chain(f64::from(half_seconds) / 2.0, &parts);
            histories.note(&now);
            let row = histories.row(&now, 0, 80, Look::PLAIN);
            assert_eq!(row.last().unwrap().text.len(), half_seconds as usize - 1);
        }
    }
}
