//! Whole runs of scripted stages: they spin, sleep, give, take, fail and panic as told, and note the truth about it.
//! What the engine accounts and reports is compared with that truth.

use super::process::Process;
use super::report::{Outcome, Report};
use super::start::{Settings, start};
use crate::exit::Exit;
use crate::flow::CHUNK_BYTES;
use crate::lang;
use crate::plan::{self, Plan};
use crate::stage::{Became, Body, Commit, Context, Entry, Fault, Opening, Peer, Published, Role, Stage};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One step of a script: `spin:20`, `sleep:20` (milliseconds), `give:8`, `take:8` (chunks), `take:all`, `fail`, `panic`.
#[derive(Debug, Clone, Copy)]
enum Step {
    Spin(Duration),
    Sleep(Duration),
    Give(usize),
    Take(usize),
    Fail,
    Panic,
}

fn step(text: &str) -> Result<Step, String> {
    let (name, number) = text.split_once(':').unwrap_or((text, "0"));
    let number = if number == "all" { usize::MAX } else { number.parse().map_err(|_| text.to_owned())? };
    let time = Duration::from_millis(number as u64);
    Ok(match name {
        "spin" => Step::Spin(time),
        "sleep" => Step::Sleep(time),
        "give" => Step::Give(number),
        "take" => Step::Take(number),
        "fail" => Step::Fail,
        "panic" => Step::Panic,
        _ => return Err(text.to_owned()),
    })
}

/// Follow a script as a source
#[derive(Debug, Clone, clap::Parser)]
struct GiveScript {
    #[arg(long)]
    commit: bool,
    #[arg(value_parser = step)]
    steps: Vec<Step>,
}

/// Follow a script as a filter
#[derive(Debug, Clone, clap::Parser)]
struct FilterScript {
    #[arg(value_parser = step)]
    steps: Vec<Step>,
}

/// Follow a script as a sink
#[derive(Debug, Clone, clap::Parser)]
struct TakeScript {
    #[arg(long)]
    commit: bool,
    #[arg(value_parser = step)]
    steps: Vec<Step>,
}

/// Follow a script on each of two ways
#[derive(Debug, Clone, clap::Parser)]
struct TalkScript {
    #[arg(long, value_parser = step, value_delimiter = ',')]
    out: Vec<Step>,
    #[arg(long, value_parser = step, value_delimiter = ',')]
    back: Vec<Step>,
}

/// What happened to commits, by thread of the test that looks: each test runs its own engine.
type Log = Arc<Mutex<Vec<&'static str>>>;

thread_local! {
    static LOG: Log = Log::default();
}

struct Noted(Log);

impl Noted {
    fn note(&self, step: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }
}

impl Commit for Noted {
    fn destination(&self) -> PathBuf {
        "out".into()
    }
    fn prepare(&mut self, _run: Published) -> anyhow::Result<()> {
        Ok(())
    }
    fn publish(&mut self, _run: Published) -> anyhow::Result<()> {
        self.note("published");
        Ok(())
    }
    fn revoke(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
    fn settle(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
    fn discard(&mut self) -> anyhow::Result<()> {
        self.note("discarded");
        Ok(())
    }
    fn became(&self) -> Became {
        Became::Untouched
    }
}

/// The truth about a script: how long it did what.
#[derive(Debug, Clone, Copy, Default)]
struct Truth {
    spun: Duration,
    slept: Duration,
    gave: Duration,
    took: Duration,
}

static TRUTHS: LazyLock<Mutex<Vec<(String, Truth)>>> = LazyLock::new(Mutex::default);

fn follow(
    steps: &[Step],
    mut give: impl FnMut() -> anyhow::Result<()>,
    mut take: impl FnMut() -> anyhow::Result<bool>,
    context: &Context,
) -> anyhow::Result<Truth> {
    let mut truth = Truth::default();
    for step in steps {
        let begin = Instant::now();
        match *step {
            Step::Spin(time) => {
                while begin.elapsed() < time {
                    std::hint::black_box(());
                }
                truth.spun += begin.elapsed();
            }
            Step::Sleep(time) => {
                context.sleep(time)?;
                truth.slept += begin.elapsed();
            }
            Step::Give(chunks) => {
                for _ in 0..chunks {
                    give()?;
                }
                truth.gave += begin.elapsed();
            }
            Step::Take(chunks) => {
                for _ in 0..chunks {
                    if !take()? {
                        break;
                    }
                }
                truth.took += begin.elapsed();
            }
            Step::Fail => return Err(Fault::refused("failed as told").into()),
            Step::Panic => panic!("panicked as told"),
        }
    }
    Ok(truth)
}

fn tell_truth(steps: &[Step], truth: Truth) {
    TRUTHS.lock().unwrap().push((format!("{steps:?}"), truth));
}

fn truth_of(words: &str) -> Truth {
    let steps: Vec<Step> = words.split_whitespace().map(|word| step(word).unwrap()).collect();
    let wanted = format!("{steps:?}");
    let truths = TRUTHS.lock().unwrap();
    truths.iter().rev().find(|(script, _)| *script == wanted).unwrap().1
}

fn full(outlet: &mut crate::flow::Outlet) -> anyhow::Result<()> {
    let mut chunk = outlet.chunk();
    chunk.fill(CHUNK_BYTES);
    Ok(outlet.send(chunk)?)
}

impl Stage for GiveScript {
    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        if self.commit {
            opening.commit(Box::new(Noted(LOG.with(Arc::clone))));
        }
        Ok(Body::source(move |outlet, context| {
            let truth = follow(&self.steps, || full(outlet), || Ok(false), context)?;
            tell_truth(&self.steps, truth);
            Ok(())
        }))
    }
}

impl Stage for FilterScript {
    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(Body::filter(move |inlet, outlet, context| {
            let truth = follow(&self.steps, || full(outlet), || Ok(inlet.next_chunk()?.is_some()), context)?;
            tell_truth(&self.steps, truth);
            Ok(())
        }))
    }
}

