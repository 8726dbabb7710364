//! The view's thread on a terminal made for the test.
//! What is drawn is tested with the picture; here it is when, and that it goes away again.

use super::super::terminal::Terminal;
use super::history::{History, KEPT_NANOS, RECENT_NANOS};
use super::watcher::DELAY;
use super::{Live, LiveSettings, Manners, Mode, Progress, Sample, mode};
use crate::flow::Reading;
use crate::verdict::planted::{Part, chain};
use crate::view::Look;
use crate::view::json::Turn;
use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

fn sample() -> Sample {
    let parts = [Part::new("read", [1.0, 0.0, 0.0, 0.0]), Part::new("write", [0.1, 0.0, 0.0, 0.9])];
    let reading = chain(3.0, &parts);
    Arc::new(move || reading.clone())
}

fn settings(progress: Progress) -> LiveSettings {
    LiveSettings {
        progress,
        interval: Some(Duration::from_millis(20)),
        turn: Turn::new(1, 1, &[]),
        data_on: Vec::new(),
        look: Look::PLAIN,
    }
}

/// What comes out at the other end, read all the time so that the view never has to wait.
struct Seen(mpsc::Receiver<u8>);

impl Seen {
    fn of(stream: OwnedFd) -> Seen {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            // A terminal whose last user is gone gives an error in place of an end.
            for byte in BufReader::new(File::from(stream)).bytes().map_while(Result::ok) {
                let _ = sender.send(byte);
            }
        });
        Seen(receiver)
    }

    /// All that came since the last call, up to and with the first `text`.
    fn until(&self, text: &str) -> String {
        let mut seen = Vec::new();
        while !seen.ends_with(text.as_bytes()) {
            seen.push(self.0.recv().expect("the view writes it"));
        }
        String::from_utf8(seen).expect("UTF-8")
    }

    /// What is left, up to the end.
    fn rest(&self) -> Vec<u8> {
        self.0.iter().collect()
    }
}

/// A terminal of 60 columns: what is seen on it, and where the view writes.
fn terminal() -> (Seen, Terminal) {
    let size = Winsize { ws_row: 20, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).expect("a terminal");
    (Seen::of(pty.master), Terminal::capable(pty.slave))
}

const FRAME_END: &str = "\u{1b}[?2026l";
/// The last of the five lines is cleared, and the cursor is on the first.
const TAKEN_DOWN: &str = "\u{1b}[2K\u{1b}[4A\r\u{1b}[?2026l";

#[test]
fn manners_decide_what_is_shown() {
    use Manners::{Free, NoTerminal, Shared};
    use Mode::{Json, Nothing, Picture, Plain};
    let table = [
        (Progress::Auto, [Nothing, Nothing, Picture]),
        (Progress::Always, [Plain, Picture, Picture]),
        (Progress::Never, [Nothing, Nothing, Nothing]),
        (Progress::Plain, [Plain, Plain, Plain]),
        (Progress::Json, [Json, Json, Json]),
    ];
    for (progress, modes) in table {
        assert_eq!([NoTerminal, Shared, Free].map(|manners| mode(progress, manners)), modes, "{progress:?}");
    }
}

#[test]
fn a_picture_is_drawn_at_once_and_taken_down_at_the_end() {
    let (seen, terminal) = terminal();
    let live = Live::start_on(Some(terminal), &settings(Progress::Auto), sample());
    let first = seen.until(FRAME_END);
    assert!(first.starts_with("\u{1b}[?2026h"), "{first:?}");
    assert!(first.contains("read") && first.contains("limited by read (computing)"), "{first:?}");
    assert!(live.finish());
    seen.until(TAKEN_DOWN);
    assert!(seen.rest().is_empty());
}

