//! The link's behaviour with real threads. Kept out of `link.rs`, which the model compiles against other primitives.

use super::{
    Alarm, Bounds, Chunk, Clock, Closed, Link, LinkReader, LinkWriter, Parcel, Pool, Upstream, Woken,
};
use nix::poll::PollTimeout;
use std::sync::Arc;
use std::thread;

const CHUNK_BYTES: usize = 64;

fn open(bounds: Bounds) -> (LinkWriter, LinkReader, Arc<Link>) {
    Link::open(bounds, Arc::new(Clock::new()), None, None)
}

/// Room for four chunks.
fn bounds() -> Bounds {
    Bounds::new(4 * CHUNK_BYTES, CHUNK_BYTES)
}

fn chunk(pool: &Pool, bytes: &[u8]) -> Chunk {
    let mut chunk = pool.chunk();
    assert_eq!(chunk.append(bytes), bytes.len());
    chunk
}

/// The next chunk; there must be one.
fn next(reader: &mut LinkReader) -> Chunk {
    match reader.receive().unwrap() {
        Some(Parcel::Chunk(chunk)) => chunk,
        other => panic!("{other:?}"),
    }
}

/// Waits until a condition on the gauge holds: the other thread has come to rest where the test needs it.
fn until(link: &Link, condition: impl Fn(&super::LinkReading) -> bool) {
    while !condition(&link.gauge().reading()) {
        thread::yield_now();
    }
}

#[test]
fn a_full_link_stalls_its_writer_until_it_has_drained_to_the_low_mark() {
    let (mut writer, mut reader, link) = open(bounds());
    let pool = Pool::new(CHUNK_BYTES);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..5 {
                writer.send(chunk(&pool, &[7; CHUNK_BYTES])).unwrap();
            }
            writer.finish();
        });
        until(&link, |reading| reading.stall.is_open());
        assert_eq!(link.gauge().reading().fill_bytes, 4 * CHUNK_BYTES as u64);
        reader.receive().unwrap();
        assert!(link.gauge().reading().stall.is_open(), "resumed above the low mark");
        reader.receive().unwrap();
        assert!(!link.gauge().reading().stall.is_open(), "still stalled at the low mark");
        for _ in 0..3 {
            assert!(reader.receive().unwrap().is_some());
        }
        assert!(reader.receive().unwrap().is_none());
    });
    let reading = link.gauge().reading();
    assert_eq!((reading.stall.count, reading.bytes_in, reading.bytes_out), (1, 320, 320));
    assert!(reading.stall.nanos > 0);
}

#[test]
fn an_empty_link_starves_its_reader_and_the_first_chunk_ends_it() {
    let (mut writer, mut reader, link) = open(bounds());
    let pool = Pool::new(CHUNK_BYTES);
    thread::scope(|scope| {
        let taken = scope.spawn(|| reader.receive().unwrap().map(|chunk| chunk.len()));
        until(&link, |reading| reading.starve.is_open());
        writer.send(chunk(&pool, b"abc")).unwrap();
        assert!(!link.gauge().reading().starve.is_open());
        assert_eq!(taken.join().unwrap(), Some(3));
    });
    assert_eq!(link.gauge().reading().starve.count, 1);
}

#[test]
fn a_stalled_writer_goes_on_when_its_link_is_made_larger() {
    let (mut writer, mut reader, link) = open(bounds());
    let pool = Pool::new(CHUNK_BYTES);
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..20 {
                writer.send(chunk(&pool, &[1; CHUNK_BYTES])).unwrap();
            }
            writer.finish();
        });
        until(&link, |reading| reading.stall.is_open());
        link.resize(100 * CHUNK_BYTES);
        until(&link, |reading| reading.bytes_in == 20 * CHUNK_BYTES as u64);
    });
    let reading = link.gauge().reading();
    assert_eq!((reading.stall.count, reading.high_bytes), (1, 100 * CHUNK_BYTES as u64));
    while reader.receive().unwrap().is_some() {}
}

#[test]
fn a_link_that_is_made_smaller_and_larger_again_is_the_same() {
    let first = Bounds { start_bytes: 3 * CHUNK_BYTES, ..bounds() };
    let (_writer, _reader, link) = open(first);
    for high_bytes in [1, 1 << 40, first.high_bytes] {
        link.resize(high_bytes);
        assert_eq!(link.bounds().high_bytes, high_bytes);
    }
    assert_eq!(link.bounds(), Bounds { start_bytes: first.start_bytes.min(first.high_bytes), ..first });
}

