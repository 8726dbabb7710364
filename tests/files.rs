//! Files that are followed while they grow, removed when all is done, and copied with their mode, owner and times.
//! Signals are sent when an output has shown how far the run is.

use crate::harness::{PATIENCE, Patience, World, has_tool, skipped, weir};
use nix::sys::signal::{Signal, kill};
use nix::sys::statvfs::statvfs;
use nix::unistd::{Pid, getuid};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A weir that runs, killed when it outlives everybody's patience.
struct Run {
    child: Child,
    _patience: Patience,
}

/// What is left of one.
struct Ended {
    code: i32,
    said: String,
}

impl Run {
    fn start(world: &World, chain: &str) -> Run {
        let child = world
            .weir(chain)
            .spawn(|command| command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        Run { _patience: Patience::with(&child), child }
    }

    fn gives(&mut self, expected: &str) {
        let mut came = vec![0; expected.len()];
        self.child.stdout.as_mut().unwrap().read_exact(&mut came).unwrap();
        assert_eq!(String::from_utf8_lossy(&came), expected);
    }

    fn send(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits until the thread of the stage `name` has ended.
    fn await_end_of(&self, name: &str) {
        let tasks = format!("/proc/{}/task", self.child.id());
        until(&format!("{name} has ended"), || {
            let mut tasks = fs::read_dir(&tasks).unwrap().flatten();
            !tasks.any(|task| {
                fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
            })
        });
    }

    fn end(self) -> Ended {
        let Run { child, _patience } = self;
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{said}");
        let code = output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap();
        Ended { code, said }
    }
}

/// Looks again and again until it is so.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn append(path: impl AsRef<Path>, text: &str) {
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn holds(world: &World, name: &str, text: &str) {
    until(&format!("{name} holds {text:?}"), || {
        fs::read(world.path(name)).is_ok_and(|bytes| bytes == text.as_bytes())
    });
}

#[test]
fn what_is_written_to_a_followed_file_reaches_the_destination_at_once_and_int_and_term_are_its_end() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let world = World::new().with("log", "one\n").with("out", "old\n");
        let run = Run::start(&world, "read --follow log | upper | write --append out");
        holds(&world, "out", "old\nONE\n");
        append(world.path("log"), "two\n");
        holds(&world, "out", "old\nONE\nTWO\n");
        append(world.path("log"), "last words");
        run.send(signal);
        let ended = run.end();
        assert_eq!((ended.code, &ended.said[..]), (0, ""), "{signal}");
        assert_eq!(world.bytes("out"), b"old\nONE\nTWO\nLAST WORDS");
        world.assert_names(&["log", "out"]);
    }
}

#[test]
fn what_a_followed_file_gave_is_compressed_to_a_whole_at_the_end() {
    let world = World::new().with("log", "");
    let run = Run::start(&world, "read --follow log | tee { gzip | write --append log.gz } | stdout");
    let mut run = run;
    let mut expected = String::new();
    for line in 0..500 {
        let line = format!("line {line}\n");
        append(world.path("log"), &line);
        run.gives(&line);
        expected.push_str(&line);
    }
    run.send(Signal::SIGINT);
    assert_eq!(run.end().code, 0);
    world.weir("read log.gz | gunzip").run().quietly().giving(expected);
}

#[test]
fn a_second_signal_gives_the_run_up() {
    let world = World::new().with("log", "x".repeat(5_000_000)).with("out", "old");
    let run = Run::start(&world, "read --follow log | throttle 1K | write --append out");
    until("something came", || world.bytes("out").len() > 3);
    // Taken together or one after the other: INT ends the source, TERM the run.
    run.send(Signal::SIGINT);
    run.send(Signal::SIGTERM);
    let ended = run.end();
    assert_eq!(ended.code, 143, "{}", ended.said);
    assert_eq!(world.bytes("out"), b"old");
}

#[test]
fn a_hup_gives_the_run_up_at_once() {
    let world = World::new().with("log", "new").with("out", "old ");
    let run = Run::start(&world, "read --follow log | write --append out");
    holds(&world, "out", "old new");
    run.send(Signal::SIGHUP);
    assert_eq!(run.end().code, 129);
    assert_eq!(world.bytes("out"), b"old ");
}

