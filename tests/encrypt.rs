//! Encryption through the binary: what age makes of ours and we of its, where keys come from, what nobody gets to see.
//! The ways in which a file can be damaged are tried with the format itself.

use crate::harness::{Ran, World, has_tool};
use crate::tty::Tty;
use nix::sys::termios::LocalFlags;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

/// Blocks are 64 KiB, four are worked on as one, chunks are 256 KiB.
const SIZES: [usize; 9] = [0, 1, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 3_000_001];

const SECRETS: [&str; 2] = [
    "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33",
    "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0",
];
const RECIPIENTS: [&str; 2] = [
    "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa",
    "age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef",
];
const PASSPHRASE: &str = "open sesame, Grüße";
const INTERRUPT: &str = "\u{3}";

fn plain(count: usize) -> Vec<u8> {
    (0..count).map(|at| ((at * at) >> 7) as u8).collect()
}

/// Both identities, each in a file of its own; the recipients in one; a passphrase in another.
fn world() -> World {
    let world = World::new().with("key", SECRETS[0]).with("other", SECRETS[1]).with("pass", PASSPHRASE);
    world.with("team", format!("# us\n{}\r\n\n{}\n", RECIPIENTS[0], RECIPIENTS[1]))
}

#[test]
fn age_opens_ours_and_we_open_its_at_every_size() {
    if !has_tool("age") {
        return;
    }
    for size in SIZES {
        let plain = plain(size);
        let world = world().with("plain", &plain);
        for armor in ["", "--armor"] {
            let [one, _] = RECIPIENTS;
            world.weir(format!("read plain | encrypt -r {one} {armor} | write ours")).run().quietly();
            world.tool("age").unwrap().args(["-d", "-i", "key", "ours"]).run().quietly().giving(&plain);
            world.weir("read ours | decrypt -i key").run().quietly().giving(&plain);
            let armor = Some(armor).filter(|armor| !armor.is_empty());
            let age = world.tool("age").unwrap().args(["-r", one, "-o", "theirs"]).args(armor);
            age.arg("plain").run().quietly();
            world.weir("read theirs | decrypt -i key").run().quietly().giving(&plain);
            fs::remove_file(world.path("theirs")).unwrap();
        }
    }
}

#[test]
fn rage_opens_ours_and_we_open_its() {
    if !has_tool("rage") {
        return;
    }
    let plain = plain(262_145);
    let world = world().with("plain", &plain);
    world.weir("read plain | encrypt -R team --armor | write ours").run().quietly();
    world.tool("rage").unwrap().args(["-d", "-i", "key", "ours"]).run().giving(&plain);
    world.tool("rage").unwrap().args(["-r", RECIPIENTS[0], "-o", "theirs", "plain"]).run().with_code(0);
    world.weir("read theirs | decrypt -i key").run().quietly().giving(&plain);
}

#[test]
fn every_recipient_can_open_it_with_any_of_the_identities_given() {
    let world = world().with("plain", "for both").with("both", SECRETS.join("\n"));
    let [one, two] = RECIPIENTS;
    for call in [format!("-r {one} -r {two}"), "-R team".to_owned(), format!("-r {one} -R team")] {
        world.weir(format!("read plain | encrypt {call} | write sealed")).run().quietly();
        for call in ["-i key", "-i other", "-i other -i key", "-i both"] {
            world.weir(format!("read sealed | decrypt {call}")).run().quietly().giving("for both");
        }
    }
    world.weir(format!("read plain | encrypt -r {two} | write sealed")).run().quietly();
    world.weir("read sealed | decrypt -i key -i both").run().quietly().giving("for both");
    world
        .weir("read sealed | decrypt -i key")
        .run()
        .with_code(3)
        .saying("no identity matches: tried age1t7rxyev2");
}

#[test]
fn a_file_of_recipients_is_told_by_its_line() {
    let world = world().with("plain", "x").with("bad", format!("{}\n\nnobody\n", RECIPIENTS[0]));
    let world = world.with("secret", format!("# mine\n{}\n", SECRETS[0])).with("none", "# nobody\n");
    let told =
        |file: &str| world.weir(format!("read plain | encrypt -R {file} | write out")).run().with_code(3);
    told("bad").saying("bad: line 3 is no recipient: a recipient begins with `age1`");
    let said = told("secret")
        .saying("secret: line 2 is no recipient: a secret key, which belongs to its owner")
        .stderr();
    assert!(!said.contains("GQ9778"), "{said}");
    told("none").saying("none: holds no recipient");
    told("plain").saying("plain: line 1 is no recipient");
    world
        .weir("read plain | encrypt -R gone | write out")
        .run()
        .with_code(1)
        .saying("gone: no such file or directory");
    assert!(!world.path("out").exists());
}

