//! Snapshots in plain numbers, and the scheme that says which stage and link they belong to.
//! Pure data and arithmetic: whoever shows or judges a run needs nothing else.

use super::gauge::{Episodes, Medium};
use std::sync::Arc;

/// What a run consists of, as far as it can be seen: fixed when the run starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scheme {
    /// One row for each stage's thread, in the order of the chain's text.
    pub stages: Vec<StageInfo>,
    /// The links between them, each stage's input before its outputs.
    pub links: Vec<LinkInfo>,
    /// How many bytes the first source will give, when that is known.
    pub total_bytes: Option<u64>,
    /// How many threads compute at once (`-T`); 0 is as many as there are cores.
    pub threads: usize,
}

/// A stage, as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StageInfo {
    /// `gzip`.
    pub name: String,
    /// Its arguments as far as they fit a line: `-6`, `access.log`.
    pub label: String,
    /// How many groups it stands in; 0 for the chain itself.
    pub depth: usize,
    /// The link it reads, as an index of [`Scheme::links`].
    pub input: Option<usize>,
    /// The links it writes: onward first, then one for each branch.
    pub outputs: Vec<usize>,
    /// For the outward row of a duplex: the row that brings back what its peer gives.
    pub returns: Option<usize>,
    /// It gives as many bytes as it takes; what it has given less are on their way through it.
    pub keeps_size: bool,
    /// It gives nothing before it has taken all.
    pub holds_back: bool,
    /// What people should know of its output.
    pub caveat: Option<&'static str>,
    /// What to try when this stage computes all the time: `gzip -1`, `zstd`.
    pub advice: Vec<&'static str>,
}

impl Scheme {
    /// For the row that brings back what a peer gives: the row that gives to the same peer.
    pub fn outward_of(&self, stage: usize) -> Option<usize> {
        self.stages.iter().position(|info| info.returns == Some(stage))
    }

    /// The link from which the bytes of `stage` come; behind a peer, that of the row which gives to it.
    pub fn feed_of(&self, stage: usize) -> Option<usize> {
        self.stages[stage].input.or_else(|| self.stages[self.outward_of(stage)?].input)
    }
}

/// A link, by the stages at its ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkInfo {
    /// The stage that writes, as an index of [`Scheme::stages`].
    pub from: usize,
    /// The stage that reads.
    pub to: usize,
    /// At this many bytes the writer is stalled, as the run begins.
    pub high_bytes: u64,
}

/// All counters of a run at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// When, on the run's clock.
    pub at_nanos: u64,
    /// When the run started, on the same clock.
    pub started_nanos: u64,
    /// As [`Scheme::stages`].
    pub stages: Vec<StageReading>,
    /// As [`Scheme::links`].
    pub links: Vec<LinkReading>,
    /// For a server.
    pub server: Option<ServerReading>,
    /// For the runs of a batch together: there are no stages and links then.
    pub batch: Option<BatchReading>,
    /// The same, as it is told to whoever wants to name things.
    pub scheme: Arc<Scheme>,
}

/// A server's counters at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServerReading {
    /// Accepted so far.
    pub connections: u64,
    /// Open now.
    pub connections_open: u64,
    /// Runs so far: one for each connection, or for each request on it.
    pub runs: u64,
    /// Going on now.
    pub runs_open: u64,
    /// Failed so far.
    pub runs_failed: u64,
    /// Taken from peers.
    pub bytes_read: u64,
    /// Given to peers.
    pub bytes_written: u64,
    /// The runs going on that have moved most, the first one most of all.
    pub busiest: Vec<RunReading>,
}

/// The counters of several runs that go on at once, at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BatchReading {
    /// All there are, those that have not begun among them.
    pub runs: u64,
    /// Going on now.
    pub runs_open: u64,
    /// Ended so far, in failure or not.
    pub runs_ended: u64,
    /// Failed so far.
    pub runs_failed: u64,
    /// What their sources have taken.
    pub taken_bytes: u64,
    /// What these will have taken in the end, when that is known of all of them.
    pub total_bytes: Option<u64>,
    /// The runs going on that have moved most, in the order in which they began.
    pub busiest: Vec<RunReading>,
}

/// One run of several at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunReading {
    /// Who it is for.
    pub name: String,
    /// Its counters.
    pub reading: Reading,
}

