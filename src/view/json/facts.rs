//! What a line of JSON tells of a run: the structs are the schema, in the order in which their names appear.
//! Pure: nothing is counted or judged here, only named.

use crate::engine::{Outcome, OutputState, Report};
use crate::flow::{BatchReading, LinkReading, Medium, Reading, RunReading, ServerReading};
use crate::verdict::{Advice, Balance, Finding, Limit, State, Verdict, judge};
use crate::view::failure::{Place, ended_by};
use crate::view::progress::{Left, Progress};
use crate::view::runs::moved;
use nix::sys::signal::Signal;
use serde::Serialize;

/// How a run stands.
#[derive(Serialize)]
pub(super) struct Facts<'a> {
    elapsed_nanos: u64,
    /// What rates, averages and the verdict are about: the last so many nanoseconds.
    stretch_nanos: u64,
    /// How much of the input has been taken.
    taken_bytes: u64,
    total_bytes: Option<u64>,
    percent: Option<f64>,
    left_nanos: Option<u64>,
    bytes_per_second: u64,
    stages: Vec<Stage<'a>>,
    links: Vec<Link>,
    server: Option<Server<'a>>,
    batch: Option<Batch<'a>>,
    verdict: Option<Judgement<'a>>,
}

#[derive(Serialize)]
struct Stage<'a> {
    index: usize,
    name: &'a str,
    label: &'a str,
    depth: usize,
    input: Option<usize>,
    outputs: &'a [usize],
    returns: Option<usize>,
    in_bytes: u64,
    out_bytes: u64,
    in_bytes_per_second: u64,
    out_bytes_per_second: u64,
    busy_nanos: u64,
    waiting_nanos: u64,
    stalled_nanos: u64,
    starved_nanos: u64,
    absent_nanos: u64,
    on_core_nanos: u64,
    system_nanos: u64,
    queued_nanos: u64,
    worked_nanos: u64,
    medium: &'static str,
    caveat: Option<&'static str>,
}

#[derive(Serialize)]
struct Link {
    index: usize,
    from: usize,
    to: usize,
    high_bytes: u64,
    fill_bytes: u64,
    fill_average_bytes: u64,
    fill_max_bytes: u64,
    in_bytes: u64,
    out_bytes: u64,
    stalls: u64,
    stalled_nanos: u64,
    starves: u64,
    starved_nanos: u64,
}

#[derive(Serialize)]
struct Server<'a> {
    connections: u64,
    connections_open: u64,
    runs: u64,
    runs_open: u64,
    runs_failed: u64,
    in_bytes: u64,
    out_bytes: u64,
    in_bytes_per_second: u64,
    out_bytes_per_second: u64,
    busiest: Vec<Served<'a>>,
}

#[derive(Serialize)]
struct Batch<'a> {
    runs_open: u64,
    runs_ended: u64,
    runs_failed: u64,
    busiest: Vec<Served<'a>>,
}

#[derive(Serialize)]
struct Served<'a> {
    name: &'a str,
    elapsed_nanos: u64,
    moved_bytes: u64,
    words: Option<String>,
}

#[derive(Serialize)]
struct Judgement<'a> {
    finding: &'static str,
    balance: Option<&'static str>,
    limit: Option<Limiting<'a>>,
    next: Option<Limiting<'a>>,
    advice: Vec<&'static str>,
    settled: Option<&'static str>,
    words: Option<String>,
    advice_words: Option<String>,
}

#[derive(Serialize)]
struct Limiting<'a> {
    stage: usize,
    name: &'a str,
    state: &'static str,
    medium: Option<&'static str>,
    cores_used: Option<usize>,
    cores_allowed: Option<usize>,
    own: f64,
}

/// How a run ended.
#[derive(Serialize)]
pub(super) struct End<'a> {
    outcome: &'static str,
    exit_code: i32,
    signal: Option<String>,
    message: Option<String>,
    failures: Vec<Failed<'a>>,
    outputs: Vec<Output<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Failed<'a> {
    stage: Option<usize>,
    place: Option<&'a str>,
    message: &'a str,
    help: Option<&'a str>,
    exit_code: u8,
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'a str,
    state: &'static str,
    partial_bytes: Option<u64>,
    message: Option<&'a str>,
}

/// From bytes to bytes per second, over the stretch.
type Rate<'a> = &'a dyn Fn(u64, Option<u64>) -> u64;

