//! Lines and encodings as the tools of the system see them: the same bytes, around every edge.

use crate::harness::{World, has_tool};

/// Chunks are 256 KiB; encoders take 48 KiB at once, decoders 64 KiB, and 57 bytes make a line of base64.
const SIZES: [usize; 18] = [
    0, 1, 2, 3, 56, 57, 58, 4095, 4096, 49_151, 49_153, 65_536, 65_537, 262_143, 262_144, 262_145, 524_289,
    1_000_003,
];

fn random(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..count).map(|_| next()).collect()
}

/// Lines of all lengths, empty ones and one of several chunks among them, some with bytes that are no UTF-8.
fn lines(count: usize) -> Vec<u8> {
    let words = ["one", "two.three", "Error", "error: no", "a|b", "\u{e9}t\u{e9}", "$HOME", "\t", "\r", "x"];
    let mut text = Vec::new();
    for (line, byte) in random(count).into_iter().enumerate() {
        for word in 0..byte % 16 {
            text.extend_from_slice(
                words[(line + usize::from(word) * usize::from(byte)) % words.len()].as_bytes(),
            );
            text.push(b' ');
        }
        match byte {
            0..8 => text.push(byte | 0x80),
            8 => text.extend_from_slice(&vec![b'y'; line * 100]),
            _ => {}
        }
        text.push(b'\n');
    }
    text
}

fn ends(text: &[u8]) -> [&[u8]; 2] {
    [text, text.strip_suffix(b"\n").unwrap_or(text)]
}

#[test]
fn encoded_text_is_that_of_the_usual_tools_and_they_read_it_back() {
    for size in SIZES {
        let plain = random(size);
        let world = World::new().with("plain", &plain);
        let base64 = world.weir("read plain | base64").run().quietly().stdout().to_vec();
        let hex = world.weir("read plain | hex").run().quietly().stdout().to_vec();
        let one_line = world.weir("read plain | hex -w 0").run().quietly().stdout().to_vec();
        if has_tool("base64") {
            world.shell("base64 plain").run().giving(&base64);
            world
                .shell("base64 -w 0 plain")
                .run()
                .giving(world.weir("read plain | base64 --wrap 0").run().quietly().stdout());
            world.shell("base64 -w 5 plain | base64 -d").stdin(base64.clone()).run().giving(&plain);
            world.shell("base64 -d").stdin(base64.clone()).run().giving(&plain);
        }
        if has_tool("basenc") {
            world.shell("basenc --base16 plain | tr A-F a-f").run().giving(&hex);
        }
        if has_tool("xxd") {
            world.shell("xxd -p plain | tr -d '\\n'").run().giving(&one_line);
            world.shell("xxd -r -p").stdin(hex.clone()).run().giving(&plain);
        }
        world.weir("unbase64").stdin(base64).run().quietly().giving(&plain);
        world.weir("unhex").stdin(hex.to_ascii_uppercase()).run().quietly().giving(&plain);
        world.weir("unhex").stdin(one_line).run().quietly().giving(&plain);
    }
}

#[test]
fn what_other_tools_encode_is_read_whatever_the_width() {
    let plain = random(300_001);
    let world = World::new().with("plain", &plain);
    for (tool, line, stage) in [
        ("base64", "base64 -w 1 plain", "unbase64"),
        ("base64", "base64 -w 77 plain", "unbase64"),
        ("openssl", "openssl base64 -in plain", "unbase64"),
        ("uuencode", "uuencode -m plain plain | sed '1d;$d'", "unbase64"),
        (
            "python3",
            "python3 -c \"import base64,sys; base64.encode(open('plain','rb'), sys.stdout.buffer)\"",
            "unbase64",
        ),
        ("xxd", "xxd -p plain", "unhex"),
        ("xxd", "xxd -u -p -c 7 plain | sed 's/$/\\r/'", "unhex"),
        ("od", "od -An -v -tx1 plain", "unhex"),
    ] {
        if has_tool(tool) {
            world.shell(&format!("{line} | weir {stage}")).run().quietly().giving(&plain);
        }
    }
}

#[test]
fn the_last_lines_and_bytes_are_those_of_tail() {
    if !has_tool("tail") {
        return;
    }
    let text = lines(2000);
    for text in [&text[..], b"", b"\n", b"one", b"one\n", b"\n\n\none"] {
        for text in ends(text) {
            let world = World::new().with("f", text);
            for count in [0, 1, 2, 10, 1999, 2000, 2001, 300_000] {
                for option in ["-n", "-c"] {
                    let expected = world.shell(&format!("tail {option} {count} f")).run().stdout().to_vec();
                    world.weir(format!("read f | tail {option} {count}")).run().quietly().giving(expected);
                }
            }
        }
    }
}