#[test]
fn an_identity_that_others_can_read_is_taken_all_the_same() {
    let world = world().with("plain", "x");
    fs::set_permissions(world.path("key"), fs::Permissions::from_mode(0o644)).unwrap();
    world.weir("read plain | encrypt -R team | decrypt -i key").run().quietly().giving("x");
}

/// Nothing of what it said, or was asked to show, holds the passphrase.
#[track_caller]
fn keeps_it(ran: Ran) -> Ran {
    assert!(!ran.stderr().contains("sesame") && !String::from_utf8_lossy(ran.stdout()).contains("sesame"));
    ran
}

#[test]
fn a_passphrase_comes_from_a_file_or_the_environment_and_goes_nowhere() {
    let world = world().with("plain", "closed").with("wrong", "open barley\n");
    let call = |chain: &str| world.weir(chain).args(["-v", "--report"]);
    keeps_it(call("read plain | encrypt --passphrase-file pass | write sealed").run().with_code(0));
    let opened = call("read sealed | decrypt -p | write out").env("WEIR_PASSPHRASE", PASSPHRASE).run();
    keeps_it(opened.with_code(0));
    assert_eq!(world.bytes("out"), b"closed");
    keeps_it(call("read sealed | decrypt --passphrase-file wrong | write out").run().with_code(3))
        .saying("wrong passphrase");
    call("read sealed | decrypt -i key").run().with_code(3).saying("for a passphrase, not for an identity");
    let call =
        world.weir("read plain | encrypt -p | write out").arg("--dry-run").env("WEIR_PASSPHRASE", PASSPHRASE);
    keeps_it(call.run().with_code(0));
    for (value, said) in [(&b""[..], "is empty"), (b"\xff", "is no UTF-8")] {
        let call = world.weir("read sealed | decrypt -p").env("WEIR_PASSPHRASE", OsStr::from_bytes(value));
        call.run().with_code(3).saying(&format!("WEIR_PASSPHRASE {said}: no passphrase"));
    }
}

#[test]
fn whoever_holds_a_secret_leaves_no_core() {
    let world = world().with("sealed", "");
    // What the second stage does to its process, the first one reads, for it is opened before any byte moves.
    let chain =
        format!("read /proc/self/limits | tee {{ encrypt -r {} | decrypt -i key | discard }}", RECIPIENTS[0]);
    let ran = world.shell(&format!("ulimit -c 100; weir '{chain}'")).run().quietly();
    let limits = String::from_utf8_lossy(ran.stdout()).into_owned();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(line.split_whitespace().nth(4), Some("0"), "{line}");
}

#[test]
fn ciphertext_does_not_reach_a_terminal_unasked_and_armor_does() {
    let world = world().with("plain", "x");
    let mut tty = Tty::new(24, 80);
    let line =
        "weir 'read plain | encrypt -R team'; echo \"[$?]\"; weir 'read plain | encrypt -R team --armor'";
    let Some(_shell) = tty.shell(&world, line) else { return };
    tty.until_text("what `encrypt` gives is no text");
    tty.until_text("[2]");
    tty.until_text("-----BEGIN AGE ENCRYPTED FILE-----");
    tty.until_text("-----END AGE ENCRYPTED FILE-----");
}

