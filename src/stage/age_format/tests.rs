//! Both stages on the bench, against the age crate's own reader and writer.
//! What the programs of others make of it is tried through the binary.

use super::armor::Armor;
use super::payload::{BLOCK_BYTES, TAG_BYTES};
use crate::flow::Closed;
use crate::stage::testing::{Ending, Outcome, Trial, assert_gives, cut, run};
use age::x25519::Identity;
use std::io::{Read, Write};
use std::iter;
use std::sync::LazyLock;

const SEALED_BYTES: usize = BLOCK_BYTES + TAG_BYTES;
const SECRET: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
const PUBLIC: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

/// A file with the secret key, and one with another.
static KEYS: LazyLock<[tempfile::NamedTempFile; 2]> = LazyLock::new(|| {
    [SECRET, "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"].map(|key| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "# a comment\n\n{key}").unwrap();
        file
    })
});

fn decrypt() -> String {
    format!("decrypt -i {}", KEYS[0].path().display())
}

fn encrypt() -> String {
    format!("encrypt -r {PUBLIC}")
}

fn plain(count: usize) -> Vec<u8> {
    (0..count).map(|at| ((at * at) >> 5) as u8).collect()
}

/// As the age crate seals it.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let recipient: age::x25519::Recipient = PUBLIC.parse().unwrap();
    let encryptor = age::Encryptor::with_recipients(iter::once(&recipient as _)).unwrap();
    let mut writer = encryptor.wrap_output(Vec::new()).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// As the age crate opens it.
