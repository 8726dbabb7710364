//! What a run shows of itself while it lasts: whether, in which way, and from when to when.
//! A thread of its own does it ([`watcher`]). Nobody waits for that, data least of all: a terminal that takes nothing holds
//! it and no other.

mod history;
mod orders;
mod watcher;

use super::fullscreen::Keyboard;
use super::json::Turn;
use super::look::Look;
use super::terminal::{DataOn, Terminal};
use crate::engine::Controls;
use crate::flow::Reading;
use orders::{Order, Shared};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use watcher::Watcher;

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
        let keyboard = Arc::new(keyboard);
        let watcher = Watcher::new(terminal, Mode::Inspector, settings, sample);
        let live = Live { shared: Arc::default(), keyboard: Some(Arc::clone(&keyboard)) };
        live.spawn(watcher.inspecting(controls, keyboard));
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
        self.shared.resized();
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

#[cfg(test)]
mod tests;
