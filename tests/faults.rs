//! What goes wrong: a full disk, a signal at any moment, a killed process, a reader who leaves, files that lie.
//! Each fault must leave the old destination as it was, no temporary file, one message, and the right code.

use crate::harness::{Patience, World, skipped, weir};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const OLD: &[u8] = b"OLD CONTENT";

/// A generator of moments: the same for every run of the tests.
struct Moments(u64);

impl Moments {
    fn next(&mut self, below: u64) -> u64 {
        // Xorshift (Marsaglia, 2003), of which only the spread matters here.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// How long the chain takes when nothing disturbs it.
fn undisturbed(chain: &str) -> Duration {
    let world = World::new().with("out", OLD);
    world.weir(chain).run().with_code(0).took
}

/// Fifty signals at moments spread over the whole run and a little beyond.
fn signal_at_random_moments(signal: Signal) {
    const CHAIN: &str = "generate text 24M | gzip -1 | write out";
    let whole = undisturbed(CHAIN);
    let expected = World::new();
    expected.weir(CHAIN).run().with_code(0);
    let new = expected.bytes("out");
    let mut moments = Moments(signal as u64 + 1);
    let (mut kept, mut replaced) = (0, 0);
    for _ in 0..50 {
        let world = World::new().with("out", OLD);
        let mut child =
            world.weir(CHAIN).spawn(|command| command.stdin(Stdio::null()).stderr(Stdio::piped()));
        let delay = moments.next(u64::try_from(whole.as_micros()).unwrap() * 11 / 10);
        std::thread::sleep(Duration::from_micros(delay));
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).ok();
        let told = Instant::now();
        let guard = Patience::with(&child);
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let status = child.wait().unwrap();
        drop(guard);
        assert!(told.elapsed() < Duration::from_secs(5), "it took {:?} to end", told.elapsed());
        assert!(status.signal() == Some(signal as i32) || status.success(), "{status}: {said}");
        assert!(!said.contains("panicked"), "{said}");
        let left = world.bytes("out");
        assert!(left == OLD || left == new, "{} bytes that are neither old nor new", left.len());
        if left == OLD {
            kept += 1;
        } else {
            replaced += 1;
        }
        if signal != Signal::SIGKILL {
            world.assert_names(&["out"]);
        }
    }
    assert!(kept >= 10, "{kept} kept, {replaced} replaced: the moments are not spread");
}

#[test]
fn an_int_at_any_moment_leaves_the_old_file_or_the_new() {
    signal_at_random_moments(Signal::SIGINT);
}

#[test]
fn a_term_at_any_moment_leaves_the_old_file_or_the_new() {
    signal_at_random_moments(Signal::SIGTERM);
}

#[test]
fn a_hup_at_any_moment_leaves_the_old_file_or_the_new() {
    signal_at_random_moments(Signal::SIGHUP);
}

#[test]
fn a_kill_at_any_moment_leaves_the_old_file_or_the_new_and_the_next_run_does_not_mind() {
    signal_at_random_moments(Signal::SIGKILL);
    let world = World::new().with("out", OLD).with(".out.weir-abc123", "left by another");
    world.weir("generate zeros 10 | write out").run().quietly();
    assert_eq!(world.bytes("out"), [0; 10]);
}

/// A file system of `bytes`, if this machine lets us mount one.
struct SmallDisk {
    world: World,
}

impl SmallDisk {
    fn new(bytes: u64) -> Option<SmallDisk> {
        let world = World::new();
        fs::create_dir(world.path("disk")).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "weir-test"])
            .arg(world.path("disk"))
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            skipped("no right to mount a small file system");
        }
        mounted.then_some(SmallDisk { world })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg(self.world.path("disk")).status().ok();
    }
}

