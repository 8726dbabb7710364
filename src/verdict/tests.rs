//! Planted bottlenecks, and the verdicts that are right for them.
//! The words are tested here as well: they are what a verdict is for.

use super::planted::{Part, START_NANOS, alter, chain, tree};
use super::{Advice, Balance, Cores, Finding, State, judge};
use crate::flow::{Episodes, LinkInfo, LinkReading, Medium, Reading, Scheme, StageInfo, StageReading};
use proptest::prelude::{Strategy, any, prop_assert, proptest};
use std::sync::Arc;

fn words(reading: &Reading) -> String {
    judge(reading, None).words(&reading.scheme).unwrap_or_default()
}

fn three(source: [f64; 4], filter: [f64; 4], sink: [f64; 4]) -> [Part; 3] {
    [
        Part::new("read", source).on(Medium::Disk),
        Part::new("gzip", filter),
        Part::new("write", sink).on(Medium::Disk),
    ]
}

#[test]
fn a_filter_that_computes_is_named() {
    let mut parts = three([0.06, 0.01, 0.93, 0.0], [0.99, 0.0, 0.0, 0.01], [0.04, 0.0, 0.0, 0.96]);
    parts[1].label = "-6";
    parts[1].workers = 1.9;
    parts[1].busy = 0.99;
    parts[1].advice = vec!["gzip -1", "zstd"];
    let mut reading = chain(7.4, &parts);
    // It waits for its workers, who are the ones on a core.
    reading.stages[1].worker_wait_nanos = std::mem::take(&mut reading.stages[1].on_core_nanos);
    let verdict = judge(&reading, None);
    assert_eq!(
        verdict.limit().map(|limit| limit.state),
        Some(State::Computing(Cores { used: 2, allowed: 2 }))
    );
    assert_eq!(words(&reading), "limited by gzip -6 (computing, 2 cores); next would be read (computing)");
    assert_eq!(verdict.advice_line().as_deref(), Some("try: gzip -1, zstd, or more cores"));
    assert_eq!(verdict.mark().as_deref(), Some("computing on 2 of 2 cores"));
}

#[test]
fn a_source_that_waits_for_the_disk_is_named() {
    let reading = chain(2.0, &three([0.1, 0.88, 0.02, 0.0], [0.4, 0.0, 0.0, 0.6], [0.1, 0.1, 0.0, 0.8]));
    assert_eq!(words(&reading), "limited by read (waiting for the disk); next would be gzip (computing)");
    let advice = judge(&reading, None).advice_line();
    assert_eq!(advice.as_deref(), Some("nothing to try: this is the disk's speed"));
}

#[test]
fn a_source_that_copies_from_the_cache_is_not_called_computing() {
    let mut parts = three([0.97, 0.0, 0.03, 0.0], [0.5, 0.0, 0.0, 0.5], [0.3, 0.0, 0.0, 0.7]);
    parts[0].system = 0.9;
    assert_eq!(
        words(&chain(1.0, &parts)),
        "limited by read (copying in the kernel); next would be gzip (computing)"
    );
}

#[test]
fn a_source_that_computes_is_named() {
    let reading = chain(1.0, &three([1.0, 0.0, 0.0, 0.0], [0.2, 0.0, 0.0, 0.8], [0.01, 0.0, 0.0, 0.99]));
    assert_eq!(words(&reading), "limited by read (computing); next would be gzip (computing)");
}

#[test]
fn a_sink_that_waits_is_named() {
    let reading = chain(3.0, &three([0.05, 0.0, 0.95, 0.0], [0.3, 0.0, 0.68, 0.02], [0.1, 0.9, 0.0, 0.0]));
    assert_eq!(judge(&reading, None).limiting(), Some(2));
    assert_eq!(words(&reading), "limited by write (waiting for the disk); next would be gzip (computing)");
}

