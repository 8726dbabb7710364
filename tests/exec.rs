//! Children as stages: how they end early, late or badly, what they say, and that none is left behind.
//! What they are made to do is ordered by what they write, never by time.

use crate::harness::{Patience, Ran, World, weir};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Long enough that no test waits for it.
const FOR_EVER: &str = "sleep 1000";

/// Processes, zombies excepted, that were started with this directory as their own: those that a test has left behind.
fn left_in(directory: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let process = entry.unwrap().path();
        let is_in_it = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == directory);
        is_in_it.then(|| {
            String::from_utf8_lossy(&fs::read(process.join("cmdline")).unwrap_or_default()).replace('\0', " ")
        })
    });
    processes.collect()
}

#[track_caller]
fn assert_alone(world: &World) {
    let directory = fs::canonicalize(world.directory()).unwrap();
    // What was killed may need a moment until it is out of the list.
    let begin = Instant::now();
    while !left_in(&directory).is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(5), "left behind: {:?}", left_in(&directory));
        std::thread::yield_now();
    }
}

/// Runs a chain in a directory of its own, and nothing of it may be left when it has ended.
#[track_caller]
fn run(chain: &str) -> Ran {
    let world = World::new().with("in", "one\ntwo\nthree\n");
    let ran = world.weir(chain).run();
    assert_alone(&world);
    assert!(ran.took < Duration::from_secs(20), "it took {:?}", ran.took);
    ran
}

