//! The counters of a link and of a stage: written where the thing happens, read by anybody at any time.
//! Knows nothing of who reads them; a reading never makes the data path wait.

use super::account::Account;
use super::reading::{LinkReading, ServerReading, StageReading};
use nix::unistd::gettid;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};
use std::time::Duration;

/// One kind of waiting on a link: how often, how long, and whether it goes on now.
///
/// An episode is one wait, however many wake-ups it takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Episodes {
    /// How many began.
    pub count: u64,
    /// How long the finished ones took, in nanoseconds.
    pub nanos: u64,
    /// When the one that goes on now began, on the run's clock; 0 for none.
    pub since_nanos: u64,
}

impl Episodes {
    /// One begins.
    pub(super) fn begin(&mut self, now_nanos: u64) {
        self.count += 1;
        self.since_nanos = now_nanos;
    }

    /// The one that goes on ends; does nothing if there is none.
    pub(super) fn end(&mut self, now_nanos: u64) {
        if self.since_nanos != 0 {
            self.nanos += now_nanos.saturating_sub(self.since_nanos);
            self.since_nanos = 0;
        }
    }

    /// Whether one goes on.
    pub fn is_open(&self) -> bool {
        self.since_nanos != 0
    }

    /// The time of all of them up to `now_nanos`, the open one included.
    pub fn total_nanos(&self, now_nanos: u64) -> u64 {
        match self.since_nanos {
            0 => self.nanos,
            since => self.nanos.saturating_add(now_nanos.saturating_sub(since)),
        }
    }
}

/// What the link itself keeps, under its lock; published to the [`LinkGauge`] after each change.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LinkCounts {
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) fill_bytes: u64,
    pub(super) fill_max_bytes: u64,
    /// The integral of the fill over time, in byte-seconds, up to `changed_nanos`.
    pub(super) fill_byte_seconds: f64,
    pub(super) changed_nanos: u64,
    pub(super) high_bytes: u64,
    pub(super) stall: Episodes,
    pub(super) starve: Episodes,
}

impl LinkCounts {
    /// Notes a new fill at `now_nanos`.
    pub(super) fn refill(&mut self, fill_bytes: usize, now_nanos: u64) {
        let seconds = now_nanos.saturating_sub(self.changed_nanos) as f64 / 1e9;
        self.fill_byte_seconds += self.fill_bytes as f64 * seconds;
        self.changed_nanos = self.changed_nanos.max(now_nanos);
        self.fill_bytes = fill_bytes as u64;
        self.fill_max_bytes = self.fill_max_bytes.max(self.fill_bytes);
    }
}

const LINK_FIELDS: usize = 13;

/// The counters of one link.
///
/// There is one writer at a time (who holds the link's lock); it makes the version odd, stores, and makes it
/// even again. A reader that sees an odd or a changed version looks again, so a reading is of one moment.
#[derive(Debug, Default)]
pub struct LinkGauge {
    version: AtomicU64,
    fields: [AtomicU64; LINK_FIELDS],
}

impl LinkGauge {
    pub(super) fn publish(&self, counts: &LinkCounts) {
        let LinkCounts { stall, starve, .. } = counts;
        let values: [u64; LINK_FIELDS] = [
            counts.bytes_in,
            counts.bytes_out,
            counts.fill_bytes,
            counts.fill_max_bytes,
            counts.fill_byte_seconds.to_bits(),
            counts.changed_nanos,
            counts.high_bytes,
            stall.count,
            stall.nanos,
            stall.since_nanos,
            starve.count,
            starve.nanos,
            starve.since_nanos,
        ];
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        for (field, value) in self.fields.iter().zip(values) {
            field.store(value, Ordering::Relaxed);
        }
        self.version.store(version + 2, Ordering::Release);
    }

