//! Several runs of a batch at once (`-j`): that they overlap, and no more than that many; how they fail, are ended, and speak.
//! FIFOs are the gates: a run that reads one goes on for as long as the test holds its other end.

use crate::harness::{PATIENCE, Patience, World};
use crate::tty::Tty;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo, pipe};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The chain of most tests.
const COPY: &str = "read {} | write {}.out";

/// A world with these FIFOs in it.
fn with_gates(names: &[&str]) -> World {
    let world = World::new();
    for name in names {
        mkfifo(&world.path(name), Mode::S_IRWXU).unwrap();
    }
    world
}

/// The other end of a FIFO, if somebody reads it now.
fn gate(world: &World, name: &str) -> Option<File> {
    match OpenOptions::new().write(true).custom_flags(nix::libc::O_NONBLOCK).open(world.path(name)) {
        Ok(gate) => Some(gate),
        Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => None,
        Err(error) => panic!("{name}: {error}"),
    }
}

#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what} never came");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The other end of a FIFO, as soon as somebody reads it.
#[track_caller]
fn gate_of_a_run(world: &World, name: &str) -> File {
    until(&format!("the run of {name}"), || gate(world, name))
}

#[track_caller]
fn await_file(world: &World, name: &str) {
    until(name, || world.path(name).exists().then_some(()));
}

/// weir, while it runs.
struct Runs {
    child: Child,
    patience: Patience,
}

impl Runs {
    fn start(world: &World, jobs: &str, chain: &str, operands: &[&str]) -> Runs {
        let call = world.weir(chain).args(["-j", jobs, "--"]).args(operands);
        let child = call.spawn(|command| command.stdin(Stdio::null()).stderr(Stdio::piped()));
        Runs { patience: Patience::with(&child), child }
    }

