//! The bzip2 format through `bunzip2`: good, cut, changed, and made to mislead.

use super::window::{BLOCK_MARK, END_MARK};
use crate::stage::testing::{Ending, Outcome, Trial, assert_gives, cut, run};
use bzip2::{Action, Compress, Compression, Status};

const TEXT: &[u8] = b"A text that is a text that is a text, and then something else to end it.\n";
/// The smallest stream: no block.
const NOTHING: &[u8] = b"BZh9\x17\x72\x45\x38\x50\x90\0\0\0\0";

/// One stream, as the library writes it: with as many blocks as it takes.
fn stream(level: u32, bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(bytes.len() * 2 + 1000);
    let status =
        Compress::new(Compression::new(level), 0).compress_vec(bytes, &mut packed, Action::Finish).unwrap();
    assert_eq!(status, Status::StreamEnd);
    packed
}

/// Bytes that compress little.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 9_u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..count).map(|_| byte()).collect()
}

fn bunzip2(bytes: &[u8]) -> Outcome {
    run("bunzip2", &[bytes])
}

/// Bytes of which the table of the values that occur holds `mark` several times, at any bit.
fn misleading(mark: u64, count: usize) -> Vec<u8> {
    let used = |value: &u8| {
        let (group, within) = (value / 16, value % 16);
        (mark >> (32 - 16 * (group % 3))) as u16 >> (15 - within) & 1 == 1
    };
    let values: Vec<u8> = (0..240).filter(used).collect();
    noise(count).iter().map(|&byte| values[usize::from(byte) % values.len()]).collect()
}

#[test]
fn streams_of_any_number_of_blocks_come_back() {
    for (level, size) in [(1, 0), (1, 1), (1, 99_981), (1, 99_982), (1, 350_000), (9, 350_000)] {
        let bytes = noise(size);
        let packed = stream(level, &bytes);
        for pieces in [packed.len(), 65_537, 997] {
            let outcome = run("bunzip2", &cut(&packed, pieces));
            assert_eq!(outcome.failure(), None, "level {level}, {size} bytes");
            assert!(outcome.output == bytes, "level {level}, {size} bytes");
        }
    }
}

#[test]
fn every_stream_is_unpacked_whatever_its_level() {
    let streams = [NOTHING, &stream(3, TEXT), NOTHING, NOTHING, &stream(1, TEXT), &stream(9, TEXT), NOTHING];
    assert_gives("bunzip2", &streams.concat(), &TEXT.repeat(3));
    let bytes = noise(150_000);
    let many = [stream(1, &bytes), stream(2, &bytes), stream(1, TEXT)].concat();
    let outcome = Trial::of("bunzip2").chunk_bytes(7).run(&cut(&many, 10_007));
    assert!(outcome.output == [&bytes, &bytes, TEXT].concat());
}

#[test]
fn more_streams_without_blocks_than_are_kept_in_mind_are_read() {
    let streams = [stream(1, TEXT), NOTHING.repeat(3000), stream(1, TEXT)].concat();
    let outcome = bunzip2(&streams);
    assert_eq!((outcome.failure(), outcome.output), (None, TEXT.repeat(2)));
    assert_eq!(bunzip2(&NOTHING.repeat(3000)).failure(), None);
}

#[test]
fn a_mark_within_a_block_misleads_nobody() {
    for mark in [BLOCK_MARK, END_MARK] {
        let bytes = misleading(mark, 250_000);
        let packed = stream(1, &bytes);
        let marks = (0..packed.len() * 8 - 48).filter(|at| {
            let word = packed[at / 8..].iter().take(7).fold(0_u64, |word, &byte| word << 8 | u64::from(byte));
            word >> (8 - at % 8) & 0xffff_ffff_ffff == mark
        });
        assert!(marks.count() >= 3 * 5, "the test does not mislead");
        let all = [&packed[..], &stream(9, TEXT), &packed].concat();
        let expected = [&bytes, TEXT, &bytes].concat();
        for size in [all.len(), 4093] {
            let outcome = run("bunzip2", &cut(&all, size));
            assert_eq!(outcome.failure(), None);
            assert!(outcome.output == expected);
        }
        let short = stream(1, &bytes[..2000]);
        for length in 4..short.len() {
            let refusal = bunzip2(&short[..length]).refusal();
            assert!(refusal.starts_with(&format!("truncated at input byte {length}, ")), "{refusal}");
        }
    }
}

