//! A run as trace events, for <https://ui.perfetto.dev> and `chrome://tracing`: Trace Event Format, JSON array form, which readers
//! take without its closing bracket too. A run is a process, a stage a thread; times are microseconds on the run's clock.
//! Pure: readings in, events out. Holds no more than the last state of each track.
//!
//! What is shown of an interval is its average, so a counter stands where the interval begins; a slice is shown only where a
//! stage did one thing nearly all the time.

use super::headline::{chain, headline, outcome};
use super::progress::summary;
use super::stages::bytes_of;
use crate::engine::Report;
use crate::flow::{Reading, Share};
use crate::verdict::{Verdict, subject};
use serde_json::{Value, json};
use std::io::{self, Write};

/// A stage that does one thing for so much of an interval, as a part of it, does nothing else to the eye.
const NEARLY_ALL: f64 = 0.9;

/// Events on their way to a file.
#[derive(Debug)]
pub(super) struct EventArray<W> {
    writer: W,
    is_empty: bool,
}

impl<W: Write> EventArray<W> {
    pub(super) fn new(writer: W) -> EventArray<W> {
        EventArray { writer, is_empty: true }
    }

    /// Adds events, one a line.
    ///
    /// # Errors
    /// Those of the writer.
    pub(super) fn push(&mut self, events: &[Value]) -> io::Result<()> {
        for event in events {
            self.writer.write_all(if self.is_empty { b"[\n" } else { b",\n" })?;
            self.is_empty = false;
            serde_json::to_writer(&mut self.writer, event)?;
        }
        Ok(())
    }

    /// Closes the array.
    ///
    /// # Errors
    /// Those of the writer.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.writer.write_all(if self.is_empty { b"[\n]\n" } else { b"\n]\n" })?;
        Ok(self.writer)
    }
}

/// The events of one run.
#[derive(Debug)]
pub(super) struct RunTrace {
    /// The number of its process; those of its threads follow.
    process: u64,
    threads: Vec<Thread>,
    /// What each counter shows now.
    counters: Vec<Option<Value>>,
}

/// What is shown of a stage now.
#[derive(Debug, Clone, Copy, Default)]
struct Thread {
    is_begun: bool,
    is_over: bool,
    state: Option<&'static str>,
}

impl RunTrace {
    /// How many numbers a run of so many stages takes.
    pub(super) fn numbers(stages: usize) -> u64 {
        stages as u64 + 1
    }

    /// A run whose process has the number `process`, and what says how it is called.
    pub(super) fn begin(process: u64, reading: &Reading) -> (RunTrace, Vec<Value>) {
        let stages = &reading.scheme.stages;
        let named = |what: &str, number: u64, name: String| json!({"ph": "M", "name": what, "pid": process, "tid": number, "args": {"name": name}});
        let mut events = vec![named("process_name", process, format!("weir: {}", chain(&reading.scheme)))];
        for (number, info) in (process + 1..).zip(stages) {
            events.push(named("thread_name", number, subject(info)));
            let order = json!({"sort_index": number});
            events.push(
                json!({"ph": "M", "name": "thread_sort_index", "pid": process, "tid": number, "args": order}),
            );
        }
        let threads = vec![Thread::default(); stages.len()];
        (RunTrace { process, threads, counters: Vec::new() }, events)
    }

    /// The stretch from `earlier` to `now`.
    pub(super) fn take(&mut self, now: &Reading, earlier: Option<&Reading>) -> Vec<Value> {
        let mut events = Vec::new();
        for stage in 0..self.threads.len() {
            self.thread(&mut events, now, earlier, stage);
        }
        let begin = earlier.map_or(now.started_nanos, |earlier| earlier.at_nanos);
        self.counters.resize(tracks(now), None);
        for (track, (name, shown)) in counters(now, earlier).into_iter().enumerate() {
            if self.counters[track].as_ref() != Some(&shown) {
                events.push(self.counter(&name, begin, &shown));
                self.counters[track] = Some(shown);
            }
        }
        events
    }

