//! A picture of some lines on a terminal, drawn over itself again and again, and taken down without a trace.
//! The one place where indicatif is named; knows nothing of what is drawn.

use super::look::width;
use super::terminal::Terminal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use std::env;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Terminals that know it show what is between the two at once; the others ignore it.
const SYNCHRONISED: [&str; 2] = ["\x1b[?2026h", "\x1b[?2026l"];

/// The picture, and what it takes to remove it.
pub(super) struct Canvas {
    screen: Arc<Screen>,
    /// There while something is drawn.
    bar: Option<ProgressBar>,
    /// The widths of the lines on the terminal.
    drawn_widths: Vec<usize>,
    reflows: bool,
}

impl Canvas {
    pub(super) fn new(terminal: Arc<Terminal>) -> Canvas {
        let is_set = |name: &str| env::var_os(name).is_some();
        Canvas {
            screen: Arc::new(Screen {
                terminal,
                columns: AtomicU16::new(80),
                rows: AtomicU16::new(24),
                is_muted: AtomicBool::new(false),
                frame: Mutex::new(Pending::default()),
            }),
            bar: None,
            drawn_widths: Vec::new(),
            // When a window gets narrower, nearly all terminals break the lines anew; xterm cuts them off.
            reflows: !is_set("XTERM_VERSION") || is_set("TMUX"),
        }
    }

    /// Draws the lines in place of those before. Each must be narrower than `columns`, and there must be fewer than `rows`.
    pub(super) fn draw(&mut self, lines: &[String], columns: u16, rows: u16) {
        if columns != self.screen.columns.load(Ordering::Relaxed) {
            self.wipe(columns);
        }
        self.screen.columns.store(columns, Ordering::Relaxed);
        self.screen.rows.store(rows, Ordering::Relaxed);
        self.drawn_widths = lines.iter().map(|line| visible_width(line)).collect();
        let bar = self.bar.get_or_insert_with(|| bar(&self.screen));
        bar.set_message(lines.join("\n"));
    }

    /// Removes the picture; the cursor is where it was before.
    pub(super) fn take_down(&mut self) {
        let (columns, _) = self.screen.terminal.size();
        if self.bar.is_some() && columns != self.screen.columns.load(Ordering::Relaxed) {
            self.wipe(columns);
            self.screen.flush();
        }
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.drawn_widths.clear();
    }

    /// Leaves the picture where it is, and begins a new one with the next drawing.
    pub(super) fn forget(&mut self) {
        self.screen.is_muted.store(true, Ordering::Relaxed);
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.drawn_widths.clear();
        self.screen.is_muted.store(false, Ordering::Relaxed);
    }

    /// Removes the picture after the window got `columns` wide: its lines may take more rows than they did.
    fn wipe(&mut self, columns: u16) {
        let columns = usize::from(columns.max(1));
        let rows_of = |width: usize| if self.reflows { width.div_ceil(columns).max(1) } else { 1 };
        let rows: usize = self.drawn_widths.iter().copied().map(rows_of).sum();
        // The cursor stands at the beginning of the last line, wherever that is now.
        let below = self.drawn_widths.last().copied().map_or(0, |width| rows_of(width) - 1);
        let is_drawn = self.bar.is_some();
        self.forget();
        if is_drawn {
            // Row by row: a screen that is cleared from its very top on is kept in the history by some terminals.
            let up = |count: usize| if count > 0 { format!("\x1b[{count}A") } else { String::new() };
            let (to_top, back) = (up(rows.saturating_sub(1 + below)), up(rows.saturating_sub(1)));
            let clear = vec!["\x1b[2K"; rows.max(1)].join("\x1b[1B");
            // Written with what is drawn next, so that the screen is never seen empty.
            self.screen.frame().text.push_str(&format!("\r{to_top}{clear}{back}"));
        }
    }
}

fn bar(screen: &Arc<Screen>) -> ProgressBar {
    // No rate limit: one message is one frame is one write.
    let target = ProgressDrawTarget::term_like(Box::new(Pen(Arc::clone(screen))));
    let bar = ProgressBar::with_draw_target(None, target);
    match ProgressStyle::with_template("{msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The columns of a line, its colours left out.
fn visible_width(line: &str) -> usize {
    let mut rest = line;
    let mut columns = 0;
    while let Some(at) = rest.find('\x1b') {
        columns += width(&rest[..at]);
        rest = rest[at..].find('m').map_or("", |end| &rest[at + end + 1..]);
    }
    columns + width(rest)
}

/// What indicatif takes for a terminal: it gathers a frame and writes it at once.
#[derive(Debug)]
struct Screen {
    terminal: Arc<Terminal>,
    columns: AtomicU16,
    rows: AtomicU16,
    is_muted: AtomicBool,
    frame: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    text: String,
    /// A line is complete, and the next text belongs on a new one.
    is_line_due: bool,
}

impl Screen {
    fn frame(&self) -> MutexGuard<'_, Pending> {
        self.frame.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what was gathered, in one write.
    fn flush(&self) {
        let frame = std::mem::take(&mut *self.frame());
        if !frame.text.is_empty() && !self.is_muted.load(Ordering::Relaxed) {
            let [begin, end] = SYNCHRONISED;
            // At the beginning of its line the cursor is off the edge, over which a typed `^C` would break the line.
            self.terminal.write(format!("{begin}{}\r{end}", frame.text).as_bytes());
        }
    }

    fn command(&self, count: usize, letter: char) -> io::Result<()> {
        if count > 0 {
            self.frame().text.push_str(&format!("\x1b[{count}{letter}"));
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Pen(Arc<Screen>);

impl TermLike for Pen {
    fn width(&self) -> u16 {
        self.0.columns.load(Ordering::Relaxed)
    }

    fn height(&self) -> u16 {
        self.0.rows.load(Ordering::Relaxed)
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.0.command(count, 'A')
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.0.command(count, 'B')
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.0.command(count, 'C')
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.0.command(count, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        self.0.frame().text.push_str("\r\n");
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut frame = self.0.frame();
        // Behind each line come spaces up to the terminal's edge, so that the next line wraps around it. A line that ends in
        // a line feed instead stays one line when the window changes.
        if text.chars().all(|character| character == ' ') {
            frame.is_line_due = true;
            return Ok(());
        }
        if std::mem::take(&mut frame.is_line_due) {
            frame.text.push_str("\r\n");
        }
        frame.text.push_str(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.frame().text.push_str("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush();
        Ok(())
    }
}
