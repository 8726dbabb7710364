//! The lz4 format through `unlz4`: good, cut, changed, of every make.

use super::{LEGACY_MAGIC, MAGIC, checksum};
use crate::stage::testing::{Ending, Outcome, Trial, assert_gives, cut, run};
use lz4::{BlockMode, BlockSize, ContentChecksum, EncoderBuilder, block::compress};
use std::io::Write;
use xxhash_rust::xxh32::xxh32;

const TEXT: &[u8] = b"A text that is a text that is a text, and then something else to end it.\n";

/// A frame as the library writes it.
fn built(builder: &mut EncoderBuilder, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = builder.build(Vec::new()).unwrap();
    encoder.write_all(bytes).unwrap();
    let (packed, result) = encoder.finish();
    result.unwrap();
    packed
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    built(EncoderBuilder::new().block_mode(BlockMode::Independent), bytes)
}

/// A frame of blocks that are `(stored, bytes)`, with all that a header may tell but a dictionary.
fn by_hand(blocks: &[(bool, &[u8])], flags: u8) -> Vec<u8> {
    let content: Vec<u8> = blocks.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    let flags = 0x40 | flags;
    let mut descriptor = vec![flags, 0x40];
    if flags & 8 != 0 {
        descriptor.extend_from_slice(&(content.len() as u64).to_le_bytes());
    }
    let mut frame = [&MAGIC[..], &descriptor, &[checksum(&descriptor)]].concat();
    for &(stored, bytes) in blocks {
        let packed = if stored { bytes.to_vec() } else { compress(bytes, None, false).unwrap() };
        let flag = u32::from(stored) << 31;
        frame.extend_from_slice(&(packed.len() as u32 | flag).to_le_bytes());
        frame.extend_from_slice(&packed);
        if flags & 16 != 0 {
            frame.extend_from_slice(&xxh32(&packed, 0).to_le_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    if flags & 4 != 0 {
        frame.extend_from_slice(&xxh32(&content, 0).to_le_bytes());
    }
    frame
}

/// With every checksum and size.
fn complete(bytes: &[u8]) -> Vec<u8> {
    let (left, right) = bytes.split_at(bytes.len() / 2);
    by_hand(&[(false, left), (true, right), (true, b""), (false, bytes)], 0x20 | 16 | 8 | 4)
}

fn complete_text() -> Vec<u8> {
    TEXT.repeat(2)
}

fn legacy(blocks: &[&[u8]]) -> Vec<u8> {
    let mut frame = LEGACY_MAGIC.to_vec();
    for bytes in blocks {
        let packed = compress(bytes, None, false).unwrap();
        frame.extend_from_slice(&(packed.len() as u32).to_le_bytes());
        frame.extend_from_slice(&packed);
    }
    frame
}

fn skippable(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[0x50 + number, 0x2a, 0x4d, 0x18], &(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

fn unlz4(bytes: &[u8]) -> Outcome {
    run("unlz4", &[bytes])
}

/// Text that refers far back, with stretches that are stored.
fn bytes(count: usize) -> Vec<u8> {
    let mut state = 5_u32;
    let mut bytes = Vec::with_capacity(count + 5000);
    while bytes.len() < count {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match state >> 24 {
            0 => (0..4000_u64).for_each(|index| bytes.push(((index * index * u64::from(state)) >> 13) as u8)),
            length => {
                let back = ((state >> 4) as usize % 60_000).min(bytes.len());
                let begin = bytes.len() - back;
                bytes.extend_from_within(begin..begin + back.min(length as usize));
                bytes.push(state as u8);
            }
        }
    }
    bytes.truncate(count);
    bytes
}

#[test]
fn frames_of_every_make_come_back() {
    use BlockSize::{Max1MB, Max4MB, Max64KB, Max256KB};
    for size in [0, 1, 65_535, 65_537, 700_001, 5_000_000] {
        let bytes = bytes(size);
        for (mode, block) in [
            (BlockMode::Independent, Max64KB),
            (BlockMode::Independent, Max4MB),
            (BlockMode::Linked, Max64KB),
            (BlockMode::Linked, Max256KB),
            (BlockMode::Linked, Max1MB),
        ] {
            let mut builder = EncoderBuilder::new();
            builder
                .block_mode(mode.clone())
                .block_size(block.clone())
                .checksum(ContentChecksum::ChecksumEnabled);
            let packed = built(&mut builder, &bytes);
            let outcome = run("unlz4", &cut(&packed, 9973));
            assert_eq!(outcome.failure(), None, "{size} bytes, {mode:?} {block:?}");
            assert!(outcome.output == bytes, "{size} bytes, {mode:?} {block:?}");
        }
    }
}

#[test]
fn linked_blocks_may_be_short() {
    // As a writer makes them that flushes often: each line refers to those before it.
    let mut encoder =
        EncoderBuilder::new().block_mode(BlockMode::Linked).auto_flush(true).build(Vec::new()).unwrap();
    for _ in 0..2000 {
        encoder.write_all(TEXT).unwrap();
    }
    let (packed, result) = encoder.finish();
    result.unwrap();
    assert!(packed.len() < 50_000);
    assert!(unlz4(&packed).output == TEXT.repeat(2000));
    assert_eq!(unlz4(&packed).failure(), None);
}

#[test]
fn all_frames_are_unpacked_and_those_to_be_skipped_are() {
    let frames = [
        skippable(0, b"what others need"),
        frame(TEXT),
        skippable(15, b""),
        frame(b""),
        complete(TEXT),
        skippable(7, &MAGIC),
        legacy(&[TEXT, TEXT]),
        by_hand(&[(true, TEXT)], 0x20),
        legacy(&[]),
        legacy(&[TEXT]),
    ];
    assert_gives("unlz4", &frames.concat(), &TEXT.repeat(7));
    assert_gives("unlz4", &skippable(3, b"nothing else"), b"");
    let chunks = Trial::of("unlz4").chunk_bytes(7).run(&cut(&frames.concat(), 11));
    assert!(chunks.output == TEXT.repeat(7));
}

#[test]
fn every_cut_is_refused_at_its_place() {
    let first = complete(TEXT);
    let skipped = first.len() + skippable(1, b"skipped").len();
    let packed = [first.clone(), skippable(1, b"skipped"), frame(TEXT)].concat();
    let whole = [complete_text(), TEXT.to_vec()].concat();
    for length in 0..packed.len() {
        let outcome = unlz4(&packed[..length]);
        if length == first.len() || length == skipped {
            assert_eq!((outcome.failure(), outcome.output), (None, complete_text()));
            continue;
        }
        let edge = if length < skipped { first.len() } else { skipped };
        let expected = match length {
            0 => "empty input, not lz4 data".to_owned(),
            _ if length == edge + 1 => "1 trailing byte after the end of the stream".to_owned(),
            _ if (edge..edge + 4).contains(&length) => {
                format!("{} trailing bytes after the end of the stream", length - edge)
            }
            _ => format!("truncated at input byte {length}, "),
        };
        let refusal = outcome.refusal();
        assert!(refusal.starts_with(&expected), "cut at {length}: {refusal}");
        assert!(whole.starts_with(&outcome.output));
    }
}

#[test]
fn a_cut_within_a_block_of_the_old_format_is_refused() {
    let packed = legacy(&[TEXT, TEXT]);
    let edge = legacy(&[TEXT]).len();
    for length in (1..packed.len()).filter(|&length| length != 4 && length != edge) {
        let refusal = unlz4(&packed[..length]).refusal();
        assert!(refusal.starts_with(&format!("truncated at input byte {length}, ")), "{refusal}");
    }
}

#[test]
fn no_changed_byte_changes_the_output_unseen() {
    let packed =
        [complete(TEXT), frame(TEXT), built(EncoderBuilder::new().block_mode(BlockMode::Linked), TEXT)];
    let (packed, whole) = (packed.concat(), TEXT.repeat(4));
    for index in 0..packed.len() {
        for change in [0x01, 0x08, 0x10, 0x80, 0xff] {
            let mut changed = packed.clone();
            changed[index] ^= change;
            let outcome = unlz4(&changed);
            if outcome.result.is_ok() {
                assert!(outcome.output == whole, "byte {index} changed by {change:#x}");
            } else {
                outcome.refusal();
            }
        }
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let packed = complete(TEXT);
    let end = packed.len();
    let changed = |index: usize, byte: u8| {
        let mut changed = packed.clone();
        changed[index] = byte;
        unlz4(&changed).refusal()
    };
    // A header with its checksum made right.
    let header = |flags: u8, sizes: u8, more: &[u8]| {
        let descriptor = [&[flags, sizes], more].concat();
        unlz4(&[&MAGIC[..], &descriptor, &[checksum(&descriptor)], &[0; 4]].concat()).refusal()
    };
    assert_eq!(unlz4(b"hello, world").refusal(), "not lz4 data (starts with `hell`)");
    assert_eq!(unlz4(b"\x04\x22a").refusal(), "not lz4 data (starts with `\\x04\\\"a`)");
    assert_eq!(unlz4(b"\x04\x22\x4d").refusal(), "truncated at input byte 3, in a header");
    assert_eq!(unlz4(b"\x5a\x2a").refusal(), "truncated at input byte 2, in a header");
    assert_eq!(header(0x80, 0x40, &[]), "corrupt data at input byte 6: unknown version 2 of the lz4 format");
    assert_eq!(header(0x62, 0x40, &[]), "corrupt data at input byte 6: reserved bits are set in a header");
    assert_eq!(header(0x60, 0x30, &[]), "corrupt data at input byte 6: unknown block size 3");
    assert_eq!(header(0x61, 0x40, &[1, 2, 0, 0]), "needs dictionary 513, at input byte 11");
    assert_eq!(changed(14, 0), "corrupt data at input byte 15: checksum mismatch in a header");
    assert_eq!(changed(17, 0xff), "corrupt data at input byte 19: a block is larger than its frame allows");
    let block_end = 19 + u32::from_le_bytes(packed[15..19].try_into().unwrap()) as usize + 4;
    assert_eq!(
        changed(block_end - 1, !packed[block_end - 1]),
        format!("corrupt data at input byte {block_end}: checksum mismatch in a block")
    );
    assert_eq!(
        changed(end - 1, !packed[end - 1]),
        format!("corrupt data at input byte {end}: checksum mismatch")
    );
    // The size it states, and the checksum of the header that states it.
    let mut short = packed.clone();
    short[6] += 1;
    short[14] = checksum(&short[4..14]);
    assert_eq!(unlz4(&short).refusal(), format!("corrupt data at input byte {}: length mismatch", end - 4));
    let invalid = by_hand(&[(true, &[0xff; 20])], 0x20);
    let mut invalid = invalid;
    invalid[10] = 0;
    assert_eq!(unlz4(&invalid).refusal(), "corrupt data at input byte 31: invalid lz4 data");
}

#[test]
fn the_first_of_two_faults_is_told_however_the_input_comes() {
    let bytes = bytes(300_000);
    let mut packed = built(EncoderBuilder::new().block_mode(BlockMode::Independent), &bytes);
    let cut_at = packed.len() - 20_000;
    packed.truncate(cut_at);
    let middle = cut_at / 2;
    packed[middle..middle + 40].fill(0);
    let whole = unlz4(&packed);
    assert!(whole.refusal().starts_with("corrupt data at input byte "), "{}", whole.refusal());
    for size in [1009, 65_536] {
        let outcome = run("unlz4", &cut(&packed, size));
        assert_eq!(outcome.refusal(), whole.refusal());
        assert!(outcome.output == whole.output);
    }
}

#[test]
fn a_linked_block_that_refers_to_what_was_not_there_is_refused() {
    // One literal, then a copy of four bytes from two before: the first block has only one.
    let block = [0x10, b'a', 2, 0, 0x50, b'b', b'b', b'b', b'b', b'b'];
    let frame = |before: &[u8]| {
        let mut frame = by_hand(&[(true, before)], 0);
        frame.truncate(frame.len() - 4);
        frame.extend_from_slice(&(block.len() as u32).to_le_bytes());
        frame.extend_from_slice(&block);
        frame.extend_from_slice(&[0; 4]);
        frame
    };
    assert!(unlz4(&frame(b"")).refusal().ends_with(": invalid lz4 data"));
    assert_eq!(unlz4(&frame(b"x")).output, b"xaxaxabbbbb");
    assert_eq!(unlz4(&frame(b"x")).failure(), None);
}

#[test]
fn other_bytes_behind_the_data_are_refused_after_it_is_through() {
    for (trailing, count) in [(&b"text"[..], "4 trailing bytes"), (b"\0", "1 trailing byte")] {
        let bytes = [&frame(TEXT), trailing].concat();
        for size in [1, 5, bytes.len()] {
            let outcome = run("unlz4", &cut(&bytes, size));
            assert_eq!(outcome.output, TEXT);
            assert_eq!(outcome.refusal(), format!("{count} after the end of the stream"));
        }
    }
    let behind = unlz4(&[&legacy(&[TEXT])[..], b"text"].concat());
    assert_eq!(behind.output, TEXT);
    assert_eq!(behind.refusal(), "4 trailing bytes after the end of the stream");
}

#[test]
fn data_is_sent_on_when_the_input_pauses() {
    for flags in [0, 0x20] {
        let packed = by_hand(&[(false, TEXT), (true, b"more of it")], flags);
        let first = by_hand(&[(false, TEXT)], flags).len() - 4;
        for behind in [0, 1, 4, 8] {
            let open = Trial::of("unlz4").taking(TEXT.len()).ending(Ending::Awaited);
            assert_eq!(open.run(&[&packed[..first + behind]]).output, TEXT);
        }
    }
}

#[test]
fn an_output_over_the_limit_is_refused() {
    let packed = frame(&[b'x'; 3_000_000]);
    let outcome = Trial::of("unlz4 --max-output 1000").chunk_bytes(64).run(&[&packed]);
    assert_eq!(outcome.output, [b'x'; 1000]);
    assert!(outcome.refusal().starts_with("unpacks to more than 1000, at input byte "));
    assert_eq!(run("unlz4 --max-output 3000000", &[&packed]).failure(), None);
}

#[test]
fn a_failure_before_it_is_passed_up() {
    let outcome = Trial::of("unlz4").ending(Ending::Aborted).run(&[&frame(TEXT)]);
    assert!(outcome.result.unwrap_err().downcast_ref::<std::io::Error>().is_some());
}