impl Stage for TakeScript {
    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        if self.commit {
            opening.commit(Box::new(Noted(LOG.with(Arc::clone))));
        }
        Ok(Body::sink(move |inlet, context| {
            let truth = follow(&self.steps, || Ok(()), || Ok(inlet.next_chunk()?.is_some()), context)?;
            tell_truth(&self.steps, truth);
            Ok(())
        }))
    }
}

impl Stage for TalkScript {
    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        assert!(opening.has_input);
        let TalkScript { out, back } = *self;
        Ok(Body::duplex(
            move |inlet, context| {
                follow(&out, || Ok(()), || Ok(inlet.next_chunk()?.is_some()), context).map(drop)
            },
            move |outlet, context| follow(&back, || full(outlet), || Ok(false), context).map(drop),
        ))
    }
}

const fn with_peer(mut entry: Entry) -> Entry {
    entry.peer = Peer::SelfReliant;
    entry
}

static TABLE: &[Entry] = &[
    Entry::of::<FilterScript>("filter", Role::Filter),
    Entry::of::<GiveScript>("give", Role::Source),
    Entry::of::<TakeScript>("take", Role::Sink),
    with_peer(Entry::of::<TalkScript>("talk", Role::Filter)),
];

fn run(chain: &str) -> (Report, Vec<&'static str>) {
    run_with(chain, &Settings::default())
}

fn run_with(chain: &str, settings: &Settings) -> (Report, Vec<&'static str>) {
    static PROCESS: LazyLock<Process> = LazyLock::new(|| Process::attach().unwrap());
    LOG.with(|log| log.lock().unwrap().clear());
    let chain = lang::parse(chain.as_bytes()).unwrap();
    let plan = Plan::new(&chain, TABLE, plan::Settings::with_buffer(4 * CHUNK_BYTES as u64)).unwrap();
    super::quiet_panics();
    let report = match start(plan, &PROCESS, settings) {
        Ok(running) => running.wait(&mut |_| {}),
        Err(report) => *report,
    };
    (report, LOG.with(|log| log.lock().unwrap().clone()))
}

/// Whether `nanos` is the truth, give or take 5 % of the run.
#[track_caller]
fn assert_close(what: &str, nanos: u64, truth: Duration, report: &Report) {
    let wall = report.reading.elapsed_nanos();
    let off = nanos.abs_diff(u64::try_from(truth.as_nanos()).unwrap());
    assert!(off * 20 <= wall, "{what}: {nanos} ns accounted, {truth:?} in truth, of {wall} ns");
}

