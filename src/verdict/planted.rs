//! Readings of runs that never were, with a bottleneck put where a test wants it.
//! For tests only.

use crate::flow::{Episodes, LinkInfo, LinkReading, Medium, Reading, Scheme, StageInfo, StageReading};
use std::sync::Arc;

/// When every planted run begins, on its clock.
pub(crate) const START_NANOS: u64 = 1_000_000_000;

/// A stage and how it spent the run, in parts of it; what is left over it was not there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) busy: f64,
    pub(crate) waiting: f64,
    pub(crate) stalled: f64,
    pub(crate) starved: f64,
    /// Of `busy`: inside system calls.
    pub(crate) system: f64,
    /// Of `busy`: no core free.
    pub(crate) queued: f64,
    /// Cores its workers used.
    pub(crate) workers: f64,
    pub(crate) medium: Medium,
    pub(crate) depth: usize,
    /// Given to the outputs.
    pub(crate) bytes: u64,
    pub(crate) advice: Vec<&'static str>,
}

impl Part {
    /// Busy, waiting, stalled, starved.
    pub(crate) fn new(name: &'static str, [busy, waiting, stalled, starved]: [f64; 4]) -> Part {
        Part { name, busy, waiting, stalled, starved, bytes: 64 << 20, ..Part::default() }
    }

    pub(crate) fn on(self, medium: Medium) -> Part {
        Part { medium, ..self }
    }
}

/// A run of `seconds` through the stages in a row.
pub(crate) fn chain(seconds: f64, parts: &[Part]) -> Reading {
    let links: Vec<(usize, usize)> = (1..parts.len()).map(|to| (to - 1, to)).collect();
    tree(seconds, parts, &links)
}

/// A run of `seconds` through stages joined by `links`: from, to. A stage is stalled by the last of its outputs.
pub(crate) fn tree(seconds: f64, parts: &[Part], links: &[(usize, usize)]) -> Reading {
    let nanos = |part: f64| (seconds * part * 1e9) as u64;
    let episodes = |part: f64| Episodes { count: (part * 1000.0) as u64, nanos: nanos(part), since_nanos: 0 };
    let mut reading =
        Reading { at_nanos: START_NANOS + nanos(1.0), started_nanos: START_NANOS, ..Reading::default() };
    let mut scheme = Scheme { threads: 2, ..Scheme::default() };
    for (at, part) in parts.iter().enumerate() {
        let outputs: Vec<usize> = (0..links.len()).filter(|&link| links[link].0 == at).collect();
        scheme.stages.push(StageInfo {
            name: part.name.to_string(),
            label: part.label.to_string(),
            depth: part.depth,
            input: links.iter().position(|link| link.1 == at),
            outputs,
            advice: part.advice.clone(),
            ..StageInfo::default()
        });
        let present = part.busy + part.waiting + part.stalled + part.starved;
        reading.stages.push(StageReading {
            started_nanos: START_NANOS,
            ended_nanos: if present < 0.999 { START_NANOS + nanos(present) } else { 0 },
            on_core_nanos: nanos(part.busy - part.queued),
            queued_nanos: nanos(part.queued),
            system_nanos: nanos(part.system),
            worked_nanos: nanos(part.workers),
            bytes_read: if at == 0 { part.bytes } else { 0 },
            medium: part.medium,
            ..StageReading::default()
        });
    }
    for (at, &(from, to)) in links.iter().enumerate() {
        let is_last = scheme.stages[from].outputs.last() == Some(&at);
        let stalled = if is_last { parts[from].stalled } else { 0.0 };
        let full = stalled.max(0.01);
        scheme.links.push(LinkInfo { from, to, high_bytes: 1 << 20 });
        reading.links.push(LinkReading {
            bytes_in: parts[from].bytes,
            bytes_out: parts[from].bytes,
            fill_max_bytes: 1 << 20,
            fill_byte_seconds: full * seconds * f64::from(1 << 20),
            changed_nanos: reading.at_nanos,
            stall: episodes(stalled),
            starve: episodes(parts[to].starved),
            ..LinkReading::default()
        });
    }
    reading.scheme = Arc::new(scheme);
    reading
}

/// Changes the scheme of a reading.
pub(crate) fn alter(reading: &mut Reading, change: impl FnOnce(&mut Scheme)) {
    change(Arc::make_mut(&mut reading.scheme));
}