impl<'a> Facts<'a> {
    /// Of the moment `now`; rates, averages and verdict of the time since `earlier`, which is of the same run.
    pub(super) fn of(now: &'a Reading, earlier: Option<&Reading>) -> Facts<'a> {
        let begin = earlier.map_or(now.started_nanos, |earlier| earlier.at_nanos);
        let stretch_nanos = now.at_nanos.saturating_sub(begin);
        let rate = |bytes: u64, before: Option<u64>| {
            let grown = bytes.saturating_sub(before.unwrap_or(0)) as f64;
            // The cast saturates.
            if stretch_nanos == 0 { 0 } else { (grown / (stretch_nanos as f64 / 1e9)).round() as u64 }
        };
        let progress = Progress::of(now, earlier);
        let left_nanos = match progress.left {
            Left::Time(time) => u64::try_from(time.as_nanos()).ok(),
            Left::Unknown | Left::Finishing => None,
        };
        let is_one = now.server.is_none() && now.batch.is_none();
        let verdict = is_one.then(|| Judgement::of(judge(now, earlier), now));
        Facts {
            elapsed_nanos: now.elapsed_nanos(),
            stretch_nanos,
            taken_bytes: progress.taken_bytes,
            total_bytes: now.total_bytes(),
            percent: progress.done.map(|done| (done * 10_000.0).round() / 100.0),
            left_nanos,
            bytes_per_second: progress.bytes_per_second.round() as u64,
            stages: (0..now.stages.len()).map(|index| Stage::of(index, now, earlier, &rate)).collect(),
            links: (0..now.links.len()).map(|index| Link::of(index, now, earlier)).collect(),
            server: now
                .server
                .as_ref()
                .map(|server| Server::of(server, earlier.and_then(|earlier| earlier.server.as_ref()), &rate)),
            batch: now.batch.as_ref().map(Batch::of),
            verdict,
        }
    }
}

impl<'a> Stage<'a> {
    fn of(index: usize, now: &'a Reading, earlier: Option<&Reading>, rate: Rate<'_>) -> Stage<'a> {
        let (info, stage) = (&now.scheme.stages[index], &now.stages[index]);
        let share = now.share(None, index);
        let (in_bytes, out_bytes) = (now.bytes_in(index), now.bytes_out(index));
        Stage {
            index,
            name: &info.name,
            label: &info.label,
            depth: info.depth,
            input: info.input,
            outputs: &info.outputs,
            returns: info.returns,
            in_bytes,
            out_bytes,
            in_bytes_per_second: rate(in_bytes, earlier.map(|earlier| earlier.bytes_in(index))),
            out_bytes_per_second: rate(out_bytes, earlier.map(|earlier| earlier.bytes_out(index))),
            busy_nanos: share.busy_nanos,
            waiting_nanos: share.waiting_nanos,
            stalled_nanos: share.stalled_nanos,
            starved_nanos: share.starved_nanos,
            absent_nanos: share.absent_nanos,
            on_core_nanos: share.on_core_nanos,
            system_nanos: share.system_nanos,
            queued_nanos: share.queued_nanos,
            worked_nanos: share.worked_nanos,
            medium: medium(stage.medium),
            caveat: info.caveat,
        }
    }
}

impl Link {
    fn of(index: usize, now: &Reading, earlier: Option<&Reading>) -> Link {
        let info = &now.scheme.links[index];
        let LinkReading { bytes_in, bytes_out, fill_bytes, fill_max_bytes, stall, starve, .. } =
            now.links[index];
        Link {
            index,
            from: info.from,
            to: info.to,
            high_bytes: now.high_bytes(index),
            fill_bytes,
            fill_average_bytes: now.fill_average_bytes(earlier, index).round() as u64,
            fill_max_bytes,
            in_bytes: bytes_in,
            out_bytes: bytes_out,
            stalls: stall.count,
            stalled_nanos: stall.total_nanos(now.at_nanos),
            starves: starve.count,
            starved_nanos: starve.total_nanos(now.at_nanos),
        }
    }
}

impl<'a> Server<'a> {
    fn of(now: &'a ServerReading, earlier: Option<&ServerReading>, rate: Rate<'_>) -> Server<'a> {
        Server {
            connections: now.connections,
            connections_open: now.connections_open,
            runs: now.runs,
            runs_open: now.runs_open,
            runs_failed: now.runs_failed,
            in_bytes: now.bytes_read,
            out_bytes: now.bytes_written,
            in_bytes_per_second: rate(now.bytes_read, earlier.map(|earlier| earlier.bytes_read)),
            out_bytes_per_second: rate(now.bytes_written, earlier.map(|earlier| earlier.bytes_written)),
            busiest: now.busiest.iter().map(Served::of).collect(),
        }
    }
}