#[test]
fn spinning_and_sleeping_are_busy_and_waiting() {
    let (report, _) = run("give spin:150 sleep:150 give:1 | take take:all");
    let truth = truth_of("spin:150 sleep:150 give:1");
    let share = report.reading.share(None, 0);
    assert_close("busy", share.busy_nanos, truth.spun, &report);
    assert_close("waiting", share.waiting_nanos, truth.slept, &report);
    assert_close("starved", report.reading.share(None, 1).starved_nanos, truth.spun + truth.slept, &report);
}

#[test]
fn a_writer_before_a_sleeping_reader_is_stalled_and_counted_once() {
    let (report, _) = run("give give:12 | take sleep:300 take:all");
    let truth = truth_of("give:12");
    let (share, link) = (report.reading.share(None, 0), report.reading.links[0]);
    assert_close("stalled", share.stalled_nanos, truth.gave, &report);
    assert!(link.stall.nanos >= 250_000_000, "{link:?}");
    assert_eq!((link.bytes_in, link.bytes_out), (12 * CHUNK_BYTES as u64, 12 * CHUNK_BYTES as u64));
    assert!(link.stall.count <= 5 && link.stall.count >= 1, "{link:?}");
}

#[test]
fn scripted_stalls_are_counted_exactly() {
    // Four chunks fill the link, and it drains at two. Each round: the writer fills it and waits, the reader empties it.
    let reader = "sleep:40 take:4 ".repeat(5);
    let (report, _) = run(&format!("give give:20 sleep:5 give:1 | take {reader} take:all"));
    let link = report.reading.links[0];
    assert_eq!(link.bytes_out, 21 * CHUNK_BYTES as u64);
    // After taking four of the four chunks the writer has put in what it still had room for, then waits again.
    assert!((5..=9).contains(&link.stall.count), "{link:?}");
}

#[test]
fn a_reader_behind_a_slow_writer_is_starved_once_for_each_wait() {
    let writer = "sleep:40 give:1 ".repeat(6);
    let (report, _) = run(&format!("give {writer} | take take:all"));
    let link = report.reading.links[0];
    assert_eq!(link.starve.count, 6 + u64::from(link.starve.count == 7), "{link:?}");
    assert_close("starved", link.starve.nanos, truth_of(&writer).slept, &report);
    assert_eq!(link.stall.count, 0);
}

#[test]
fn the_parts_of_every_stage_add_up_to_the_run() {
    let (report, _) = run(
        "give spin:30 give:20 | filter take:5 sleep:30 give:30 spin:20 take:all | take sleep:40 take:all",
    );
    for stage in 0..3 {
        let share = report.reading.share(None, stage);
        let sum = share.busy_nanos
            + share.waiting_nanos
            + share.stalled_nanos
            + share.starved_nanos
            + share.absent_nanos;
        assert_eq!(sum, share.wall_nanos);
    }
}

#[test]
fn commits_are_published_when_every_stage_ended_well() {
    let (report, log) = run("give --commit give:3 | filter take:all give:1 | take --commit take:all");
    assert_eq!((report.outcome, log), (Outcome::Done, vec!["published", "published"]));
}

#[test]
fn a_reader_with_enough_is_no_failure_wherever_it_stands() {
    for chain in [
        "give --commit give:1000 | filter take:all give:1 | take --commit take:1",
        "give --commit give:1000 | filter take:3 give:2 | take --commit take:all",
        "give --commit give:1000 | filter take:3 give:1000 | filter take:2 give:1 | take --commit take:all",
    ] {
        let (report, _) = run(chain);
        assert_eq!((report.outcome, report.failures.len()), (Outcome::Done, 0), "{chain}");
    }
}

#[test]
fn a_failure_anywhere_publishes_nothing_and_is_named_alone() {
    for (stage, chain) in [
        (0, "give give:10 fail | filter take:all give:1 | take --commit take:all"),
        (1, "give give:1000 | filter take:2 fail | take --commit take:all"),
        (2, "give give:1000 | filter take:2 give:2 take:all | take --commit take:1 fail"),
    ] {
        let (report, log) = run(chain);
        assert_eq!(report.outcome, Outcome::Failed(Exit::Refused), "{chain}");
        assert_eq!(report.failures.len(), 1, "{chain}: {:?}", report.failures);
        assert_eq!((report.failures[0].stage, log), (Some(stage), vec!["discarded"]), "{chain}");
    }
}

