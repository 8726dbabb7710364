//! The thread that looks at a run and draws it while it runs.
//! Nobody waits for it, data least of all: a terminal that takes nothing holds this thread and no other.

use super::canvas::Canvas;
use super::fullscreen::{FullScreen, Keyboard};
use super::inspect::{Inspector, Wish};
use super::json::{self, Turn};
use super::look::Look;
use super::picture::{Frame, Size, picture};
use super::progress::status_line;
use super::terminal::{DataOn, Terminal};
use crate::engine::Controls;
use crate::flow::Reading;
use crate::verdict::judge;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A run that ends sooner is not worth a picture.
const DELAY: Duration = Duration::from_millis(500);
const PICTURE_INTERVAL: Duration = Duration::from_millis(100);
/// So that a key is answered at once.
const INSPECTOR_INTERVAL: Duration = Duration::from_millis(50);
const LINES_INTERVAL: Duration = Duration::from_secs(1);
const INTERVALS: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(3600)];
/// How long the end of a run waits for the picture to be taken down.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long the thread itself tries.
const WRITE_PATIENCE: Duration = Duration::from_millis(50);
/// The stretch that rates, shares and the verdict are about.
const RECENT_NANOS: u64 = 1_950_000_000;
/// Readings closer together are not kept for it.
const KEPT_NANOS: u64 = 90_000_000;

/// What is shown while a run lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A picture, if stderr is a terminal that obeys, and carries no data of the run.
    Auto,
    /// A picture wherever it can be drawn, plain lines elsewhere.
    Always,
    /// Nothing.
    Never,
    /// One line at each interval, without escape sequences.
    Plain,
    /// The same for other programs.
    Json,
}

/// How a run is shown.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    /// What is shown.
    pub progress: Progress,
    /// The time from frame to frame; `None` for 0.1 s, and 1 s for lines. Held between 20 ms and an hour.
    pub interval: Option<Duration>,
    /// Which run it is.
    pub turn: Turn,
    /// What the chain itself reads and writes.
    pub data_on: Vec<DataOn>,
    /// Characters and colours.
    pub look: Look,
}

/// Takes a reading of the run; called on the view's thread.
pub type Sample = Arc<dyn Fn() -> Reading + Send + Sync>;

/// The view of a run, until [`Live::finish`]; dropped without that, it is taken down all the same.
#[derive(Debug)]
pub struct Live {
    shared: Arc<Shared>,
    /// The inspector's.
    keyboard: Option<Arc<Keyboard>>,
}

impl Live {
    /// Begins to show a run on stderr, as far as the settings and stderr allow.
    pub fn start(settings: &LiveSettings, sample: Sample) -> Live {
        Live::start_on(Terminal::of_stderr(), settings, sample)
    }

    /// Begins to inspect a run, on the terminal behind stderr.
    ///
    /// # Errors
    /// Why that cannot be.
    pub fn inspect(settings: &LiveSettings, sample: Sample, controls: Controls) -> Result<Live, String> {
        let (terminal, keyboard) = inspectable(settings)?;
        let mut watcher = Watcher::new(terminal, Mode::Inspector, settings, sample);
        let keyboard = Arc::new(keyboard);
        let screen = FullScreen::new(Arc::clone(&watcher.terminal), Arc::clone(&keyboard));
        watcher.inspection = Some((Inspector::new(controls), screen));
        let live = Live { shared: Arc::default(), keyboard: Some(keyboard) };
        live.spawn(watcher);
        Ok(live)
    }

    fn spawn(&self, watcher: Watcher) {
        let shared = Arc::clone(&self.shared);
        let body = move || watcher.run(&shared);
        // Without a thread to spare the run goes on unseen.
        let is_started = thread::Builder::new().name("view".to_string()).spawn(body).is_ok();
        self.shared.control().is_alive = is_started;
    }

