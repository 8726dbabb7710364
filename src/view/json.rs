//! Readings and reports for other programs: lines of JSON, each one object in ASCII.
//! Pure. The structs are the schema; a name keeps its meaning as long as `SCHEMA` stays, and names may be added.
//!
//! A stage or a link is named by its place in `stages` or `links`. All of an event's names are always there, `null` where there
//! is nothing to tell. Counts and times are of the whole run up to now; rates, averages and the verdict are of a stretch: since the
//! line before, in a report the whole run.

mod facts;
#[cfg(test)]
mod tests;

use super::failure::Place;
use crate::diagnostic::printable;
use crate::engine::Report;
use crate::flow::Reading;
use facts::{End, Facts};
use serde::Serialize;
use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

/// The version of what these lines mean.
const SCHEMA: u32 = 1;

/// Which run of the call it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// From 1; `None` for all of them together.
    #[serde(skip)]
    pub run: Option<usize>,
    /// How many the call has.
    pub runs: usize,
    /// What it is made for: each as it is, or, if that is no text, as messages show it.
    pub operands: Vec<String>,
}

impl Turn {
    /// Run number `run`, from 1, of `runs`.
    pub fn new(run: usize, runs: usize, operands: &[OsString]) -> Turn {
        let text = |operand: &OsString| match operand.to_str() {
            Some(text) => text.to_owned(),
            None => printable(operand.as_bytes()),
        };
        Turn { run: Some(run), runs, operands: operands.iter().map(text).collect() }
    }

    /// All `runs` runs of a batch together.
    pub fn all(runs: usize) -> Turn {
        Turn { run: None, runs, operands: Vec::new() }
    }
}

/// How a run stands; rates and verdict are of the time since `earlier`.
pub fn progress(turn: &Turn, now: &Reading, earlier: Option<&Reading>) -> String {
    line("progress", Some(turn), Progress { turn, facts: Facts::of(now, earlier) })
}

/// How a run ended. `places` has one for each stage of the scheme.
pub fn report(turn: &Turn, report: &Report, places: &[Place]) -> String {
    let (end, facts) = (End::of(report, places), Facts::of(&report.reading, None));
    line("report", Some(turn), Ended { turn, end, facts })
}

/// What a stage has to tell while it runs.
pub fn remark(turn: &Turn, place: &Place, text: &str) -> String {
    line("remark", Some(turn), Said { place: Some(&place.name), text })
}

/// What the peer of a stage said, one object for each of its lines. What is no text in it is replaced.
pub fn quote(turn: &Turn, place: &Place, lines: &[u8]) -> String {
    let quote = |text: &str| line("quote", Some(turn), Said { place: Some(&place.name), text });
    String::from_utf8_lossy(lines).lines().map(quote).collect()
}

/// What is told of the call itself, in the words that people are told.
pub fn notice(text: &str) -> String {
    let text = text.trim_end();
    line("notice", None, Said { place: None, text: text.strip_prefix("weir: ").unwrap_or(text) })
}

/// How all runs of a batch ended.
pub fn batch(runs: usize, done: usize, failed: usize, exit_code: i32) -> String {
    line("batch", None, Batch { runs, done, failed, exit_code })
}

#[derive(Serialize)]
struct Event<Body> {
    schema: u32,
    event: &'static str,
    run: Option<usize>,
    #[serde(flatten)]
    body: Body,
}

#[derive(Serialize)]
struct Progress<'a> {
    #[serde(flatten)]
    turn: &'a Turn,
    #[serde(flatten)]
    facts: Facts<'a>,
}

#[derive(Serialize)]
struct Ended<'a> {
    #[serde(flatten)]
    turn: &'a Turn,
    #[serde(flatten)]
    end: End<'a>,
    #[serde(flatten)]
    facts: Facts<'a>,
}

#[derive(Serialize)]
struct Said<'a> {
    place: Option<&'a str>,
    text: &'a str,
}

#[derive(Serialize)]
struct Batch {
    runs: usize,
    done: usize,
    failed: usize,
    exit_code: i32,
}

/// One event. In ASCII, and without the control character of it that JSON would let pass: there is nothing in it that a terminal
/// would obey.
fn line(event: &'static str, turn: Option<&Turn>, body: impl Serialize) -> String {
    let event = Event { schema: SCHEMA, event, run: turn.and_then(|turn| turn.run), body };
    // All names are strings, so it cannot fail.
    let text = serde_json::to_string(&event).unwrap_or_default();
    let mut line = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if character.is_ascii() && !character.is_ascii_control() {
            line.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(line, "\\u{unit:04x}");
        }
    }
    line.push('\n');
    line
}
