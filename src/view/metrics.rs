//! What runs count, as Prometheus reads it: text exposition format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//! Pure. Stages go by their names, never by their arguments: no name of a file is in it.

#[cfg(test)]
mod tests;

use super::progress::Progress;
use crate::engine::{Outcome, Report};
use crate::flow::Reading;
use std::fmt::Write;

/// Counters, each of them ever growing. The values of a row are those of all families in turn.
#[derive(Debug, Clone, Copy)]
struct Family {
    name: &'static str,
    help: &'static str,
    /// What tells its values apart; empty for a family with only one.
    label: &'static str,
    values: &'static [&'static str],
}

impl Family {
    const fn single(name: &'static str, help: &'static str) -> Family {
        Family { name, help, label: "", values: &[""] }
    }
}

const STAGES: [Family; 4] = [
    Family {
        name: "weir_stage_bytes_total",
        help: "Bytes that a stage has taken and given.",
        label: "direction",
        values: &["in", "out"],
    },
    Family {
        name: "weir_stage_seconds_total",
        help: "Time of a stage's thread: busy, waiting in the system, stalled by a full link, starved by an empty one.",
        label: "state",
        values: &["busy", "waiting", "stalled", "starved"],
    },
    Family {
        name: "weir_stage_cpu_seconds_total",
        help: "Time on a core, of a stage's own thread and of its workers.",
        label: "by",
        values: &["thread", "workers"],
    },
    Family::single(
        "weir_stage_system_seconds_total",
        "The part of a stage's own time on a core that was spent inside system calls.",
    ),
];

const LINKS: [Family; 5] = [
    Family::single(
        "weir_link_fill_byte_seconds_total",
        "A link's fill, summed over time: its rate is the average fill in bytes.",
    ),
    Family::single("weir_link_stalls_total", "How often a link's writer had to wait for room."),
    Family::single("weir_link_stalled_seconds_total", "How long a link's writer has waited for room."),
    Family::single("weir_link_starves_total", "How often a link's reader had to wait for bytes."),
    Family::single("weir_link_starved_seconds_total", "How long a link's reader has waited for bytes."),
];

const OUTCOMES: [&str; 5] = ["done", "hung_up", "failed", "cancelled", "stalled"];

/// What all runs of a process add up to. Bounded by the chain: its runs have the same stages.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    stages: Vec<Row>,
    links: Vec<Row>,
    /// As [`OUTCOMES`].
    runs: [u64; OUTCOMES.len()],
}

/// What belongs to one stage or one link.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    labels: Vec<(&'static str, String)>,
    values: Vec<f64>,
}

impl Totals {
    /// Counts a run that has ended.
    pub(super) fn end(&mut self, report: &Report) {
        self.add(&report.reading);
        self.runs[match report.outcome {
            Outcome::Done => 0,
            Outcome::HungUp => 1,
            Outcome::Failed(_) => 2,
            Outcome::Cancelled(_) => 3,
            Outcome::Stalled => 4,
        }] += 1;
    }

    /// Adds what a run has counted.
    pub(super) fn add(&mut self, reading: &Reading) {
        let stages = (0..reading.stages.len()).map(|stage| stage_row(reading, stage));
        stages.for_each(|row| merge(&mut self.stages, row, |sum, more| sum + more));
        let links = (0..reading.links.len()).map(|link| link_row(reading, link));
        links.for_each(|row| merge(&mut self.links, row, |sum, more| sum + more));
    }

    /// Sees to it that nothing is less than it was: the kernel's account of a thread comes late, so that a time that was taken for
    /// waiting may turn out to have been busy. To Prometheus a counter that falls has begun anew.
    pub(super) fn hold(&mut self, shown: &Totals) {
        shown.stages.iter().for_each(|row| merge(&mut self.stages, row.clone(), f64::max));
        shown.links.iter().for_each(|row| merge(&mut self.links, row.clone(), f64::max));
    }
}

fn merge(rows: &mut Vec<Row>, more: Row, how: fn(f64, f64) -> f64) {
    match rows.iter_mut().find(|row| row.labels == more.labels) {
        Some(row) => {
            row.values.iter_mut().zip(more.values).for_each(|(value, more)| *value = how(*value, more));
        }
        None => rows.push(more),
    }
}

fn stage_row(reading: &Reading, stage: usize) -> Row {
    let share = reading.share(None, stage);
    let labels = vec![("stage", reading.scheme.stages[stage].name.clone()), ("index", stage.to_string())];
    let values = vec![
        reading.bytes_in(stage) as f64,
        reading.bytes_out(stage) as f64,
        seconds(share.busy_nanos),
        seconds(share.waiting_nanos),
        seconds(share.stalled_nanos),
        seconds(share.starved_nanos),
        seconds(share.on_core_nanos),
        seconds(share.worked_nanos),
        seconds(share.system_nanos),
    ];
    Row { labels, values }
}