    fn start_on(terminal: Option<Terminal>, settings: &LiveSettings, sample: Sample) -> Live {
        let live = Live { shared: Arc::default(), keyboard: None };
        let mode = terminal.as_ref().map_or(Mode::Nothing, |terminal| {
            let manners = match terminal.is_shared_with(&settings.data_on) {
                _ if !terminal.is_capable() => Manners::NoTerminal,
                true => Manners::Shared,
                false => Manners::Free,
            };
            mode(settings.progress, manners)
        });
        if let (Some(terminal), Mode::Picture | Mode::Plain | Mode::Json) = (terminal, mode) {
            live.spawn(Watcher::new(terminal, mode, settings, sample));
        }
        live
    }

    /// Takes the picture down until [`Live::resume`]: before the process stops, or while somebody is asked something.
    pub fn suspend(&self) {
        self.shared.order(Order::Rest, |control| !control.is_up);
        self.give_the_keyboard_back();
    }

    /// Goes on after [`Live::suspend`].
    pub fn resume(&self) {
        self.shared.order(Order::Show, |_| true);
    }

    /// The window has another size.
    pub fn resized(&self) {
        self.shared.control().is_resized = true;
        self.shared.changed.notify_all();
    }

    /// Takes the picture down for good; whether there ever was one, or a plain line. Waits for at most 0.2 s.
    pub fn finish(self) -> bool {
        self.end();
        self.shared.control().has_shown
    }

    fn end(&self) {
        self.shared.order(Order::End, |control| !control.is_alive);
        self.give_the_keyboard_back();
    }

    /// Where the thread is held by a terminal that takes nothing, and has not done so.
    fn give_the_keyboard_back(&self) {
        if let Some(keyboard) = &self.keyboard {
            keyboard.give_back();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.end();
    }
}

/// The terminal and the keyboard for an inspector.
///
/// # Errors
/// Why there can be none, with what to do about it.
fn inspectable(settings: &LiveSettings) -> Result<(Terminal, Keyboard), String> {
    let nowhere = || "--inspect needs a terminal on standard error".to_string();
    let terminal = Terminal::of_stderr().filter(Terminal::is_capable).ok_or_else(nowhere)?;
    if terminal.is_shared_with(&settings.data_on) {
        let remedy = "read from a file and write to one, or redirect them";
        return Err(format!("--inspect needs the terminal, and the chain reads or writes it\n  {remedy}"));
    }
    let keyboard = Keyboard::of_stderr().map_err(|_| nowhere())?;
    Ok((terminal, keyboard))
}

/// Whether a run can be inspected.
///
/// # Errors
/// Why not, with what to do about it.
pub fn can_inspect(settings: &LiveSettings) -> Result<(), String> {
    inspectable(settings).map(|_| ())
}

/// In which way a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nothing,
    Picture,
    Plain,
    Json,
    Inspector,
}

/// What stderr is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manners {
    /// For lines only.
    NoTerminal,
    /// It is a terminal, and the run's data goes through it too.
    Shared,
    /// It is a terminal, and nobody else needs it.
    Free,
}

fn mode(progress: Progress, manners: Manners) -> Mode {
    match (progress, manners) {
        (Progress::Json, _) => Mode::Json,
        (Progress::Never, _) | (Progress::Auto, Manners::NoTerminal | Manners::Shared) => Mode::Nothing,
        (Progress::Plain, _) | (Progress::Always, Manners::NoTerminal) => Mode::Plain,
        (Progress::Auto, Manners::Free) | (Progress::Always, Manners::Shared | Manners::Free) => {
            Mode::Picture
        }
    }
}

