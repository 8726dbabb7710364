//! Operands are data: files whose names mean something to a shell, to a chain or to an option parser.
//! What is in the files does not matter here.

use crate::harness::World;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The longest name that a file may have, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Names that one kind of program or another would trip over.
fn names() -> Vec<OsString> {
    let texts = [
        "plain",
        "two words",
        " leading and trailing ",
        "it's",
        "say \"so\"",
        "back\\slash",
        "a|b",
        "|",
        "-x",
        "-",
        "--",
        "--help",
        "--append",
        "new\nline",
        "\n",
        "tab\there",
        "{}",
        "{1}",
        "{@}",
        "{",
        "}",
        "{ gzip }",
        "#",
        "# no comment",
        "a#b",
        "$HOME",
        "$(date)",
        "`date`",
        "*",
        "?",
        "~",
        "a;b",
        "a&b",
        "<a>",
        "%s%n",
        "1K",
        ".hidden",
        "...",
        "ünïcödé",
        "\u{1b}[2J",
        "\u{1}",
    ];
    let mut names: Vec<OsString> = texts.iter().map(OsString::from).collect();
    names.push(OsString::from_vec(b"\xff\xfe no UTF-8 \x80".to_vec()));
    // With `.gz` behind it, the longest that there can be: its temporary file must fit beside it.
    names.push(OsString::from("x".repeat(NAME_BYTES_MAX - 3)));
    names.push(OsString::from("é".repeat((NAME_BYTES_MAX - 3) / 2)));
    names
}

fn content(name: &OsStr) -> Vec<u8> {
    [b"what is in ", name.as_bytes(), b"\n"].concat().repeat(50)
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

fn with_suffix(name: &OsStr, suffix: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(suffix);
    name
}

fn world() -> World {
    names().iter().fold(World::new(), |world, name| world.with(name, content(name)))
}

#[test]
fn an_operand_is_a_file_whatever_it_is_called() {
    let world = world();
    world.weir("read {} | gzip | write {}.gz").arg("--").args(names()).run().quietly();
    for name in names() {
        assert!(gunzip(&world.bytes(with_suffix(&name, ".gz"))) == content(&name), "{name:?}");
        assert!(world.bytes(&name) == content(&name), "{name:?} was changed");
    }
    assert_eq!(world.names().len(), 2 * names().len());
}

#[test]
fn a_list_of_operands_may_hold_any_name() {
    let world = world();
    let list: Vec<u8> = names().iter().flat_map(|name| [name.as_bytes(), b"\0"].concat()).collect();
    world
        .weir("read {} | upper --ascii | write {}.up")
        .arg("--files0-from")
        .arg("-")
        .stdin(list)
        .run()
        .quietly();
    for name in names() {
        assert_eq!(world.bytes(with_suffix(&name, ".up")), content(&name).to_ascii_uppercase(), "{name:?}");
    }
}

#[test]
fn all_operands_in_one_run_are_read_in_their_order() {
    let world = world();
    let whole: Vec<u8> = names().iter().flat_map(|name| content(name)).collect();
    world.weir("read {@}").arg("--").args(names()).run().quietly().giving(whole);
}

#[test]
fn a_branch_of_a_stage_takes_any_name_too() {
    let world = world();
    world
        .weir("read {} | tee {}.copy { upper --ascii | write {}.up } | discard")
        .arg("--")
        .args(names().into_iter().filter(|name| name.len() < NAME_BYTES_MAX - 5))
        .run()
        .quietly();
    for name in names().into_iter().filter(|name| name.len() < NAME_BYTES_MAX - 5) {
        assert!(world.bytes(with_suffix(&name, ".copy")) == content(&name), "{name:?}");
        assert!(world.bytes(with_suffix(&name, ".up")) == content(&name).to_ascii_uppercase(), "{name:?}");
    }
}

#[test]
fn a_name_that_is_too_long_is_told_and_leaves_nothing() {
    let name = "x".repeat(NAME_BYTES_MAX);
    let world = World::new().with(&name, "abc");
    world.weir("read {} | write {}.gz").arg(&name).run().with_code(1).saying("name too long");
    world.weir("read {} | upper | write {}").arg(&name).run().quietly();
    assert_eq!(world.bytes(&name), b"ABC");
    world.assert_names(&[&name]);
}

#[test]
fn a_name_in_a_message_gives_no_orders_to_a_terminal() {
    let world = World::new();
    for name in ["\u{1b}[2Jmissing", "new\nline", "\u{7}"] {
        let ran = world.weir("read {} | write out").arg(name).run().with_code(1);
        ran.saying("no such file or directory");
    }
    let name = OsString::from_vec(b"\xff".to_vec());
    world.weir("read {} | write out").arg(name).run().with_code(1).saying("\\xff");
}