#[test]
fn a_command_that_cannot_be_run_is_told_before_anything_is_written() {
    let world = World::new()
        .with("in", "x")
        .with("script", "no first line")
        .with("gone", "#!/no/such\n")
        .with("plain", "");
    for name in ["script", "gone"] {
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (command, why) in [
        ("no-such-command", "no-such-command: command not found"),
        ("./none", "./none: no such file or directory"),
        ("./plain", "./plain: is not executable"),
        ("/usr", "/usr: is a directory"),
        ("./script", "./script: is no program"),
        ("./gone", "./gone: cannot be run: what its first line names"),
    ] {
        let ran = world.weir(format!("read in | tee copy | exec {command} | write out")).run();
        ran.with_code(1).saying("exec (stage 3)").saying(why);
    }
    world.assert_names(&["gone", "in", "plain", "script"]);
    let world = World::new().with("chain", format!("exec true {}", "x".repeat(200_000)));
    world
        .shell("weir -f chain")
        .run()
        .with_code(1)
        .saying("true: its arguments and the environment are too long");
}

#[test]
fn a_stage_that_cannot_open_ends_the_children_that_run_already() {
    let world = World::new().with("in", "x");
    for before in [FOR_EVER, "sh -c \"trap '' TERM; while :; do sleep 0.05; done\""] {
        let ran = world.weir(format!("read in | exec {before} | exec no-such-command | write out")).run();
        ran.with_code(1).saying("exec (stage 3): no-such-command: command not found");
        assert_alone(&world);
    }
}

#[test]
fn a_bad_end_fails_the_run_and_publishes_nothing() {
    for (script, why) in [
        ("cat; exit 3", "sh: ended with exit status 3"),
        ("cat; kill -9 $$", "sh: was killed by signal 9 (KILL)"),
        ("ulimit -c 0; kill -SEGV $$", "sh: was killed by signal 11 (SEGV)"),
        ("cat; kill -TERM $$", "sh: was killed by signal 15 (TERM)"),
        ("exit 255", "sh: ended with exit status 255"),
    ] {
        let world = World::new().with("in", "one\n").with("out", "old");
        let ran = world.weir(format!("read in | exec sh -c '{script}' | write out")).run().with_code(1);
        let ran = ran.saying(&format!("weir: exec (stage 2): {why}")).saying("out is as it was");
        assert_eq!(ran.stderr().matches("weir:").count(), 1, "{}", ran.stderr());
        assert_eq!(world.bytes("out"), b"old");
        assert_alone(&world);
    }
}

#[test]
fn a_status_that_was_asked_for_is_a_success() {
    run("read in | exec --ok 1 grep zero").quietly().giving("");
    run("read in | exec --ok 7,3 sh -c 'cat; exit 3'").quietly().giving("one\ntwo\nthree\n");
    run("exec --ok 1 sh -c 'exit 2'").with_code(1).saying("exit status 2").saying("exec --ok 2");
    run("exec --ok 9 sh -c 'kill -9 $$'").with_code(1).saying("signal 9");
}

#[test]
fn a_child_that_has_enough_hangs_up() {
    // Far more than a pipe holds, so that it is noticed at both ends.
    let ran = run("read /dev/zero | exec head -c 5 | exec wc -c").quietly();
    assert_eq!(String::from_utf8_lossy(ran.stdout()).trim(), "5");
    run("read in | exec head -n 1").quietly().giving("one\n");
    run("read /dev/zero | exec true").quietly().giving("");
    run("read /dev/zero | exec false").with_code(1).saying("exit status 1");
}

#[test]
fn an_end_is_passed_on_while_the_source_is_silent() {
    let world = World::new();
    for chain in [
        "stdin | exec head -n 1",
        "stdin | exec cat | head -n 1",
        "stdin | upper | exec cat | exec cat | head -n 1",
    ] {
        let mut child =
            world.weir(chain).spawn(|command| command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let _guard = Patience::with(&child);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"A\n").unwrap();
        let mut gave = String::new();
        child.stdout.take().unwrap().read_to_string(&mut gave).unwrap();
        assert!(child.wait().unwrap().success(), "{chain}");
        assert_eq!(gave, "A\n", "{chain}");
        drop(stdin);
        assert_alone(&world);
    }
}

#[test]
fn nobody_wants_more_and_the_child_goes_or_is_sent() {
    run("exec yes | head -n 1").quietly().giving("y\n");
    for script in [
        // It does not write again, so it does not find out.
        "echo y; exec sleep 1000",
        "echo y; cat >/dev/null; exec sleep 1000",
        "trap \"\" TERM; echo y; while :; do sleep 0.05; done",
        // It finds out, and does not like it.
        "trap \"\" PIPE; echo y; while echo n 2>/dev/null; do :; done; exit 9",
    ] {
        run(&format!("exec sh -c '{script}' | head -n 1")).quietly().giving("y\n");
        run(&format!("read /dev/zero | exec sh -c '{script}' | head -n 1")).quietly().giving("y\n");
    }
}

#[test]
fn ends_of_only_one_way_are_no_end_of_the_child() {
    let world = World::new().with("in", "one\n");
    // It closes its output, reads on, and fails: that is seen.
    let script = "exec >&-; cat >copy; exit 4";
    world
        .weir(format!("read in | exec sh -c '{script}' | write out"))
        .run()
        .with_code(1)
        .saying("exit status 4");
    assert_eq!(world.bytes("copy"), b"one\n");
    // It closes its input at once, and writes on.
    run("read /dev/zero | exec sh -c 'exec <&-; echo late'").quietly().giving("late\n");
    run("read in | exec sh -c 'cat >/dev/null'").quietly().giving("");
}

#[test]
fn both_directions_at_once_do_not_wait_for_each_other() {
    const BYTES: usize = 64 << 20;
    let count = |chain: &str| String::from_utf8_lossy(run(chain).quietly().stdout()).trim().to_owned();
    // All of it before it reads, all that it reads before it writes, and by turns.
    assert_eq!(
        count("generate zeros 64M | exec sh -c 'head -c 64M /dev/zero; cat' | exec wc -c"),
        (2 * BYTES).to_string()
    );
    assert_eq!(
        count("generate zeros 64M | exec sh -c 'cat >/dev/null; head -c 64M /dev/zero' | exec wc -c"),
        BYTES.to_string()
    );
    assert_eq!(count("generate zeros 64M | exec cat | exec wc -c"), BYTES.to_string());
}

#[test]
fn nothing_reads_standard_input_unless_it_is_written() {
    let world = World::new();
    world.weir("exec cat").stdin("not asked for").run().quietly().giving("");
    world.weir("stdin | exec cat").stdin("asked for").run().quietly().giving("asked for");
    world.weir("upper | exec cat").stdin("asked for").run().quietly().giving("ASKED FOR");
    world.weir("tee { exec cat | write copy }").stdin("a copy").run().quietly().giving("a copy");
    assert_eq!(world.bytes("copy"), b"a copy");
}

#[test]
fn a_branch_may_be_a_child_and_fail_alone() {
    let world = World::new().with("in", "one\n");
    let ran = world
        .weir("read in | tee --keep-going { exec false | write a } { exec cat | write b } | write c")
        .run();
    ran.with_code(1).saying("exec (stage 3)").saying("exit status 1");
    world.assert_names(&["b", "c", "in"]);
    let world = World::new().with("in", "one\n");
    world.weir("read in | tee { exec false | write a } | write c").run().with_code(1);
    world.assert_names(&["in"]);
}

#[test]
fn an_input_is_removed_only_if_the_child_was_given_all_of_it() {
    let long = "x\n".repeat(4 << 20);
    let world = World::new().with("in", &long);
    world.weir("read --remove in | exec head -n 1 | write out").run().with_code(0).saying("in: ");
    world.assert_names(&["in", "out"]);
    world.weir("read --remove in | exec cat | write out").run().quietly();
    world.assert_names(&["out"]);
    assert!(world.bytes("out") == long.as_bytes());
}

#[test]
fn a_child_never_takes_a_part_for_the_whole() {
    let world = World::new().with("in", "one\n");
    world.weir("read in | gzip | write in.gz").run().quietly();
    let cut = world.bytes("in.gz");
    fs::write(world.path("in.gz"), &cut[..cut.len() - 1]).unwrap();
    // If it saw an end it would leave a file.
    let ran =
        world.weir("read in.gz | gunzip | exec sh -c 'cat >/dev/null; echo done >done' | write out").run();
    ran.with_code(3).saying("gunzip (stage 2)");
    assert_alone(&world);
    world.assert_names(&["in", "in.gz"]);
}

#[test]
fn what_a_child_says_is_passed_on_by_line_to_the_last_one() {
    run("exec sh -c 'echo one >&2; printf two >&2'").with_code(0).saying("one\ntwo\n");
    let ran = run("exec sh -c 'echo a >&2' | exec sh -c 'cat; printf \"b\\nc\" >&2; exit 1'").with_code(1);
    let said = ran.saying("exec (stage 1): a\n").saying("exec (stage 2): b\nexec (stage 2): c\n").stderr();
    assert!(said.find("(stage 2): c").unwrap() < said.find("exit status 1").unwrap(), "{said}");
    // Any bytes, as they came: nobody's terminal is at the other end.
    let world = World::new();
    let ran = world.weir("exec sh -c 'head -c 100000 /dev/zero >&2; printf \"\\033[2J\\n\" >&2'").run();
    assert_eq!((ran.code(), ran.stderr().matches('\0').count()), (0, 100_000));
}

#[test]
fn a_child_that_floods_is_slowed_down_and_nothing_is_lost() {
    const LINES: usize = 400_000;
    let world = World::new();
    let script = format!("yes 0123456789 | head -n {LINES} >&2");
    let mut child = world
        .weir(format!("exec sh -c '{script}'"))
        .spawn(|command| command.stdin(Stdio::null()).stderr(Stdio::piped()));
    let _guard = Patience::with(&child);
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut count = 0;
    let mut most_kib = 0;
    for line in lines {
        assert_eq!(line.unwrap(), "0123456789");
        count += 1;
        if count % 50_000 == 0 {
            most_kib = most_kib.max(resident_kib(&child));
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(count, LINES);
    assert!(most_kib < 65_536, "{most_kib} KiB");
}

fn resident_kib(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A chain that has begun: its child has written a line, and weir has passed it on.
fn begun(world: &World, chain: &str, set: impl FnOnce(&mut Command) -> &mut Command) -> Child {
    let mut child = world
        .weir(chain)
        .spawn(|command| set(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())));
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

/// Its end by a signal: how long that took, and what it said.
fn ended(child: &mut Child, signal: Signal) -> String {
    let told = Instant::now();
    let guard = Patience::with(child);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(signal as i32), "{said}");
    drop(guard);
    assert!(told.elapsed() < Duration::from_secs(5), "it took {:?}", told.elapsed());
    said
}

const CHILDREN: [&str; 5] = [
    "echo ready; exec sleep 1000",
    "trap \"\" TERM INT; echo ready; while :; do sleep 0.05; done",
    "echo ready; cat >/dev/null; exec sleep 1000",
    "echo ready; kill -STOP $$",
    // It is gone at once, and leaves somebody behind that holds its pipes for a moment longer than anybody waits.
    "sleep 6 & echo ready; wait",
];

#[test]
fn a_run_that_is_cancelled_leaves_no_child() {
    for script in CHILDREN {
        for chain in [format!("exec sh -c '{script}'"), format!("read /dev/zero | exec sh -c '{script}'")] {
            let world = World::new();
            let mut child = begun(&world, &chain, |command| command);
            kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
            let said = ended(&mut child, Signal::SIGTERM);
            assert!(said.starts_with("weir: ended by SIGTERM\n"), "{chain}: {said}");
            assert_eq!(said.matches("weir:").count(), 1, "{chain}: {said}");
            if !script.contains("sleep 6") {
                assert_alone(&world);
            }
        }
    }
}

#[test]
fn a_run_whose_words_nobody_reads_can_be_ended() {
    let world = World::new();
    // It has said more than the pipe and everything in between holds when it is ready.
    let script = "(yes | head -c 100000 >&2); echo ready; exec yes >&2";
    let mut child = begun(&world, &format!("exec sh -c '{script}'"), |command| command);
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let _guard = Patience::with(&child);
    let told = Instant::now();
    // Its standard error stays open, and full.
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGINT as i32));
    assert!(told.elapsed() < Duration::from_secs(5), "it took {:?}", told.elapsed());
    assert_alone(&world);
}

#[test]
fn a_signal_to_the_whole_group_is_told_once() {
    for script in &CHILDREN[..2] {
        let world = World::new();
        let chain = format!("read /dev/zero | exec sh -c '{script}'");
        let mut child = begun(&world, &chain, |command| command.process_group(0));
        kill(Pid::from_raw(-i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
        let said = ended(&mut child, Signal::SIGINT);
        assert!(said.starts_with("weir: ended by SIGINT\n"), "{chain}: {said}");
        assert_eq!(said.matches("weir:").count(), 1, "{chain}: {said}");
        assert_alone(&world);
    }
}

#[test]
fn a_stall_names_the_child_that_everybody_waits_for() {
    let world = World::new();
    let ran = world
        .weir("generate zeros 8M | upper | exec sleep 1000 | write out")
        .args(["--stall-timeout", "1s"])
        .run();
    ran.with_code(124).saying("the others wait for exec sleep 1000");
    assert_alone(&world);
    // A child that was given nothing is not to blame.
    nix::unistd::mkfifo(&world.path("fifo"), Mode::S_IRWXU).unwrap();
    let ran = world.weir("read fifo | exec cat | write out").args(["--stall-timeout", "1s"]).run();
    ran.with_code(124).saying("the others wait for read fifo");
    assert_alone(&world);
}

#[test]
fn a_child_begins_with_the_signals_of_a_shell_and_without_our_secrets() {
    let ran = run("exec grep -E 'Sig(Ign|Blk)' /proc/self/status").with_code(0);
    let masks = String::from_utf8_lossy(ran.stdout()).into_owned();
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        u64::from_str_radix(&line, 16).unwrap()
    };
    assert_eq!(field(&masks, "SigBlk:"), 0);
    // What the test itself ignores is inherited, but for SIGPIPE, which Rust's library ignores and gives back. The two
    // signals above 31 are the C library's own.
    let ignored = |text: &str| field(text, "SigIgn:") & ((1 << 31) - 1);
    assert_eq!(ignored(&masks), ignored(&own) & !(1 << (Signal::SIGPIPE as u64 - 1)));
    let world = World::new();
    let ran = world.weir("exec env").env("WEIR_PASSPHRASE", "secret").env("OTHER", "there").run().quietly();
    let environment = String::from_utf8_lossy(ran.stdout()).into_owned();
    assert!(environment.contains("OTHER=there") && !environment.contains("WEIR_PASSPHRASE"), "{environment}");
}

#[test]
fn a_parent_that_ignores_the_end_of_children_does_not_hide_how_they_end() {
    let world = World::new();
    let trapped = |chain: &str| world.shell(&format!("trap '' CHLD; exec weir {chain}")).run();
    trapped("'exec false'").with_code(1).saying("exit status 1");
    trapped("'exec true'").quietly();
}

#[test]
fn no_shell_sees_the_words_and_no_operand_is_an_option() {
    let world = World::new();
    world
        .weir("exec 'echo $(id)'")
        .run()
        .with_code(1)
        .saying("command not found")
        .saying("no shell reads it");
    world
        .weir("exec echo '$(id)' '`id`' '*' ';' '|' '>out'")
        .run()
        .quietly()
        .giving("$(id) `id` * ; | >out\n");
    let echo = |chain: &str, operand: &str| {
        let ran = world.weir(chain).arg("--").arg(operand).run().quietly();
        String::from_utf8_lossy(ran.stdout()).into_owned()
    };
    for operand in ["-n", "--ok", "--help", "--", "-", "$(id)", "a b"] {
        assert_eq!(echo("exec printf %s, a {} b", operand), format!("a,{operand},b,"));
        assert_eq!(echo("exec printf %s, -o{} --file={}", operand), format!("-o{operand},--file={operand},"));
    }
    world.weir("exec printf %s {} {}").args(["--", "--help"]).run().quietly().giving("--help--help");
    world.weir("exec printf --help").run().with_code(0);
    world.assert_names(&[]);
}

#[test]
fn a_dry_run_starts_nothing() {
    let world = World::new().with("in", "x");
    let ran = world.weir("read in | exec touch made | write out").arg("-n").run().quietly();
    let text = String::from_utf8_lossy(ran.stdout()).into_owned();
    assert!(text.contains("exec (stage 2): touch is started; what it does cannot be undone"), "{text}");
    world.assert_names(&["in"]);
}

#[test]
fn many_short_runs_leave_no_child() {
    let world = World::new();
    for chain in
        ["exec yes | head -n 1", "read /dev/zero | exec head -c 1", "generate text 1M | exec cat | head -n 3"]
    {
        let chain = format!("{chain} | discard");
        for _ in 0..40 {
            let status =
                Command::new(weir()).arg(&chain).current_dir(world.directory()).stdin(Stdio::null()).status();
            assert!(status.unwrap().success(), "{chain}");
        }
    }
    assert_alone(&world);
}

#[test]
#[cfg(feature = "hash")]
fn a_digest_behind_a_child_is_told() {
    let world = World::new().with("in", "abc");
    let ran = world.weir("read in | exec cat | hash md5 | write out").run().with_code(0);
    assert_eq!(ran.stderr(), "md5 900150983cd24fb0d6963f7d28e17f72  out\n");
}