#[test]
fn a_sink_that_computes_is_named() {
    let reading = chain(3.0, &three([0.05, 0.0, 0.95, 0.0], [0.3, 0.0, 0.68, 0.02], [0.95, 0.0, 0.0, 0.05]));
    assert_eq!(judge(&reading, None).limiting(), Some(2));
}

#[test]
fn somebody_who_types_is_waited_for() {
    let parts = [
        Part::new("stdin", [0.0, 1.0, 0.0, 0.0]).on(Medium::Terminal),
        Part::new("upper", [0.0, 0.0, 0.0, 1.0]),
        Part::new("stdout", [0.0, 0.0, 0.0, 1.0]).on(Medium::Terminal),
    ];
    assert_eq!(words(&chain(9.0, &parts)), "limited by stdin (waiting for the terminal)");
}

#[test]
fn a_slow_pipe_is_waited_for() {
    let parts = [
        Part::new("stdin", [0.02, 0.98, 0.0, 0.0]).on(Medium::Pipe),
        Part::new("write", [0.02, 0.0, 0.0, 0.98]),
    ];
    let reading = chain(9.0, &parts);
    assert_eq!(words(&reading), "limited by stdin (waiting for the pipe); next would be write (computing)");
    assert!(matches!(judge(&reading, None).advice, Advice::Try(_)));
}

#[test]
fn a_throttle_limits_as_asked() {
    let mut throttle = Part::new("throttle", [0.01, 0.97, 0.0, 0.02]).on(Medium::Clock);
    throttle.label = "10M/s";
    let parts =
        [Part::new("read", [0.05, 0.0, 0.95, 0.0]), throttle, Part::new("write", [0.02, 0.0, 0.0, 0.98])];
    let reading = chain(5.0, &parts);
    assert_eq!(words(&reading), "limited by throttle 10M/s, as asked; next would be read (computing)");
    assert_eq!(judge(&reading, None).mark().as_deref(), Some("as asked"));
}

/// `read | tee { gzip | write } | hash`: the branch's parts, and the onward stage's.
fn teed(gzip: [f64; 4], write: [f64; 4], hash: [f64; 4]) -> Reading {
    let branch = |part: Part| Part { depth: 1, ..part };
    let parts = [
        Part::new("read", [0.1, 0.0, 0.9, 0.0]),
        Part::new("tee", [0.02, 0.0, 0.93, 0.05]),
        branch(Part::new("gzip", gzip)),
        branch(Part::new("write", write)).on(Medium::Disk),
        Part::new("hash", hash),
    ];
    tree(4.0, &parts, &[(0, 1), (1, 4), (1, 2), (2, 3)])
}

#[test]
fn a_branch_that_computes_is_named() {
    let reading = teed([0.98, 0.0, 0.0, 0.02], [0.1, 0.0, 0.0, 0.9], [0.3, 0.0, 0.0, 0.7]);
    assert_eq!(words(&reading), "limited by gzip (computing); next would be hash (computing)");
}

#[test]
fn the_sink_of_a_branch_that_waits_is_named() {
    let reading = teed([0.2, 0.0, 0.78, 0.02], [0.05, 0.94, 0.0, 0.01], [0.3, 0.0, 0.0, 0.7]);
    assert_eq!(judge(&reading, None).limiting(), Some(3));
}

#[test]
fn the_stage_behind_a_tee_is_named() {
    let reading = teed([0.2, 0.0, 0.0, 0.8], [0.05, 0.1, 0.0, 0.85], [0.97, 0.0, 0.0, 0.03]);
    assert_eq!(judge(&reading, None).limiting(), Some(4));
}

#[test]
fn two_equal_stages_are_balanced() {
    let reading = chain(2.0, &three([0.05, 0.0, 0.95, 0.0], [0.95, 0.0, 0.04, 0.01], [0.93, 0.0, 0.0, 0.07]));
    assert_eq!(judge(&reading, None).finding, Finding::Balanced(Balance::Even));
    assert_eq!(words(&reading), "balanced: no stage is slower than the rest");
}

