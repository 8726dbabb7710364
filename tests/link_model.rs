//! The link's model: its own source, compiled against shuttle's mutex and condition variable, under many schedules.
//!
//! Shuttle decides at every lock and wait which thread goes on, and fails a schedule in which all threads wait: a lost
//! wake-up is a deadlock here. Each model also checks that no chunk is lost, doubled or out of order.

#![allow(dead_code, unreachable_pub, missing_docs, unused_imports, clippy::unwrap_used)]

#[path = "../src/flow/account.rs"]
mod account;
#[path = "../src/flow/alarm.rs"]
mod alarm;
#[path = "../src/flow/bounds.rs"]
mod bounds;
#[path = "../src/flow/chunk.rs"]
mod chunk;
#[path = "../src/flow/clock.rs"]
mod clock;
#[path = "../src/flow/closed.rs"]
mod closed;
#[path = "../src/flow/gauge.rs"]
mod gauge;
#[path = "../src/flow/link.rs"]
mod link;
#[path = "../src/flow/reading.rs"]
mod reading;

/// What `src/flow/sync.rs` is in the program.
mod sync {
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
}

use bounds::Bounds;
use chunk::{Chunk, Parcel, Pool};
use clock::Clock;
use closed::Closed;
use link::{Link, LinkReader, LinkWriter};
use shuttle::{check_dfs, check_pct, check_random, thread};
use std::sync::Arc;

const CHUNK_BYTES: usize = 16;

fn chunk(pool: &Pool, number: u8) -> Chunk {
    let mut chunk = pool.chunk();
    chunk.append(&[number; CHUNK_BYTES]);
    chunk
}

fn open(bounds: Bounds) -> (LinkWriter, LinkReader, Arc<Link>) {
    Link::open(bounds, Arc::new(Clock::new()), None, None)
}

/// One chunk fills it: every send but the first can stall.
fn tight() -> Bounds {
    Bounds { high_bytes: 1, low_bytes: 0, slots: 2, start_bytes: 0 }
}

/// What ends the writer, and after how many chunks.
#[derive(Clone, Copy, PartialEq)]
enum WriterEnd {
    Finish,
    Drop,
}

fn write(mut writer: LinkWriter, chunks: u8, end: WriterEnd) -> Result<(), Closed> {
    let pool = Pool::new(CHUNK_BYTES);
    for number in 0..chunks {
        writer.send(chunk(&pool, number))?;
    }
    if end == WriterEnd::Finish {
        writer.finish();
    }
    Ok(())
}

/// Takes at most `most` chunks, which must come in order; the end, if it came to that.
fn read(mut reader: LinkReader, most: u8) -> (u8, Option<Result<(), Closed>>) {
    for number in 0..most {
        match reader.receive() {
            Ok(Some(Parcel::Extent(_))) => panic!("nobody sent a file"),
            Ok(Some(Parcel::Chunk(chunk))) => {
                assert!(chunk.iter().all(|&byte| byte == number), "chunk {number} is another");
            }
            Ok(None) => return (number, Some(Ok(()))),
            Err(closed) => return (number, Some(Err(closed))),
        }
    }
    (most, None)
}

fn all_arrive(bounds: Bounds, chunks: u8) {
    let (writer, reader, link) = open(bounds);
    let writing = thread::spawn(move || write(writer, chunks, WriterEnd::Finish));
    assert_eq!(read(reader, u8::MAX), (chunks, Some(Ok(()))));
    assert_eq!(writing.join().unwrap(), Ok(()));
    let reading = link.gauge().reading();
    assert_eq!(reading.bytes_in, u64::from(chunks) * CHUNK_BYTES as u64);
    assert_eq!(reading.bytes_out, reading.bytes_in);
    assert!(!reading.stall.is_open() && !reading.starve.is_open(), "an episode never ended");
}

fn an_abort_is_never_an_end(bounds: Bounds, chunks: u8) {
    let (writer, reader, _link) = open(bounds);
    let writing = thread::spawn(move || write(writer, chunks, WriterEnd::Drop));
    assert_eq!(read(reader, u8::MAX), (chunks, Some(Err(Closed::Aborted))));
    assert_eq!(writing.join().unwrap(), Ok(()));
}

fn a_hang_up_frees_the_writer(bounds: Bounds, chunks: u8, taken: u8) {
    let (writer, reader, link) = open(bounds);
    let writing = thread::spawn(move || write(writer, chunks, WriterEnd::Finish));
    assert_eq!(read(reader, taken), (taken, None));
    let result = writing.join().unwrap();
    // It may have had room for all of them before the reader left.
    assert!(result == Ok(()) || result == Err(Closed::HungUp), "{result:?}");
    assert!(!link.gauge().reading().stall.is_open());
}

fn a_cancel_frees_both(bounds: Bounds, chunks: u8, end: WriterEnd) {
    let (writer, reader, link) = open(bounds);
    let writing = thread::spawn(move || write(writer, chunks, end));
    let reading = thread::spawn(move || read(reader, u8::MAX));
    link.cancel();
    let (taken, ended) = reading.join().unwrap();
    assert!(taken <= chunks);
    let whole = taken == chunks && ended == Some(Ok(())) && end == WriterEnd::Finish;
    let aborted = ended == Some(Err(Closed::Aborted)) && end == WriterEnd::Drop;
    assert!(whole || aborted || ended == Some(Err(Closed::Cancelled)), "{taken} {ended:?}");
    // A reader that has gone before the cancel was heard is a hang-up.
    let written = writing.join().unwrap();
    assert!(matches!(written, Ok(()) | Err(Closed::Cancelled | Closed::HungUp)), "{written:?}");
}