/// A link's counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinkReading {
    /// Accepted from the writer.
    pub bytes_in: u64,
    /// Handed to the reader.
    pub bytes_out: u64,
    /// Held now.
    pub fill_bytes: u64,
    /// The most it ever held.
    pub fill_max_bytes: u64,
    /// The integral of the fill over time, up to the last change.
    pub fill_byte_seconds: f64,
    /// When the fill last changed.
    pub changed_nanos: u64,
    /// At this many bytes the writer is stalled now; 0 is as the run began.
    pub high_bytes: u64,
    /// The writer's waits for room.
    pub stall: Episodes,
    /// The reader's waits for bytes.
    pub starve: Episodes,
}

impl LinkReading {
    /// The integral of the fill up to `at_nanos`, in byte-seconds.
    pub fn area(&self, at_nanos: u64) -> f64 {
        let since = at_nanos.saturating_sub(self.changed_nanos) as f64 / 1e9;
        self.fill_byte_seconds + self.fill_bytes as f64 * since
    }
}

/// A stage's counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageReading {
    /// When its thread began; 0 if it has not.
    pub started_nanos: u64,
    /// When its thread ended; 0 if it has not.
    pub ended_nanos: u64,
    /// Time on a core, the system's part included.
    pub on_core_nanos: u64,
    /// Time in which it could have run and found no core free.
    pub queued_nanos: u64,
    /// The part of `on_core_nanos` inside system calls: copying in the kernel, mostly.
    pub system_nanos: u64,
    /// Time it waited for its own workers.
    pub worker_wait_nanos: u64,
    /// Time its workers computed for it, all of them together: may grow faster than the clock.
    pub worked_nanos: u64,
    /// What a source took from outside.
    pub bytes_read: u64,
    /// What a sink gave to the outside.
    pub bytes_written: u64,
    /// What a source will have given in the end, if it has said so.
    pub announced_bytes: Option<u64>,
    /// What it waits for, when it waits in the system.
    pub medium: Medium,
}

/// How a stage's thread spent a stretch of time. The first four parts and `absent` add up to `wall_nanos`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// The stretch.
    pub wall_nanos: u64,
    /// Computing, queued for a core, or waiting for its own workers.
    pub busy_nanos: u64,
    /// The part of `busy_nanos` on a core.
    pub on_core_nanos: u64,
    /// The part of `on_core_nanos` spent inside system calls.
    pub system_nanos: u64,
    /// The part of `busy_nanos` in which no core was free.
    pub queued_nanos: u64,
    /// Time its workers computed for it: no part of the stretch, and more than it with several workers.
    pub worked_nanos: u64,
    /// Blocked in the system.
    pub waiting_nanos: u64,
    /// Blocked on a full output link.
    pub stalled_nanos: u64,
    /// Blocked on an empty input link.
    pub starved_nanos: u64,
    /// Not begun yet, or ended.
    pub absent_nanos: u64,
}

impl Share {
    /// The part of the stretch in which the thread was there.
    pub fn present_nanos(&self) -> u64 {
        self.wall_nanos - self.absent_nanos.min(self.wall_nanos)
    }

    /// How many cores the stage and its workers used, on average over the stretch.
    pub fn cores(&self) -> f64 {
        match self.wall_nanos {
            0 => 0.0,
            wall => (self.on_core_nanos + self.worked_nanos) as f64 / wall as f64,
        }
    }

    /// A part of the stretch, from 0 to 1.
    pub fn fraction(&self, part_nanos: u64) -> f64 {
        if self.wall_nanos == 0 { 0.0 } else { (part_nanos as f64 / self.wall_nanos as f64).clamp(0.0, 1.0) }
    }
}

impl Reading {
    /// Of a run in which nothing has begun.
    pub fn before(scheme: Arc<Scheme>) -> Reading {
        Reading {
            stages: vec![StageReading::default(); scheme.stages.len()],
            links: vec![LinkReading::default(); scheme.links.len()],
            scheme,
            ..Reading::default()
        }
    }

    /// The time since the run started, in nanoseconds.
    pub fn elapsed_nanos(&self) -> u64 {
        self.at_nanos.saturating_sub(self.started_nanos)
    }

    /// How many bytes the first source has given by now; of a batch, those of all runs.
    pub fn taken_bytes(&self) -> u64 {
        match (&self.batch, self.scheme.stages.first()) {
            (Some(batch), _) => batch.taken_bytes,
            (None, None) => 0,
            (None, Some(source)) if source.input.is_some() => self.bytes_in(0),
            (None, Some(_)) => self.bytes_in(0).max(self.bytes_out(0)),
        }
    }

