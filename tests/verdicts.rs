//! The verdict is right: chains whose bottleneck was planted, and what the report says of each.
//!
//! One after another, so that they do not slow each other down; what limits each is slower than the rest by a factor that
//! a loaded machine does not use up.

use crate::harness::{Patience, World};
use nix::sys::stat::Mode;
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// How often a chain is tried: a wrong rule is wrong every time, what else the machine does is not.
const TRIES: usize = 3;

/// Who limits the run, in the words of the report: how the line begins, and what else is in it. A stage that uses the
/// cores may also be said to find none free: then that is what limits it.
struct Planted {
    subject: &'static str,
    state: &'static str,
}

const fn planted(subject: &'static str, state: &'static str) -> Planted {
    Planted { subject, state }
}

/// What is wrong with a report, if anything is.
fn wrong(said: &str, planted: &Planted) -> Option<String> {
    let line = said.lines().find(|line| line.starts_with("limited by ")).unwrap_or("no such line");
    let (limit, _) = line.split_once(';').unwrap_or((line, ""));
    let begin = format!("limited by {}", planted.subject);
    let is_short =
        limit.contains("short of cores") && matches!(planted.state, "(computing" | "(copying in the kernel");
    if !limit.starts_with(&begin) || !(limit.contains(planted.state) || is_short) {
        return Some(format!("`{begin} … {}` expected, but:\n{said}", planted.state));
    }
    let mark = said.lines().find(|line| line.contains("limits")).unwrap_or_default();
    let name = planted.subject.split(' ').next().unwrap();
    (!mark.trim_start().starts_with(name)).then(|| format!("the mark is at another stage:\n{said}"))
}

#[track_caller]
fn assert_limited(chain: &str, planted: &Planted, run: impl Fn() -> String) {
    let tries: Vec<String> = (0..TRIES).map_while(|_| wrong(&run(), planted)).collect();
    assert!(tries.len() < TRIES, "`{chain}`, {TRIES} times: {}", tries.join("\n"));
}

/// Sees a run to its end; returns what it said.
#[track_caller]
fn end(mut child: Child) -> String {
    let guard = Patience::with(&child);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    drop(guard);
    said
}

fn reporting(world: &World, chain: &str, set: impl FnOnce(&mut Command) -> &mut Command) -> Child {
    world
        .weir(chain)
        .arg("--report")
        .spawn(|command| set(command.stdin(Stdio::null()).stdout(Stdio::null())).stderr(Stdio::piped()))
}

/// Writes `bytes` as a slow peer would: 64 KiB at a time, a pause after each.
fn feed_slowly(mut to: impl Write, bytes: usize) {
    for _ in 0..bytes / 65_536 {
        to.write_all(&[b'a'; 65_536]).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
}

/// Every chain here needs no peer; the run is about a second long where nothing else runs.
const ALONE: [(&str, Planted); 20] = [
    // A child that takes its time with what it is given, one that takes its time with what it gives.
    ("generate zeros 4M | upper | exec sh slow | discard", planted("exec sh slow", "(waiting for its child")),
    (
        "generate zeros 1K | exec sh trickle | upper | discard",
        planted("exec sh trickle", "(waiting for its child"),
    ),
    // Children that are not to blame: given little, and asked for little.
    ("generate zeros 8M | throttle 10M | exec cat | upper | discard", planted("throttle 10M", "as asked")),
    ("generate zeros 8M | exec cat | throttle 10M | discard", planted("throttle 10M", "as asked")),
    ("generate text 192M | discard", planted("generate text", "(computing")),
    ("generate text 96M | pass | tee { discard } | discard", planted("generate text", "(computing")),
    ("read /dev/urandom | head -c 256M | discard", planted("read /dev/urandom", "(copying in the kernel")),
    ("generate zeros 8M | throttle 10M | upper | pass | discard", planted("throttle 10M", "as asked")),
    ("generate zeros 8M | pass | throttle 10M | pass | discard", planted("throttle 10M", "as asked")),
    ("generate zeros 8M | pass | upper | throttle 10M", planted("throttle 10M", "as asked")),
    ("generate text 24M | gzip -9 | discard", planted("gzip -9", "(computing")),
    ("generate text 24M | pass | gzip -9 | gunzip | discard", planted("gzip -9", "(computing")),
    ("generate zeros 4M | tee { throttle 5M | discard } | discard", planted("throttle 5M", "as asked")),
    ("generate text 24M | tee { gzip -9 | discard } | discard", planted("gzip -9", "(computing")),
    (
        "generate zeros 4M | tee { pass | tee { throttle 5M | discard } | discard } | pass | discard",
        planted("throttle 5M", "as asked"),
    ),
    (
        "generate zeros 8M | branch { pass | discard } { throttle 10M | discard }",
        planted("throttle 10M", "as asked"),
    ),
    ("generate zeros 16M | buffer 6M | throttle 16M | discard", planted("throttle 16M", "as asked")),
    (
        "generate zeros 10M | throttle 12M | buffer 6M --start 50 | discard",
        planted("throttle 12M", "as asked"),
    ),
    ("generate zeros 8M | throttle 10M | spool | discard", planted("throttle 10M", "as asked")),
    ("read /dev/zero | throttle 10M | head -c 8M | discard", planted("throttle 10M", "as asked")),
];

#[test]
fn the_planted_bottleneck_is_found() {
    let world = World::new()
        .with("slow", "while head -c 65536 | grep -qa ''; do sleep 0.02; done")
        .with("trickle", "cat; for line in 1 2 3 4 5 6 7 8 9 10; do sleep 0.05; echo $line; done");
    for (chain, planted) in &ALONE {
        assert_limited(chain, planted, || end(reporting(&world, chain, |command| command)));
    }
    a_slow_feeder_limits(&world);
    a_slow_writer_of_a_fifo_limits(&world);
    a_slow_reader_limits(&world);
}

fn a_slow_feeder_limits(world: &World) {
    let chain = "upper | tee { gzip -1 | discard } | discard";
    assert_limited(chain, &planted("stdin", "(waiting for the pipe"), || {
        let mut child = reporting(world, chain, |command| command.stdin(Stdio::piped()));
        feed_slowly(child.stdin.take().unwrap(), 2 << 20);
        end(child)
    });
}

fn a_slow_writer_of_a_fifo_limits(world: &World) {
    let chain = "read fifo | upper | discard";
    nix::unistd::mkfifo(&world.path("fifo"), Mode::S_IRWXU).unwrap();
    assert_limited(chain, &planted("read fifo", "(waiting for the pipe"), || {
        let child = reporting(world, chain, |command| command);
        feed_slowly(fs::OpenOptions::new().write(true).open(world.path("fifo")).unwrap(), 2 << 20);
        end(child)
    });
}

fn a_slow_reader_limits(world: &World) {
    let chain = "generate text 6M | upper";
    assert_limited(chain, &planted("stdout", "(waiting for the pipe"), || {
        let mut child = reporting(world, chain, |command| command.stdout(Stdio::piped()));
        let mut stdout = child.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            let mut taken = vec![0; 65_536];
            while stdout.read(&mut taken).unwrap() > 0 {
                thread::sleep(Duration::from_millis(10));
            }
        });
        let said = end(child);
        reader.join().unwrap();
        said
    });
}
