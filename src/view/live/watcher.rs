//! The view's thread: it takes a reading from time to time and has it drawn, in one of four ways.
//! Knows nothing of who gives it orders. What is drawn is the picture's.

use super::history::History;
use super::orders::{Farewell, Order, Shared};
use super::{LiveSettings, Mode, Progress, Sample};
use crate::engine::Controls;
use crate::flow::Reading;
use crate::verdict::judge;
use crate::view::canvas::Canvas;
use crate::view::fullscreen::{FullScreen, Keyboard};
use crate::view::inspect::{Inspector, Wish};
use crate::view::json::{self, Turn};
use crate::view::look::Look;
use crate::view::picture::{Frame, Size, picture};
use crate::view::progress::status_line;
use crate::view::terminal::Terminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A run that ends sooner is not worth a picture.
pub(super) const DELAY: Duration = Duration::from_millis(500);
const PICTURE_INTERVAL: Duration = Duration::from_millis(100);
/// So that a key is answered at once.
const INSPECTOR_INTERVAL: Duration = Duration::from_millis(50);
const LINES_INTERVAL: Duration = Duration::from_secs(1);
const INTERVALS: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(3600)];
/// How long the thread tries to take the picture down.
const WRITE_PATIENCE: Duration = Duration::from_millis(50);

/// The view's thread.
pub(super) struct Watcher {
    terminal: Arc<Terminal>,
    mode: Mode,
    turn: Turn,
    interval: Duration,
    look: Look,
    /// To be shown although somebody else may be using the terminal.
    is_asked_for: bool,
    sample: Sample,
    canvas: Canvas,
    /// While the run is inspected.
    inspection: Option<(Inspector, FullScreen)>,
    history: History,
}

impl Watcher {
    pub(super) fn new(terminal: Terminal, mode: Mode, settings: &LiveSettings, sample: Sample) -> Watcher {
        let terminal = Arc::new(terminal);
        let usual = match mode {
            Mode::Plain | Mode::Json => LINES_INTERVAL,
            Mode::Inspector => INSPECTOR_INTERVAL,
            Mode::Picture | Mode::Nothing => PICTURE_INTERVAL,
        };
        let [shortest, mut longest] = INTERVALS;
        if mode == Mode::Inspector {
            // Keys are looked at as often.
            longest = PICTURE_INTERVAL;
        }
        Watcher {
            canvas: Canvas::new(Arc::clone(&terminal)),
            terminal,
            mode,
            turn: settings.turn.clone(),
            interval: settings.interval.unwrap_or(usual).clamp(shortest, longest),
            look: settings.look,
            is_asked_for: settings.progress != Progress::Auto,
            sample,
            inspection: None,
            history: History::default(),
        }
    }

    /// Shows the inspector, which has a hold on the run.
    pub(super) fn inspecting(mut self, controls: Controls, keyboard: Arc<Keyboard>) -> Watcher {
        let screen = FullScreen::new(Arc::clone(&self.terminal), keyboard);
        self.inspection = Some((Inspector::new(controls), screen));
        self
    }

    pub(super) fn run(mut self, shared: &Shared) {
        let _farewell = Farewell(shared);
        let delay = match self.mode {
            Mode::Plain | Mode::Json => self.interval,
            _ if self.is_insisted_on() => Duration::ZERO,
            _ => DELAY,
        };
        let mut due = Instant::now() + delay;
        loop {
            match shared.next(due) {
                Order::End => return self.take_down(),
                Order::Rest => {
                    self.take_down();
                    shared.rest();
                    due = due.max(Instant::now());
                    continue;
                }
                Order::Show => {}
            }
            // Before the write, which may never return.
            shared.control().is_up = true;
            self.show(shared);
            // One that took too long is not caught up with.
            due = (due + self.interval).max(Instant::now() + self.interval / 2);
        }
    }

    /// Shows the present moment, if there is anybody to show it to.
    fn show(&mut self, shared: &Shared) {
        if !self.is_welcome() {
            // Whatever is there now belongs to whoever uses the terminal.
            self.canvas.forget();
            self.give_the_screen_back();
            return;
        }
        if !self.terminal.is_writable(Duration::ZERO) {
            return;
        }
        let now = (self.sample)();
        shared.control().has_shown = true;
        match self.mode {
            Mode::Nothing => {}
            Mode::Plain => {
                let line = status_line(&now, self.history.previous.as_ref());
                self.terminal.write(format!("{line}\n").as_bytes());
            }
            Mode::Json => {
                let line = json::progress(&self.turn, &now, self.history.previous.as_ref());
                self.terminal.write(line.as_bytes());
            }
            Mode::Picture => self.draw(&now),
            Mode::Inspector => self.inspect(&now),
        }
        self.history.push(now);
    }

    fn draw(&mut self, now: &Reading) {
        let (columns, rows) = self.terminal.size();
        // The last column stays free, where terminals differ on what comes next; so does a row for what was there before.
        let size = Size { columns: usize::from(columns) - 1, rows: usize::from(rows.max(2)) - 1 };
        if size.columns == 0 {
            return;
        }
        self.history.trim(now.at_nanos);
        let recent = self.history.recent(now.at_nanos);
        let verdict = judge(now, recent);
        let previous = self.history.previous.as_ref();
        let frame = Frame { now, previous, recent, verdict: &verdict };
        self.canvas.draw(&picture(&frame, size, self.look), columns, rows);
    }

    fn inspect(&mut self, now: &Reading) {
        let Some((inspector, screen)) = &mut self.inspection else { return };
        let (columns, rows) = self.terminal.size();
        let size = Size { columns: usize::from(columns.max(2)) - 1, rows: usize::from(rows) };
        self.history.trim(now.at_nanos);
        let frame = [self.history.previous.as_ref(), self.history.recent(now.at_nanos)];
        inspector.note(now);
        let wishes: Vec<Wish> =
            screen.keys().into_iter().map(|key| inspector.press(key, now, frame)).collect();
        if wishes.contains(&Wish::Close) {
            self.give_the_screen_back();
            self.inspection = None;
            (self.mode, self.interval) = (Mode::Picture, PICTURE_INTERVAL);
            return;
        }
        screen.draw(&inspector.lines(now, frame, size, self.look));
    }

    fn give_the_screen_back(&mut self) {
        if let Some((_, screen)) = &mut self.inspection {
            screen.leave();
        }
    }

    fn is_insisted_on(&self) -> bool {
        self.is_asked_for || self.inspection.is_some()
    }

    fn is_welcome(&self) -> bool {
        self.terminal.is_ours() && (self.is_insisted_on() || self.terminal.is_cooked())
    }

    fn take_down(&mut self) {
        if self.is_welcome() && self.terminal.is_writable(WRITE_PATIENCE) {
            self.give_the_screen_back();
            self.canvas.take_down();
        } else {
            self.canvas.forget();
        }
    }
}