    /// What becomes of the run, after the last stretch.
    pub(super) fn end(&mut self, report: &Report, verdict: &Verdict) -> Vec<Value> {
        let reading = &report.reading;
        let mut events = Vec::new();
        for stage in 0..self.threads.len() {
            self.stage_ends(&mut events, reading, stage, reading.at_nanos);
        }
        // From here on nothing is known: a counter without an end would go on for ever.
        for (name, shown) in counters(reading, Some(reading)).iter().filter(|_| !self.counters.is_empty()) {
            events.push(self.counter(name, reading.at_nanos, shown));
        }
        let at = micros(reading.at_nanos);
        let process = self.process;
        for failure in &report.failures {
            let thread = failure.stage.map_or(process, |stage| self.number(stage));
            let name = format!("failure: {}", failure.message);
            let scope = if failure.stage.is_some() { "t" } else { "p" };
            events
                .push(json!({"ph": "i", "s": scope, "name": name, "pid": process, "tid": thread, "ts": at}));
        }
        let told = headline(report, verdict);
        let args =
            json!({"outcome": outcome(report), "advice": verdict.advice_line(), "summary": summary(reading)});
        events.push(json!({"ph": "i", "s": "p", "name": told, "pid": process, "tid": process, "ts": at, "args": args}));
        events.push(json!({"ph": "M", "name": "process_labels", "pid": process, "tid": process, "args": {"labels": told}}));
        events
    }

    fn number(&self, stage: usize) -> u64 {
        self.process + 1 + stage as u64
    }

    fn counter(&self, name: &str, at_nanos: u64, shown: &Value) -> Value {
        json!({"ph": "C", "name": name, "pid": self.process, "ts": micros(at_nanos), "args": shown})
    }

    /// A slice for the life of a stage's thread, and in it one for each time of a single state.
    fn thread(&mut self, events: &mut Vec<Value>, now: &Reading, earlier: Option<&Reading>, stage: usize) {
        let reading = &now.stages[stage];
        if reading.started_nanos == 0 || self.threads[stage].is_over {
            return;
        }
        if !self.threads[stage].is_begun {
            self.threads[stage].is_begun = true;
            let name = subject(&now.scheme.stages[stage]);
            events.push(self.edge("B", stage, &name, reading.started_nanos));
        }
        let state = state(&now.share(earlier, stage));
        if state != self.threads[stage].state {
            let begin = earlier.map_or(now.started_nanos, |earlier| earlier.at_nanos);
            let begin = begin.max(reading.started_nanos);
            events.extend(self.threads[stage].state.map(|name| self.edge("E", stage, name, begin)));
            events.extend(state.map(|name| self.edge("B", stage, name, begin)));
            self.threads[stage].state = state;
        }
        if reading.ended_nanos != 0 {
            self.stage_ends(events, now, stage, reading.ended_nanos);
        }
    }

    fn stage_ends(&mut self, events: &mut Vec<Value>, now: &Reading, stage: usize, at_nanos: u64) {
        let thread =
            std::mem::replace(&mut self.threads[stage], Thread { is_over: true, ..Thread::default() });
        events.extend(thread.state.map(|name| self.edge("E", stage, name, at_nanos)));
        if thread.is_begun {
            let share = now.share(None, stage);
            let [taken, given] = bytes_of(now, stage);
            let mut whole = parts(&share);
            whole["bytes in"] = json!(taken);
            whole["bytes out"] = json!(given);
            let mut edge = self.edge("E", stage, &subject(&now.scheme.stages[stage]), at_nanos);
            edge["args"] = whole;
            events.push(edge);
        }
    }

    fn edge(&self, phase: &str, stage: usize, name: &str, at_nanos: u64) -> Value {
        json!({"ph": phase, "name": name, "pid": self.process, "tid": self.number(stage), "ts": micros(at_nanos)})
    }
}

fn micros(nanos: u64) -> u64 {
    nanos / 1000
}

/// What a stage did nearly all the time.
fn state(share: &Share) -> Option<&'static str> {
    let states = [
        ("busy", share.busy_nanos),
        ("waiting", share.waiting_nanos),
        ("stalled", share.stalled_nanos),
        ("starved", share.starved_nanos),
    ];
    let (name, nanos) = states.into_iter().max_by_key(|(_, nanos)| *nanos)?;
    (share.fraction(nanos) >= NEARLY_ALL).then_some(name)
}

/// The four parts of a stretch, in percent.
fn parts(share: &Share) -> Value {
    let percent = |nanos: u64| (share.fraction(nanos) * 1000.0).round() / 10.0;
    json!({
        "busy": percent(share.busy_nanos),
        "waiting": percent(share.waiting_nanos),
        "stalled": percent(share.stalled_nanos),
        "starved": percent(share.starved_nanos),
    })
}