fn opened(sealed: &[u8]) -> Vec<u8> {
    let identity: Identity = SECRET.parse().unwrap();
    let mut bytes = Vec::new();
    let decryptor = age::Decryptor::new(sealed).unwrap();
    decryptor.decrypt(iter::once(&identity as _)).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn armored(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut armor = Armor::begin(&mut text).unwrap();
    armor.write(bytes, &mut text).unwrap();
    armor.end(&mut text).unwrap();
    text
}

/// Where the payload begins, nonce left out.
fn payload_begin(sealed: &[u8]) -> usize {
    let mark = sealed.windows(5).position(|window| window == b"\n--- ").unwrap();
    mark + 1 + 4 + 43 + 1 + 16
}

fn sizes() -> impl Iterator<Item = usize> {
    let edges = [1, 2, 4, 5].into_iter().map(|blocks| blocks * BLOCK_BYTES);
    [0, 1].into_iter().chain(edges.flat_map(|edge| [edge - 1, edge, edge + 1]))
}

#[test]
fn what_is_sealed_here_opens_elsewhere_at_every_size() {
    for size in sizes() {
        let bytes = plain(size);
        for (piece, chunk_bytes) in [(4093, 4096), (65_536, 262_144), (200_003, 7)] {
            let outcome = Trial::of(&encrypt()).chunk_bytes(chunk_bytes).run(&cut(&bytes, piece));
            assert_eq!(outcome.failure(), None);
            assert!(opened(&outcome.output) == bytes, "{size} bytes in pieces of {piece}");
        }
    }
}

#[test]
fn what_is_sealed_elsewhere_opens_here_at_every_size_armored_or_not() {
    for size in sizes() {
        let bytes = plain(size);
        let sealed = sealed(&bytes);
        for input in [armored(&sealed), sealed] {
            for (piece, chunk_bytes) in [(4093, 7), (65_552, 4096), (input.len(), 262_144)] {
                let outcome = Trial::of(&decrypt()).chunk_bytes(chunk_bytes).run(&cut(&input, piece));
                assert_eq!(outcome.failure(), None, "{size} bytes in pieces of {piece}");
                assert!(outcome.output == bytes, "{size} bytes in pieces of {piece}");
            }
        }
    }
}

#[test]
fn an_armor_is_the_same_however_it_is_cut_and_may_stand_in_white_space() {
    for size in [0, 1, 40, 47, 48, 49, 1000] {
        let text = armored(&sealed(&plain(size)));
        assert_gives(&decrypt(), &text, &plain(size));
        let as_mailed = String::from_utf8(text).unwrap().replace('\n', "\r\n");
        assert_gives(&decrypt(), format!("\n \t{as_mailed}\r\n \n").as_bytes(), &plain(size));
        let outcome = run(&format!("{} --armor", encrypt()), &cut(&plain(size), 1));
        assert_gives(&decrypt(), &outcome.output, &plain(size));
        assert!(outcome.output.split(|&byte| byte == b'\n').all(|line| line.len() <= 64));
    }
}

#[test]
fn every_cut_is_refused_at_its_place_and_gives_whole_blocks_only() {
    let bytes = plain(2 * BLOCK_BYTES + 1);
    let whole = sealed(&bytes);
    let begin = payload_begin(&whole);
    let near = |edge: usize| edge - 17..edge + 18;
    let edges = [begin, begin + SEALED_BYTES, begin + 2 * SEALED_BYTES];
    let cuts = (0..begin + 40).chain(edges.into_iter().flat_map(near)).filter(|&cut| cut < whole.len());
    for length in cuts {
        let outcome = run(&decrypt(), &[&whole[..length]]);
        let (blocks, rest) = match length.checked_sub(begin) {
            Some(payload) => (payload / SEALED_BYTES, payload % SEALED_BYTES),
            None => (0, 0),
        };
        let expected = match rest {
            _ if length == 0 => "empty input, not age data".to_owned(),
            0..TAG_BYTES => format!("truncated at input byte {length}, "),
            _ => {
                let block = begin + blocks * SEALED_BYTES;
                format!("truncated or tampered with: the last block, from input byte {block} to {length}, ")
            }
        };
        let refusal = outcome.refusal();
        assert!(refusal.starts_with(&expected), "cut at {length}: {refusal}");
        assert!(outcome.output == bytes[..blocks * BLOCK_BYTES], "cut at {length}");
    }
    let text = armored(&sealed(b"short"));
    for length in 1..text.len() - 1 {
        let refusal = run(&decrypt(), &[&text[..length]]).refusal();
        assert!(refusal.starts_with(&format!("truncated at input byte {length}, ")), "{length}: {refusal}");
    }
}

#[test]
fn no_changed_byte_goes_unseen() {
    let bytes = plain(100);
    let whole = sealed(&bytes);
    let text = armored(&whole);
    for input in [&whole, &text] {
        for index in 0..input.len() {
            for change in [0x01, 0x20, 0x80] {
                let mut changed = input.clone();
                changed[index] ^= change;
                let outcome = run(&decrypt(), &[&changed]);
                // Around the armor, and in what is made to be ignored, a change may do nothing.
                if outcome.result.is_err() {
                    outcome.refusal();
                    assert!(outcome.output.is_empty());
                } else {
                    assert!(outcome.output == bytes && input == &text, "byte {index} changed by {change:#x}");
                }
            }
        }
    }
}

#[test]
fn blocks_that_are_changed_swapped_doubled_or_left_out_are_refused() {
    let bytes = plain(13 * BLOCK_BYTES + 9);
    let whole = sealed(&bytes);
    let begin = payload_begin(&whole);
    let (header, payload) = whole.split_at(begin);
    let blocks: Vec<&[u8]> = payload.chunks(SEALED_BYTES).collect();
    let of = |order: &[usize]| {
        let blocks = order.iter().map(|&at| blocks[at]);
        [header, &blocks.collect::<Vec<_>>().concat()].concat()
    };
    let at = |number: usize| begin + number * SEALED_BYTES;
    let tampered =
        |number| format!("tampered with: input bytes {} to {} are not authentic", at(number), at(number + 1));
    let changed = |number: usize| {
        let mut changed = whole.clone();
        changed[at(number) + 5] ^= 1;
        changed
    };
    let cases = [
        (changed(0), 0, tampered(0)),
        // What is behind it is authentic by itself, and does not come out.
        (changed(2), 2, tampered(2)),
        (changed(7), 7, tampered(7)),
        (of(&[0, 2, 1, 3, 4]), 1, tampered(1)),
        (of(&[0, 1, 1, 2, 3, 4]), 2, tampered(2)),
        (of(&[0, 1, 3, 4, 13]), 2, tampered(2)),
        (
            of(&[0, 1, 2, 3]),
            4,
            format!("truncated at input byte {}, where another block should follow", at(4)),
        ),
    ];
    for (input, good_blocks, expected) in cases {
        for piece in [4093, 131_072, input.len()] {
            let outcome = run(&decrypt(), &cut(&input, piece));
            assert_eq!(outcome.refusal(), expected);
            assert!(outcome.output == bytes[..good_blocks * BLOCK_BYTES], "{expected}");
        }
    }
}

#[test]
fn bytes_behind_a_full_last_block_are_refused() {
    for blocks in [1, 4] {
        let bytes = plain(blocks * BLOCK_BYTES);
        for more in [1, 15, 16, 17, SEALED_BYTES, 5 * SEALED_BYTES] {
            let input = [sealed(&bytes), vec![7; more]].concat();
            let end = input.len() - more;
            let outcome = run(&decrypt(), &cut(&input, 100_003));
            let expected = format!("trailing bytes after the end of the payload, from input byte {end} on");
            assert_eq!(outcome.refusal(), expected, "{more} behind {blocks}");
            assert!(outcome.output == bytes);
        }
    }
}

#[test]
fn another_key_is_told_from_a_damaged_file() {
    let outcome = run(&format!("decrypt -i {}", KEYS[1].path().display()), &[&sealed(b"bytes")]);
    let refusal = outcome.refusal();
    let tried = format!(
        "no identity matches: tried age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef of {}",
        KEYS[1].path().display()
    );
    assert!(refusal.starts_with(&tried) && refusal.ends_with("1 recipient of type X25519"), "{refusal}");
    let mut sealed = sealed(b"bytes");
    let mac = payload_begin(&sealed) - 30;
    sealed[mac] = if sealed[mac] == b'A' { b'B' } else { b'A' };
    assert!(
        run(&decrypt(), &[&sealed]).refusal().starts_with("tampered with: the header, before input byte ")
    );
}

#[test]
fn memory_is_bounded_whatever_the_header_and_the_armor_claim() {
    let stanzas = [b"age-encryption.org/v1\n".to_vec(), b"-> X a\n\n".repeat(200_000)].concat();
    let refusal = run(&decrypt(), &cut(&stanzas, 65_536)).refusal();
    assert!(refusal.ends_with("the header does not end within 1 MiB"), "{refusal}");
    let line = [b"-----BEGIN AGE ENCRYPTED FILE-----\n".to_vec(), vec![b'A'; 1 << 20]].concat();
    let refusal = run(&decrypt(), &cut(&line, 65_536)).refusal();
    assert_eq!(refusal, "corrupt data at input byte 35: a line of the armor is too long");
    assert!(run(&decrypt(), &[&[b' '; 5000]]).refusal().starts_with("not age data"));
}

#[test]
fn what_is_no_age_data_is_shown() {
    assert_eq!(run(&decrypt(), &[b"hello, world"]).refusal(), "not age data (starts with `hello, w`)");
    assert_eq!(run(&decrypt(), &[b"\x1f"]).refusal(), "not age data (starts with `\\x1f`)");
    let pgp = b"-----BEGIN PGP MESSAGE-----\n";
    assert_eq!(
        run(&decrypt(), &[pgp]).refusal(),
        "not age data (starts with `-----BEGIN PGP MESSAGE-----\\n`)"
    );
    let version = b"age-encryption.org/v2\n";
    assert_eq!(run(&decrypt(), &[version]).refusal(), "an age file of version `v2`, and only `v1` is known");
}

/// The error of a link, which nothing may stand in for.
fn closed(outcome: &Outcome) -> Option<Closed> {
    Closed::cause_of(outcome.result.as_ref().unwrap_err().as_ref())
}

#[test]
fn the_end_of_a_link_is_no_fault_of_the_data() {
    // So many that the last of them cannot be sent to a reader who has left.
    let bytes = plain(9 * BLOCK_BYTES);
    let whole = sealed(&bytes);
    let text = armored(&whole);
    let begin = payload_begin(&whole);
    for input in [&whole, &text] {
        for length in [0, 5, 36, begin - 1, begin, begin + 1, input.len() / 2, input.len()] {
            let outcome = Trial::of(&decrypt()).ending(Ending::Aborted).run(&[&input[..length]]);
            assert_eq!(closed(&outcome), Some(Closed::Aborted), "aborted after {length}");
        }
        let outcome = Trial::of(&decrypt()).chunk_bytes(4096).taking(1).run(&[input]);
        assert_eq!(closed(&outcome), Some(Closed::HungUp));
    }
    for armor in ["", " --armor"] {
        let call = encrypt() + armor;
        assert_eq!(closed(&Trial::of(&call).ending(Ending::Aborted).run(&[&bytes])), Some(Closed::Aborted));
        // Chunks of a byte each: it hears of it in the middle of the header.
        let outcome = Trial::of(&call).chunk_bytes(1).taking(1).run(&[&bytes]);
        assert_eq!(closed(&outcome), Some(Closed::HungUp));
    }
}

#[test]
fn whole_blocks_go_out_when_the_input_pauses() {
    let bytes = plain(2 * BLOCK_BYTES + 1000);
    // The input goes on when enough came out: if a block was held back, that would be never.
    let outcome = Trial::of(&encrypt()).taking(2 * SEALED_BYTES).ending(Ending::Awaited).run(&[&bytes]);
    assert!(outcome.output.len() >= 2 * SEALED_BYTES);
    let whole = sealed(&bytes);
    let text = armored(&whole);
    let end_of_two = payload_begin(&whole) + 2 * SEALED_BYTES;
    // As far as a line behind the two blocks, in the middle of the next one.
    let as_text = 35 + (end_of_two / 48 + 1) * 65 + 9;
    for input in [&whole[..end_of_two], &whole[..end_of_two + 3], &text[..as_text]] {
        let outcome = Trial::of(&decrypt()).taking(2 * BLOCK_BYTES).ending(Ending::Awaited).run(&[input]);
        assert!(outcome.output == bytes[..2 * BLOCK_BYTES]);
    }
    // The last mark is the end, whatever may follow it.
    let outcome = Trial::of(&decrypt()).taking(bytes.len()).ending(Ending::Awaited).run(&[&text]);
    assert!(outcome.output == bytes);
}

#[test]
fn only_white_space_may_follow_an_armor() {
    let text = armored(&sealed(b"bytes"));
    let outcome = run(&decrypt(), &[&text, b"\n and more"]);
    let expected =
        format!("trailing bytes after the end of the armor, from input byte {} on", text.len() + 2);
    assert_eq!((outcome.refusal(), &outcome.output[..]), (expected, &b"bytes"[..]));
}
