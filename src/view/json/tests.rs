//! Lines of planted runs, read back as any other program would.

use super::{Turn, batch, notice, progress, quote, remark, report};
use crate::engine::{Failure, Outcome, Output, OutputState, Report};
use crate::exit::Exit;
use crate::flow::{Medium, Reading, RunReading, ServerReading};
use crate::verdict::planted::{Part, alter, chain};
use crate::verdict::tests::any_reading;
use crate::view::Place;
use proptest::prelude::{prop_assert, proptest};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

fn turn() -> Turn {
    Turn::new(2, 3, &["b.log".into()])
}

/// A run limited by gzip, of 64 MiB of an input of 128 MiB.
fn usual() -> Reading {
    let parts = [
        Part { label: "b.log", ..Part::new("read", [0.1, 0.0, 0.9, 0.0]).on(Medium::Disk) },
        Part { label: "-6", advice: vec!["gzip -1"], ..Part::new("gzip", [0.98, 0.0, 0.0, 0.02]) },
        Part::new("write", [0.1, 0.1, 0.0, 0.8]).on(Medium::Disk),
    ];
    let mut reading = chain(4.0, &parts);
    alter(&mut reading, |scheme| scheme.total_bytes = Some(128 << 20));
    reading
}

fn ended(outcome: Outcome) -> Report {
    Report { outcome, failures: Vec::new(), outputs: Vec::new(), notes: Vec::new(), reading: usual() }
}

fn place(name: &str) -> Place {
    Place { name: name.to_owned(), span: None }
}