/// What the view's thread is to do, and what it has done.
#[derive(Debug, Default)]
struct Shared {
    control: Mutex<Control>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Control {
    order: Order,
    is_resized: bool,
    /// A picture may be on the terminal.
    is_up: bool,
    has_shown: bool,
    is_alive: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Order {
    #[default]
    Show,
    Rest,
    End,
}

impl Shared {
    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an order, and waits a little until it is carried out.
    fn order(&self, order: Order, is_done: impl Fn(&Control) -> bool) {
        let mut control = self.control();
        control.order = order;
        self.changed.notify_all();
        if control.is_alive {
            let waited = self.changed.wait_timeout_while(control, PATIENCE, |control| !is_done(control));
            drop(waited);
        }
    }

    /// What to do at `due`, or as soon as there is something else to do.
    fn next(&self, due: Instant) -> Order {
        let mut control = self.control();
        loop {
            let left = due.saturating_duration_since(Instant::now());
            // Before its time a picture is not drawn, whatever the window does.
            let is_resized = std::mem::take(&mut control.is_resized) && control.is_up;
            if control.order != Order::Show || is_resized || left.is_zero() {
                return control.order;
            }
            let waited = self.changed.wait_timeout(control, left);
            control = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Says that the picture is down, and waits while it has to stay there.
    fn rest(&self) {
        let mut control = self.control();
        control.is_up = false;
        self.changed.notify_all();
        while control.order == Order::Rest {
            control = self.changed.wait(control).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Tells that the thread is gone, however it went.
struct Farewell<'a>(&'a Shared);

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        let mut control = self.0.control();
        control.is_alive = false;
        control.is_up = false;
        self.0.changed.notify_all();
    }
}

/// The view's thread.
struct Watcher {
    terminal: Arc<Terminal>,
    mode: Mode,
    turn: Turn,
    interval: Duration,
    look: Look,
    /// Shown although somebody else may be using the terminal.
    is_insisted_on: bool,
    sample: Sample,
    canvas: Canvas,
    /// While the run is inspected.
    inspection: Option<(Inspector, FullScreen)>,
    history: History,
}

impl Watcher {
    fn new(terminal: Terminal, mode: Mode, settings: &LiveSettings, sample: Sample) -> Watcher {
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
            is_insisted_on: settings.progress != Progress::Auto || mode == Mode::Inspector,
            sample,
            inspection: None,
            history: History::default(),
        }
    }

    fn run(mut self, shared: &Shared) {
        let _farewell = Farewell(shared);
        let delay = match self.mode {
            Mode::Plain | Mode::Json => self.interval,
            _ if self.is_insisted_on => Duration::ZERO,
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
            self.is_insisted_on = false;
            return;
        }
        screen.draw(&inspector.lines(now, frame, size, self.look));
    }

    fn give_the_screen_back(&mut self) {
        if let Some((_, screen)) = &mut self.inspection {
            screen.leave();
        }
    }

    fn is_welcome(&self) -> bool {
        self.terminal.is_ours() && (self.is_insisted_on || self.terminal.is_cooked())
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

/// The readings of the last two seconds.
#[derive(Default)]
struct History {
    kept: VecDeque<Reading>,
    previous: Option<Reading>,
}

impl History {
    fn push(&mut self, reading: Reading) {
        let is_new = |last: Option<&Reading>, nanos: u64| {
            last.is_none_or(|last| reading.at_nanos >= last.at_nanos.saturating_add(nanos))
        };
        if is_new(self.kept.back(), KEPT_NANOS) {
            self.kept.push_back(reading.clone());
        }
        // While the run's clock stands still there is no stretch to average over.
        if is_new(self.previous.as_ref(), 1) {
            self.previous = Some(reading);
        }
    }

    /// Drops what is older than needed.
    fn trim(&mut self, now_nanos: u64) {
        while self.kept.get(1).is_some_and(|reading| is_old(reading, now_nanos)) {
            self.kept.pop_front();
        }
    }

    /// The latest reading that is old enough; `None` while the run is young, or when its clock went back.
    fn recent(&self, now_nanos: u64) -> Option<&Reading> {
        self.kept.front().filter(|reading| is_old(reading, now_nanos))
    }
}

fn is_old(reading: &Reading, now_nanos: u64) -> bool {
    now_nanos.saturating_sub(reading.at_nanos) >= RECENT_NANOS
}

#[cfg(test)]
mod tests;