    /// How many bytes the first source will give, as far as that is known by now.
    pub fn total_bytes(&self) -> Option<u64> {
        if let Some(batch) = &self.batch {
            return batch.total_bytes;
        }
        self.scheme.total_bytes.or_else(|| self.stages.first()?.announced_bytes)
    }

    /// How stage number `stage` spent the time since `earlier`; since the start of the run if that is `None`.
    pub fn share(&self, earlier: Option<&Reading>, stage: usize) -> Share {
        let begin = earlier.map_or(self.started_nanos, |reading| reading.at_nanos);
        let wall_nanos = self.at_nanos.saturating_sub(begin);
        let now = &self.stages[stage];
        let before = earlier.map(|reading| reading.stages[stage]).unwrap_or_default();
        let info = &self.scheme.stages[stage];

        // The part of the stretch in which the thread was there at all.
        let from = if now.started_nanos == 0 { self.at_nanos } else { now.started_nanos.max(begin) };
        let to = if now.ended_nanos == 0 { self.at_nanos } else { now.ended_nanos.min(self.at_nanos) };
        let present_nanos = to.saturating_sub(from).min(wall_nanos);

        let since = |of: &dyn Fn(&LinkReading) -> &Episodes, link: usize| {
            let before = earlier.map_or(0, |reading| of(&reading.links[link]).total_nanos(reading.at_nanos));
            of(&self.links[link]).total_nanos(self.at_nanos).saturating_sub(before)
        };
        let stalled: u64 =
            info.outputs.iter().map(|&link| since(&|link| &link.stall, link)).fold(0, u64::saturating_add);
        let starved: u64 = info.input.map_or(0, |link| since(&|link| &link.starve, link));
        let stalled_nanos = stalled.min(present_nanos);
        let starved_nanos = starved.min(present_nanos - stalled_nanos);
        let own_nanos = present_nanos - stalled_nanos - starved_nanos;

        let grown = |now: u64, before: u64| now.saturating_sub(before);
        let on_core = grown(now.on_core_nanos, before.on_core_nanos);
        let queued = grown(now.queued_nanos, before.queued_nanos);
        let worker_wait = grown(now.worker_wait_nanos, before.worker_wait_nanos);
        let busy_nanos = on_core.saturating_add(queued).saturating_add(worker_wait).min(own_nanos);
        let on_core_nanos = on_core.min(busy_nanos);
        Share {
            wall_nanos,
            busy_nanos,
            on_core_nanos,
            system_nanos: grown(now.system_nanos, before.system_nanos).min(on_core_nanos),
            queued_nanos: queued.min(busy_nanos - on_core_nanos),
            worked_nanos: grown(now.worked_nanos, before.worked_nanos),
            waiting_nanos: own_nanos - busy_nanos,
            stalled_nanos,
            starved_nanos,
            absent_nanos: wall_nanos - present_nanos,
        }
    }

    /// The average fill of link number `link` since `earlier`, from 0 (empty) to 1 (the high mark or more).
    pub fn fill(&self, earlier: Option<&Reading>, link: usize) -> f64 {
        match self.high_bytes(link) {
            0 => 0.0,
            high => (self.fill_average_bytes(earlier, link) / high as f64).clamp(0.0, 1.0),
        }
    }

    /// The same in bytes; 0 over no time at all.
    pub fn fill_average_bytes(&self, earlier: Option<&Reading>, link: usize) -> f64 {
        let (begin, area) = match earlier {
            Some(reading) => (reading.at_nanos, reading.links[link].area(reading.at_nanos)),
            None => (self.started_nanos, 0.0),
        };
        let seconds = self.at_nanos.saturating_sub(begin) as f64 / 1e9;
        if seconds <= 0.0 {
            return 0.0;
        }
        ((self.links[link].area(self.at_nanos) - area) / seconds).max(0.0)
    }

    /// At how many bytes the writer of link number `link` is stalled.
    pub fn high_bytes(&self, link: usize) -> u64 {
        match self.links[link].high_bytes {
            0 => self.scheme.links[link].high_bytes,
            now => now,
        }
    }

    /// What stage number `stage` has taken: from its input link, or from outside.
    pub fn bytes_in(&self, stage: usize) -> u64 {
        match self.scheme.stages[stage].input {
            Some(link) => self.links[link].bytes_out,
            None => self.stages[stage].bytes_read,
        }
    }

    /// What stage number `stage` has given: to its onward link, or to the outside.
    pub fn bytes_out(&self, stage: usize) -> u64 {
        match self.scheme.stages[stage].outputs.first() {
            Some(&link) => self.links[link].bytes_in,
            None => self.stages[stage].bytes_written,
        }
    }
}
