//! What other programs read of a run: every line on standard error is an object, and there is one for each end.

use crate::harness::{IS_WHOLE, Ran, World};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

#[track_caller]
fn events(text: &str) -> Vec<Value> {
    let parse = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(event["schema"], 1, "{line}");
        event
    };
    text.lines().map(parse).collect()
}

/// The only line it said.
#[track_caller]
fn report(ran: &Ran) -> Value {
    let mut events = events(&ran.stderr());
    assert_eq!(events.len(), 1, "{}", ran.stderr());
    let report = events.remove(0);
    assert_eq!(report["event"], "report");
    assert_eq!(report["exit_code"], ran.code());
    report
}

#[test]
fn a_run_that_went_well_is_one_object_with_all_there_is_to_know() {
    let world = World::new().with("a", "some text\n".repeat(5000));
    let ran = world.weir("read a | gzip | write a.gz").arg("--report=json").run().with_code(0);
    let report = report(&ran);
    assert_eq!((&report["outcome"], &report["message"]), (&json!("done"), &Value::Null));
    assert_eq!(
        report["outputs"],
        json!([{"name": "a.gz", "state": "published", "partial_bytes": null, "message": null}])
    );
    let stages = report["stages"].as_array().unwrap();
    assert_eq!(stages.iter().map(|stage| &stage["name"]).collect::<Vec<_>>(), ["read", "gzip", "write"]);
    assert_eq!((&stages[1]["in_bytes"], &stages[0]["label"]), (&json!(50_000), &json!("a")));
    assert_eq!(stages[2]["out_bytes"], world.bytes("a.gz").len());
    for stage in stages {
        let parts = ["busy_nanos", "waiting_nanos", "stalled_nanos", "starved_nanos", "absent_nanos"];
        let sum: u64 = parts.iter().map(|part| stage[part].as_u64().unwrap()).sum();
        assert_eq!(sum, report["elapsed_nanos"].as_u64().unwrap(), "{stage}");
    }
    assert_eq!((&report["links"][1]["from"], &report["links"][1]["to"]), (&json!(1), &json!(2)));
    assert_eq!(report["percent"], 100.0);
}

#[test]
fn a_failure_is_in_the_object_and_nowhere_else() {
    let world = World::new().with("a.gz", "no gzip at all").with("b", "old\n");
    let ran = world.weir("read a.gz | gunzip | write b").arg("--report=json").run().with_code(3);
    let failed = report(&ran);
    let failure = &failed["failures"][0];
    assert_eq!((&failure["stage"], &failure["place"]), (&json!(1), &json!("gunzip (stage 2)")));
    assert!(failure["message"].as_str().unwrap().starts_with("a.gz: not gzip data"), "{failure}");
    assert_eq!((&failed["outcome"], &failed["message"]), (&json!("failed"), &failure["message"]));
    assert_eq!(failed["outputs"][0]["state"], "as_it_was");
    // What is seen before a byte has moved is a run that failed as well.
    let missing = report(&world.weir("read missing | write b").arg("--report=json").run().with_code(1));
    assert_eq!(missing["message"], "missing: no such file or directory");
    assert_eq!((&missing["failures"][0]["stage"], &missing["elapsed_nanos"]), (&json!(0), &json!(0)));
    let full = report(&world.weir("read b | write /dev/full").arg("--report=json").run().with_code(1));
    assert_eq!(full["failures"][0]["place"], "write (stage 2)");
    let stalled = world.weir("exec sleep 60 | discard").args(["--report=json", "--stall-timeout", "100ms"]);
    assert_eq!(report(&stalled.run().with_code(124))["outcome"], "stalled");
}

#[test]
fn a_mistake_in_the_chain_is_no_run_and_is_told_as_text() {
    let world = World::new();
    world.weir("read a | nonsense").arg("--report=json").run().with_code(2).saying("weir: unknown stage");
    world.weir("upper").arg("--report=xml").run().with_code(2).saying("[possible values: text, json]");
}

#[test]
fn a_report_is_text_unless_more_is_said_and_takes_no_chain_for_its_form() {
    let world = World::new().with("a", "text\n");
    for report in ["--report", "--report=text"] {
        let ran = world.shell(&format!("weir {report} 'read a | discard'")).run().with_code(0);
        ran.saying("read     a  5 B");
    }
}

