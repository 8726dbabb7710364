//! What a person sees on a terminal, and what becomes of the terminal: drawing, resizing, stopping, going on, ending.
//! What is drawn where is tested with the view itself; here the whole program sits on a real pseudo-terminal.

use crate::harness::{PATIENCE, Patience, World};
use crate::tty::{FRAME, Tty};
use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

/// A run without an end.
const ENDLESS: &str = "read /dev/zero | throttle 10M | discard";
/// A run of four fifths of a second and more.
const LONG: &str = "read /dev/zero | head -c 8M | throttle 10M | discard";
const INTERRUPT: &str = "\u{3}";
const STOP: &str = "\u{1a}";
const HOLD: &str = "\u{13}";
const RELEASE: &str = "\u{11}";
const END_OF_INPUT: &str = "\u{4}";

/// The line, and then the exit code of its last command in brackets.
fn with_code(line: &str) -> String {
    format!("{line}; echo \"[$?]\"")
}

/// Runs a line of shell to its end on a terminal of 24 rows and 80 columns.
fn ran(world: &World, line: &str, code: i32) -> Option<Tty> {
    let mut tty = Tty::new(24, 80);
    let _shell = tty.shell(world, &with_code(line))?;
    tty.until_text(&format!("[{code}]"));
    Some(tty)
}

#[test]
fn nothing_is_drawn_before_half_a_second() {
    let world = World::new();
    let began = Instant::now();
    let mut tty = Tty::new(24, 80);
    let Some(_shell) = tty.shell(&world, &format!("exec weir '{ENDLESS}'")) else { return };
    let drawn = tty.until_text(FRAME[0]);
    assert!(drawn - began >= Duration::from_millis(500), "after {:?}", drawn - began);
    assert!(tty.seen.starts_with(FRAME[0]), "{:?}", tty.seen);
    tty.until("the picture", |tty| {
        tty.lines("throttle") == 1 && tty.shows().contains("limited by throttle 10M")
    });
}

#[test]
fn a_stall_is_seen_at_once() {
    let world = World::new();
    let mut tty = Tty::new(24, 100);
    let mut child = world
        .weir("pass")
        .env("TERM", "xterm")
        .spawn(|command| command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(tty.stream()));
    let _guard = Patience::with(&child);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"a").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    // Everybody has starved for long, and nobody ever stalled.
    tty.until("the starved reader", |tty| tty.shows().contains("starved") && tty.shows().contains("now 1."));
    assert!(!tty.shows().contains("stalled"));
    let flooded = Instant::now();
    let feeder = thread::spawn(move || stdin.write_all(&vec![0; 16 << 20]));
    let shown = tty.until("the stalled writer", |tty| tty.shows().contains("stalled"));
    // 0.2 s where nothing else runs; the bound is for a machine that does other things as well.
    assert!(shown - flooded < Duration::from_secs(1), "after {:?}", shown - flooded);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(feeder.join().unwrap().is_err());
}

#[test]
fn a_stream_that_is_no_terminal_gets_no_escapes() {
    let world = World::new();
    let always = world.weir(LONG).args(["--progress", "always", "-i", "100ms"]).env("TERM", "xterm").run();
    assert!(always.saying("weir: ").stderr().lines().count() > 2);
    let report = world.weir(LONG).arg("--report").env("TERM", "xterm").run().with_code(0);
    assert!(!report.saying("limited by throttle").stderr().contains('\u{1b}'));
    world.weir(LONG).env("TERM", "xterm").run().quietly();
}

#[test]
fn a_dumb_terminal_and_one_that_is_asked_for_plain_lines_get_no_escapes() {
    let world = World::new();
    for dumb in ["TERM=dumb", "TERM=", "unset TERM;"] {
        let Some(tty) = ran(&world, &format!("{dumb} weir '{LONG}'"), 0) else { return };
        assert_eq!(tty.seen, "[0]\r\n", "{dumb}");
    }
    let Some(tty) = ran(&world, &format!("TERM=dumb weir --report '{LONG}'"), 0) else { return };
    assert!(tty.lines("throttle") == 1 && !tty.seen.contains('\u{1b}'), "{:?}", tty.seen);
    let Some(tty) = ran(&world, &format!("weir --progress plain -i 200ms '{LONG}'"), 0) else { return };
    assert!(tty.lines("weir: ") > 1 && !tty.seen.contains('\u{1b}'), "{:?}", tty.seen);
}