#[test]
fn of_two_busy_stages_the_one_behind_a_filling_link_is_slower() {
    let parts = three([1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.1, 0.0, 0.0, 0.9]);
    let mut reading = chain(2.0, &parts);
    reading.links[0].bytes_out /= 2;
    assert_eq!(judge(&reading, None).limiting(), Some(1), "the link fills");
    let mut draining = chain(2.0, &parts);
    draining.links[0].bytes_in /= 2;
    assert_eq!(judge(&draining, None).limiting(), Some(0), "the link drains");
}

#[test]
fn stages_that_wait_for_each_other_by_turns_need_a_larger_buffer() {
    let reading = chain(2.0, &three([0.4, 0.05, 0.55, 0.0], [0.4, 0.0, 0.3, 0.3], [0.3, 0.1, 0.0, 0.6]));
    let verdict = judge(&reading, None);
    assert_eq!(verdict.finding, Finding::Balanced(Balance::ByTurns));
    assert_eq!(verdict.advice_line().as_deref(), Some("try: a larger --buffer"));
}

#[test]
fn a_stage_that_is_half_starved_is_not_blamed_for_its_source() {
    let reading = chain(2.0, &three([0.1, 0.85, 0.05, 0.0], [0.55, 0.0, 0.0, 0.45], [0.1, 0.0, 0.0, 0.9]));
    assert_eq!(judge(&reading, None).limiting(), Some(0));
}

#[test]
fn stages_that_queue_for_cores_need_more_of_them() {
    let queueing = |name| Part { queued: 0.5, ..Part::new(name, [0.96, 0.0, 0.02, 0.02]) };
    let parts = [queueing("a"), queueing("b"), queueing("c"), queueing("d")];
    let verdict = judge(&chain(2.0, &parts), None);
    assert_eq!(verdict.finding, Finding::Balanced(Balance::ShortOfCores));
    assert_eq!(verdict.advice_line().as_deref(), Some("try: more cores"));
}

#[test]
fn one_stage_that_queues_for_cores_is_named_with_the_reason() {
    let mut parts = three([0.1, 0.0, 0.9, 0.0], [0.99, 0.0, 0.0, 0.01], [0.1, 0.0, 0.0, 0.9]);
    parts[1].queued = 0.6;
    assert_eq!(
        words(&chain(2.0, &parts)),
        "limited by gzip (computing, short of cores); next would be write (computing)"
    );
}

#[test]
fn a_stage_that_ended_early_does_not_limit() {
    // The source was at work for the first tenth of the stretch, and then gone.
    let reading = chain(2.0, &three([0.1, 0.0, 0.0, 0.0], [0.98, 0.0, 0.0, 0.02], [0.05, 0.0, 0.0, 0.95]));
    assert_eq!(judge(&reading, None).limiting(), Some(1));
}

#[test]
fn a_stage_that_limited_most_of_the_stretch_is_named_after_its_end() {
    let reading = chain(2.0, &three([0.8, 0.0, 0.0, 0.0], [0.2, 0.0, 0.0, 0.8], [0.05, 0.0, 0.0, 0.95]));
    assert_eq!(judge(&reading, None).limiting(), Some(0));
}

/// `read | exec | write` where exec has two rows.
fn duplex(out: [f64; 4], back: [f64; 4], source: [f64; 4], sink: [f64; 4]) -> Reading {
    let parts = [
        Part::new("read", source).on(Medium::Pipe),
        Part::new("exec", out).on(Medium::Child),
        Part::new("exec", back).on(Medium::Child),
        Part::new("write", sink).on(Medium::Disk),
    ];
    let mut reading = tree(3.0, &parts, &[(0, 1), (2, 3)]);
    alter(&mut reading, |scheme| scheme.stages[1].returns = Some(2));
    reading
}