#[test]
fn a_source_that_ends_is_given_up_by_the_first_signal() {
    let world = World::new();
    let run = Run::start(&world, "generate zeros 1M | throttle 1K | write --append out");
    until("something came", || fs::metadata(world.path("out")).is_ok_and(|out| out.len() > 0));
    run.send(Signal::SIGTERM);
    assert_eq!(run.end().code, 143);
    world.assert_names(&[]);
}

#[test]
fn enough_ends_a_followed_file_without_a_signal() {
    let world = World::new().with("log", "one\n");
    let run = Run::start(&world, "read --follow log | head -n 2 | write --append out");
    append(world.path("log"), "two\nthree\n");
    assert_eq!(run.end().code, 0);
    assert_eq!(world.bytes("out"), b"one\ntwo\n");
    let mut run = Run::start(&world, "read --follow log");
    run.gives("one\n");
    drop(run.child.stdout.take());
    assert_eq!(run.end().code, 141);
}

#[test]
fn a_file_is_followed_as_tail_follows_it() {
    let world = World::new().with("log", "first\n");
    let mut runs = vec![Run::start(&world, "read --follow log")];
    if let Some(tail) = world.tool("tail") {
        let tail = tail.args(["-n", "+1", "-s", "0.1", "-F", "log"]);
        let child =
            tail.spawn(|command| command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        runs.push(Run { _patience: Patience::with(&child), child });
    }
    let mut give = |text: &str| runs.iter_mut().for_each(|run| run.gives(text));
    let (log, old, new) = (world.path("log"), world.path("log.1"), world.path("new"));
    give("first\n");
    append(&log, "grown\n");
    give("grown\n");
    // Rotated by a rename, and made anew.
    fs::rename(&log, &old).unwrap();
    append(&log, "rotated\n");
    give("rotated\n");
    // Copied and cut.
    fs::copy(&log, &old).unwrap();
    fs::File::create(&log).unwrap();
    append(&log, "cut\n");
    give("cut\n");
    // Removed, and made anew.
    fs::remove_file(&log).unwrap();
    append(&log, "again\n");
    give("again\n");
    // Replaced by a rename.
    fs::write(&new, "replaced\n").unwrap();
    fs::rename(&new, &log).unwrap();
    give("replaced\n");
    append(&log, "and grown\n");
    give("and grown\n");
    let weir = runs.swap_remove(0);
    weir.send(Signal::SIGINT);
    let ended = weir.end();
    assert_eq!(ended.code, 0);
    assert_eq!(ended.said, "weir: read (stage 1): log: has become shorter: read again from its beginning\n");
    for tail in runs {
        tail.send(Signal::SIGTERM);
        tail.end();
    }
}

#[test]
fn a_file_that_is_not_there_yet_is_waited_for() {
    let world = World::new();
    let mut run = Run::start(&world, "read --follow log | write --append out");
    let mut said = [0; 40];
    run.child.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(String::from_utf8_lossy(&said), "weir: log: is not there yet; waiting for");
    append(world.path("log"), "here");
    holds(&world, "out", "here");
    run.send(Signal::SIGTERM);
    assert_eq!(run.end().code, 0);
}

#[test]
fn following_what_does_not_grow_costs_nothing() {
    let world = World::new().with("log", "x");
    let mut run = Run::start(&world, "read --follow log");
    run.gives("x");
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", run.child.id())).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_ascii_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = ticks();
    std::thread::sleep(Duration::from_millis(1500));
    let spent = ticks() - before;
    assert!(spent <= 10, "{spent} hundredths of a second on a core");
    run.send(Signal::SIGINT);
    assert_eq!(run.end().code, 0);
}

#[test]
fn a_batch_removes_each_input_when_its_output_is_in_place() {
    let world = World::new();
    for name in ["a.log", "b.log", "empty.log"] {
        fs::write(world.path(name), if name == "empty.log" { "" } else { name }.repeat(50_000)).unwrap();
    }
    let names = ["a.log", "b.log", "empty.log"];
    world.weir("read --remove {} | gzip | write {}.gz").arg("--").args(names).run().quietly();
    world.assert_names(&["a.log.gz", "b.log.gz", "empty.log.gz"]);
    world.weir("read a.log.gz | gunzip").run().quietly().giving("a.log".repeat(50_000));
    // And back, all in one run.
    world
        .weir("read --remove {@} | gunzip | write whole")
        .arg("--")
        .args(["a.log.gz", "b.log.gz"])
        .run()
        .quietly();
    world.assert_names(&["empty.log.gz", "whole"]);
}

#[test]
fn an_input_is_kept_when_the_run_fails() {
    let world = World::new().with("in", "no gzip").with("old", "old");
    world.weir("read --remove in | gunzip | write out").run().with_code(3);
    world.weir("read --remove in | tee /dev/full | write old").run().with_code(1);
    world
        .weir("read --remove in | tee --keep-going { write old } { gunzip | discard } | discard")
        .run()
        .with_code(3);
    assert_eq!((world.bytes("in"), world.bytes("old")), (b"no gzip".to_vec(), b"no gzip".to_vec()));
    world.assert_names(&["in", "old"]);
}

#[test]
fn an_input_that_was_not_read_to_its_end_is_kept_and_it_is_told() {
    let world = World::new().with("small", "1\n2\n3\n").with("large", "line\n".repeat(1_000_000));
    for name in ["small", "large"] {
        let ran =
            world.weir(format!("read --remove {name} | upper | head -n 2 | write out")).run().with_code(0);
        let told = format!("weir: read (stage 1): {name}: not removed: it was not read to its end\n");
        assert_eq!(ran.stderr(), told);
        assert!(world.path(name).exists());
    }
    // One branch that has all of it is enough.
    world.weir("read --remove small | tee { head -n 1 | write first } | write all").run().quietly();
    world.assert_names(&["all", "first", "large", "out"]);
    assert_eq!(world.bytes("all"), b"1\n2\n3\n");
}

/// Runs a chain whose output is held up when the input has been read, does `meanwhile`, then lets it go.
fn removal_after(meanwhile: impl FnOnce(&World)) -> (World, Ended) {
    let world = World::new().with("in", "content");
    nix::unistd::mkfifo(&world.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let run = Run::start(&world, "read --remove in | tee out | write fifo");
    until("the content has come through", || {
        let names = world.names();
        let beside = names.iter().find(|name| name.to_string_lossy().starts_with(".out.weir-"));
        beside.is_some_and(|name| world.bytes(name) == b"content")
    });
    run.await_end_of("read");
    meanwhile(&world);
    assert_eq!(fs::read(world.path("fifo")).unwrap(), b"content");
    let ended = run.end();
    assert_eq!(world.bytes("out"), b"content");
    (world, ended)
}

#[test]
fn an_input_that_changed_after_it_was_read_is_kept_and_it_is_told() {
    let (world, ended) = removal_after(|_| {});
    assert_eq!((ended.code, &ended.said[..]), (0, ""));
    world.assert_names(&["fifo", "out"]);
    let (world, ended) = removal_after(|world| append(world.path("in"), " and more"));
    assert_eq!(ended.code, 0);
    assert!(ended.said.contains("in: not removed: it has changed since it was read"), "{}", ended.said);
    assert_eq!(world.bytes("in"), b"content and more");
    let (world, ended) = removal_after(|world| {
        fs::write(world.path("new"), "content").unwrap();
        fs::rename(world.path("new"), world.path("in")).unwrap();
    });
    assert_eq!(ended.code, 0);
    assert!(ended.said.contains("in: not removed: its name leads to another file now"), "{}", ended.said);
    assert_eq!(world.bytes("in"), b"content");
}

#[test]
fn an_input_that_cannot_be_removed_is_a_failure_and_the_output_stands() {
    let world = World::new().with("in", "content");
    let mount = |arguments: &[&str]| {
        let mut mount = Command::new(arguments[0]);
        mount.args(&arguments[1..]).stderr(Stdio::null()).current_dir(world.directory());
        mount.status().is_ok_and(|status| status.success())
    };
    // The system removes no file that something is mounted on.
    if !mount(&["mount", "--bind", "in", "in"]) {
        skipped("no right to mount");
        return;
    }
    let ran = world.weir("read --remove in | write out").run();
    assert!(mount(&["umount", "in"]));
    let said = ran.with_code(1).stderr();
    assert!(
        said.starts_with("weir: read (stage 1): in: cannot be removed: device or resource busy\n"),
        "{said}"
    );
    assert!(said.contains("out is complete and in place"), "{said}");
    assert_eq!((world.bytes("in"), world.bytes("out")), (b"content".to_vec(), b"content".to_vec()));
}

#[test]
fn every_output_and_its_directory_is_synced_before_an_input_is_removed() {
    if !has_tool("strace") {
        return;
    }
    let world = World::new().with("in", "content").with("log", "old ");
    let line = "strace -f -y -qq -e trace=fsync,rename,renameat2,unlink,unlinkat -o trace \
                weir 'read --remove in | tee { write --append log } | write out'";
    let ran = world.shell(line).run();
    if ran.code() != 0 && ran.stderr().contains("ptrace") {
        skipped("no right to trace");
        return;
    }
    ran.quietly();
    let trace = String::from_utf8_lossy(&world.bytes("trace")).into_owned();
    let place = |part: &str| {
        let place = trace.lines().position(|line| line.contains(part));
        place.unwrap_or_else(|| panic!("no `{part}` in\n{trace}"))
    };
    let root = fs::canonicalize(world.directory()).unwrap();
    let directory = trace
        .lines()
        .position(|line| line.contains("fsync(") && line.contains(&format!("<{}>", root.display())));
    let steps = [place("/.out.weir-"), place("renameat2("), directory.unwrap(), place("unlink")];
    assert!(steps.is_sorted() && place("/log>") < steps[3], "{steps:?} in\n{trace}");
    assert!(trace.lines().nth(steps[0]).unwrap().contains("fsync("), "{trace}");
}

#[test]
fn a_kill_at_any_moment_leaves_the_input_or_the_whole_output() {
    let (mut kept, mut removed) = (0, 0);
    let content = "a line of the log\n".repeat(20_000);
    let undisturbed = World::new().with("in", &content).weir("read in | gzip -1 | write out").run().took;
    for step in 0..40 {
        let world = World::new().with("in", &content);
        let mut run = Run::start(&world, "read --remove in | gzip -1 | write out");
        std::thread::sleep(undisturbed * step / 20);
        run.child.kill().unwrap();
        run.end();
        if world.path("in").exists() {
            kept += 1;
        } else {
            removed += 1;
            world.weir("read out | gunzip").run().quietly().giving(&content);
        }
    }
    assert!(kept > 0, "{removed} of 40 were too late");
}

#[test]
fn mode_owner_and_times_are_those_that_cp_keeps() {
    let world = World::new().with("in", "content").with("old", "old");
    let input = world.path("in");
    fs::set_permissions(world.path("old"), Permissions::from_mode(0o600)).unwrap();
    let set_times = |read: u64, written: u64| {
        let at = |seconds, nanos| std::time::UNIX_EPOCH + Duration::new(seconds, nanos);
        let times =
            fs::FileTimes::new().set_accessed(at(read, 123_456_789)).set_modified(at(written, 987_654_321));
        OpenOptions::new().write(true).open(&input).unwrap().set_times(times).unwrap();
    };
    for mode in [0o640, 0o4755, 0o2711, 0o1444] {
        if getuid().is_root() {
            std::os::unix::fs::chown(&input, Some(12345), Some(54321)).unwrap();
        }
        fs::set_permissions(&input, Permissions::from_mode(mode)).unwrap();
        let look = |name: &str| {
            let found = fs::metadata(world.path(name)).unwrap();
            let times = [found.atime(), found.atime_nsec(), found.mtime(), found.mtime_nsec()];
            (format!("{:o}", found.mode()), found.uid(), found.gid(), times)
        };
        set_times(1_000_000_000, 1_100_000_000);
        world.weir("read in | tee { upper | write --preserve new } | write --preserve old").run().quietly();
        set_times(1_000_000_000, 1_100_000_000);
        assert_eq!((look("new"), look("old")), (look("in"), look("in")), "{mode:o}");
        if let Some(cp) = world.tool("cp") {
            cp.args(["-p", "in", "copied"]).run().with_code(0);
            let expected = look("copied");
            assert_eq!(look("new"), expected, "{mode:o}");
            fs::remove_file(world.path("copied")).unwrap();
        }
        assert_eq!((world.bytes("new"), world.bytes("old")), (b"CONTENT".to_vec(), b"content".to_vec()));
        fs::remove_file(world.path("new")).unwrap();
    }
}

#[test]
fn an_owner_that_cannot_be_kept_takes_setuid_with_it() {
    if !getuid().is_root() {
        skipped("only root can become another user");
        return;
    }
    let world = World::new().with("in", "content");
    fs::set_permissions(world.directory(), Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(world.path("in"), Permissions::from_mode(0o6775)).unwrap();
    let program = world.path("weir");
    // Not by this process: a program that is open for writing cannot be run, and a child of another test may still have it open.
    assert!(Command::new("cp").arg(weir()).arg(&program).status().unwrap().success());
    let mut command = Command::new(&program);
    command.arg("read in | write --preserve out").current_dir(world.directory()).uid(65534).gid(65534);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = fs::metadata(world.path("out")).unwrap();
    // Nor does the new group get what the old one had.
    assert_eq!((out.mode() & 0o7777, out.uid()), (0o755, 65534));
    assert_eq!(out.mtime_nsec(), fs::metadata(world.path("in")).unwrap().mtime_nsec());
}

#[test]
fn a_link_to_the_input_is_refused_for_removal_and_read_otherwise() {
    let world = World::new().with("in", "content");
    symlink("in", world.path("link")).unwrap();
    let refused = world.weir("read --remove link | write out").run().with_code(2);
    refused.saying("link: is a symbolic link, and links are not removed");
    world.weir("read link | write --preserve out").run().quietly();
    world.assert_names(&["in", "link", "out"]);
}

/// A file system in a file, mounted on `disk`, if this machine can make one and allows that.
struct Image {
    world: World,
}

impl Image {
    fn made_by(maker: &str) -> Option<Image> {
        if !has_tool(maker) {
            return None;
        }
        let world = World::new();
        fs::create_dir(world.path("disk")).unwrap();
        fs::File::create(world.path("image")).unwrap().set_len(512 << 20).unwrap();
        let does = |words: &[&str]| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).current_dir(world.directory());
            command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        assert!(does(&[maker, "-q", "image"]), "{maker} makes none");
        if !does(&["mount", "-o", "loop", "image", "disk"]) {
            skipped("no right to mount a file system in a file");
            return None;
        }
        Some(Image { world })
    }

    /// What is free, once all has been written.
    fn free_bytes(&self) -> u64 {
        self.world.shell("sync -f disk").run().quietly();
        let status = statvfs(&self.world.path("disk")).unwrap();
        status.blocks_available() * status.fragment_size()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        Command::new("umount").arg(self.world.path("disk")).status().ok();
    }
}

#[test]
fn a_copy_shares_the_blocks_of_what_it_copies_where_the_file_system_can() {
    for maker in ["mkfs.xfs", "mkfs.btrfs"] {
        let Some(image) = Image::made_by(maker) else { continue };
        let world = &image.world;
        world.weir("generate random 40000001 --seed 1 | write disk/in").run().quietly();
        let free_bytes = image.free_bytes();
        let ran = world.weir("read disk/in | write disk/out").arg("--report").run().with_code(0);
        ran.saying("38.1 MiB");
        assert!(world.bytes("disk/in") == world.bytes("disk/out"), "{maker}");
        let taken_bytes = free_bytes.saturating_sub(image.free_bytes());
        assert!(taken_bytes < 10_000_000, "{maker}: {taken_bytes} bytes were copied");
        // What is written to one of them is not in the other.
        world.shell("printf x | weir 'write --append disk/out'").run().quietly();
        world
            .shell("cmp -n 40000001 disk/in disk/out && test $(stat -c %s disk/in) = 40000001")
            .run()
            .quietly();
        // It does not ask for room that it does not take; what is changed on its way does. Btrfs knows its room only roughly.
        if maker == "mkfs.xfs" {
            let rest_bytes = image.free_bytes() - 20_000_000;
            world.weir(format!("generate random {rest_bytes} | write disk/rest")).run().quietly();
            world.weir("read disk/in | write disk/third").run().quietly();
            world.weir("read disk/in | pass | write disk/fourth").run().with_code(1).saying("are needed");
        }
        // Nothing is shared with what cannot be.
        world.weir("read disk/in | write out").run().quietly();
        assert!(world.bytes("disk/in") == world.bytes("out"), "{maker}");
    }
}