#[test]
fn a_passphrase_is_asked_for_unseen_and_twice_to_encrypt() {
    let world = world().with("plain", "closed");
    let mut tty = Tty::new(24, 80);
    let line = "weir --progress always 'read plain | encrypt -p | write sealed'; echo \"[$?]\"; read key; \
                weir 'read sealed | decrypt -p'; echo \"[$?]\"; read key";
    let Some(_shell) = tty.shell(&world, line) else { return };
    let before = tty.modes();
    tty.until_text("weir: passphrase: ");
    assert!(!tty.modes().local_flags.contains(LocalFlags::ECHO));
    assert!(!world.path("sealed").exists(), "a byte has moved");
    assert!(!tty.seen.contains('\u{1b}'), "the view has drawn: {:?}", tty.seen);
    tty.type_in(&format!("{PASSPHRASE}\n"));
    tty.until_text("weir: the same passphrase again: ");
    tty.type_in(&format!("{PASSPHRASE}\n"));
    tty.until_text("[0]");
    assert!(tty.modes() == before);
    tty.type_in("\n");
    tty.until_text("weir: passphrase: ");
    tty.type_in(&format!("{PASSPHRASE}\n"));
    tty.until_text("closed");
    tty.until_text("[0]");
    assert!(tty.modes() == before);
    assert!(!tty.seen.contains("sesame"), "{:?}", tty.seen);
}

#[test]
fn two_passphrases_that_differ_change_nothing() {
    let world = world().with("plain", "closed").with("out", "old");
    let mut tty = Tty::new(24, 80);
    let Some(_shell) = tty.shell(&world, "weir 'read plain | encrypt -p | write out'; echo \"[$?]\"") else {
        return;
    };
    tty.until_text("passphrase: ");
    tty.type_in("one\n");
    tty.until_text("again: ");
    tty.type_in("two\n");
    tty.until_text("the two passphrases are not the same");
    tty.until_text("[1]");
    assert_eq!(world.bytes("out"), b"old");
}

#[test]
fn whoever_gives_up_at_the_question_gets_the_terminal_back() {
    // The shell hears of it, too, and must not end before it has told.
    for (name, end, code) in [("INT", INTERRUPT, 130), ("TERM", "", 143)] {
        let world = world().with("plain", "closed").with("out", "old");
        let mut tty = Tty::new(24, 80);
        let before = tty.modes();
        let line = "trap : INT; sh -c 'echo $$ >process; exec weir \"read plain | encrypt -p | write out\"'; echo \"[$?]\"; read key";
        let Some(_shell) = tty.shell(&world, line) else { return };
        tty.until_text("passphrase: ");
        if end.is_empty() {
            let process = String::from_utf8(world.bytes("process")).unwrap();
            world.shell(&format!("kill -{name} {process}")).run().quietly();
        }
        tty.type_in(end);
        tty.until_text(&format!("[{code}]"));
        assert!(tty.modes() == before, "{:?}\n{before:?}", tty.modes());
        assert_eq!(world.bytes("out"), b"old");
        world.assert_names(&["key", "other", "out", "pass", "plain", "process", "team"]);
        assert!(!tty.seen.contains("stage 2"), "a signal is no failure: {:?}", tty.seen);
    }
}

#[test]
fn without_a_terminal_the_other_ways_are_named() {
    let world = world().with("plain", "closed");
    let Some(call) = world.tool("setsid") else { return };
    let ran = call.arg("--wait").arg(crate::harness::weir()).arg("read plain | encrypt -p | write out").run();
    let ran = ran.with_code(1).saying("there is no terminal to ask for the passphrase on");
    ran.saying("--passphrase-file FILE").saying("WEIR_PASSPHRASE");
    assert!(!world.path("out").exists());
}

#[test]
fn what_age_closes_with_a_passphrase_we_open_and_the_other_way_round() {
    if !has_tool("age") {
        return;
    }
    let plain = plain(70_000);
    let world = world().with("plain", &plain);
    world.weir("read plain | encrypt --passphrase-file pass | write ours").run().quietly();
    let mut tty = Tty::new(24, 80);
    let line = "age -d -o opened ours; echo \"[$?]\"; age -p -o theirs plain; echo \"<$?>\"";
    let Some(_shell) = tty.shell(&world, line) else { return };
    tty.until_text("Enter passphrase");
    tty.type_in(&format!("{PASSPHRASE}\n"));
    tty.until_text("[0]");
    assert!(world.bytes("opened") == plain);
    tty.until_text("Enter passphrase");
    tty.type_in(&format!("{PASSPHRASE}\n"));
    tty.until_text("Confirm passphrase");
    tty.type_in(&format!("{PASSPHRASE}\n"));
    tty.until_text("<0>");
    world.weir("read theirs | decrypt --passphrase-file pass").run().quietly().giving(&plain);
}