#[test]
fn a_child_that_computes_is_waited_for() {
    let reading =
        duplex([0.01, 0.97, 0.0, 0.02], [0.01, 0.99, 0.0, 0.0], [0.02, 0.0, 0.98, 0.0], [0.1, 0.0, 0.0, 0.9]);
    assert_eq!(words(&reading), "limited by exec (waiting for its child); next would be write (computing)");
}

#[test]
fn a_child_that_was_given_nothing_is_not_blamed() {
    let reading =
        duplex([0.01, 0.01, 0.0, 0.98], [0.01, 0.99, 0.0, 0.0], [0.02, 0.98, 0.0, 0.0], [0.1, 0.0, 0.0, 0.9]);
    assert_eq!(judge(&reading, None).limiting(), Some(0));
}

#[test]
fn a_child_whose_answers_nobody_takes_is_not_blamed() {
    let reading = duplex(
        [0.01, 0.98, 0.0, 0.01],
        [0.01, 0.03, 0.96, 0.0],
        [0.02, 0.0, 0.98, 0.0],
        [0.1, 0.9, 0.0, 0.0],
    );
    assert_eq!(judge(&reading, None).limiting(), Some(3));
}

#[test]
fn of_two_that_work_before_and_behind_a_child_the_link_tells_the_slower() {
    let mut reading = duplex(
        [0.97, 0.0, 0.03, 0.0],
        [0.02, 0.1, 0.0, 0.88],
        [0.02, 0.1, 0.88, 0.0],
        [0.97, 0.0, 0.0, 0.03],
    );
    assert_eq!(judge(&reading, None).limiting(), None);
    reading.links[1].bytes_out = reading.links[1].bytes_in / 2;
    assert_eq!(judge(&reading, None).limiting(), Some(3));
}

#[test]
fn a_short_run_has_no_verdict() {
    let parts = three([1.0, 0.0, 0.0, 0.0], [0.1, 0.0, 0.0, 0.9], [0.1, 0.0, 0.0, 0.9]);
    let reading = chain(0.015, &parts);
    assert_eq!(judge(&reading, None).finding, Finding::TooShort);
    assert_eq!(words(&reading), "");
    assert_eq!(judge(&Reading::default(), None).finding, Finding::TooShort);
}

#[test]
fn a_run_that_waits_for_its_first_byte_names_no_limit() {
    let mut source = Part::new("read", [0.0, 1.0, 0.0, 0.0]).on(Medium::Opener);
    source.bytes = 0;
    source.label = "fifo";
    let parts = [source, Part::new("write", [0.0, 0.0, 0.0, 1.0])];
    let reading = chain(2.0, &parts);
    assert_eq!(judge(&reading, None).limiting(), None);
    assert_eq!(
        words(&reading),
        "nothing has moved yet: read fifo is waiting for somebody to open the other end"
    );
}

#[test]
fn a_single_stage_is_its_own_limit() {
    let reading = chain(1.0, &[Part::new("serve", [0.1, 0.9, 0.0, 0.0]).on(Medium::Socket)]);
    assert_eq!(words(&reading), "limited by serve (waiting for its peer)");
}

#[test]
fn only_the_stretch_since_the_earlier_reading_counts() {
    let before = chain(5.0, &three([0.05, 0.0, 0.95, 0.0], [1.0, 0.0, 0.0, 0.0], [0.1, 0.0, 0.0, 0.9]));
    let mut now = before.clone();
    now.at_nanos += 2_000_000_000;
    now.stages[0].on_core_nanos += 100_000_000;
    now.links[0].starve.since_nanos = before.at_nanos;
    now.links[1].starve.since_nanos = before.at_nanos;
    assert_eq!(judge(&now, Some(&before)).limiting(), Some(0));
    assert_eq!(judge(&now, None).limiting(), Some(1));
}

