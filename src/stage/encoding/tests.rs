//! Encoding and decoding as stages, over every cut.
//! What other tools make of it is tried through the binary.

use crate::stage::testing::{Ending, Trial, assert_gives, cut, run, stage};
use data_encoding::{BASE64, HEXLOWER};

fn bytes(count: usize) -> Vec<u8> {
    (0..count as u64).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// `text` in lines, as it should be.
fn wrapped(text: &str, columns: u64) -> Vec<u8> {
    if columns == 0 {
        return text.as_bytes().to_vec();
    }
    let columns = usize::try_from(columns).unwrap();
    text.as_bytes().chunks(columns).flat_map(|line| [line, b"\n"].concat()).collect()
}

#[test]
fn every_length_is_encoded_in_lines_and_comes_back() {
    for count in (0..=20).chain([57, 58, 4095, 4096, 4097, 10_000]) {
        let plain = bytes(count);
        for (name, text) in [("base64", BASE64.encode(&plain)), ("hex", HEXLOWER.encode(&plain))] {
            for columns in [0, 1, 5, 76, u64::MAX] {
                let call = format!("{name} --wrap {columns}");
                let expected = wrapped(&text, columns);
                for size in [1, 7, 4093] {
                    assert!(run(&call, &cut(&plain, size)).output == expected, "{call}, {count} by {size}");
                }
                let known = stage(&call).unwrap().size_after(Some(count as u64));
                assert_eq!(known, Some(expected.len() as u64), "{call} of {count} bytes");
                for size in [1, 76, 4093] {
                    let back = run(&format!("un{name}"), &cut(&expected, size));
                    assert_eq!(back.failure(), None, "{call}, {count} by {size}");
                    assert!(back.output == plain, "{call}, {count} by {size}");
                }
            }
        }
    }
}

#[test]
fn large_pieces_and_chunks_of_every_size_change_nothing() {
    let plain = bytes(300_001);
    for name in ["base64", "hex"] {
        let text = Trial::of(name).chunk_bytes(4096).run(&[&plain]).output;
        let alphabet = if name == "hex" { HEXLOWER } else { BASE64 };
        assert!(text == wrapped(&alphabet.encode(&plain), 76), "{name}");
        for size in [49_151, 65_536, 65_537, text.len()] {
            for chunk_bytes in [1009, 262_144] {
                let call = format!("un{name}");
                assert!(
                    Trial::of(&call).chunk_bytes(chunk_bytes).run(&cut(&text, size)).output == plain,
                    "{size}"
                );
            }
        }
    }
}

/// The refusal, which is the same, at the same place and after the same output, however the input is cut.
fn refusal(call: &str, text: &[u8]) -> (String, String) {
    let whole = run(call, &[text]);
    for size in 1..text.len() {
        let outcome = run(call, &cut(text, size));
        assert_eq!(outcome.refusal(), whole.refusal(), "{text:?} by {size}");
        assert_eq!(outcome.output, whole.output, "{text:?} by {size}");
    }
    (String::from_utf8_lossy(&whole.output).into_owned(), whole.refusal())
}

#[test]
fn what_is_no_base64_is_refused_at_its_place() {
    for (text, output, message) in [
        (&b"Zm9v\nYm!y"[..], "foo", "`!` at input byte 7 is no base64 character"),
        (b"Zm9v!", "foo", "`!` at input byte 4 is no base64 character"),
        (b"Zm9v \n!m=", "foo", "`!` at input byte 6 is no base64 character"),
        (b"Zm9vY\xffmF", "foo", "`\\xff` at input byte 5 is no base64 character"),
        (b"Zm9v\0", "foo", "`\\x00` at input byte 4 is no base64 character"),
        (b"_m9v", "", "`_` at input byte 0 is no base64 character"),
        (b"Zm9vYg", "foo", "truncated at input byte 6: padding with `=` is missing"),
        (b"Zm9vYmE\n", "foo", "truncated at input byte 8: padding with `=` is missing"),
        (b"Zm9vYg=\n", "foo", "truncated at input byte 8: `=` is missing"),
        (b"Zm9vY", "foo", "truncated at input byte 5: the last group has one character only"),
        (b"Zm9v====", "foo", "`=` at input byte 4, where no padding belongs"),
        (b"=", "", "`=` at input byte 0, where no padding belongs"),
        (b"Zm9vY===", "foo", "`=` at input byte 5, where no padding belongs"),
        (b"Zm9vYg=x", "foo", "`x` at input byte 7, where `=` belongs"),
        (b"Zm9vYg==\nZm9v", "foob", "more data behind the padding, at input byte 9"),
        (b"Zm9vYmE==", "fooba", "more data behind the padding, at input byte 8"),
        (b"Zm9vYh==", "foo", "the character at input byte 5 has bits that belong to no byte"),
        (b"Zm9v\nYm\nF=", "foo", "the character at input byte 8 has bits that belong to no byte"),
    ] {
        assert_eq!(refusal("unbase64", text), (output.to_owned(), message.to_owned()), "{text:?}");
    }
}

#[test]
fn what_is_no_hex_is_refused_at_its_place() {
    for (text, output, message) in [
        (&b"666f6"[..], "fo", "truncated at input byte 5: the number of digits is odd"),
        (b"66 6f 6\n", "fo", "truncated at input byte 8: the number of digits is odd"),
        (b"666f6g", "fo", "`g` at input byte 5 is no hexadecimal digit"),
        (b"666f\ng", "fo", "`g` at input byte 5 is no hexadecimal digit"),
        (b"0x66", "", "`x` at input byte 1 is no hexadecimal digit"),
        (b"66=", "f", "`=` at input byte 2 is no hexadecimal digit"),
    ] {
        assert_eq!(refusal("unhex", text), (output.to_owned(), message.to_owned()), "{text:?}");
    }
}

#[test]
fn white_space_is_no_part_of_the_text() {
    assert_gives("unbase64", b" \r\nZ m\t9\x0cvY\n\ng = =\r\n ", b"foob");
    assert_gives("unhex", b"\r\n6 6\t6F\x0c6f ", b"foo");
    for call in ["unbase64", "unhex"] {
        assert_gives(call, b"", b"");
        assert_gives(call, b" \n\r\n", b"");
    }
}

#[test]
fn no_changed_character_gives_the_same_bytes_or_more_unseen() {
    let plain = bytes(7);
    let text = BASE64.encode(&plain).into_bytes();
    for index in 0..text.len() {
        for byte in 0..=255 {
            let mut changed = text.clone();
            changed[index] = byte;
            let outcome = run("unbase64", &[&changed]);
            // White space in the place of a character leaves the last group too short.
            assert_eq!(
                outcome.result.is_ok() && outcome.output == plain,
                byte == text[index],
                "{index} {byte}"
            );
        }
    }
}

#[test]
fn what_is_complete_is_sent_before_more_is_waited_for() {
    let trial = |call, taken| Trial::of(call).taking(taken).ending(Ending::Awaited);
    assert_eq!(trial("base64 --wrap 4", 5).run(&[b"fooba"]).output, b"Zm9v\nYmE=\n"[..5]);
    assert_eq!(trial("hex", 2).run(&[b"f"]).output, b"66");
    assert_eq!(trial("unbase64", 3).run(&[b"Zm9vYg"]).output, b"foo");
    assert_eq!(trial("unhex", 1).run(&[b"666"]).output, b"f");
}

#[test]
fn a_failure_before_it_is_passed_up() {
    for call in ["base64", "unbase64", "hex", "unhex"] {
        assert!(Trial::of(call).ending(Ending::Aborted).run(&[b"6666"]).result.is_err(), "{call}");
    }
}

#[test]
fn a_label_says_what_is_unusual() {
    assert_eq!(stage("base64").unwrap().label(), "");
    assert_eq!(stage("hex -w 0").unwrap().label(), "--wrap 0");
    assert_eq!(stage("base64").unwrap().size_after(Some(u64::MAX)), None);
}