#[test]
fn a_terminal_that_carries_data_is_not_drawn_on() {
    let world = World::new();
    let slow = "read /dev/zero | head -c 8K | throttle 10K";
    for chain in [slow.to_owned(), format!("{slow} | tee /dev/tty | discard")] {
        let Some(tty) = ran(&world, &format!("weir '{chain}'"), 0) else { return };
        assert!(!tty.seen.contains('\u{1b}') && tty.seen.len() >= 8192, "{chain}: {:?}", tty.seen);
    }
    let Some(tty) = ran(&world, &format!("weir --progress always '{slow}'"), 0) else { return };
    assert!(tty.seen.contains(FRAME[0]));
}

#[test]
fn a_terminal_that_a_pager_has_is_not_drawn_on() {
    let world = World::new();
    let Some(tty) = ran(&world, &format!("stty -icanon -echo; weir '{LONG}'"), 0) else { return };
    assert_eq!(tty.seen, "[0]\r\n");
}

#[test]
fn what_is_typed_is_read_after_a_word_of_warning() {
    let world = World::new();
    let mut tty = Tty::new(24, 80);
    let Some(_shell) = tty.shell(&world, &with_code("weir 'upper | write up'")) else { return };
    tty.until_text("reading standard input from the terminal");
    tty.type_in("typed\n");
    tty.type_in(END_OF_INPUT);
    tty.until_text("[0]");
    assert!(!tty.seen.contains('\u{1b}'));
    assert_eq!(world.bytes("up"), b"TYPED\n");
}

#[test]
fn after_a_resize_the_picture_fits() {
    let world = World::new();
    let mut tty = Tty::new(24, 100);
    // Drawn once, and then for each resize: nothing is on its way while the size changes.
    let Some(_shell) = tty.shell(&world, &format!("exec weir -i 1h '{ENDLESS}'")) else { return };
    tty.until_frame();
    // One of the two at a time, since that is how the size is set.
    for (rows, columns) in [(24, 40), (24, 100), (24, 20), (6, 20), (24, 20), (24, 60)] {
        if !tty.resize(rows, columns) {
            return;
        }
        tty.until_frame();
        let shows = tty.shows();
        assert!(!tty.is_wrapped(), "{rows} × {columns}:\n{shows}");
        assert_eq!(tty.lines("throttle"), 1, "{rows} × {columns}:\n{shows}");
        assert!(shows.lines().count() < usize::from(rows), "{rows} × {columns}:\n{shows}");
    }
}

#[test]
fn a_window_of_any_size_is_survived() {
    let world = World::new();
    let sizes = [(0, 0), (24, 1), (1, 80), (1, 1), (2, 2), (3, 20), (500, 500)];
    let line = with_code(&format!("weir '{LONG}'"));
    let mut all: Vec<_> = sizes.iter().map(|&(rows, columns)| Tty::new(rows, columns)).collect();
    let shells: Vec<_> = all.iter().map(|tty| tty.shell(&world, &line)).collect();
    for (tty, _) in all.iter_mut().zip(shells).filter(|(_, shell)| shell.is_some()) {
        tty.until_text("[0]");
    }
}

#[test]
fn a_storm_of_sizes_is_survived() {
    let world = World::new();
    let mut tty = Tty::new(24, 80);
    let Some(_shell) = tty.shell(&world, &with_code(&format!("weir '{ENDLESS}'"))) else { return };
    tty.until_frame();
    for step in 0..100 {
        if !tty.resize(1 + step * 7 % 40, 1 + step * 31 % 120) {
            return;
        }
    }
    tty.resize(24, 80);
    // With the picture of a small window there is no verdict; the last one has it, if the run still lives.
    tty.until_frame();
    tty.until_text("limited by throttle");
}