#[test]
fn a_name_cannot_give_orders_to_a_terminal() {
    let mut source = Part::new("read", [0.0, 1.0, 0.0, 0.0]).on(Medium::Disk);
    source.label = "\u{1b}[2J\n\u{202e}";
    let line = words(&chain(1.0, &[source, Part::new("write", [0.0, 0.0, 0.0, 1.0])]));
    assert_eq!(line, "limited by read \\x1b[2J\\n\\u{202e} (waiting for the disk)");
}

fn any_nanos() -> impl Strategy<Value = u64> {
    proptest::prop_oneof![0..10_000_000_000_u64, 0..40_000_000_u64, any::<u64>().prop_map(|n| n >> 2)]
}

/// Chains and trees of up to six stages with counters that need not make sense.
pub(crate) fn any_reading() -> impl Strategy<Value = Reading> {
    let stage = (any_nanos(), any_nanos(), any_nanos(), any_nanos(), 0..3_u8);
    let link = (any_nanos(), any_nanos(), any_nanos(), any_nanos(), 0.0..1e12_f64);
    let rows = proptest::collection::vec((stage, link, any::<usize>()), 1..7);
    (any_nanos(), rows).prop_map(|(at, rows)| {
        let mut reading = Reading { at_nanos: at, started_nanos: START_NANOS.min(at), ..Reading::default() };
        let mut scheme = Scheme { total_bytes: (at % 3 == 0).then_some(at / 7), ..Scheme::default() };
        for (index, ((core, queued, worked, ended, end), (bytes, fill, stall, since, area), parent)) in
            rows.into_iter().enumerate()
        {
            let input = (index > 0).then(|| {
                let from = parent % index;
                scheme.stages[from].outputs.push(index - 1);
                scheme.links.push(LinkInfo { from, to: index, high_bytes: fill % 3 * 1000 });
                index - 1
            });
            let name = if end == 2 { "漢\u{1b}字" } else { "stage" };
            scheme.stages.push(StageInfo {
                name: name.to_string(),
                label: "l".repeat(parent % 50),
                depth: parent % 3,
                input,
                ..StageInfo::default()
            });
            reading.stages.push(StageReading {
                started_nanos: if end == 1 { 0 } else { START_NANOS },
                ended_nanos: if end == 0 { ended } else { 0 },
                on_core_nanos: core,
                queued_nanos: queued,
                system_nanos: worked,
                worked_nanos: worked,
                bytes_read: bytes,
                ..StageReading::default()
            });
            if index > 0 {
                let stall = Episodes { count: stall, nanos: stall, since_nanos: since };
                reading.links.push(LinkReading {
                    bytes_in: bytes,
                    bytes_out: fill,
                    fill_bytes: fill,
                    fill_byte_seconds: area,
                    stall,
                    starve: Episodes { since_nanos: stall.nanos, nanos: since, ..stall },
                    ..LinkReading::default()
                });
            }
        }
        reading.scheme = Arc::new(scheme);
        reading
    })
}

proptest! {
    #[test]
    fn whatever_the_readings_nobody_is_named_who_mostly_waits_for_others(
        now in any_reading(), earlier in proptest::option::of(any_reading())
    ) {
        let mut earlier = earlier;
        if let Some(earlier) = &mut earlier {
            earlier.scheme = Arc::clone(&now.scheme);
            earlier.stages.resize(now.stages.len(), StageReading::default());
            earlier.links.resize(now.links.len(), LinkReading::default());
        }
        let verdict = judge(&now, earlier.as_ref());
        if let Some(words) = verdict.words(&now.scheme) {
            prop_assert!(!words.is_empty() && !words.contains('\n'));
        }
        let _ = (verdict.mark(), verdict.advice_line());
        if let Some(stage) = verdict.limiting() {
            let share = now.share(earlier.as_ref(), stage);
            prop_assert!(share.fraction(share.stalled_nanos + share.starved_nanos) <= 0.5, "{share:?}");
        }
    }
}