#[track_caller]
fn parse(line: &str) -> Value {
    assert!(line.ends_with('\n') && line.lines().count() == 1, "{line:?}");
    assert!(line.trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
    serde_json::from_str(line).expect("an object")
}

#[test]
fn a_line_of_progress_begins_with_what_it_is_and_has_every_stage_and_link() {
    let line = progress(&turn(), &usual(), None);
    assert!(line.starts_with(r#"{"schema":1,"event":"progress","run":2,"runs":3,"operands":["b.log"],"#));
    let event = parse(&line);
    assert_eq!(event["elapsed_nanos"], json!(4_000_000_000_u64));
    assert_eq!(event["stretch_nanos"], event["elapsed_nanos"]);
    assert_eq!((&event["taken_bytes"], &event["total_bytes"]), (&json!(64 << 20), &json!(128 << 20)));
    assert_eq!((&event["percent"], &event["left_nanos"]), (&json!(50.0), &json!(4_000_000_000_u64)));
    assert_eq!(event["bytes_per_second"], json!(16 << 20));
    assert_eq!(
        event["stages"][1],
        json!({
            "index": 1, "name": "gzip", "label": "-6", "depth": 0, "input": 0, "outputs": [1], "returns": null,
            "in_bytes": 64 << 20, "out_bytes": 64 << 20,
            "in_bytes_per_second": 16 << 20, "out_bytes_per_second": 16 << 20,
            "busy_nanos": 3_920_000_000_u64, "waiting_nanos": 0, "stalled_nanos": 0, "starved_nanos": 80_000_000,
            "absent_nanos": 0, "on_core_nanos": 3_920_000_000_u64, "system_nanos": 0, "queued_nanos": 0,
            "worked_nanos": 0, "medium": "unknown", "caveat": null,
        })
    );
    assert_eq!(event["stages"][0]["medium"], json!("disk"));
    assert_eq!(
        event["links"][0],
        json!({
            "index": 0, "from": 0, "to": 1, "high_bytes": 1 << 20, "fill_bytes": 0, "fill_average_bytes": 943_718,
            "fill_max_bytes": 1 << 20, "in_bytes": 64 << 20, "out_bytes": 64 << 20,
            "stalls": 900, "stalled_nanos": 3_600_000_000_u64, "starves": 20, "starved_nanos": 80_000_000,
        })
    );
    assert_eq!(event["server"], Value::Null);
    let verdict = &event["verdict"];
    assert_eq!(
        verdict["limit"],
        json!({
            "stage": 1, "name": "gzip", "state": "computing", "medium": null, "cores_used": 1, "cores_allowed": null,
            "own": 0.98,
        })
    );
    assert_eq!((&verdict["finding"], &verdict["balance"]), (&json!("limited"), &Value::Null));
    assert_eq!((&verdict["advice"], &verdict["settled"]), (&json!(["gzip -1"]), &Value::Null));
    assert_eq!(verdict["words"], json!("limited by gzip -6 (computing); next would be write (computing)"));
    assert_eq!(verdict["advice_words"], json!("try: gzip -1"));
}

#[test]
fn rates_are_of_the_time_since_the_line_before_and_counts_of_the_whole_run() {
    let (earlier, mut now) = (usual(), usual());
    now.at_nanos += 2_000_000_000;
    now.links[0].bytes_out += 20 << 20;
    let event = parse(&progress(&turn(), &now, Some(&earlier)));
    assert_eq!(event["stretch_nanos"], json!(2_000_000_000));
    assert_eq!(event["stages"][1]["in_bytes"], json!(84 << 20));
    assert_eq!(event["stages"][1]["in_bytes_per_second"], json!(10 << 20));
    assert_eq!(event["links"][0]["fill_average_bytes"], json!(0));
    // Twice in the same moment.
    let event = parse(&progress(&turn(), &earlier, Some(&earlier)));
    assert_eq!(event["stages"][1]["in_bytes_per_second"], json!(0));
}

#[test]
fn each_outcome_has_its_name_its_code_and_its_signal() {
    for (outcome, name, code, signal, message) in [
        (Outcome::Done, "done", 0, Value::Null, Value::Null),
        (Outcome::HungUp, "hung_up", 141, json!("SIGPIPE"), Value::Null),
        (Outcome::Cancelled(2), "cancelled", 130, json!("SIGINT"), json!("ended by SIGINT")),
        (Outcome::Cancelled(99), "cancelled", 227, json!("99"), json!("ended by signal 99")),
        (
            Outcome::Stalled,
            "stalled",
            124,
            Value::Null,
            json!("no byte moved for too long; the others wait for write"),
        ),
    ] {
        let event = parse(&report(&turn(), &ended(outcome), &[]));
        assert_eq!(event["event"], json!("report"));
        assert_eq!((&event["outcome"], &event["exit_code"]), (&json!(name), &json!(code)));
        assert_eq!((&event["signal"], &event["message"]), (&signal, &message), "{name}");
    }
}

#[test]
fn a_failure_has_its_stage_its_words_and_what_became_of_the_outputs() {
    let failure =
        |stage, message: &str, exit| Failure { stage, exit, message: message.to_owned(), help: None };
    let caused = failure(None, "disk full", Exit::Failed);
    let root = failure(Some(1), "b.gz: corrupt \u{1b}[2J", Exit::Refused);
    let failed = Report {
        failures: vec![Failure { help: Some("get it again".to_owned()), ..root }, caused],
        outputs: vec![
            Output { name: "a".to_owned(), state: OutputState::AsItWas },
            Output { name: "standard output".to_owned(), state: OutputState::Partial(5) },
        ],
        notes: vec!["md5 00  a".to_owned()],
        ..ended(Outcome::Failed(Exit::Refused))
    };
    let event = parse(&report(&turn(), &failed, &[place("read"), place("gzip (stage 2)")]));
    assert_eq!((&event["exit_code"], &event["message"]), (&json!(3), &json!("b.gz: corrupt \u{1b}[2J")));
    assert_eq!(
        event["failures"],
        json!([
            {"stage": 1, "place": "gzip (stage 2)", "message": "b.gz: corrupt \u{1b}[2J", "help": "get it again",
             "exit_code": 3},
            {"stage": null, "place": null, "message": "disk full", "help": null, "exit_code": 1},
        ])
    );
    assert_eq!(
        event["outputs"],
        json!([
            {"name": "a", "state": "as_it_was", "partial_bytes": null, "message": null},
            {"name": "standard output", "state": "partial", "partial_bytes": 5, "message": null},
        ])
    );
    assert_eq!(event["notes"], json!(["md5 00  a"]));
}

#[test]
fn a_run_in_which_nothing_began_is_told_all_the_same() {
    let reading = Reading::before(usual().scheme);
    let event = parse(&report(&turn(), &Report { reading, ..ended(Outcome::Failed(Exit::Failed)) }, &[]));
    assert_eq!(event["stages"].as_array().map(Vec::len), Some(3));
    assert_eq!((&event["elapsed_nanos"], &event["message"]), (&json!(0), &Value::Null));
    assert_eq!(event["verdict"]["finding"], json!("too_short"));
    let nothing = Report { reading: Reading::default(), ..ended(Outcome::Done) };
    assert_eq!(parse(&report(&turn(), &nothing, &[]))["stages"], json!([]));
}

#[test]
fn whatever_is_said_comes_through_and_orders_no_terminal() {
    let text = "a\u{1b}[2J\u{7f}\u{9b}1m \"b\"\\ \u{202e}漢😀\n";
    assert_eq!(parse(&remark(&turn(), &place("x"), text))["text"], json!(text));
    let event = parse(&notice("weir: warned\n  of it\n"));
    assert_eq!((&event["text"], &event["run"]), (&json!("warned\n  of it"), &Value::Null));
    let lines = quote(&turn(), &place("exec sh (stage 1)"), b"one\n\xff{}\r\n\n");
    let told: Vec<Value> = lines.split_inclusive('\n').map(parse).collect();
    assert_eq!(told.iter().map(|line| &line["text"]).collect::<Vec<_>>(), ["one", "\u{fffd}{}", ""]);
    assert!(told.iter().all(|line| line["event"] == "quote" && line["run"] == 2));
    let operands = [OsString::from("a b\n\"c"), OsString::from_vec(b"\xff".to_vec())];
    let event = parse(&progress(&Turn::new(1, 1, &operands), &usual(), None));
    assert_eq!(event["operands"], json!(["a b\n\"c", "\"\\xff\""]));
    let event = parse(&batch(3, 2, 1, 5));
    assert_eq!(
        event,
        json!({"schema": 1, "event": "batch", "run": null, "runs": 3, "done": 2, "failed": 1, "exit_code": 5})
    );
}

#[test]
fn a_server_tells_what_it_counts_and_has_no_verdict_of_its_own() {
    let mut reading = usual();
    let busiest = vec![RunReading { name: "127.0.0.1:4711".to_owned(), reading: usual() }];
    let server =
        ServerReading { connections: 5, runs: 4, runs_failed: 1, busiest, ..ServerReading::default() };
    reading.server = Some(ServerReading { bytes_read: 4 << 20, ..server });
    let event = parse(&progress(&turn(), &reading, None));
    assert_eq!(event["verdict"], Value::Null);
    let server = &event["server"];
    assert_eq!((&server["connections"], &server["runs_failed"]), (&json!(5), &json!(1)));
    assert_eq!(server["in_bytes_per_second"], json!(1 << 20));
    assert_eq!(server["busiest"][0]["name"], json!("127.0.0.1:4711"));
    assert_eq!(server["busiest"][0]["moved_bytes"], json!(64 << 20));
}

proptest! {
    #[test]
    fn whatever_the_reading_its_line_can_be_read(reading in any_reading()) {
        let event = parse(&progress(&turn(), &reading, None));
        prop_assert!(event["stages"].as_array().map(Vec::len) == Some(reading.stages.len()));
        let ended = Report { reading, ..ended(Outcome::Done) };
        parse(&report(&turn(), &ended, &[]));
    }
}