#[test]
fn a_full_disk_keeps_the_old_file_wherever_it_fills_up() {
    // The whole needs 12 MiB; the disk is made too small for it at 50 sizes.
    for step in 0..50_u64 {
        let Some(disk) = SmallDisk::new(65_536 + step * 230_000) else { return };
        let world = &disk.world;
        fs::write(world.path("disk/out"), OLD).unwrap();
        let ran = world.weir("read /dev/zero | head -c 12M | write disk/out").run().with_code(1);
        ran.saying("no space left on device").saying("disk/out");
        assert_eq!(world.bytes("disk/out"), OLD);
        let names: Vec<_> =
            fs::read_dir(world.path("disk")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["out"]);
    }
}

#[test]
fn too_little_room_is_said_before_a_byte_moves_when_the_size_is_known() {
    let Some(disk) = SmallDisk::new(65_536) else { return };
    let world = &disk.world;
    world
        .weir("generate random 12M | tee copy | write disk/out")
        .run()
        .with_code(1)
        .saying("12.0 MiB are needed, 64.0 KiB are free");
    world.assert_names(&["disk"]);
}

#[test]
fn what_was_written_over_is_not_called_as_it_was() {
    let world = World::new().with("out", OLD);
    world.shell("head -c 300000 /dev/zero | gzip | head -c 250 >cut.gz").run().quietly();
    let chain = "read cut.gz | gunzip | write --in-place out";
    let ran = world.weir(chain).run().with_code(3);
    let length = world.bytes("out").len();
    assert!(length > OLD.len());
    ran.saying(&format!("  out is not as it was: its first {length} bytes have been written over\n"));
    let ran = world.weir(chain).arg("--report=json").run().with_code(3);
    let told = ran.stderr();
    assert!(told.contains(r#""state":"changed""#) && told.contains("bytes have been written over"), "{told}");
}

#[test]
fn a_full_device_is_said_at_once_however_long_the_input() {
    let world = World::new();
    for chain in ["generate zeros 1 | write /dev/full", "read /dev/zero | write /dev/full"] {
        let ran =
            world.weir(chain).run().with_code(1).saying("no space left on device").saying("write (stage 2)");
        assert!(ran.took < Duration::from_secs(5));
    }
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let child = world
        .weir("generate zeros 1")
        .spawn(|command| command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("standard output: no space left on device"), "{said}");
}

#[test]
fn a_file_size_limit_is_an_error_and_not_the_end_of_the_process() {
    let world = World::new().with("out", OLD);
    world
        .shell("ulimit -f 64; weir 'generate zeros 1M | write out'")
        .run()
        .with_code(1)
        .saying("file too large");
    assert_eq!(world.bytes("out"), OLD);
    world.assert_names(&["out"]);
}

#[test]
fn a_missing_input_touches_nothing() {
    let world = World::new().with("out", OLD);
    world
        .weir("read missing | gzip | write out")
        .run()
        .with_code(1)
        .saying("missing: no such file or directory")
        .saying("read (stage 1)");
    assert_eq!(world.bytes("out"), OLD);
    world.assert_names(&["out"]);
}

#[test]
fn a_missing_directory_touches_nothing() {
    let world = World::new().with("in", "x");
    world.weir("read in | write there/out").run().with_code(1).saying("there/out");
    world.assert_names(&["in"]);
}

#[test]
fn an_unwritable_directory_is_refused_before_a_byte_moves() {
    if nix::unistd::geteuid().is_root() {
        return skipped("root may write anywhere");
    }
    let world = World::new().with("in", "x");
    fs::create_dir(world.path("closed")).unwrap();
    fs::set_permissions(world.path("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    world.weir("read in | write closed/out").run().with_code(1).saying("closed");
}

#[test]
fn a_corrupt_and_a_cut_gz_are_refused_with_their_byte() {
    let world = World::new().with("out", OLD).with("text", "some text to compress\n".repeat(5000));
    world.weir("read text | gzip | write data.gz").run().quietly();
    let whole = world.bytes("data.gz");
    let mut corrupt = whole.clone();
    let middle = corrupt.len() / 2;
    corrupt[middle] ^= 0xff;
    let world =
        world.with("corrupt.gz", corrupt).with("cut.gz", &whole[..whole.len() - 9]).with("empty.gz", "");
    for (name, words) in [("corrupt.gz", "byte"), ("cut.gz", "truncated"), ("empty.gz", "empty")] {
        let ran = world.weir(format!("read {name} | gunzip | write out")).run().with_code(3);
        ran.saying(name).saying(words).saying("gunzip (stage 2)");
        assert_eq!(world.bytes("out"), OLD);
    }
    world.assert_names(&["corrupt.gz", "cut.gz", "data.gz", "empty.gz", "out", "text"]);
}

#[test]
fn appending_to_the_input_is_refused() {
    let world = World::new().with("f", "abc");
    world.weir("read f | write --append f").run().with_code(2).saying("f");
    let inside = fs::File::open(world.path("f")).unwrap();
    let outside = fs::OpenOptions::new().append(true).open(world.path("f")).unwrap();
    let child =
        world.weir("pass").spawn(|command| command.stdin(inside).stdout(outside).stderr(Stdio::piped()));
    let output = child.wait_with_output().unwrap();
    assert_ne!(output.status.code(), Some(0));
    assert_eq!(world.bytes("f"), b"abc");
}

#[test]
fn two_sinks_on_one_path_are_refused_however_it_is_spelled() {
    let world = World::new().with("in", "abc");
    world.weir("read in | tee out | write ./out").run().with_code(2).saying("out");
    std::os::unix::fs::symlink("out", world.path("link")).unwrap();
    world.weir("read in | tee link | write out").run().with_code(2);
    world.assert_names(&["in", "link"]);
}

#[test]
fn a_file_may_be_read_and_replaced_in_one_chain() {
    let world = World::new().with("f", "abc\n".repeat(100_000));
    let inode = fs::metadata(world.path("f")).unwrap().ino();
    world.weir("read f | upper --ascii | write f").run().quietly();
    assert_eq!(world.bytes("f"), "ABC\n".repeat(100_000).as_bytes());
    assert_ne!(fs::metadata(world.path("f")).unwrap().ino(), inode);
}

#[test]
fn head_ends_a_stdin_that_never_ends_and_its_output_is_published() {
    let world = World::new();
    let mut child = world.weir("head -n 2 | write out").spawn(|command| command.stdin(Stdio::piped()));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\ntwo\nthree\n").unwrap();
    // The pipe stays open and silent.
    let guard = Patience::with(&child);
    let status = child.wait().unwrap();
    drop((guard, stdin));
    assert!(status.success());
    assert_eq!(world.bytes("out"), b"one\ntwo\n");
}

#[test]
fn enough_is_heard_through_every_stage_in_between_while_the_source_is_silent() {
    let world = World::new();
    let mut child = world
        .weir("pass | upper | throttle 1G | tee { head -n 1 | write first } | head -n 2 | write out")
        .spawn(|command| command.stdin(Stdio::piped()));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\ntwo\n").unwrap();
    let guard = Patience::with(&child);
    let status = child.wait().unwrap();
    drop((guard, stdin));
    assert!(status.success());
    assert_eq!((world.bytes("first"), world.bytes("out")), (b"ONE\n".to_vec(), b"ONE\nTWO\n".to_vec()));
}

#[test]
fn a_closed_stdout_ends_an_endless_source_as_sigpipe_would() {
    let world = World::new();
    let mut child =
        world.weir("read /dev/zero").spawn(|command| command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut taken = [1; 10];
    child.stdout.take().unwrap().read_exact(&mut taken).unwrap();
    let guard = Patience::with(&child);
    let output = child.wait_with_output().unwrap();
    drop(guard);
    assert_eq!((taken, output.status.signal()), ([0; 10], Some(Signal::SIGPIPE as i32)));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_closed_stdout_ends_a_silent_source_at_once() {
    let world = World::new();
    let mut child = world
        .weir("pass")
        .spawn(|command| command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let stdin = child.stdin.take().unwrap();
    drop(child.stdout.take());
    let guard = Patience::with(&child);
    let status = child.wait().unwrap();
    drop((guard, stdin));
    assert_eq!(status.signal(), Some(Signal::SIGPIPE as i32));
}

#[test]
fn a_closed_stdout_still_commits_the_other_outputs() {
    let world = World::new();
    let ran =
        world.shell("weir 'generate text 20M | tee copy' | head -c 1 >/dev/null; echo ${PIPESTATUS:-}").run();
    assert_eq!(ran.code(), 0);
    assert_eq!(world.bytes("copy").len(), 20 << 20);
}

#[test]
fn an_ignored_sigpipe_changes_nothing() {
    let world = World::new();
    // A shell's own `trap '' PIPE` is inherited as an ignored signal.
    let ran =
        world.shell("trap '' PIPE; { weir 'read /dev/zero'; echo $? >code; } | head -c 1 >/dev/null").run();
    ran.with_code(0);
    assert_eq!(world.bytes("code"), b"141\n");
}

#[test]
fn nohup_is_respected() {
    let world = World::new();
    let mut child = world
        .shell("trap '' HUP; exec weir 'head -n 1 | write out'")
        .spawn(|command| command.stdin(Stdio::piped()));
    std::thread::sleep(Duration::from_millis(100));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGHUP).unwrap();
    child.stdin.take().unwrap().write_all(b"still here\n").unwrap();
    let guard = Patience::with(&child);
    assert!(child.wait().unwrap().success());
    drop(guard);
    assert_eq!(world.bytes("out"), b"still here\n");
}

#[test]
fn closed_standard_streams_are_harmless() {
    let world = World::new().with("in", "abc");
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        world.shell(&format!("weir 'read in | write out' {closed}")).run().with_code(0);
        assert_eq!(world.bytes("out"), b"abc", "{closed}");
        fs::remove_file(world.path("out")).unwrap();
    }
    let ran = world.shell("weir 'read in | upper' <&- 2>&-").run().with_code(0);
    assert_eq!(ran.stdout(), b"ABC");
    // Whatever was closed, a message never goes into a file of the chain.
    world.shell("weir 'read in missing | write out' >&- 2>&-").run().with_code(1);
    world.assert_names(&["in"]);
}

#[test]
fn a_stall_timeout_gives_up_with_124_and_says_who_waited() {
    let world = World::new();
    let mut child = world
        .weir("pass | write out")
        .arg("--stall-timeout")
        .arg("300ms")
        .spawn(|command| command.stdin(Stdio::piped()).stderr(Stdio::piped()));
    let stdin = child.stdin.take().unwrap();
    let guard = Patience::with(&child);
    let output = child.wait_with_output().unwrap();
    drop((guard, stdin));
    assert_eq!(output.status.code(), Some(124));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the others wait for stdin"), "{said}");
    world.assert_names(&[]);
}

#[test]
fn a_status_line_is_printed_for_sigusr1() {
    let world = World::new();
    let mut child = world
        .weir("pass")
        .spawn(|command| command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"some").unwrap();
    let mut some = [0; 4];
    // Only then are its handlers surely there.
    child.stdout.as_mut().unwrap().read_exact(&mut some).unwrap();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGUSR1).unwrap();
    let mut said = [0; 1];
    let guard = Patience::with(&child);
    child.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    drop(guard);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains('\n'));
}

#[test]
fn the_binary_is_there() {
    assert!(weir().is_file(), "{}", weir().display());
}

#[test]
fn a_signal_ends_a_batch_whose_runs_are_left_out() {
    let world = World::new();
    let names: Vec<String> = (0..1000).map(|number| format!("{number:0200}")).collect();
    for name in &names {
        fs::write(world.path(name), "").unwrap();
    }
    let call = world.weir("read {} | write --skip-existing {}").arg("--").args(&names);
    let mut child = call.spawn(|command| command.stdin(Stdio::null()).stderr(Stdio::piped()));
    let _patience = Patience::with(&child);
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    // It waits for its lines to be read: all of them are more than a pipe holds.
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let rest = said.lines().map_while(Result::ok).filter(|line| line.contains("left out")).count();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGINT as i32));
    assert!(rest < names.len() - 1, "all runs had their turn");
}