#[test]
fn a_starved_reader_does_not_hear_of_another_size() {
    let (mut writer, mut reader, link) = open(bounds());
    let pool = Pool::new(CHUNK_BYTES);
    thread::scope(|scope| {
        let taken = scope.spawn(move || reader.receive().unwrap().map(|parcel| parcel.len()));
        until(&link, |reading| reading.starve.is_open());
        for high_bytes in [1, 1 << 40, 1 << 20] {
            link.resize(high_bytes);
            assert!(link.gauge().reading().starve.is_open());
        }
        writer.send(chunk(&pool, &[1; 3])).unwrap();
        assert_eq!(taken.join().unwrap(), Some(3));
    });
    assert_eq!(link.gauge().reading().starve.count, 1);
}

#[test]
fn who_is_paused_neither_stalls_nor_starves() {
    let (mut writer, mut reader, link) = open(bounds());
    let pool = Pool::new(CHUNK_BYTES);
    link.pause_writer(true);
    link.pause_reader(true);
    thread::scope(|scope| {
        let written = scope.spawn(move || writer.send(chunk(&pool, b"abc")).map(|()| writer.finish()));
        let taken = scope.spawn(move || reader.receive().unwrap().map(|chunk| chunk.len()));
        link.pause_writer(false);
        assert_eq!(written.join().unwrap(), Ok(()));
        assert_eq!((link.gauge().reading().bytes_in, link.gauge().reading().bytes_out), (3, 0));
        link.pause_reader(false);
        assert_eq!(taken.join().unwrap(), Some(3));
    });
    let reading = link.gauge().reading();
    assert_eq!((reading.stall.count, reading.starve.count), (0, 0));
}

#[test]
fn small_chunks_join_the_one_at_the_tail() {
    let (mut writer, mut reader, link) = open(bounds());
    let pool = Pool::new(CHUNK_BYTES);
    for byte in 0..100_u8 {
        writer.send(chunk(&pool, &[byte])).unwrap();
    }
    writer.finish();
    assert_eq!(link.gauge().reading().fill_bytes, 100);
    let mut received = Vec::new();
    let mut chunks = 0;
    while let Some(Parcel::Chunk(chunk)) = reader.receive().unwrap() {
        received.extend_from_slice(&chunk);
        chunks += 1;
    }
    assert_eq!((received, chunks), ((0..100).collect::<Vec<u8>>(), 2));
}

#[test]
fn a_shared_tail_is_not_joined() {
    let (mut writer, mut reader, _link) = open(bounds());
    let pool = Pool::new(CHUNK_BYTES);
    let shared = chunk(&pool, b"a");
    writer.send(shared.clone()).unwrap();
    writer.send(chunk(&pool, b"b")).unwrap();
    writer.finish();
    assert_eq!(&*next(&mut reader), b"a");
    assert_eq!(&*next(&mut reader), b"b");
    assert_eq!(&*shared, b"a");
}

#[test]
fn a_dropped_writer_is_an_abort_heard_after_what_it_sent() {
    let (mut writer, mut reader, _link) = open(bounds());
    let pool = Pool::new(CHUNK_BYTES);
    writer.send(chunk(&pool, b"partial")).unwrap();
    drop(writer);
    assert_eq!(&*next(&mut reader), b"partial");
    assert_eq!(reader.receive().unwrap_err(), Closed::Aborted);
    assert_eq!(reader.receive().unwrap_err(), Closed::Aborted);
}

#[test]
fn a_dropped_reader_hangs_up_on_a_stalled_writer_and_rings_its_bell() {
    let alarm = Arc::new(Alarm::new().unwrap());
    let clock = Arc::new(Clock::new());
    let (mut writer, reader, link) = Link::open(bounds(), clock, Some(Arc::clone(&alarm)), None);
    let pool = Pool::new(CHUNK_BYTES);
    thread::scope(|scope| {
        let sent = scope.spawn(|| {
            loop {
                if let Err(closed) = writer.send(chunk(&pool, &[1; CHUNK_BYTES])) {
                    return (closed, writer.refusal().is_some());
                }
            }
        });
        until(&link, |reading| reading.stall.is_open());
        drop(reader);
        assert_eq!(sent.join().unwrap(), (Closed::HungUp, true));
    });
    assert_eq!(alarm.wait(None, PollTimeout::NONE).unwrap(), Woken::Rung);
    assert!(!link.gauge().reading().stall.is_open());
}