impl<'a> Batch<'a> {
    fn of(now: &'a BatchReading) -> Batch<'a> {
        Batch {
            runs_open: now.runs_open,
            runs_ended: now.runs_ended,
            runs_failed: now.runs_failed,
            busiest: now.busiest.iter().map(Served::of).collect(),
        }
    }
}

impl<'a> Served<'a> {
    fn of(run: &'a RunReading) -> Served<'a> {
        Served {
            name: &run.name,
            elapsed_nanos: run.reading.elapsed_nanos(),
            moved_bytes: moved(&run.reading),
            words: judge(&run.reading, None).words(&run.reading.scheme),
        }
    }
}

impl<'a> Judgement<'a> {
    fn of(verdict: Verdict, now: &'a Reading) -> Judgement<'a> {
        let limiting = |limit: Limit| Limiting::of(limit, now);
        let (words, advice_words) = (verdict.words(&now.scheme), verdict.advice_line());
        let (finding, balance, limit) = match verdict.finding {
            Finding::TooShort => ("too_short", None, None),
            Finding::NothingMoved(limit) => ("nothing_moved", None, limit),
            Finding::Balanced(how) => ("balanced", Some(balance(how)), None),
            Finding::Limited(limit) => ("limited", None, Some(limit)),
        };
        let (advice, settled) = match verdict.advice {
            Advice::None => (Vec::new(), None),
            Advice::Try(tries) => (tries, None),
            Advice::Settled(why) => (Vec::new(), Some(why)),
        };
        Judgement {
            finding,
            balance,
            limit: limit.map(limiting),
            next: verdict.next.map(limiting),
            advice,
            settled,
            words,
            advice_words,
        }
    }
}

impl<'a> Limiting<'a> {
    fn of(limit: Limit, now: &'a Reading) -> Limiting<'a> {
        let (state, waits_for, cores) = match limit.state {
            State::Computing(cores) => ("computing", None, Some(cores)),
            State::ShortOfCores => ("short_of_cores", None, None),
            State::CopyingInKernel => ("copying_in_kernel", None, None),
            State::Waiting(on) => ("waiting", Some(medium(on)), None),
        };
        Limiting {
            stage: limit.stage,
            name: &now.scheme.stages[limit.stage].name,
            state,
            medium: waits_for,
            cores_used: cores.map(|cores| cores.used),
            cores_allowed: cores.map(|cores| cores.allowed).filter(|&allowed| allowed > 0),
            own: (limit.own * 10_000.0).round() / 10_000.0,
        }
    }
}

impl<'a> End<'a> {
    pub(super) fn of(report: &'a Report, places: &'a [Place]) -> End<'a> {
        let outcome = match report.outcome {
            Outcome::Done => "done",
            Outcome::HungUp => "hung_up",
            Outcome::Failed(_) => "failed",
            Outcome::Cancelled(_) => "cancelled",
            Outcome::Stalled => "stalled",
        };
        let failures = report.failures.iter().map(|failure| Failed {
            stage: failure.stage,
            place: failure.stage.and_then(|stage| places.get(stage)).map(|place| &*place.name),
            message: &failure.message,
            help: failure.help.as_deref(),
            exit_code: failure.exit.code(),
        });
        let outputs = report.outputs.iter().map(|output| {
            let (state, partial_bytes, message) = match &output.state {
                OutputState::Published => ("published", None, None),
                OutputState::AsItWas => ("as_it_was", None, None),
                OutputState::NotCreated => ("not_created", None, None),
                OutputState::Changed(how) => ("changed", None, Some(how.as_str())),
                OutputState::Partial(bytes) => ("partial", Some(*bytes), None),
            };
            Output { name: &output.name, state, partial_bytes, message }
        });
        let (exit_code, signal) = match report.outcome.exit() {
            Ok(exit) => (i32::from(exit.code()), None),
            Err(signal) => (128 + signal, Some(signal)),
        };
        let root_cause = report.failures.first().map(|failure| failure.message.clone());
        End {
            outcome,
            exit_code,
            signal: signal.map(|number| {
                Signal::try_from(number).map_or_else(|_| number.to_string(), |signal| signal.to_string())
            }),
            message: root_cause.or_else(|| ended_by(report)),
            failures: failures.collect(),
            outputs: outputs.collect(),
            notes: &report.notes,
        }
    }
}

fn medium(medium: Medium) -> &'static str {
    match medium {
        Medium::Unknown => "unknown",
        Medium::Disk => "disk",
        Medium::Pipe => "pipe",
        Medium::Terminal => "terminal",
        Medium::Clock => "clock",
        Medium::Opener => "opener",
        Medium::Child => "child",
        Medium::Socket => "socket",
        Medium::Writer => "writer",
        Medium::Pause => "pause",
    }
}

fn balance(balance: Balance) -> &'static str {
    match balance {
        Balance::Even => "even",
        Balance::ShortOfCores => "short_of_cores",
        Balance::ByTurns => "by_turns",
    }
}