/// How many counters there are.
fn tracks(reading: &Reading) -> usize {
    if reading.server.is_some() { 3 } else { reading.stages.len() + 3 * reading.links.len() }
}

/// The name and the value of every counter. Readers sort them by their names, so those begin with the places in the chain.
fn counters(now: &Reading, earlier: Option<&Reading>) -> Vec<(String, Value)> {
    let seconds = now.at_nanos.saturating_sub(earlier.map_or(now.started_nanos, |earlier| earlier.at_nanos))
        as f64
        / 1e9;
    let average = |amount: f64| if seconds > 0.0 { (amount.max(0.0) / seconds).round() as u64 } else { 0 };
    if let Some(server) = &now.server {
        let before = earlier.and_then(|earlier| earlier.server.as_ref());
        let rate = |now: u64, before: Option<u64>| average(now.saturating_sub(before.unwrap_or(0)) as f64);
        let taken = rate(server.bytes_read, before.map(|before| before.bytes_read));
        let given = rate(server.bytes_written, before.map(|before| before.bytes_written));
        return vec![
            ("connections".to_string(), json!({"open": server.connections_open})),
            ("rate, bytes/s".to_string(), json!({"in": taken, "out": given})),
            ("runs".to_string(), json!({"open": server.runs_open, "failed": server.runs_failed})),
        ];
    }
    let stages = &now.scheme.stages;
    let mut counters = Vec::with_capacity(tracks(now));
    for (stage, info) in stages.iter().enumerate() {
        counters.push((
            format!("{:02} {}: time, %", stage + 1, subject(info)),
            parts(&now.share(earlier, stage)),
        ));
    }
    for (link, info) in now.scheme.links.iter().enumerate() {
        let name = format!(
            "{:02}→{:02} {} → {}",
            info.from + 1,
            info.to + 1,
            stages[info.from].name,
            stages[info.to].name
        );
        let before = earlier.map_or(0.0, |earlier| earlier.links[link].area(earlier.at_nanos));
        let fill = average(now.links[link].area(now.at_nanos) - before);
        let passed = earlier.map_or(0, |earlier| earlier.links[link].bytes_out);
        let rate = average(now.links[link].bytes_out.saturating_sub(passed) as f64);
        counters.push((format!("{name}: fill, bytes"), json!({"bytes": fill})));
        counters.push((format!("{name}: high mark, bytes"), json!({"bytes": now.high_bytes(link)})));
        counters.push((format!("{name}: rate, bytes/s"), json!({"bytes/s": rate})));
    }
    counters
}

#[cfg(test)]
mod tests {
    use super::{EventArray, RunTrace};
    use crate::engine::{Failure, Outcome, Report};
    use crate::exit::Exit;
    use crate::flow::Reading;
    use crate::verdict::judge;
    use crate::verdict::planted::{Part, START_NANOS, chain};
    use serde_json::{Value, json};

    /// A run whose second stage is the slow one, `seconds` after it began.
    fn reading(seconds: f64) -> Reading {
        let parts = [
            Part::new("read", [0.05, 0.0, 0.95, 0.0]),
            Part { label: "-9", ..Part::new("gzip", [1.0, 0.0, 0.0, 0.0]) },
            Part::new("write", [0.3, 0.3, 0.0, 0.4]),
        ];
        chain(seconds, &parts)
    }

    fn ended(reading: &Reading, failures: Vec<Failure>) -> Report {
        let outcome = failures.first().map_or(Outcome::Done, |failure| Outcome::Failed(failure.exit));
        Report { outcome, failures, outputs: Vec::new(), notes: Vec::new(), reading: reading.clone() }
    }

    /// The events of a run of three seconds, a reading each.
    fn events(failures: Vec<Failure>) -> Vec<Value> {
        let (mut trace, mut events) = RunTrace::begin(10, &reading(1.0));
        let mut earlier: Option<Reading> = None;
        for seconds in [1.0, 2.0, 3.0] {
            let now = reading(seconds);
            events.extend(trace.take(&now, earlier.as_ref()));
            earlier = Some(now);
        }
        let last = reading(3.0);
        events.extend(trace.end(&ended(&last, failures), &judge(&last, None)));
        events
    }