#[test]
fn a_block_of_many_megabytes_comes_back() {
    let bytes = vec![0; 30_000_000];
    let packed = stream(9, &bytes);
    assert!(packed.len() < 100);
    assert!(bunzip2(&packed).output == bytes);
    // Its data goes out as it comes, so what is wrong with it is told behind it.
    let mut changed = packed.clone();
    changed[10] ^= 1;
    let outcome = bunzip2(&changed);
    assert_eq!(outcome.output.len(), bytes.len());
    assert!(outcome.refusal().ends_with(": crc mismatch in a block"));
}

#[test]
fn every_cut_is_refused_at_its_place() {
    let first = stream(9, TEXT);
    let packed = [&first[..], &stream(1, b"more")].concat();
    for length in 0..packed.len() {
        let outcome = bunzip2(&packed[..length]);
        if length == first.len() {
            assert_eq!((outcome.failure(), &outcome.output[..]), (None, TEXT));
            continue;
        }
        let behind = length.wrapping_sub(first.len());
        let expected = match length {
            0 => "empty input, not bzip2 data".to_owned(),
            _ if behind == 1 => "1 trailing byte after the end of the stream".to_owned(),
            _ if behind < 4 => format!("{behind} trailing bytes after the end of the stream"),
            _ => format!("truncated at input byte {length}, "),
        };
        let refusal = outcome.refusal();
        assert!(refusal.starts_with(&expected), "cut at {length}: {refusal}");
        assert!([TEXT, b"more"].concat().starts_with(&outcome.output));
    }
}