#[test]
fn lines_for_programs_come_at_each_interval_and_no_escape_sequence_among_them() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let live = Live::start_on(Some(Terminal::of(writer.into())), &settings(Progress::Json), sample());
    let seen = Seen::of(reader.into());
    for _ in 0..3 {
        let line = seen.until("\n");
        assert!(line.starts_with("{\"schema\":1,\"event\":\"progress\",\"run\":1,"), "{line:?}");
        assert!(line.ends_with("}\n") && !line.contains('\u{1b}'), "{line:?}");
    }
    assert!(live.finish());
    let rest = seen.rest();
    assert!(rest.is_empty() || rest.ends_with(b"}\n"));
}

#[test]
fn a_suspended_view_draws_nothing_until_it_is_resumed() {
    let (seen, terminal) = terminal();
    let samples = Arc::new(AtomicUsize::new(0));
    let (counted, inner) = (Arc::clone(&samples), sample());
    let sample: Sample = Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        inner()
    });
    let live = Live::start_on(Some(terminal), &settings(Progress::Auto), sample);
    seen.until(FRAME_END);
    live.suspend();
    seen.until(TAKEN_DOWN);
    let taken = samples.load(Ordering::SeqCst);
    live.resized();
    assert_eq!(samples.load(Ordering::SeqCst), taken);
    live.resume();
    assert!(seen.until(FRAME_END).contains("read"));
    assert!(samples.load(Ordering::SeqCst) > taken);
}

#[test]
fn plain_lines_hold_no_escapes() {
    let (reader, writer) = nix::unistd::pipe().expect("a pipe");
    let live = Live::start_on(Some(Terminal::of(writer)), &settings(Progress::Always), sample());
    let line = Seen::of(reader).until("\n");
    assert!(line.starts_with("weir: 64.0 MiB in 3.0 s, 21 MiB/s; limited by read"), "{line:?}");
    assert!(!line.contains('\u{1b}'), "{line:?}");
    assert!(live.finish());
}

#[test]
fn a_short_run_shows_nothing() {
    let (seen, terminal) = terminal();
    let begin = Instant::now();
    let has_shown = Live::start_on(Some(terminal), &settings(Progress::Auto), sample()).finish();
    // On a machine so busy that this took long it was no short run.
    if begin.elapsed() < DELAY {
        assert!(!has_shown);
        assert!(seen.rest().is_empty());
    }
}

#[test]
fn without_a_terminal_there_is_no_thread_to_wait_for() {
    let live = Live::start_on(None, &settings(Progress::Always), sample());
    live.suspend();
    live.resume();
    assert!(!live.finish());
}

#[test]
fn nobody_waits_long_for_a_view_that_hangs() {
    let (seen, terminal) = terminal();
    // The first reading is taken, and then none ever again.
    let (gate, closed) = mpsc::channel::<()>();
    let closed = std::sync::Mutex::new(closed);
    let calls = AtomicUsize::new(0);
    let inner = sample();
    let sample: Sample = Arc::new(move || {
        if calls.fetch_add(1, Ordering::SeqCst) > 0 {
            let _ = closed.lock().expect("one thread").recv();
        }
        inner()
    });
    let live = Live::start_on(Some(terminal), &settings(Progress::Auto), sample);
    seen.until(FRAME_END);
    let begin = Instant::now();
    live.finish();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    drop(gate);
}

#[test]
fn recent_is_about_two_seconds_ago() {
    let mut history = History::default();
    assert!(history.recent(5).is_none());
    for step in 0..100 {
        let at_nanos = 1 + step * KEPT_NANOS;
        history.push(Reading { at_nanos, ..Reading::default() });
        history.push(Reading { at_nanos, ..Reading::default() });
        history.trim(at_nanos);
        match history.recent(at_nanos) {
            Some(recent) => {
                assert!((RECENT_NANOS..RECENT_NANOS + KEPT_NANOS).contains(&(at_nanos - recent.at_nanos)));
            }
            None => assert!(at_nanos - 1 < RECENT_NANOS),
        }
    }
    assert!(history.kept.len() < 30);
}