#[test]
fn the_lines_that_match_are_those_of_grep() {
    if !has_tool("grep") {
        return;
    }
    let text = lines(3000);
    // In the C locale a character is a byte; here that has to be said where it matters.
    for (options, pattern) in [
        ("", "error"),
        ("-i", "error"),
        ("-v", "error"),
        ("-F", "a|b"),
        ("-F", "."),
        ("-v -F", "two.three"),
        ("-i -F", "ERROR: NO"),
        ("", "^one"),
        ("", "x $"),
        ("", "^$"),
        ("-v", "^$"),
        ("", "(?-u)[^ -~]"),
        ("", "(one|x) .*two"),
        ("", "(?-u)^[^x]*$"),
        ("-v", "(?-u)^[^x]*$"),
        ("-i -v", "^E"),
        ("", "yyyy$"),
        ("", ""),
        ("-v", ""),
        ("-F", ""),
        ("", r"\bno\b"),
        ("", r"a\|b"),
        ("", r"\$HOME"),
        ("", "[[:upper:]]"),
        ("-v", "e{2,}|t{2}|y{100}"),
    ] {
        let theirs = pattern.trim_start_matches("(?-u)");
        let kind = if options.contains("-F") { "" } else { "-E" };
        for text in ends(&text) {
            let world = World::new().with("f", text);
            let command = format!("LC_ALL=C grep -a {kind} {options} '{theirs}' f");
            let mut expected = world.shell(&command).run().stdout().to_vec();
            let ours = world.weir(format!("read f | grep {options} '{pattern}'")).run().quietly();
            // A newline that was not there is not made up.
            if !text.ends_with(b"\n") && ours.stdout().len() + 1 == expected.len() {
                assert_eq!(expected.pop(), Some(b'\n'));
            }
            ours.giving(expected);
        }
    }
}

#[test]
fn what_is_replaced_is_what_sed_makes_of_it() {
    if !has_tool("sed") {
        return;
    }
    let text = lines(3000);
    for text in ends(&text) {
        let world = World::new().with("f", text);
        for (flags, pattern, replacement, theirs) in [
            ("", "o", "0", "s/o/0/g"),
            ("-i", "error", "", "s/error//gI"),
            ("", r"(one|x) (\$)?", "<$2$1>", r"s/(one|x) (\$)?/<\2\1>/g"),
            ("", "^", "> ", "s/^/> /"),
            ("", "$", " <", "s/$/ </"),
            ("", "(?-u)[^ -~]+", "[$0]", "s/[^ -~]+/[&]/g"),
            ("", "(?-u)x*", "-", "s/x*/-/g"),
            ("-F", "a|b", "$1&", r"s/a\|b/$1\&/g"),
            ("", " +$", "", "s/ +$//"),
            ("", "one", "1\n", r"s/one/1\n/g"),
        ] {
            let expected = world.shell(&format!("LC_ALL=C sed -E '{theirs}' f")).run().stdout().to_vec();
            let ours = world.weir(format!("read f | replace {flags} '{pattern}' '{replacement}'"));
            let ours = ours.run().quietly();
            if pattern == "(?-u)x*" {
                // Nothing is put between the bytes of a character; sed, here, knows none.
                let (ours, theirs) = (without(ours.stdout(), b'-'), without(&expected, b'-'));
                assert!(ours == theirs);
            } else {
                ours.giving(expected);
            }
        }
    }
}

fn without(text: &[u8], unwanted: u8) -> Vec<u8> {
    text.iter().copied().filter(|&byte| byte != unwanted).collect()
}

#[test]
fn a_pattern_that_is_no_utf8_is_an_operand_like_any_other() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let world = World::new();
    let text = b"a\xffb\n-v\nab\n";
    let operand = |chain: &str, operand: &[u8]| {
        world.weir(chain).arg("--").arg(OsStr::from_bytes(operand)).stdin(text.to_vec()).run()
    };
    operand("grep -F {}", b"\xffb").quietly().giving(b"a\xffb\n");
    operand("replace -F {} -", b"\xff").quietly().giving(b"a-b\n-v\nab\n");
    operand("grep {}", b"-v").quietly().giving(b"-v\n");
    operand("replace b {}", b"-F").quietly().giving(b"a\xff-F\n-v\na-F\n");
    operand("grep {}", b"\xff").with_code(2).saying("not UTF-8").saying("add `-F`");
}

#[test]
fn a_chain_of_lines_goes_on_while_its_input_pauses() {
    let world = World::new();
    // The second line is not written before the first one has come through: six bytes, two whole groups of base64.
    let line = "mkfifo back; (echo error 123; read came <back; echo error \"$came\") \
        | weir 'grep error | replace error E | base64 --wrap 4 | unbase64 | hex -w 2 | unhex' \
        | (read first; echo \"$first\"; echo 4 >back; cat)";
    world.shell(line).run().quietly().giving("E 123\nE 4\n");
}