fn link_row(reading: &Reading, link: usize) -> Row {
    let (counts, at_nanos) = (&reading.links[link], reading.at_nanos);
    let values = vec![
        counts.area(at_nanos),
        counts.stall.count as f64,
        seconds(counts.stall.total_nanos(at_nanos)),
        counts.starve.count as f64,
        seconds(counts.starve.total_nanos(at_nanos)),
    ];
    Row { labels: link_labels(reading, link), values }
}

fn link_labels(reading: &Reading, link: usize) -> Vec<(&'static str, String)> {
    let info = &reading.scheme.links[link];
    let name = |stage: usize| reading.scheme.stages[stage].name.clone();
    vec![("link", link.to_string()), ("from", name(info.from)), ("to", name(info.to))]
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// All there is to tell: what runs have counted, `present` ones included, and how those stand.
pub(super) fn exposition(totals: &Totals, present: &[Reading]) -> String {
    let mut text = Text(String::new());
    text.head("weir_build_info", "gauge", "Which weir it is.");
    text.sample("weir_build_info", &[("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0);
    text.head("weir_runs_total", "counter", "Runs that have ended, by their outcome.");
    for (outcome, count) in OUTCOMES.iter().zip(totals.runs) {
        text.sample("weir_runs_total", &[("outcome", (*outcome).to_owned())], count as f64);
    }
    text.single("weir_runs_open", "gauge", "Runs going on now.", present.len() as f64);
    text.input(present);
    text.families(&STAGES, &totals.stages);
    text.fill(present);
    text.families(&LINKS, &totals.links);
    text.server(present);
    text.0
}

/// The text, as it grows.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Here and below: writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&'static str, String)], value: f64) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{}\"", escaped(text));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        self.sample(name, &[], value);
    }

    fn families(&mut self, families: &[Family], rows: &[Row]) {
        let mut first = 0;
        for family in families.iter().filter(|_| !rows.is_empty()) {
            self.head(family.name, "counter", family.help);
            for row in rows {
                for (value, number) in family.values.iter().zip(&row.values[first..]) {
                    let mut labels = row.labels.clone();
                    if !family.label.is_empty() {
                        labels.push((family.label, (*value).to_owned()));
                    }
                    self.sample(family.name, &labels, *number);
                }
            }
            first += family.values.len();
        }
    }

    /// How far the runs going on are, if the size of every input is known.
    fn input(&mut self, present: &[Reading]) {
        let sizes: Option<Vec<u64>> = present.iter().map(Reading::total_bytes).collect();
        let Some(sizes) = sizes.filter(|sizes| !sizes.is_empty()) else { return };
        let taken: u64 = present.iter().map(|reading| Progress::of(reading, None).taken_bytes).sum();
        let size: u64 = sizes.iter().fold(0, |sum, size| sum.saturating_add(*size));
        self.single("weir_input_bytes", "gauge", "The size of the inputs of runs going on.", size as f64);
        self.single("weir_input_taken_bytes", "gauge", "How much of them has been taken.", taken as f64);
    }

    /// The links of runs going on; those of several runs together.
    fn fill(&mut self, present: &[Reading]) {
        let mut rows = Vec::new();
        for reading in present {
            for (link, counts) in reading.links.iter().enumerate() {
                let values = vec![counts.fill_bytes as f64, reading.high_bytes(link) as f64];
                merge(&mut rows, Row { labels: link_labels(reading, link), values }, |sum, more| sum + more);
            }
        }
        let families = [
            ("weir_link_fill_bytes", "What a link holds."),
            ("weir_link_high_bytes", "At so many bytes a link's writer has to wait."),
        ];
        for (at, (name, help)) in families.into_iter().enumerate().filter(|_| !rows.is_empty()) {
            self.head(name, "gauge", help);
            rows.iter().for_each(|row| self.sample(name, &row.labels, row.values[at]));
        }
    }

    /// A call has one server at most.
    fn server(&mut self, present: &[Reading]) {
        let Some(server) = present.iter().find_map(|reading| reading.server.as_ref()) else { return };
        for (name, kind, help, count) in [
            ("weir_server_connections_total", "counter", "Connections accepted.", server.connections),
            ("weir_server_connections_open", "gauge", "Connections open now.", server.connections_open),
            ("weir_server_runs_total", "counter", "Runs for a connection or a request.", server.runs),
            ("weir_server_runs_open", "gauge", "Those going on now.", server.runs_open),
            ("weir_server_runs_failed_total", "counter", "Those that failed.", server.runs_failed),
        ] {
            self.single(name, kind, help, count as f64);
        }
        let name = "weir_server_bytes_total";
        self.head(name, "counter", "Bytes taken from peers and given to them.");
        for (direction, bytes) in [("in", server.bytes_read), ("out", server.bytes_written)] {
            self.sample(name, &[("direction", direction.to_owned())], bytes as f64);
        }
    }
}

/// The value of a label, as it stands in quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}