#[test]
fn a_cancel_frees_both_ends_and_their_memory() {
    let (mut writer, mut reader, link) = open(bounds());
    let pool = Pool::new(CHUNK_BYTES);
    writer.send(chunk(&pool, b"abc")).unwrap();
    link.cancel();
    assert_eq!(writer.send(chunk(&pool, b"def")), Err(Closed::Cancelled));
    assert_eq!(reader.receive().unwrap_err(), Closed::Cancelled);
    assert_eq!(link.gauge().reading().fill_bytes, 0);
}

#[test]
fn a_held_reader_starts_at_its_mark_and_again_after_running_empty() {
    let (mut writer, mut reader, link) = open(Bounds { start_bytes: 2 * CHUNK_BYTES, ..bounds() });
    let pool = Pool::new(CHUNK_BYTES);
    let full = || chunk(&pool, &[1; CHUNK_BYTES]);
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut chunks = 0;
            while reader.receive().unwrap().is_some() {
                chunks += 1;
            }
            chunks
        });
        for round in 1..=2 {
            until(&link, |reading| reading.starve.is_open() && reading.starve.count == round);
            writer.send(full()).unwrap();
            assert!(link.gauge().reading().starve.is_open(), "let go too early");
            writer.send(full()).unwrap();
        }
        // What is left at the end is less than the mark, and still comes.
        until(&link, |reading| reading.starve.is_open() && reading.starve.count == 3);
        writer.send(full()).unwrap();
        writer.finish();
        assert_eq!(reading.join().unwrap(), 5);
    });
    assert_eq!(link.gauge().reading().starve.count, 3);
}

#[test]
fn a_held_reader_is_let_go_when_the_link_can_take_no_more() {
    // Slots run out long before the start mark is reached.
    let (mut writer, mut reader, link) =
        open(Bounds { high_bytes: 1 << 20, low_bytes: 0, slots: 2, start_bytes: 1 << 20 });
    let pool = Pool::new(CHUNK_BYTES);
    thread::scope(|scope| {
        let taken = scope.spawn(move || reader.receive().unwrap().is_some());
        until(&link, |reading| reading.starve.is_open());
        writer.send(chunk(&pool, &[1; CHUNK_BYTES])).unwrap();
        writer.send(chunk(&pool, &[1; CHUNK_BYTES])).unwrap();
        assert!(taken.join().unwrap());
    });
}

#[test]
fn a_chunk_larger_than_the_link_is_taken_whole() {
    let (mut writer, mut reader, link) = open(Bounds::new(10, CHUNK_BYTES));
    let pool = Pool::new(CHUNK_BYTES);
    writer.send(chunk(&pool, &[1; CHUNK_BYTES])).unwrap();
    assert_eq!(link.gauge().reading().fill_bytes, CHUNK_BYTES as u64);
    assert_eq!(next(&mut reader).len(), CHUNK_BYTES);
}

#[test]
fn an_empty_chunk_is_no_chunk() {
    let (mut writer, mut reader, _link) = open(bounds());
    writer.send(Pool::new(CHUNK_BYTES).chunk()).unwrap();
    writer.finish();
    assert!(reader.receive().unwrap().is_none());
}

#[test]
fn a_hang_up_goes_on_to_a_silent_source_when_no_output_is_wanted() {
    let (source, mut input, first) = open(bounds());
    let (_onward, onward_reader, onward) = open(bounds());
    let (_branch, branch_reader, branch) = open(bounds());
    let upstream = Upstream::new(first, 2);
    onward.pass_hang_up_on(Arc::clone(&upstream));
    branch.pass_hang_up_on(upstream);
    drop(onward_reader);
    onward.hang_up();
    assert!(source.refusal().is_none(), "one output is still wanted");
    drop(branch_reader);
    assert!(source.refusal().is_some());
    assert_eq!(input.receive().unwrap_err(), Closed::HungUp);
}

#[test]
fn only_a_reader_who_finds_the_end_has_read_to_it() {
    let pool = Pool::new(CHUNK_BYTES);
    for looks_for_the_end in [true, false] {
        let (mut writer, mut reader, link) = open(bounds());
        writer.send(chunk(&pool, b"all")).unwrap();
        assert_eq!(&next(&mut reader)[..], b"all");
        writer.finish();
        if looks_for_the_end {
            assert!(reader.receive().unwrap().is_none());
        }
        drop(reader);
        assert_eq!(link.was_read_to_its_end(), looks_for_the_end);
    }
}