    fn send(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Its exit code as a shell has it, and what it said.
    fn end(self) -> (i32, String) {
        let Runs { child, patience } = self;
        let output = child.wait_with_output().unwrap();
        drop(patience);
        let code = output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap();
        (code, String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn a_run_ends_while_one_before_it_goes_on() {
    let world = with_gates(&["first", "second"]);
    let runs = Runs::start(&world, "2", COPY, &["first", "second"]);
    gate_of_a_run(&world, "second").write_all(b"2").unwrap();
    await_file(&world, "second.out");
    assert!(!world.path("first.out").exists());
    gate_of_a_run(&world, "first").write_all(b"1").unwrap();
    assert_eq!(runs.end(), (0, String::new()));
    assert_eq!((world.bytes("first.out"), world.bytes("second.out")), (b"1".to_vec(), b"2".to_vec()));
}

#[test]
fn without_jobs_one_run_waits_for_the_one_before_it() {
    let world = with_gates(&["first", "second"]);
    let runs = Runs::start(&world, "1", COPY, &["first", "second"]);
    let first = gate_of_a_run(&world, "first");
    assert!(gate(&world, "second").is_none());
    drop(first);
    drop(gate_of_a_run(&world, "second"));
    assert_eq!(runs.end(), (0, String::new()));
}

#[test]
fn never_more_runs_than_asked_for_go_on_at_once_and_they_begin_in_their_order() {
    let names = ["a", "b", "c", "d"];
    let world = with_gates(&names);
    let runs = Runs::start(&world, "2", COPY, &names);
    let (a, b) = (gate_of_a_run(&world, "a"), gate_of_a_run(&world, "b"));
    assert!(gate(&world, "c").is_none() && gate(&world, "d").is_none());
    drop(b);
    let c = gate_of_a_run(&world, "c");
    assert!(gate(&world, "d").is_none());
    drop(a);
    drop(gate_of_a_run(&world, "d"));
    drop(c);
    assert_eq!(runs.end(), (0, String::new()));
    world.assert_names(&["a", "a.out", "b", "b.out", "c", "c.out", "d", "d.out"]);
}

#[test]
fn a_run_that_fails_keeps_no_other_from_its_turn_and_is_named() {
    let world = World::new().with("good", "one").with("last", "two");
    let names = [&b"good"[..], b"new\nline", b"it's", b"not \xff utf-8", b"last"].map(OsStr::from_bytes);
    fs::write(world.path(names[2]), "x").unwrap();
    fs::create_dir(world.path("it's.out")).unwrap();
    let ran = world.weir(COPY).args(["-j", "3", "--"]).args(names).run().with_code(5);
    let said = ran.stderr();
    for told in [
        "run 2 of 5: \"new\\nline\"\nweir: read (stage 1): \"new\\nline\": no such file or directory\n",
        "run 3 of 5: \"it's\"\nweir: write (stage 2): \"it's.out\": is a directory\n",
        "run 4 of 5: \"not \\xff utf-8\"\nweir: read (stage 1): \"not \\xff utf-8\": no such file or directory\n",
    ] {
        assert!(said.contains(told), "{told:?} is not in:\n{said}");
    }
    assert!(said.ends_with("weir: 2 of 5 runs done, 3 failed\n"), "{said}");
    assert_eq!((world.bytes("good.out"), world.bytes("last.out")), (b"one".to_vec(), b"two".to_vec()));
}

#[cfg(feature = "encode")]
#[test]
fn a_run_that_fails_on_its_way_leaves_nothing_and_the_others_go_on() {
    use std::io::Read;
    let world = with_gates(&["bad", "good"]);
    let runs = Runs::start(&world, "2", "read {} | unbase64 | write {}.out", &["bad", "good"]);
    let mut good = gate_of_a_run(&world, "good");
    gate_of_a_run(&world, "bad").write_all(b"no base64!").unwrap();
    // The failure is said at once.
    let mut runs = runs;
    let mut said = [0; 16];
    runs.child.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(said, *b"run 1 of 2: bad\n");
    good.write_all(b"b25l").unwrap();
    drop(good);
    let (code, said) = runs.end();
    assert_eq!(code, 5, "{said}");
    assert!(said.ends_with("bad.out was not created\nweir: 1 of 2 runs done, 1 failed\n"), "{said}");
    assert_eq!(world.bytes("good.out"), b"one");
    world.assert_names(&["bad", "good", "good.out"]);
}

#[test]
fn a_signal_ends_all_runs_starts_none_and_keeps_what_is_done() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let world = with_gates(&["b", "c"]).with("a", "done").with("d", "never").with("c.out", "old");
        let runs = Runs::start(&world, "2", COPY, &["a", "b", "c", "d"]);
        let gates = ["b", "c"].map(|name| {
            let mut gate = gate_of_a_run(&world, name);
            gate.write_all(b"part").unwrap();
            gate
        });
        await_file(&world, "a.out");
        runs.send(signal);
        let (came, said) = runs.end();
        drop(gates);
        assert_eq!(came, code, "{said}");
        world.assert_names(&["a", "a.out", "b", "c", "c.out", "d"]);
        assert_eq!((world.bytes("a.out"), world.bytes("c.out")), (b"done".to_vec(), b"old".to_vec()));
        let ended = format!("weir: ended by {signal}");
        for told in [
            format!("run 2 of 4: b\n{ended}\n  b.out was not created\n"),
            format!("run 3 of 4: c\n{ended}\n  c.out is as it was\n"),
        ] {
            assert!(said.contains(&told), "{told:?} is not in:\n{said}");
        }
        assert!(said.ends_with("weir: 1 of 4 runs done\n"), "{said}");
        assert_eq!(said.lines().count(), 7, "{said}");
    }
}

#[test]
fn a_signal_ends_all_runs_although_nobody_reads_what_they_say() {
    let world = with_gates(&["b"]).with("a", "1");
    let (heard, told) = pipe().unwrap();
    fcntl(&told, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    while nix::unistd::write(&told, &[b'x'; 4096]).is_ok() {}
    fcntl(&told, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    let call =
        world.weir("read {} | exec sh -c 'cat; exit 1' | write {}.out").args(["-j", "2", "--", "a", "b"]);
    let mut child = call.spawn(|command| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(told));
    let _guard = Patience::with(&child);
    let gate = gate_of_a_run(&world, "b");
    // The first run is over, and would tell that: its file came before that of the second, and is gone.
    let has = |start: &str| world.names().iter().any(|name| name.as_bytes().starts_with(start.as_bytes()));
    until("the failure", || (has(".b.out.weir-") && !has(".a.out.weir-")).then_some(()));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
    drop((heard, gate));
    world.assert_names(&["a", "b"]);
}

#[test]
fn a_run_in_which_nothing_moves_fails_alone() {
    let world = with_gates(&["still"]).with("a", "one");
    let runs = world.weir(COPY).args(["-j", "2", "--stall-timeout", "300ms", "--", "still", "a"]).run();
    runs.with_code(5).saying("run 1 of 2: still\nweir: no byte moved for too long");
    world.assert_names(&["a", "a.out", "still"]);
}

#[test]
fn what_is_written_does_not_depend_on_jobs_or_threads() {
    let names: Vec<String> = (0..40).map(|number| format!("f{number}")).collect();
    let written = |options: &[&str]| {
        let world = World::new();
        for (number, name) in names.iter().enumerate() {
            fs::write(world.path(name), format!("line {number}\n").repeat(number * 1000)).unwrap();
        }
        let call = world.weir("read {} | gzip | write {}.gz").args(options).arg("--").args(&names);
        call.run().quietly();
        names.iter().map(|name| world.bytes(format!("{name}.gz"))).collect::<Vec<_>>()
    };
    let expected = written(&[]);
    for options in [&["-j", "0"][..], &["-j", "7"], &["-j", "3", "-T", "1"], &["-j", "100", "-T", "5"]] {
        assert!(written(options) == expected, "{options:?}");
    }
}

#[test]
fn only_the_runs_that_go_on_hold_descriptors() {
    let world = World::new();
    let names: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    names.iter().for_each(|name| fs::write(world.path(name), name).unwrap());
    world.shell(&format!("ulimit -n 80; weir -j 4 '{COPY}' -- *")).run().quietly();
    assert!(names.iter().all(|name| world.bytes(format!("{name}.out")) == name.as_bytes()));
}

#[test]
fn without_a_batch_jobs_mean_nothing() {
    let world = World::new().with("a", "one");
    for jobs in ["0", "1", "4"] {
        world.weir("head -c 2").args(["-j", jobs]).stdin("one").run().quietly().giving("on");
        world.weir("read {}").args(["-j", jobs, "--", "a"]).run().quietly().giving("one");
        world.weir(COPY).args(["-j", jobs, "--files0-from", "/dev/null"]).run().quietly();
    }
    world.assert_names(&["a"]);
}

#[test]
fn what_runs_at_once_would_mix_is_refused_before_any_starts() {
    let world = with_gates(&["pipe"]).with("a", "one").with("b", "two").with("log", "old");
    for (chain, told) in [
        (
            "read {}",
            "weir: standard output is one, and what several runs give at once would be mixed\n  give each",
        ),
        (
            "write {}.out",
            "weir: standard input is one, and several runs at once would take it from each other\n",
        ),
        ("read {} | tee { stdout } | write {}.out", "weir: standard output is one"),
        ("read {} | write /dev/stdout", "weir: standard output is one"),
        (
            "read {} | write /dev/fd/2",
            "weir: /dev/fd/2: is written by two runs, `a` and `b`\n  leave `-j` out",
        ),
        ("read {} | write --append log", "weir: log: is written by two runs, `a` and `b`\n  leave `-j` out"),
        ("read {} | write pipe", "weir: pipe: is written by two runs, `a` and `b`\n  leave `-j` out"),
        ("read {} | write one", "weir: one: is written by two runs, `a` and `b`\n  give each run an output"),
    ] {
        for jobs in ["0", "2"] {
            world.weir(chain).args(["-j", jobs, "--", "a", "b"]).run().with_code(2).saying(told).giving("");
        }
    }
    // Nor may one read what another is about to make.
    let ran = world.weir("read {1} | write {2}").args(["-j", "2", "--", "a", "new", "new", "b2"]).run();
    ran.with_code(2).saying("weir: new: is written by the run `a new` and read by the run `new b2`\n");
    world.assert_names(&["a", "b", "log", "pipe"]);
    assert_eq!(world.bytes("log"), b"old");
    // What is there may be what another run makes anew.
    let ran = world.weir("read {1} | write {2}").args(["-j", "2", "--", "a", "log", "log", "b"]).run();
    ran.with_code(2)
        .saying("weir: log: is written by the run `a log` and read by the run `log b`\n  leave `-j` out");
    // One after another, they may.
    world.weir("read {} | write --append log").args(["-j", "1", "--", "a", "b"]).run().quietly();
    assert_eq!(world.bytes("log"), b"oldonetwo");
    // And into nothing whatever writes at once goes.
    world.weir("read {} | write /dev/null").args(["-j", "2", "--", "a", "b"]).run().quietly();
}

#[test]
fn a_dry_run_is_the_same_with_jobs_and_without() {
    let world = World::new().with("a", "one").with("b", "two");
    let shown = |options: &[&str]| {
        let ran = world.weir(COPY).arg("-n").args(options).args(["--", "a", "missing", "b"]).run();
        (ran.code(), ran.stdout().to_vec(), ran.stderr())
    };
    assert_eq!(shown(&["-j", "3"]), shown(&[]));
}

#[test]
#[cfg(feature = "hash")]
fn digests_are_told_in_the_order_of_the_operands() {
    let world = with_gates(&["first"]).with("second", "2").with("third", "3");
    let chain = "read {} | hash crc32 | write {}.out";
    let runs = Runs::start(&world, "2", chain, &["first", "second", "third", "missing"]);
    let first = gate_of_a_run(&world, "first");
    await_file(&world, "third.out");
    drop(first);
    let (code, said) = runs.end();
    assert_eq!(code, 5, "{said}");
    let digests: Vec<&str> = said.lines().filter(|line| line.starts_with("crc32 ")).collect();
    let names: Vec<&str> = digests.iter().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(names, ["first", "second", "third"], "{said}");
}

#[test]
fn what_peers_and_stages_say_comes_with_the_name_of_the_run() {
    let world = World::new().with("a", "").with("b", "");
    let chain = "exec sh -c 'for i in 1 2 3; do echo said $i >&2; done' | write {}.out";
    let said = world.weir(chain).args(["-j", "2", "--", "a", "b"]).run().with_code(0).stderr();
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    let expected = ["a", "b"].map(|run| [1, 2, 3].map(|i| format!("{run}: exec (stage 1): said {i}")));
    assert_eq!(lines, expected.concat());
}

#[test]
fn each_report_is_named_and_the_sum_comes_last() {
    let world = World::new().with("a", "one").with("b", "two");
    let ran = world.weir(COPY).args(["-j", "2", "--report", "--", "a", "b"]).run().with_code(0);
    let said = ran.stderr();
    for run in ["run 1 of 2: a\nread ", "run 2 of 2: b\nread "] {
        assert_eq!(said.matches(run).count(), 1, "{said}");
    }
    assert!(said.lines().last().unwrap().starts_with("2 runs: 6 B in "), "{said}");
}

#[test]
fn who_asks_is_told_how_the_whole_batch_stands() {
    let world = with_gates(&["b", "c"]).with("a", "one");
    let mut runs = Runs::start(&world, "2", COPY, &["a", "b", "c"]);
    let gates = ["b", "c"].map(|name| gate_of_a_run(&world, name));
    await_file(&world, "a.out");
    let mut stderr = BufReader::new(runs.child.stderr.take().unwrap());
    // A run reads its FIFO a moment before it counts as begun, so it is asked until it does.
    until("both runs", || {
        runs.send(Signal::SIGUSR1);
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert!(line.starts_with("weir: 1 of 3 runs done, "), "{line}");
        line.starts_with("weir: 1 of 3 runs done, 2 now; 3 B in ").then_some(())
    });
    drop(gates);
    assert_eq!(runs.end().0, 0);
}

#[test]
fn the_view_shows_all_runs_and_is_gone_after_a_stop_and_at_the_end() {
    let world = World::new().with("a", vec![0; 4 << 20]).with("b", vec![0; 4 << 20]).with("c", "");
    let mut tty = Tty::new(24, 100);
    let line = "set -m; weir -j 2 'read {} | throttle 2M | discard' -- c a b; echo held; read key; fg >fg; echo \"[$?]\"";
    let Some(_shell) = tty.shell(&world, line) else { return };
    tty.until("both runs", |tty| {
        let shows = tty.shows();
        let runs = ["  a  ", "  b  "].map(|name| shows.lines().any(|line| line.starts_with(name)));
        runs == [true; 2]
            && shows.contains("1 of 3 runs done, 2 now")
            && shows.contains("limited by throttle 2M")
    });
    tty.type_in("\u{1a}");
    tty.until_text("held");
    assert!(!tty.shows().contains("runs done"), "the picture is still there:\n{}", tty.shows());
    tty.type_in("\n");
    tty.until_frame();
    tty.until_text("[0]");
    assert_eq!((tty.lines("3 runs: 8.00 MiB in "), tty.lines("3 of 3 runs")), (1, 0), "{}", tty.shows());
}

#[test]
fn a_resize_reaches_the_view_of_all_runs() {
    let world = World::new().with("a", vec![0; 1 << 20]).with("b", vec![0; 1 << 20]);
    let mut tty = Tty::new(24, 100);
    let line = "trap : INT; weir -j 2 'read {} | throttle 64K | discard' -- a b; echo \"[$?]\"";
    let Some(_shell) = tty.shell(&world, line) else { return };
    tty.until("the whole width", |tty| tty.shows().contains("limited by throttle"));
    if !tty.resize(24, 40) {
        return;
    }
    tty.until_frame();
    tty.until("the half of it", |tty| tty.lines("0 of 2 runs done, 2 now") == 1 && !tty.is_wrapped());
    tty.type_in("\u{3}");
    tty.until_text("[130]");
}

#[test]
#[cfg(feature = "age")]
fn a_question_stands_alone_until_it_is_answered() {
    let world = World::new().with("a", vec![0; 2 << 20]).with("b", vec![0; 64 << 20]).with("c", "");
    let mut tty = Tty::new(24, 80);
    let line =
        "trap : INT; weir -j 2 'read {} | throttle 2M | encrypt -p | write {}.age' -- a b c; echo \"[$?]\"";
    let Some(_shell) = tty.shell(&world, line) else { return };
    for question in ["passphrase: ", "passphrase again: ", "passphrase: ", "passphrase again: "] {
        tty.until_text(question);
        tty.type_in("words\n");
    }
    tty.until("both runs", |tty| tty.shows().contains("0 of 3 runs done, 2 now"));
    // When the first is done, it is asked for the third.
    tty.until_text("passphrase: ");
    let asked = tty.shows().lines().filter(|line| line.trim_end() == "weir: passphrase:").count();
    assert!(asked == 3 && !tty.shows().contains("runs done"), "{}", tty.shows());
    tty.type_in("\u{3}");
    tty.until_text("weir: 1 of 3 runs done");
    tty.until_text("[130]");
}
