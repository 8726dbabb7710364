//! The link and the codecs by themselves, in this process.
//!
//!     cargo bench --bench micro [PART OF A NAME]
//!
//! Each figure is the median of nine runs after one that is thrown away, with the least and the most beside it. They are
//! for comparing two versions of weir in one sitting, on one machine; absolute they mean nothing.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use weir::engine::{self, Process};
use weir::flow::{Bounds, CHUNK_BYTES, Clock, Link, Parcel, Pool};
use weir::lang;
use weir::plan::{Plan, Settings};
use weir::stage::TABLE;

const RUNS: usize = 9;

/// Chunks of `chunk_bytes` through one link, from thread to thread.
fn hand_over(chunk_bytes: usize, chunks: usize) -> Duration {
    let clock = Arc::new(Clock::new());
    let (mut writer, mut reader, _link) =
        Link::open(Bounds::new(4 * chunk_bytes, chunk_bytes), clock, None, None);
    let pool = Pool::new(chunk_bytes);
    let begin = Instant::now();
    let writing = thread::spawn(move || {
        for _ in 0..chunks {
            let mut chunk = pool.chunk();
            chunk.fill(chunk_bytes);
            writer.send(chunk).unwrap();
        }
        writer.finish();
    });
    while let Some(Parcel::Chunk(chunk)) = reader.receive().unwrap() {
        black_box(&chunk[0]);
    }
    writing.join().unwrap();
    begin.elapsed()
}

/// One-byte sends, which the link joins.
fn trickle(bytes: usize) -> Duration {
    let clock = Arc::new(Clock::new());
    let (mut writer, mut reader, _link) = Link::open(Bounds::new(1 << 20, CHUNK_BYTES), clock, None, None);
    let pool = Pool::new(CHUNK_BYTES);
    let begin = Instant::now();
    let reading = thread::spawn(move || while reader.receive().unwrap().is_some() {});
    for _ in 0..bytes {
        let mut chunk = pool.chunk();
        chunk.append(b"x");
        writer.send(chunk).unwrap();
    }
    writer.finish();
    reading.join().unwrap();
    begin.elapsed()
}

/// A whole chain in this process.
fn chain(text: &str, process: &Process) -> Duration {
    let chain = lang::parse(text.as_bytes()).unwrap();
    let plan = Plan::new(&chain, TABLE, Settings::default()).unwrap();
    let begin = Instant::now();
    let report = engine::start(plan, process, &engine::Settings::default()).unwrap().wait(&mut |_| {});
    assert!(report.failures.is_empty(), "{text}: {:?}", report.failures);
    begin.elapsed()
}

fn measure(name: &str, bytes: usize, mut run: impl FnMut() -> Duration) {
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with("--"));
    if wanted.is_some_and(|part| !name.contains(&part)) {
        return;
    }
    run();
    let mut times: Vec<Duration> = (0..RUNS).map(|_| run()).collect();
    times.sort();
    let rate = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
    let (median, least, most) = (rate(times[RUNS / 2]), rate(times[RUNS - 1]), rate(times[0]));
    println!("{name:<40} {median:>10.1} MB/s   ({least:.1}–{most:.1})");
}

fn main() {
    for (chunk_bytes, chunks) in [(4 << 10, 100_000), (64 << 10, 50_000), (256 << 10, 50_000)] {
        let name = format!("link, chunks of {} KiB", chunk_bytes >> 10);
        measure(&name, chunk_bytes * chunks, || hand_over(chunk_bytes, chunks));
    }
    measure("link, one byte at a time", 1_000_000, || trickle(1_000_000));
    let process = Process::attach().unwrap();
    for (name, text) in [
        ("generate random", "generate random 256M | discard"),
        ("generate text", "generate text 256M | discard"),
        ("pass x 8", "generate zeros 256M | pass | pass | pass | pass | pass | pass | pass | pass | discard"),
        ("upper --ascii", "generate text 256M | upper --ascii | discard"),
        ("upper", "generate text 256M | upper | discard"),
        ("gzip -1", "generate text 256M | gzip -1 | discard"),
        ("gzip -6", "generate text 256M | gzip -6 | discard"),
        ("gzip -1 and gunzip", "generate text 256M | gzip -1 | gunzip | discard"),
    ] {
        measure(name, 256 << 20, || chain(text, &process));
    }
}
