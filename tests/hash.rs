//! `hash` beside the tools that people use: the same digits, lists that either reads, and nothing put in place when they differ.

use crate::harness::{World, has_tool};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Stdio;

/// Around the edges of the algorithms' blocks, of chunks, and of what goes to the workers.
const SIZES: [usize; 7] = [0, 1, 63, 64, 32_767, 262_145, 1_000_003];

/// What a tool is called, its arguments, and the algorithm it computes of the file `in`; the digits are somewhere in its
/// output.
const TOOLS: [(&str, &[&str], &str); 14] = [
    ("md5sum", &["in"], "md5"),
    ("sha1sum", &["in"], "sha1"),
    ("sha256sum", &["in"], "sha256"),
    ("sha512sum", &["in"], "sha512"),
    ("b3sum", &["in"], "blake3"),
    ("xxhsum", &["-H3", "in"], "xxh3"),
    ("openssl", &["dgst", "-md5", "in"], "md5"),
    ("openssl", &["dgst", "-sha1", "in"], "sha1"),
    ("openssl", &["dgst", "-sha256", "in"], "sha256"),
    ("openssl", &["dgst", "-sha512", "in"], "sha512"),
    ("rhash", &["--crc32", "--bsd", "in"], "crc32"),
    ("python3", &["-c", "import zlib; print('%08x' % zlib.crc32(open('in', 'rb').read()))"], "crc32"),
    ("python3", &["-c", "import hashlib; print(hashlib.sha1(open('in', 'rb').read()).hexdigest())"], "sha1"),
    ("gzip", &["-lv", "in.gz"], "crc32"),
];

fn sample(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at / 3 * 7919 % 253) as u8).collect()
}

/// The digits that weir tells of the file `in`.
#[track_caller]
fn told(world: &World, algorithm: &str) -> String {
    let said = world.weir(format!("read in | hash {algorithm} | discard")).run().with_code(0).stderr();
    let digits = said.strip_prefix(&format!("{algorithm} ")).and_then(|rest| rest.strip_suffix("  in\n"));
    digits.unwrap_or_else(|| panic!("no digest of in: {said}")).to_owned()
}

#[test]
fn the_digits_are_those_of_the_tools() {
    for bytes in SIZES {
        let world = World::new().with("in", sample(bytes));
        world.weir("read in | gzip | write in.gz").run().quietly();
        for (tool, arguments, algorithm) in TOOLS {
            let Some(call) = world.tool(tool) else { continue };
            let ran = call.args(arguments).run().with_code(0);
            let digits = told(&world, algorithm);
            let came = String::from_utf8_lossy(ran.stdout()).to_lowercase();
            assert!(came.contains(&digits), "{algorithm} of {bytes} bytes is {digits}, but {tool}: {came}");
        }
    }
}

/// Names that a list has to escape, or that look like a part of one.
fn names() -> Vec<OsString> {
    let texts =
        ["a", "two words", " a", "*a", "new\nline", "\n", "back\\slash", "\\", "\\n", "a) = 0", "ü", "-x"];
    let mut names: Vec<OsString> = texts.iter().map(OsString::from).collect();
    names.push(OsString::from_vec(b"\xff no UTF-8".to_vec()));
    names
}

#[test]
fn a_list_is_what_the_tools_check() {
    for (tool, algorithm) in [
        ("md5sum", "md5"),
        ("sha1sum", "sha1"),
        ("sha256sum", "sha256"),
        ("sha512sum", "sha512"),
        ("b3sum", "blake3"),
        ("xxhsum", "xxh3"),
    ] {
        if !has_tool(tool) {
            continue;
        }
        for name in names() {
            let is_text = name.to_str().is_some();
            // xxhsum has no escapes, and b3sum takes no name that is no UTF-8.
            let is_odd = name.as_bytes().contains(&b'\n') || name.as_bytes().contains(&b'\\');
            if (tool == "xxhsum" && is_odd) || (tool == "b3sum" && (!is_text || is_odd)) {
                continue;
            }
            let world = World::new().with(&name, sample(5000));
            let chain = format!("read {{}} | hash {algorithm} -o list | discard");
            world.weir(chain).args([OsStr::new("-q"), OsStr::new("--"), &name]).run().quietly();
            let check = world.tool(tool).unwrap().args(["-c", "list"]);
            check.run().with_code(0);
            fs::write(world.path(&name), sample(4999)).unwrap();
            assert_ne!(world.tool(tool).unwrap().args(["-c", "list"]).run().code(), 0, "{tool}: {name:?}");
        }
    }
}

#[test]
fn a_list_is_as_the_tool_writes_it() {
    if !has_tool("sha256sum") {
        return;
    }
    for name in names() {
        let world = World::new().with(&name, "some");
        let from_tool = world.tool("sha256sum").unwrap().arg("--").arg(&name).run().quietly();
        let call = world.weir("read {} | hash sha256 -o list | discard");
        call.args([OsStr::new("-q"), OsStr::new("--"), &name]).run().quietly();
        assert_eq!(world.bytes("list"), from_tool.stdout(), "{name:?}");
        // And weir reads what the tool writes, tagged or not, among others.
        for tag in [&["--"][..], &["--tag", "--"]] {
            let world = World::new().with(&name, "some").with("other", "other").with("empty", "");
            let files = [OsStr::new("empty"), &name, OsStr::new("other")];
            let list = world.tool("sha256sum").unwrap().args(tag).args(files).run().quietly();
            fs::write(world.path("list"), list.stdout()).unwrap();
            let check = |path: &OsStr| {
                let call = world.weir("read {} | hash sha256 --check list | write out");
                call.args([OsStr::new("-q"), OsStr::new("--"), path]).run()
            };
            check(&name).quietly();
            check(world.path(&name).as_os_str()).quietly();
            assert_eq!(world.bytes("out"), b"some");
            fs::write(world.path(&name), "same").unwrap();
            check(&name).with_code(3).saying("but list says a6b46dd0d1ae5e86");
            assert_eq!(world.bytes("out"), b"some");
        }
    }
}