#[test]
fn no_changed_byte_changes_the_output_unseen() {
    let packed = [stream(9, TEXT), stream(1, TEXT)].concat();
    let whole = TEXT.repeat(2);
    for index in 0..packed.len() {
        for change in [0x01, 0x04, 0x80, 0xff] {
            let mut changed = packed.clone();
            changed[index] ^= change;
            let outcome = bunzip2(&changed);
            if outcome.result.is_ok() {
                // A level, a bit of the padding: nothing that the data depends on.
                assert!(outcome.output == whole, "byte {index} changed by {change:#x}");
            } else {
                outcome.refusal();
                assert!(whole.starts_with(&outcome.output), "byte {index} changed by {change:#x}");
            }
        }
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place_however_it_came() {
    let packed = [stream(1, TEXT), stream(1, &noise(250_000))].concat();
    let first = stream(1, TEXT).len();
    for index in [first + 4, first + 12, first + 300, packed.len() / 2, packed.len() - 3] {
        let mut changed = packed.clone();
        changed[index] ^= 0x10;
        let whole = bunzip2(&changed);
        let refusal = whole.refusal();
        assert!(refusal.starts_with("corrupt data at input byte "), "{refusal}");
        for size in [1009, 65_536] {
            let outcome = run("bunzip2", &cut(&changed, size));
            assert_eq!(outcome.refusal(), refusal);
            assert!(outcome.output == whole.output);
        }
    }
}

#[test]
fn messages_name_what_is_wrong() {
    let packed = stream(9, TEXT);
    let end = packed.len();
    let changed = |index: usize, byte: u8| {
        let mut changed = packed.clone();
        changed[index] = byte;
        bunzip2(&changed).refusal()
    };
    assert_eq!(bunzip2(b"hello, world").refusal(), "not bzip2 data (starts with `hell`)");
    assert_eq!(bunzip2(b"BZh0 and so on").refusal(), "not bzip2 data (starts with `BZh0`)");
    assert_eq!(bunzip2(b"BZh").refusal(), "truncated at input byte 3, in a header");
    assert_eq!(changed(4, 0), "corrupt data at input byte 4: neither a block nor an end");
    assert_eq!(
        changed(10, !packed[10]),
        format!("corrupt data at input byte {}: crc mismatch in a block", end - 10)
    );
    assert_eq!(
        changed(end - 2, !packed[end - 2]),
        format!("corrupt data at input byte {end}: crc mismatch at the end of a stream")
    );
}

#[test]
fn other_bytes_behind_the_data_are_refused_after_it_is_through() {
    for (trailing, count) in
        [(&b"text"[..], "4 trailing bytes"), (b"\0", "1 trailing byte"), (b"BZh0", "4 trailing bytes")]
    {
        let bytes = [&stream(9, TEXT), trailing].concat();
        for size in [1, 5, bytes.len()] {
            let outcome = run("bunzip2", &cut(&bytes, size));
            assert_eq!(outcome.output, TEXT);
            assert_eq!(outcome.refusal(), format!("{count} after the end of the stream"));
        }
    }
}

#[test]
fn data_is_sent_on_when_the_input_pauses() {
    let packed = [stream(9, TEXT), stream(9, TEXT)].concat();
    let open = Trial::of("bunzip2").taking(TEXT.len()).ending(Ending::Awaited);
    // The end of the first stream has come, and the next has begun.
    assert_eq!(open.run(&[&packed[..packed.len() / 2 + 4]]).output, TEXT);
}

#[test]
fn an_output_over_the_limit_is_refused() {
    let packed = stream(9, &[b'x'; 20_000_000]);
    let outcome = Trial::of("bunzip2 --max-output 1000").chunk_bytes(64).run(&[&packed]);
    assert_eq!(outcome.output, [b'x'; 1000]);
    assert!(outcome.refusal().starts_with("unpacks to more than 1000, at input byte "));
    assert_eq!(run("bunzip2 --max-output 20000000", &[&packed]).failure(), None);
}

#[test]
fn a_failure_before_it_is_passed_up() {
    let outcome = Trial::of("bunzip2").ending(Ending::Aborted).run(&[&stream(9, TEXT)]);
    assert!(outcome.result.unwrap_err().downcast_ref::<std::io::Error>().is_some());
}

/// Puts the checksum of the one block of a stream into its places; the stream is one that `bzip2` has made.
fn set_crc(stream: &mut [u8], crc: &[u8]) {
    let end = stream.len();
    stream[10..14].copy_from_slice(crc);
    stream[end - 4..].copy_from_slice(crc);
}

#[test]
fn a_randomised_block_is_read() {
    // As old versions wrote it: before a block is sorted, a bit of some bytes is turned. Of so many bytes it is these.
    let bytes = noise(1400);
    let mut turned = bytes.clone();
    turned[617] ^= 1;
    turned[617 + 720] ^= 1;
    let mut packed = run("bzip2 -1", &[&turned]).output;
    packed[14] |= 0x80;
    assert!(bunzip2(&packed).refusal().ends_with(": crc mismatch in a block"));
    set_crc(&mut packed, &run("bzip2 -1", &[&bytes]).output[10..14]);
    assert_gives("bunzip2", &packed, &bytes);
}

/// A stream up to the first of its block's code lengths, which is this. Behind it, 0xdd says again and again: one more, one
/// less.
fn up_to_the_code_lengths(length: u8) -> Vec<u8> {
    // Not randomised, sorted place 0, one value of one group, two tables, one selector (the first table).
    let fields: [(u128, u32); 8] =
        [(0, 1), (0, 24), (1, 16), (1, 16), (2, 3), (1, 15), (0, 1), (length.into(), 5)];
    let bits = fields.iter().fold(0, |bits, (field, count)| bits << count | field);
    let bits = (bits << 7 | 0x5d).to_be_bytes();
    [b"BZh1", &BLOCK_MARK.to_be_bytes()[2..], &[0; 4], &bits[5..]].concat()
}

#[test]
fn a_block_is_corrupt_where_it_shows() {
    let stream = [up_to_the_code_lengths(0), vec![0xdd; 1000]].concat();
    for size in [1, 10, stream.len()] {
        let refusal = run("bunzip2", &cut(&stream, size)).refusal();
        assert_eq!(refusal, "corrupt data at input byte 24: invalid bzip2 data");
    }
}

#[test]
fn a_block_that_goes_on_for_ever_is_refused() {
    let begin = up_to_the_code_lengths(10);
    let short = [&begin[..], &[0xdd; 1000]].concat();
    assert_eq!(
        bunzip2(&short).refusal(),
        format!("truncated at input byte {}, in compressed data", short.len())
    );
    let long = [&begin[..], &vec![0xdd; 4_000_000]].concat();
    // That a mark comes at last does not make it a block.
    let marked = [&long[..], &stream(1, TEXT)[4..]].concat();
    for stream in [long, marked] {
        for size in [65_536, 1_000_003, stream.len()] {
            let refusal = run("bunzip2", &cut(&stream, size)).refusal();
            assert_eq!(refusal, "corrupt data at input byte 4: a block of no end");
        }
    }
}