#[test]
fn quiet_leaves_out_everything_but_the_report_and_verbose_adds_nothing() {
    let world = World::new().with("a", "text\n");
    for words in [["-q", "--report=json"], ["-v", "--report=json"], ["-q", "--progress=json"]] {
        // A warning, if it is not quiet.
        let ran = world.weir("read a | gzip | upper | discard").args(words).run().with_code(0);
        let kinds: Vec<Value> = events(&ran.stderr()).iter().map(|event| event["event"].clone()).collect();
        let expected: &[&str] = if words[0] == "-q" { &["report"] } else { &["notice", "report"] };
        assert_eq!(kinds, expected, "{words:?}");
    }
}

#[test]
fn a_batch_has_one_object_for_each_run_and_one_for_the_end() {
    let odd = OsStr::from_bytes(b"\xff");
    let world = World::new().with("a", "1\n").with("b \"\n", "2\n").with(odd, "3\n");
    std::fs::write(world.path("a.out"), "old").unwrap();
    let chain = "read {} | write --skip-existing {}.out";
    let call = world.weir(chain).args(["--report=json", "--", "a", "missing", "b \"\n"]).arg(odd);
    let ran = call.run().with_code(5);
    let events = events(&ran.stderr());
    let facts = |name: &str| events.iter().map(|event| event[name].clone()).collect::<Vec<_>>();
    assert_eq!(facts("event"), ["report", "report", "report", "report", "batch"]);
    assert_eq!(facts("run"), [json!(1), json!(2), json!(3), json!(4), Value::Null]);
    assert_eq!(facts("outcome")[..4], ["done", "failed", "done", "done"]);
    assert_eq!(
        facts("operands")[..4],
        [json!(["a"]), json!(["missing"]), json!(["b \"\n"]), json!(["\"\\xff\""])]
    );
    assert_eq!(events[0]["notes"], json!(["a.out is there already: left out"]));
    let batch = &events[4];
    assert_eq!((&batch["runs"], &batch["done"], &batch["failed"]), (&json!(4), &json!(3), &json!(1)));
    assert_eq!(batch["exit_code"], 5);
}

#[test]
fn runs_at_once_have_their_objects_as_those_in_turn() {
    let world = World::new().with("a", "1\n").with("b", "2\n");
    let chain = "read {} | exec sh -c 'echo said >&2; cat' | hash md5 | write {}.out";
    let chain = if IS_WHOLE { chain.to_owned() } else { chain.replace("| hash md5 ", "") };
    let words = ["-j", "2", "--progress=json", "--interval", "20ms", "--", "a", "missing", "b"];
    let ran = world.weir(chain).args(words).run().with_code(5);
    let events = events(&ran.stderr());
    for (run, outcome) in [(1, "done"), (2, "failed"), (3, "done")] {
        let ends = events.iter().filter(|event| event["event"] == "report" && event["run"] == run);
        assert_eq!(ends.map(|event| event["outcome"].clone()).collect::<Vec<_>>(), [outcome], "{run}");
    }
    let quotes = events.iter().filter(|event| event["event"] == "quote");
    let places: Vec<_> = quotes.map(|event| event["place"].clone()).collect();
    assert_eq!(places, ["exec (stage 2)", "exec (stage 2)"]);
    let together = events.iter().filter(|event| event["event"] == "progress");
    assert!(together.into_iter().all(|event| event["run"].is_null() && event["batch"].is_object()));
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["done"], &last["exit_code"]), (&json!("batch"), &json!(2), &json!(5)));
}

#[test]
fn a_notice_on_a_terminal_has_no_colours() {
    let world = World::new().with("a", "text");
    let mut tty = crate::tty::Tty::new(24, 80);
    let line = "weir --report=json 'read a | gzip | upper | discard'; echo \"[$?]\"";
    let Some(_shell) = tty.shell(&world, line) else { return };
    tty.until_text("[0]");
    let event: Value = serde_json::from_str(tty.seen.lines().next().unwrap()).unwrap();
    assert_eq!(event["event"], "notice");
    assert!(event["text"].as_str().unwrap().starts_with("warning: "), "{event}");
}