    fn of<'e>(events: &'e [Value], phase: &str, part: &str) -> Vec<&'e Value> {
        let is_it = |event: &&Value| {
            event["ph"] == phase && event["name"].as_str().is_some_and(|name| name.contains(part))
        };
        events.iter().filter(is_it).collect()
    }

    #[test]
    fn a_run_is_a_process_and_a_stage_a_thread() {
        let events = events(Vec::new());
        assert_eq!(of(&events, "M", "process_name")[0]["args"]["name"], "weir: read | gzip -9 | write");
        let threads: Vec<_> = of(&events, "M", "thread_name")
            .iter()
            .map(|event| (&event["tid"], &event["args"]["name"]))
            .collect();
        assert_eq!(json!(threads), json!([[11, "read"], [12, "gzip -9"], [13, "write"]]));
    }

    #[test]
    fn one_state_for_long_is_one_slice_inside_that_of_the_thread() {
        let events = events(Vec::new());
        let begin = START_NANOS / 1000;
        for (stage, state) in [("read", "stalled"), ("gzip -9", "busy")] {
            let [outer, inner] = [stage, state].map(|name| (of(&events, "B", name), of(&events, "E", name)));
            assert_eq!((outer.0.len(), outer.1.len(), inner.0.len(), inner.1.len()), (1, 1, 1, 1), "{stage}");
            assert_eq!(
                (inner.0[0]["ts"].as_u64(), inner.1[0]["ts"].as_u64()),
                (Some(begin), Some(begin + 3_000_000))
            );
        }
        // Three things by turns are no state.
        let of_write = events.iter().filter(|event| event["ph"] == "B" && event["tid"] == 13);
        assert_eq!(of_write.count(), 1);
    }

    #[test]
    fn a_counter_says_what_holds_from_its_moment_on_and_says_it_once() {
        let events = events(Vec::new());
        let fill = of(&events, "C", "01→02 read → gzip: fill");
        let shown: Vec<_> =
            fill.iter().map(|event| (event["ts"].as_u64(), event["args"]["bytes"].as_u64())).collect();
        let begin = START_NANOS / 1000;
        assert_eq!(shown, [(Some(begin), Some(996_147)), (Some(begin + 3_000_000), Some(0))]);
        let share = of(&events, "C", "01 read: time, %");
        assert_eq!(share[0]["args"], json!({"busy": 5.0, "waiting": 0.0, "stalled": 95.0, "starved": 0.0}));
        assert_eq!(share.len(), 2);
    }

    #[test]
    fn the_end_tells_what_failed_and_what_limited_the_run() {
        let failure =
            Failure { stage: Some(1), exit: Exit::Refused, message: "a \"b\"\n".to_owned(), help: None };
        let well = events(Vec::new());
        assert_eq!(of(&well, "i", "limited by gzip -9").len(), 1);
        let ill = events(vec![failure]);
        assert_eq!(of(&ill, "i", "failure: a \"b\"\n")[0]["tid"], 12);
        assert_eq!(of(&ill, "i", "failed: gzip: a \"b\"\\n")[0]["args"]["outcome"], "failed");
    }

    #[test]
    fn a_file_is_json_and_can_be_cut_after_any_line() {
        let mut array = EventArray::new(Vec::new());
        array.push(&events(Vec::new())).unwrap();
        array.push(&[]).unwrap();
        let text = String::from_utf8(array.finish().unwrap()).unwrap();
        assert!(serde_json::from_str::<Vec<Value>>(&text).is_ok_and(|events| events.len() > 10));
        for (at, _) in text.match_indices('\n').skip(1) {
            let cut = text[..at].trim_end_matches([',', '\n', ']']);
            assert!(serde_json::from_str::<Vec<Value>>(&format!("{cut}]")).is_ok(), "{cut}");
        }
        let empty = EventArray::new(Vec::new()).finish().unwrap();
        assert_eq!(serde_json::from_slice::<Vec<Value>>(&empty).unwrap(), Vec::<Value>::new());
    }

    #[test]
    fn a_run_that_never_began_has_an_end_all_the_same() {
        let nothing = Reading::default();
        let (mut trace, _) = RunTrace::begin(1, &nothing);
        let events = trace.end(&ended(&nothing, Vec::new()), &judge(&nothing, None));
        assert_eq!(of(&events, "i", "").len(), 1);
    }
}
