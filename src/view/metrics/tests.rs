//! The text of planted runs, line by line.

use super::{LINKS, STAGES, Totals, exposition};
use crate::engine::{Outcome, Report};
use crate::exit::Exit;
use crate::flow::{Reading, ServerReading};
use crate::verdict::planted::{Part, alter, chain};

fn reading() -> Reading {
    let parts = [Part::new("read", [0.1, 0.0, 0.9, 0.0]), Part::new("gzip", [0.75, 0.0, 0.0, 0.25])];
    let mut reading = chain(4.0, &parts);
    reading.links[0].fill_bytes = 4096;
    alter(&mut reading, |scheme| scheme.total_bytes = Some(128 << 20));
    reading
}

fn ended(outcome: Outcome) -> Report {
    Report { outcome, failures: Vec::new(), outputs: Vec::new(), notes: Vec::new(), reading: reading() }
}

#[track_caller]
fn assert_has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|other| other == *line), "no line `{line}` in:\n{text}");
    }
}

#[test]
fn a_run_going_on_is_told_stage_by_stage_and_link_by_link() {
    let mut totals = Totals::default();
    totals.add(&reading());
    let text = exposition(&totals, &[reading()]);
    assert_has(
        &text,
        &[
            "# TYPE weir_stage_bytes_total counter",
            r#"weir_stage_bytes_total{stage="read",index="0",direction="in"} 67108864"#,
            r#"weir_stage_bytes_total{stage="gzip",index="1",direction="in"} 67108864"#,
            r#"weir_stage_seconds_total{stage="gzip",index="1",state="busy"} 3"#,
            r#"weir_stage_seconds_total{stage="gzip",index="1",state="starved"} 1"#,
            r#"weir_stage_seconds_total{stage="read",index="0",state="stalled"} 3.6"#,
            "# TYPE weir_link_fill_bytes gauge",
            r#"weir_link_fill_bytes{link="0",from="read",to="gzip"} 4096"#,
            r#"weir_link_high_bytes{link="0",from="read",to="gzip"} 1048576"#,
            r#"weir_link_stalls_total{link="0",from="read",to="gzip"} 900"#,
            r#"weir_link_stalled_seconds_total{link="0",from="read",to="gzip"} 3.6"#,
            r#"weir_link_starved_seconds_total{link="0",from="read",to="gzip"} 1"#,
            "weir_runs_open 1",
            r#"weir_runs_total{outcome="done"} 0"#,
            "weir_input_bytes 134217728",
            "weir_input_taken_bytes 67108864",
        ],
    );
    assert!(!text.contains("weir_server"));
    let mut heads: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# HELP ")).collect();
    let all = heads.len();
    heads.sort_unstable();
    heads.dedup_by_key(|head| head.split(' ').next());
    assert_eq!(heads.len(), all, "a family is told twice");
}

#[test]
fn runs_that_have_ended_stay_in_the_sums() {
    let mut totals = Totals::default();
    totals.end(&ended(Outcome::Done));
    totals.end(&ended(Outcome::Failed(Exit::Refused)));
    totals.add(&reading());
    let text = exposition(&totals, &[reading(), reading()]);
    assert_has(
        &text,
        &[
            r#"weir_stage_bytes_total{stage="gzip",index="1",direction="in"} 201326592"#,
            r#"weir_runs_total{outcome="done"} 1"#,
            r#"weir_runs_total{outcome="failed"} 1"#,
            r#"weir_link_fill_bytes{link="0",from="read",to="gzip"} 8192"#,
        ],
    );
    let text = exposition(&totals, &[]);
    assert_has(&text, &["weir_runs_open 0"]);
    assert!(!text.contains("weir_link_fill_bytes") && !text.contains("weir_input_bytes"), "{text}");
}

#[test]
fn a_counter_never_falls() {
    let mut shown = Totals::default();
    shown.add(&reading());
    let mut later = reading();
    later.stages[1].on_core_nanos = 1;
    let mut totals = Totals::default();
    totals.add(&later);
    totals.hold(&shown);
    let text = exposition(&totals, &[]);
    assert_has(&text, &[r#"weir_stage_seconds_total{stage="gzip",index="1",state="busy"} 3"#]);
}

#[test]
fn a_server_has_counters_of_its_own() {
    let server = ServerReading {
        connections: 7,
        connections_open: 2,
        runs: 6,
        runs_open: 1,
        runs_failed: 3,
        bytes_read: 10,
        bytes_written: 20,
        busiest: Vec::new(),
    };
    let reading = Reading { server: Some(server), ..Reading::default() };
    assert_has(
        &exposition(&Totals::default(), &[reading]),
        &[
            "weir_server_connections_total 7",
            "weir_server_connections_open 2",
            "weir_server_runs_total 6",
            "weir_server_runs_open 1",
            "weir_server_runs_failed_total 3",
            r#"weir_server_bytes_total{direction="out"} 20"#,
        ],
    );
}

#[test]
fn a_label_is_escaped() {
    let mut reading = reading();
    alter(&mut reading, |scheme| scheme.stages[0].name = "a\"b\\c\nd漢".to_owned());
    let mut totals = Totals::default();
    totals.add(&reading);
    let text = exposition(&totals, &[reading]);
    assert!(text.contains(r#"{stage="a\"b\\c\nd漢",index="0",direction="in"}"#), "{text}");
}

#[test]
fn every_value_of_a_row_belongs_to_a_family() {
    let mut totals = Totals::default();
    totals.add(&reading());
    let count = |families: &[super::Family]| families.iter().map(|family| family.values.len()).sum::<usize>();
    assert!(totals.stages.iter().all(|row| row.values.len() == count(&STAGES)));
    assert!(totals.links.iter().all(|row| row.values.len() == count(&LINKS)));
}