#[test]
fn a_stop_and_what_follows_leave_clock_and_screen_as_they_were() {
    let world = World::new();
    let began = Instant::now();
    let mut tty = Tty::new(24, 80);
    let line = format!("set -m; weir --report '{LONG}'; echo held; read key; fg >fg; echo \"[$?]\"");
    let Some(_shell) = tty.shell(&world, &line) else { return };
    tty.until_frame();
    tty.type_in(STOP);
    let stopped = tty.until_text("held");
    assert!(!tty.shows().contains("limited by"), "the picture is still there:\n{}", tty.shows());
    // Long enough to be seen in a clock that does not stand still.
    tty.watch(Duration::from_secs(1));
    let stopped = stopped.elapsed();
    tty.type_in("\n");
    tty.until_text(FRAME[0]);
    tty.until_text("[0]");
    let whole = began.elapsed();
    let shows = tty.shows();
    let line = shows.lines().find(|line| line.contains(" in ")).expect("the report's sum");
    let word = line.split(" in ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    let ran = match word.split_once(' ').unwrap() {
        (number, "s") => Duration::from_secs_f64(number.parse().unwrap()),
        (number, "ms") => Duration::from_millis(number.parse().unwrap()),
        other => panic!("{other:?} in {line}"),
    };
    // Seconds are given with one digit.
    assert!(ran + stopped <= whole + Duration::from_millis(50), "{ran:?} and {stopped:?} in {whole:?}");
}

#[test]
fn a_stop_that_nobody_could_end_is_none() {
    let world = World::new();
    let mut tty = Tty::new(24, 80);
    // Alone in its session, as behind `ssh -t`.
    let Some(shell) = tty.shell(&world, &format!("exec weir '{LONG}'")) else { return };
    tty.until_frame();
    tty.type_in(STOP);
    assert!(shell.wait().success());
}

#[test]
fn the_background_is_silent_and_never_stopped() {
    let world = World::new();
    let line = format!("stty tostop; set -m; weir '{LONG} ' & wait $!");
    let Some(tty) = ran(&world, &line, 0) else { return };
    assert!(!tty.seen.contains(FRAME[0]) && !tty.shows().contains("limited by"), "{:?}", tty.seen);
    // What must be said is said.
    let Some(tty) = ran(&world, "stty tostop; set -m; weir 'read missing | write out' & wait $!", 1) else {
        return;
    };
    assert!(tty.shows().contains("missing: no such file or directory"), "{}", tty.shows());
}

#[test]
fn from_the_background_to_the_foreground_the_view_comes_with_it() {
    let world = World::new();
    let mut tty = Tty::new(24, 80);
    let line = format!("trap : INT; set -m; weir '{ENDLESS}' & read key; fg >fg; echo \"[$?]\"");
    let Some(_shell) = tty.shell(&world, &line) else { return };
    tty.watch(Duration::from_millis(700));
    assert!(!tty.seen.contains(FRAME[0]), "{:?}", tty.seen);
    tty.type_in("\n");
    tty.until_frame();
    tty.type_in(INTERRUPT);
    tty.until_text("[130]");
}