#[test]
fn a_reader_that_leaves_and_a_signal_are_ends_like_others() {
    let world = World::new();
    let ran = world
        .shell("weir --report=json 'generate zeros 1G | stdout' 2>said | head -c 1 >nul")
        .run()
        .with_code(0);
    drop(ran);
    let said = String::from_utf8(world.bytes("said")).unwrap();
    let hung_up = &events(&said)[0];
    assert_eq!((&hung_up["outcome"], &hung_up["signal"]), (&json!("hung_up"), &json!("SIGPIPE")));

    let call = world.weir("exec sleep 60 | write out").args(["--progress=json", "--interval", "20ms"]);
    let mut child = call.spawn(|command| command.stdin(Stdio::null()).stderr(Stdio::piped()));
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    let events = events(&said);
    assert_eq!(events[0]["event"], "progress");
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["outcome"]), (&json!("report"), &json!("cancelled")));
    assert_eq!((&last["signal"], &last["exit_code"]), (&json!("SIGTERM"), &json!(143)));
    assert_eq!(last["outputs"][0]["state"], "not_created");
}

#[test]
fn what_a_child_says_is_an_event_of_its_own_whatever_it_says() {
    let world = World::new();
    let says = r#"exec sh -c "printf '{\"schema\":9}\n\377\033[2J\n' >&2" | discard"#;
    let ran = world.weir(says).arg("--report=json").run().with_code(0);
    let events = events(&ran.stderr());
    assert_eq!(events.len(), 3, "{}", ran.stderr());
    assert_eq!((&events[0]["event"], &events[0]["text"]), (&json!("quote"), &json!("{\"schema\":9}")));
    assert_eq!(events[0]["place"], "exec (stage 1)");
    assert_eq!(events[1]["text"], "\u{fffd}\u{1b}[2J");
    assert!(!ran.stderr().contains('\u{1b}'));
}

#[test]
fn a_reader_who_is_late_gets_whole_lines() {
    // Lines longer than what a pipe takes as a whole, and more of them than it holds.
    let world = World::new();
    let chain = format!("generate zeros 1M | throttle 2M {} | write out", "| pass ".repeat(12));
    let call = world.weir(chain).args(["--progress=json", "--interval", "20ms"]);
    let mut child = call.spawn(|command| command.stdin(Stdio::null()).stderr(Stdio::piped()));
    while !world.path("out").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(events(&said).last().unwrap()["event"], "report");
}

#[test]
fn nobody_to_tell_is_no_failure() {
    let world = World::new().with("a", "text\n");
    for stderr in ["2>/dev/full", "2>&-"] {
        let line = format!("weir --report=json --progress=json 'read a | write b' {stderr}");
        world.shell(&line).run().with_code(0);
        assert_eq!(world.bytes("b"), b"text\n");
    }
}

/// Every name in it, however deep.
fn names(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            found.insert(name.clone());
            names(value, found);
        }),
        Value::Array(values) => values.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

#[test]
fn the_man_page_has_every_name() {
    if !IS_WHOLE {
        return;
    }
    let world = World::new().with("a.gz", "no gzip at all");
    let chain = "read {} | gunzip | tee { write {}.b } | throttle 1M | write {}.c";
    let ran = world.weir(chain).args(["--report=json", "--", "a.gz", "missing"]).run().with_code(5);
    let long = "generate zeros 1M | throttle 2M | discard";
    let well = world.weir(long).args(["--progress=json", "--interval", "100ms"]).run().with_code(0);
    let mut found = BTreeSet::new();
    for event in events(&(ran.stderr() + &well.stderr())) {
        names(&event, &mut found);
    }
    assert!(found.len() > 60, "{found:?}");
    let page = world.weir("--generate").arg("man").run().quietly();
    let page = String::from_utf8_lossy(page.stdout()).into_owned();
    let page = &page[page.find(".SH \"JSON\"").unwrap()..];
    let words: BTreeSet<&str> =
        page.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
    let untold: Vec<&String> = found.iter().filter(|name| !words.contains(name.as_str())).collect();
    assert!(untold.is_empty(), "the man page says nothing of {untold:?}");
}