    /// The counters as they stand, of one moment.
    pub fn reading(&self) -> LinkReading {
        let values = loop {
            let before = self.version.load(Ordering::Acquire);
            let values: [u64; LINK_FIELDS] =
                std::array::from_fn(|index| self.fields[index].load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == before {
                break values;
            }
            std::thread::yield_now();
        };
        let [
            bytes_in,
            bytes_out,
            fill,
            fill_max,
            area,
            changed,
            high,
            stalls,
            stalled,
            stalled_since,
            starves,
            starved,
            starved_since,
        ] = values;
        LinkReading {
            bytes_in,
            bytes_out,
            fill_bytes: fill,
            fill_max_bytes: fill_max,
            fill_byte_seconds: f64::from_bits(area),
            changed_nanos: changed,
            high_bytes: high,
            stall: Episodes { count: stalls, nanos: stalled, since_nanos: stalled_since },
            starve: Episodes { count: starves, nanos: starved, since_nanos: starved_since },
        }
    }
}

/// What a stage's thread waits for when it waits in the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Medium {
    /// Nothing it has named.
    #[default]
    Unknown = 0,
    /// A regular file or a block device.
    Disk = 1,
    /// A pipe, a FIFO, a character device.
    Pipe = 2,
    /// Somebody who types.
    Terminal = 3,
    /// A throttle's clock.
    Clock = 4,
    /// A FIFO that nobody has opened at the other end.
    Opener = 5,
    /// A child process.
    Child = 6,
    /// A socket.
    Socket = 7,
    /// A file that has been read, and that somebody may write more to.
    Writer = 8,
    /// Whoever paused it.
    Pause = 9,
}

impl Medium {
    const ALL: [Medium; 10] = [
        Medium::Unknown,
        Medium::Disk,
        Medium::Pipe,
        Medium::Terminal,
        Medium::Clock,
        Medium::Opener,
        Medium::Child,
        Medium::Socket,
        Medium::Writer,
        Medium::Pause,
    ];
}

/// The counters of one stage's thread.
#[derive(Debug, Default)]
pub struct StageGauge {
    thread: AtomicU64,
    started_nanos: AtomicU64,
    ended_nanos: AtomicU64,
    on_core_nanos: AtomicU64,
    queued_nanos: AtomicU64,
    system_nanos: AtomicU64,
    worker_wait_nanos: AtomicU64,
    worked_nanos: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    /// One more than it is; 0 while it is not known.
    announced_bytes: AtomicU64,
    medium: AtomicU8,
    is_paused: AtomicBool,
}

impl StageGauge {
    /// The stage's own thread begins; called on it.
    pub fn start(&self, now_nanos: u64) {
        self.thread.store(u64::from(gettid().as_raw().unsigned_abs()), Ordering::Relaxed);
        self.started_nanos.store(now_nanos, Ordering::Release);
    }

    /// The stage's own thread ends; called on it, since the kernel's account of a thread goes with it.
    pub fn end(&self, now_nanos: u64) {
        let lived_nanos = now_nanos.saturating_sub(self.started_nanos.load(Ordering::Relaxed));
        let account = Account::of_this_thread(lived_nanos).unwrap_or_default();
        self.on_core_nanos.store(account.on_core_nanos, Ordering::Relaxed);
        self.queued_nanos.store(account.queued_nanos, Ordering::Relaxed);
        self.system_nanos.store(account.system_nanos, Ordering::Relaxed);
        self.ended_nanos.store(now_nanos, Ordering::Release);
    }

    /// What the stage waits for from now on, when it waits in the system.
    pub fn waits_for(&self, medium: Medium) {
        self.medium.store(medium as u8, Ordering::Relaxed);
    }