#[test]
fn a_held_terminal_holds_neither_the_data_nor_the_exit() {
    let world = World::new();
    let mut tty = Tty::new(24, 80);
    let line = with_code("weir 'read /dev/zero | head -c 8M | throttle 10M | write out'; echo $? >code");
    let Some(_shell) = tty.shell(&world, &line) else { return };
    tty.until_frame();
    tty.type_in(HOLD);
    let deadline = Instant::now() + PATIENCE;
    while !world.path("code").exists() {
        assert!(Instant::now() < deadline, "it waits for the terminal");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(world.bytes("out").len(), 8 << 20);
    tty.type_in(RELEASE);
    tty.until_text("[0]");
}

#[test]
fn a_status_line_stands_above_the_picture() {
    let world = World::new();
    let mut tty = Tty::new(24, 80);
    // The shell asks in place of the test, which does not know the process's number.
    let line = format!("(read key; kill -USR1 $$) </dev/tty & exec weir '{ENDLESS}'");
    let Some(_shell) = tty.shell(&world, &line) else { return };
    tty.until_frame();
    tty.type_in("\n");
    tty.until_text("weir: ");
    tty.until_frame();
    let shows = tty.shows();
    assert_eq!((tty.lines("weir: "), tty.lines("throttle")), (1, 1), "{shows}");
    let [status, picture] = ["weir: ", "throttle"].map(|text| shows.find(text).unwrap());
    assert!(status < picture, "{shows}");
}

/// How a run is ended while its picture is on the screen, and the code that follows.
fn ends_in_order(command: &str, keys: &str, code: i32) {
    let world = World::new().with("zeros", vec![0; 16 << 20]);
    let mut tty = Tty::new(24, 80);
    let before = tty.modes();
    let line = format!("trap : INT; set -m; {command}; printf '[%s]' $?; read key");
    let Some(_shell) = tty.shell(&world, &line) else { return };
    tty.until_frame();
    tty.type_in(keys);
    tty.until_text(&format!("[{code}]"));
    let shows = tty.shows();
    assert!(tty.modes() == before, "{:?}\n{before:?}", tty.modes());
    assert_eq!(tty.lines(&format!("[{code}]")), 1, "not on a line of its own:\n{shows}");
    // The report has each stage once; whatever is left of the picture would have it again.
    for stage in ["read ", "throttle "] {
        assert_eq!(tty.lines(stage), 1, "{shows}");
    }
    assert_eq!(shows.matches("limited by").count(), 1, "{shows}");
}

#[test]
fn a_run_that_is_done_leaves_the_report() {
    ends_in_order("weir 'read zeros | throttle 12M | discard'", "", 0);
}

#[test]
fn a_run_that_fails_leaves_the_report() {
    // 7 MiB, or 14: shells differ on the unit.
    ends_in_order("(ulimit -f 14336; exec weir 'read zeros | throttle 10M | write out')", "", 1);
}

#[test]
fn an_interrupted_run_leaves_the_report() {
    ends_in_order(&format!("weir '{ENDLESS}'"), INTERRUPT, 130);
}

#[test]
fn a_killed_run_leaves_the_modes() {
    let world = World::new();
    for (signal, code) in [("TERM", 143), ("KILL", 137)] {
        let mut tty = Tty::new(24, 80);
        let before = tty.modes();
        let line = format!("set -m; weir '{ENDLESS}'; kill -{signal} %1; fg >fg; printf '[%s]' $?; read key");
        let Some(_shell) = tty.shell(&world, &line) else { return };
        tty.until_frame();
        tty.type_in(STOP);
        tty.until_text(&format!("[{code}]"));
        assert!(tty.modes() == before, "{:?}\n{before:?}", tty.modes());
    }
}

#[test]
fn a_child_speaks_above_the_picture_and_gives_the_terminal_no_orders() {
    let world = World::new().with("child", "read line <go; printf '\\033[2Jhello\\n' >&2; exec sleep 1000");
    nix::unistd::mkfifo(&world.path("go"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut tty = Tty::new(24, 80);
    let Some(shell) = tty.shell(&world, "exec weir 'exec sh child | discard'") else { return };
    tty.until_frame();
    std::fs::write(world.path("go"), "\n").unwrap();
    tty.until("the words above the picture", |tty| {
        let shows = tty.shows();
        let words = shows.find("\\x1b[2Jhello\n");
        words.is_some_and(|at| shows[at..].contains("exec ") && shows[at..].contains("discard"))
    });
    assert_eq!(tty.lines("exec"), 1, "{}", tty.shows());
    tty.type_in(INTERRUPT);
    tty.until_text("weir: ended by SIGINT");
    assert!(!shell.wait().success());
    assert_eq!(tty.lines("weir: "), 1, "{}", tty.shows());
}

#[test]
fn a_child_may_ask_on_the_terminal() {
    let world = World::new()
        .with("child", "printf '%s' 'name? ' >/dev/tty; read name </dev/tty; echo \"it is $name\"");
    let mut tty = Tty::new(24, 80);
    let Some(_shell) = tty.shell(&world, &with_code("weir 'exec sh child | upper'")) else { return };
    tty.until_text("name? ");
    tty.type_in("weir\n");
    tty.until_text("IT IS WEIR");
    tty.until_text("[0]");
}