#[test]
fn a_wrong_digest_publishes_nothing_whatever_stands_behind_it() {
    let wrong = "--expect 00000000";
    for chain in [
        format!("read in | hash crc32 {wrong} | write out"),
        format!("read in | hash crc32 {wrong} | head -c 1 | write out"),
        format!("read in | hash crc32 {wrong} | head -n 0 | write out"),
        format!("read in | hash crc32 {wrong} | pass | head -c 1 | write out"),
        format!("read in | gzip | hash crc32 {wrong} -o list | write out"),
        format!("read in | tee {{ hash crc32 {wrong} | head -c 1 | discard }} | head -c 1 | write out"),
        format!("read in | tee out | hash crc32 {wrong} | discard"),
        format!("read in | hash crc32 {wrong} | tee {{ head -c 1 | write out }} | head -c 2 | write other"),
        "read in | hash crc32 --check list | head -c 1 | write out".to_owned(),
    ] {
        let world =
            World::new().with("in", sample(3_000_000)).with("out", "old").with("list", "00000000  x\n");
        let ran = world.weir(&chain).run().with_code(3).saying(", but ");
        assert!(!ran.stderr().contains("crc32 00000000") && !ran.stderr().contains("  in\n"), "{chain}");
        assert_eq!((world.bytes("out"), world.bytes("list")), (b"old".into(), b"00000000  x\n".into()));
        world.assert_names(&["in", "list", "out"]);
    }
}

#[test]
fn the_right_digest_publishes_everything_even_behind_a_head() {
    let world = World::new().with("in", sample(3_000_000));
    let digits = told(&world, "crc32");
    let chain = format!("read in | hash crc32 --expect {digits} -o list | head -c 2 | write out");
    let said = world.weir(chain).run().with_code(0).stderr();
    assert_eq!(said, format!("crc32 {digits}  in\n"));
    assert_eq!(world.bytes("out"), sample(2));
    assert_eq!(world.bytes("list"), format!("CRC32 (in) = {digits}\n").into_bytes());
}

#[test]
fn with_spool_nothing_leaves_before_the_digest_is_known() {
    let world = World::new().with("in", sample(3_000_000));
    let ran = world.weir("read in | hash md5 --expect 00000000000000000000000000000000 | spool").run();
    let ran = ran.with_code(3).giving("");
    assert!(!ran.stderr().contains("warning"), "{}", ran.stderr());
}

#[test]
fn everything_is_read_though_standard_output_was_closed() {
    let world = World::new().with("in", sample(3_000_000));
    for (digits, code) in [("00000000".to_owned(), 3), (told(&world, "crc32"), 141)] {
        let chain = format!("weir -q 'read in | hash crc32 --expect {digits}' 2>said; echo $? >code");
        world.shell(&format!("{{ {chain}; }} | head -c 1 >some")).run().quietly();
        assert_eq!(String::from_utf8(world.bytes("code")).unwrap(), format!("{code}\n"));
        assert_eq!(world.bytes("said").is_empty(), code == 141);
    }
}

#[test]
fn a_list_goes_to_a_pipe_that_somebody_reads_and_comes_from_one() {
    let world = World::new().with("in", "some");
    world
        .shell("mkfifo fifo; weir -q 'read in | hash md5 -o /dev/fd/3 | discard' 3>&1 | md5sum -c")
        .run()
        .with_code(0);
    let ran = world.weir("read in | hash md5 -o fifo | discard").run().with_code(1);
    ran.saying("hash (stage 2): fifo: nobody reads it");
    let ran = world.weir("read in | hash md5 --check fifo | discard").run().with_code(1);
    ran.saying("fifo: holds no md5 digest");
    let chain = "read in | hash md5 --check /dev/fd/3 | discard";
    world.shell(&format!("md5sum in | weir -q '{chain}' 3<&0")).run().quietly();
}

#[test]
fn a_run_that_is_given_up_tells_no_digest() {
    let world = World::new();
    let call = world.weir("hash md5 -o list | discard");
    let mut child = call.spawn(|command| command.stdin(Stdio::piped()).stderr(Stdio::piped()));
    let stdin = child.stdin.take();
    let process = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    // It has begun when its list stands beside its place.
    while world.names().is_empty() {
        std::thread::yield_now();
    }
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("md5 "), "{said}");
    world.assert_names(&[]);
}

#[test]
fn a_digest_does_not_hold_what_was_read_so_the_input_is_not_removed_for_it() {
    let world = World::new().with("f", "kept");
    let ran = world.weir("read --remove f | hash sha256 -o f.sum | discard").run();
    ran.with_code(2).saying("what `read` removes would be lost");
    let ran = world.weir("read --remove f | hash sha256 -o f.sum | write /dev/null").run();
    ran.with_code(2).saying("would be lost");
    assert_eq!(world.bytes("f"), b"kept");
}
