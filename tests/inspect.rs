//! The inspector on a real terminal: what its keys do to the run, and what becomes of the terminal.

use crate::harness::World;
use crate::tty::{Shell, Tty};

const RUN: &str = "read /dev/zero | head -c 40M | throttle 4M | write out";
/// What a program says that takes the whole screen, and gives it back.
const SCREEN: [&str; 2] = ["\u{1b}[?1049h", "\u{1b}[?1049l"];

/// A shell on `tty` that inspects [`RUN`] and then tells the exit code in brackets.
fn inspecting(world: &World, tty: &mut Tty) -> Option<Shell> {
    let shell = tty.shell(world, &format!("trap : INT; weir --inspect '{RUN}'; echo \"[$?]\""))?;
    tty.until("the hint", |tty| tty.shows().contains("space pause all"));
    Some(shell)
}

#[test]
fn a_paused_run_moves_nothing_until_it_is_resumed() {
    let world = World::new();
    let mut tty = Tty::new(24, 100);
    let Some(_shell) = inspecting(&world, &mut tty) else { return };
    tty.type_in(" ");
    tty.until("the pause", |tty| {
        tty.shows().matches("paused").count() >= 4 && tty.shows().contains("space resume all")
    });
    tty.until("a still link", |tty| {
        let is_still = |line: &str| line.contains(" s   0 B/s");
        tty.shows().contains("(paused)") && tty.shows().lines().any(is_still)
    });
    // Resumed, and faster than asked at first: from 4 to 5, 10, 20, 50 and 100 MiB/s.
    tty.type_in(" jjjj+++++");
    tty.until_text("[0]");
    assert!(tty.seen.contains("set to 100 MiB/s"));
    // What is said of the run is of what was set, not of what was typed.
    let row = |line: &&str| line.starts_with("throttle ");
    let shows = tty.shows();
    assert!(shows.lines().find(row).is_some_and(|row| row.contains("100 MiB/s")), "{shows}");
    assert_eq!(world.bytes("out").len(), 40 << 20);
}

#[test]
fn one_stage_is_paused_and_its_neighbours_wait_for_it() {
    let world = World::new();
    let mut tty = Tty::new(24, 100);
    let Some(_shell) = inspecting(&world, &mut tty) else { return };
    tty.type_in("jjp");
    tty.until("the pause", |tty| {
        let shows = tty.shows();
        let states = |word: &str| shows.lines().filter(|line| line.contains(word)).count();
        states("paused") >= 1 && shows.contains("p resume head") && states("starved") >= 1
    });
    tty.type_in("p");
    tty.until("the end of the pause", |tty| tty.shows().contains("p pause head"));
    tty.type_in("\u{3}");
    tty.until_text("[130]");
    assert!(!world.path("out").exists());
}

#[test]
fn a_link_is_made_larger_and_the_picture_is_frozen() {
    let world = World::new();
    let mut tty = Tty::new(24, 100);
    let Some(_shell) = inspecting(&world, &mut tty) else { return };
    tty.type_in("j");
    tty.until("the size", |tty| tty.shows().contains("+ - size: 2.00 MiB"));
    tty.type_in("+");
    tty.until("the new size", |tty| tty.shows().contains("+ - size: 4.00 MiB"));
    tty.type_in("f");
    tty.until("the frozen picture", |tty| tty.shows().contains("FROZEN"));
    tty.type_in("p");
    tty.until("why nothing happened", |tty| tty.shows().contains("p pauses a stage: select one"));
    tty.type_in("\u{3}");
    tty.until_text("[130]");
}

#[test]
fn keys_that_come_together_each_count_and_a_frozen_picture_does_not_hide_what_they_do() {
    let world = World::new();
    let mut tty = Tty::new(24, 100);
    let Some(_shell) = inspecting(&world, &mut tty) else { return };
    tty.type_in("j++");
    tty.until("two steps", |tty| tty.shows().contains("+ - size: 8.00 MiB"));
    tty.type_in("f  ");
    tty.until("neither pause nor resumption left", |tty| tty.shows().contains("FROZEN  space pause all"));
    tty.type_in(" ");
    tty.until("the pause behind it", |tty| tty.shows().contains("FROZEN  space resume all"));
    tty.type_in("q\u{3}");
    tty.until_text("[130]");
}

#[test]
fn a_batch_that_cannot_be_inspected_is_refused_once() {
    let world = World::new().with("a", "1").with("b", "2");
    let call = world.weir("read {} | write {}.out").args(["--inspect", "--", "a", "missing", "b"]);
    let refused = call.env("TERM", "xterm").run().with_code(2);
    assert_eq!(refused.stderr(), "weir: --inspect needs a terminal on standard error\n");
    world.assert_names(&["a", "b"]);
}

#[test]
fn the_terminal_is_as_it_was_whatever_ends_the_inspector() {
    for (keys, code) in [("\u{3}", 130), ("q\u{3}", 130), (" q\u{3}", 130)] {
        let world = World::new();
        let mut tty = Tty::new(24, 100);
        let before = tty.modes();
        let Some(_shell) = inspecting(&world, &mut tty) else { return };
        assert_ne!(tty.modes(), before);
        for key in keys.chars() {
            tty.type_in(&key.to_string());
            if key == 'q' {
                tty.until_text(SCREEN[1]);
            }
        }
        tty.until_text(&format!("[{code}]"));
        assert_eq!(tty.modes(), before, "{keys:?}");
        assert_eq!(tty.seen.matches(SCREEN[0]).count(), tty.seen.matches(SCREEN[1]).count());
    }
}

#[test]
fn a_stop_gives_the_terminal_to_the_shell_and_back() {
    let world = World::new();
    let mut tty = Tty::new(24, 100);
    let before = tty.modes();
    let line =
        format!("trap : INT; set -m; weir --inspect '{RUN}'; echo held; read key; fg >fg; echo \"[$?]\"");
    let Some(_shell) = tty.shell(&world, &line) else { return };
    tty.until_text("space pause all");
    tty.type_in("\u{1a}");
    tty.until_text(SCREEN[1]);
    tty.until_text("held");
    assert_eq!(tty.modes(), before);
    tty.type_in("\n");
    tty.until_text(SCREEN[0]);
    tty.until_text("space pause all");
    tty.type_in("\u{3}");
    tty.until_text("[130]");
    assert_eq!(tty.modes(), before);
}

#[test]
fn without_a_terminal_of_its_own_it_is_refused_and_nothing_is_done() {
    let world = World::new();
    let refused = world.weir(RUN).arg("--inspect").env("TERM", "xterm").run().with_code(2);
    assert!(refused.saying("--inspect needs a terminal").stderr().lines().count() == 1);
    assert!(!world.path("out").exists());
    let mut tty = Tty::new(24, 100);
    let Some(_shell) = tty.shell(&world, "weir --inspect 'read /dev/null | pass'; echo \"[$?]\"") else {
        return;
    };
    tty.until_text("[2]");
    assert!(tty.seen.contains("the chain reads or writes it"));
}