    /// The stage is to move nothing until it is resumed; or it is resumed.
    pub fn pause(&self, is_paused: bool) {
        self.is_paused.store(is_paused, Ordering::Relaxed);
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    /// The stage's thread has waited that long for its own workers, which counts as busy.
    pub fn waited_for_workers(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.worker_wait_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// One of the stage's workers has computed that long for it.
    pub fn worked(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.worked_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Bytes that a source took from outside.
    pub fn read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that a sink gave to the outside.
    pub fn wrote(&self, bytes: u64) {
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many bytes a source will have given in the end, which it has learnt while it runs.
    pub fn announce_total(&self, bytes: u64) {
        self.announced_bytes.store(bytes.saturating_add(1), Ordering::Relaxed);
    }

    /// The counters as they stand; asks the kernel for a thread that still runs.
    pub fn reading(&self) -> StageReading {
        let ended_nanos = self.ended_nanos.load(Ordering::Acquire);
        let started_nanos = self.started_nanos.load(Ordering::Acquire);
        let stored = || Account {
            on_core_nanos: self.on_core_nanos.load(Ordering::Relaxed),
            queued_nanos: self.queued_nanos.load(Ordering::Relaxed),
            system_nanos: self.system_nanos.load(Ordering::Relaxed),
        };
        let account = if started_nanos != 0 && ended_nanos == 0 {
            // A thread that ended in this very moment has left its account.
            Account::of_thread(self.thread.load(Ordering::Relaxed)).unwrap_or_else(stored)
        } else {
            stored()
        };
        let medium = usize::from(self.medium.load(Ordering::Relaxed));
        StageReading {
            started_nanos,
            ended_nanos,
            on_core_nanos: account.on_core_nanos,
            queued_nanos: account.queued_nanos,
            system_nanos: account.system_nanos,
            worker_wait_nanos: self.worker_wait_nanos.load(Ordering::Relaxed),
            worked_nanos: self.worked_nanos.load(Ordering::Relaxed),
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            announced_bytes: self.announced_bytes.load(Ordering::Relaxed).checked_sub(1),
            medium: match Medium::ALL.get(medium) {
                _ if self.is_paused() && ended_nanos == 0 => Medium::Pause,
                medium => medium.copied().unwrap_or_default(),
            },
        }
    }
}

/// The counters of a server.
#[derive(Debug, Default)]
pub struct ServerGauge {
    connections: AtomicU64,
    connections_open: AtomicU64,
    runs: AtomicU64,
    runs_open: AtomicU64,
    runs_failed: AtomicU64,
    /// What all runs took from their peers, and gave to them.
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
}

impl ServerGauge {
    /// A connection was accepted.
    pub fn connection_begins(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.connections_open.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection is closed.
    pub fn connection_ends(&self) {
        self.connections_open.fetch_sub(1, Ordering::Relaxed);
    }

    /// A run begins.
    pub fn run_begins(&self) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.runs_open.fetch_add(1, Ordering::Relaxed);
    }

    /// A run ends, in failure or not.
    pub fn run_ends(&self, has_failed: bool) {
        self.runs_failed.fetch_add(u64::from(has_failed), Ordering::Relaxed);
        self.runs_open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Bytes that came from a peer.
    pub fn read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that went to a peer.
    pub fn wrote(&self, bytes: u64) {
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The counters as they stand; each by itself.
    pub fn reading(&self) -> ServerReading {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ServerReading {
            connections: value(&self.connections),
            connections_open: value(&self.connections_open),
            runs: value(&self.runs),
            runs_open: value(&self.runs_open),
            runs_failed: value(&self.runs_failed),
            bytes_read: value(&self.bytes_read),
            bytes_written: value(&self.bytes_written),
            busiest: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Episodes, LinkCounts, LinkGauge, StageGauge};

    #[test]
    fn an_open_episode_counts_up_to_now() {
        let mut episodes = Episodes::default();
        episodes.begin(100);
        assert_eq!((episodes.count, episodes.total_nanos(150)), (1, 50));
        episodes.end(180);
        episodes.end(500);
        assert_eq!(episodes, Episodes { count: 1, nanos: 80, since_nanos: 0 });
        assert_eq!(episodes.total_nanos(900), 80);
    }

    #[test]
    fn the_fill_is_integrated_over_time() {
        let mut counts = LinkCounts::default();
        counts.refill(1000, 1_000_000_000);
        counts.refill(0, 3_000_000_000);
        counts.refill(0, 9_000_000_000);
        assert!((counts.fill_byte_seconds - 2000.0).abs() < 1e-6);
        assert_eq!((counts.fill_bytes, counts.fill_max_bytes), (0, 1000));
    }

    #[test]
    fn a_reading_is_of_one_moment() {
        let gauge = LinkGauge::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 1..=20_000 {
                    let counts = LinkCounts { bytes_in: number, bytes_out: number, ..LinkCounts::default() };
                    gauge.publish(&counts);
                }
            });
            loop {
                let reading = gauge.reading();
                assert_eq!(reading.bytes_in, reading.bytes_out);
                if reading.bytes_in == 20_000 {
                    break;
                }
            }
        });
    }

    #[test]
    fn what_a_source_announces_is_known_from_then_on() {
        let gauge = StageGauge::default();
        assert_eq!(gauge.reading().announced_bytes, None);
        for bytes in [0, 7] {
            gauge.announce_total(bytes);
            assert_eq!(gauge.reading().announced_bytes, Some(bytes));
        }
    }

    #[test]
    fn a_thread_that_computes_is_on_a_core() {
        let gauge = StageGauge::default();
        gauge.start(1);
        let begin = std::time::Instant::now();
        while begin.elapsed().as_millis() < 20 {}
        let running = gauge.reading();
        gauge.end(2);
        let ended = gauge.reading();
        assert!(running.on_core_nanos + running.queued_nanos > 10_000_000, "{running:?}");
        assert!(ended.on_core_nanos >= running.on_core_nanos);
    }
}