#[test]
fn a_panic_is_an_internal_error_and_never_an_end_of_file() {
    for (stage, chain) in [
        (0, "give give:2 panic | filter take:all give:1 | take --commit take:all"),
        (1, "give give:1000 | filter take:2 give:1 panic | take --commit take:all"),
        (2, "give give:1000 | filter take:2 give:2 take:all | take --commit take:1 panic"),
    ] {
        let (report, log) = run(chain);
        assert_eq!(report.outcome, Outcome::Failed(Exit::Internal), "{chain}");
        assert_eq!((report.failures.len(), report.failures[0].stage), (1, Some(stage)), "{chain}");
        assert!(report.failures[0].message.contains("panicked as told"), "{:?}", report.failures);
        assert_eq!(log, ["discarded"], "{chain}");
    }
}

#[test]
fn the_first_failure_in_time_is_the_first_reported() {
    let (report, _) = run("give sleep:200 fail | take spin:1 fail");
    assert_eq!(report.failures[0].stage, Some(1));
}

#[test]
fn a_sleeping_source_hears_at_once_that_nobody_wants_more() {
    let begin = Instant::now();
    let (report, _) = run("give give:1 sleep:30000 give:1 | take take:1");
    assert_eq!(report.outcome, Outcome::Done);
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_run_at_rest_is_given_up_and_published_nowhere() {
    let settings = Settings { stall_timeout: Some(Duration::from_millis(200)), ..Settings::default() };
    let (report, log) = run_with("give give:1 sleep:30000 | take --commit take:all", &settings);
    assert_eq!((report.outcome, log), (Outcome::Stalled, vec!["discarded"]));
}

#[test]
fn both_ways_of_a_duplex_run_at_once() {
    // The way back ends last: its end is the end of the peer.
    let talk = "talk --out sleep:1000,take:all --back sleep:1000,give:3,sleep:500";
    let (report, log) = run(&format!("give give:2 | {talk} | take --commit take:all"));
    assert_eq!((report.outcome, log), (Outcome::Done, vec!["published"]));
    assert_eq!(
        [report.reading.bytes_in(1), report.reading.bytes_out(2)],
        [2, 3].map(|n| n * CHUNK_BYTES as u64)
    );
    let waited = |row| report.reading.share(None, row).waiting_nanos;
    assert!(waited(1) >= 800_000_000 && waited(2) >= 800_000_000);
    assert!(report.reading.elapsed_nanos() < 2_400_000_000, "one after the other");
}

#[test]
fn the_end_of_a_peer_and_a_hang_up_behind_it_reach_a_silent_source() {
    for talk in [
        "talk --out take:all --back give:1 | take --commit take:all",
        "talk --out sleep:30000 --back give:1 | take --commit take:all",
        "talk --out take:all --back give:1,sleep:30000 | take --commit take:1",
        "talk --out take:all --back give:1000 | filter take:all give:1 | take --commit take:1",
        "talk --out take:all --back give:1 | talk --out take:1 --back sleep:100 | take --commit take:all",
    ] {
        let begin = Instant::now();
        let (report, log) = run(&format!("give give:1 sleep:30000 give:1 | {talk}"));
        assert_eq!((report.outcome, log), (Outcome::Done, vec!["published"]), "{talk}");
        assert!(report.failures.is_empty() && begin.elapsed() < Duration::from_secs(5), "{talk}");
    }
}

#[test]
fn a_failure_on_either_way_of_a_duplex_is_one_of_its_stage() {
    for (stage, chain) in [
        (0, "give give:1 fail | talk --out take:all --back sleep:30000 | take --commit take:all"),
        (1, "give give:9 | talk --out take:2,fail --back sleep:30000 | take --commit take:all"),
        (1, "give give:9 | talk --out take:2,panic --back give:1,sleep:30000 | take --commit take:all"),
        (2, "give give:1 sleep:30000 | talk --out take:all --back give:1,fail | take --commit take:all"),
        (2, "give give:1 sleep:30000 | talk --out sleep:30000 --back panic | take --commit take:all"),
        (
            3,
            "give give:1 sleep:30000 | talk --out take:all --back give:1,sleep:30000 | take --commit take:1 fail",
        ),
    ] {
        let begin = Instant::now();
        let (report, log) = run(chain);
        assert!(matches!(report.outcome, Outcome::Failed(_)), "{chain}: {:?}", report.outcome);
        assert_eq!((report.failures.len(), report.failures[0].stage), (1, Some(stage)), "{chain}");
        assert_eq!(log, ["discarded"], "{chain}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{chain}");
    }
}