/// Somebody pauses both ends, changes the size, and lets them go on.
fn a_pause_loses_nothing(bounds: Bounds, chunks: u8, high_bytes: usize) {
    let (writer, reader, link) = open(bounds);
    let writing = thread::spawn(move || write(writer, chunks, WriterEnd::Finish));
    let meddling = thread::spawn(move || {
        link.pause_writer(true);
        link.pause_reader(true);
        link.resize(high_bytes);
        link.pause_writer(false);
        link.pause_reader(false);
    });
    assert_eq!(read(reader, u8::MAX), (chunks, Some(Ok(()))));
    assert_eq!(writing.join().unwrap(), Ok(()));
    meddling.join().unwrap();
}

/// Nobody resumes what was paused.
fn an_end_frees_who_is_paused(bounds: Bounds, chunks: u8, end: fn(&Link)) {
    let (writer, reader, link) = open(bounds);
    let writing = thread::spawn(move || write(writer, chunks, WriterEnd::Finish));
    let reading = thread::spawn(move || read(reader, u8::MAX));
    link.pause_writer(true);
    link.pause_reader(true);
    end(&link);
    // A reader that was paused at the end of all there is has nothing to be freed from.
    link.pause_reader(false);
    reading.join().unwrap();
    writing.join().unwrap().ok();
}

/// A hang-up made for the reader by a third thread, as the main loop does for a closed stream.
fn a_hang_up_from_outside_frees_both(bounds: Bounds, chunks: u8) {
    let (writer, reader, link) = open(bounds);
    let writing = thread::spawn(move || write(writer, chunks, WriterEnd::Finish));
    let reading = thread::spawn(move || read(reader, u8::MAX));
    link.hang_up();
    let (taken, ended) = reading.join().unwrap();
    assert!(matches!(ended, Some(Ok(()) | Err(Closed::HungUp))), "{ended:?}");
    assert!(ended != Some(Ok(())) || taken == chunks, "an end after {taken} of {chunks}");
    writing.join().unwrap().ok();
}

/// Three stages in a row, the middle one passing on; the last takes only some.
fn a_chain_ends_from_either_side(chunks: u8, taken: u8, end: WriterEnd) {
    let (first_writer, mut first_reader, _) = open(tight());
    let (mut second_writer, second_reader, _) = open(tight());
    let source = thread::spawn(move || write(first_writer, chunks, end).is_ok());
    let filter = thread::spawn(move || {
        loop {
            match first_reader.receive() {
                Ok(Some(parcel)) => {
                    if second_writer.send_parcel(parcel).is_err() {
                        return;
                    }
                }
                Ok(None) => return second_writer.finish(),
                Err(_) => return,
            }
        }
    });
    let (count, ended) = read(second_reader, taken);
    if taken > chunks {
        let expected = if end == WriterEnd::Finish { Ok(()) } else { Err(Closed::Aborted) };
        assert_eq!((count, ended), (chunks, Some(expected)));
    }
    source.join().unwrap();
    filter.join().unwrap();
}

#[test]
fn every_schedule_of_a_short_transfer_delivers_all() {
    check_dfs(|| all_arrive(tight(), 2), None);
}

#[test]
fn every_schedule_of_an_abort_is_an_abort() {
    check_dfs(|| an_abort_is_never_an_end(tight(), 2), None);
}

#[test]
fn every_schedule_of_a_hang_up_frees_the_writer() {
    check_dfs(|| a_hang_up_frees_the_writer(tight(), 3, 1), None);
}

#[test]
fn random_schedules_of_pauses_deliver_all_and_keep_nobody() {
    for bounds in [tight(), Bounds { start_bytes: 64, ..Bounds::new(64, 16) }] {
        for high_bytes in [1, 1000] {
            check_random(move || a_pause_loses_nothing(bounds, 6, high_bytes), 2_000);
        }
        check_random(move || an_end_frees_who_is_paused(bounds, 6, Link::cancel), 2_000);
        check_random(move || an_end_frees_who_is_paused(bounds, 6, Link::hang_up), 2_000);
    }
}

#[test]
fn random_schedules_of_longer_transfers_deliver_all() {
    for bounds in [
        tight(),
        Bounds::new(3 * CHUNK_BYTES, CHUNK_BYTES),
        Bounds { start_bytes: 32, ..Bounds::new(64, 16) },
    ] {
        check_random(move || all_arrive(bounds, 9), 2_000);
        check_pct(move || all_arrive(bounds, 9), 1_000, 3);
    }
}

#[test]
fn random_schedules_of_every_end_free_everybody() {
    for bounds in [
        tight(),
        Bounds::new(3 * CHUNK_BYTES, CHUNK_BYTES),
        Bounds { start_bytes: 64, ..Bounds::new(64, 16) },
    ] {
        check_random(move || an_abort_is_never_an_end(bounds, 5), 1_000);
        check_random(move || a_hang_up_frees_the_writer(bounds, 9, 3), 1_000);
        check_random(move || a_cancel_frees_both(bounds, 6, WriterEnd::Finish), 2_000);
        check_random(move || a_cancel_frees_both(bounds, 6, WriterEnd::Drop), 2_000);
        check_random(move || a_hang_up_from_outside_frees_both(bounds, 6), 2_000);
    }
}

#[test]
fn random_schedules_of_a_chain_end_from_either_side() {
    for end in [WriterEnd::Finish, WriterEnd::Drop] {
        check_random(move || a_chain_ends_from_either_side(6, 2, end), 2_000);
        check_random(move || a_chain_ends_from_either_side(4, 20, end), 2_000);
    }
}
