//! One call of weir: from its command line to the way the process ends.
//! Holds no rule of its own: it hands text, plans, runs and reports from one part to the next.

mod at_once;
mod batch;
mod input;
mod record;
mod show;

use crate::cli::Cli;
use crate::diagnostic::{Mistake, printable, render_from};
use crate::engine::{self, Notice, Process, Report, Running};
use crate::exit::Exit;
use crate::generate;
use crate::lang::{self, Batch, Chain};
use crate::plan::{
    Facts, Hindered, Plan, Problem, Refusal, Settings, Streams, dry_run, preflight, unknown_names,
};
use crate::stage::{Reach, TABLE};
use crate::view::json::Turn;
use crate::view::{
    Exporter, Live, LiveSettings, Look, Meter, Place, Records, Sample, Terminal, can_inspect, tell,
};
use clap::error::{ContextKind, ErrorKind};
use record::Recording;
use show::{Quoted, Shown, places, write_out};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// What a command line without a chain is told.
const NO_CHAIN: &str = "\
weir: no chain
  type one as a single argument: weir 'read FILE | gzip | write FILE.gz'
  `weir --stages` lists the stages, `weir --help` says more
";

/// How the process is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With this code.
    Exit(Exit),
    /// As by this signal.
    Signal(i32),
}

/// Does what the command line asks for.
pub fn run(arguments: Cli) -> Ending {
    if let Some(kind) = arguments.generate {
        return match generate::generate(kind) {
            Ok(bytes) => write_out(&bytes),
            Err(error) => refuse(&format!("weir: {error}\n"), Exit::Internal),
        };
    }
    if arguments.stages {
        return write_out(generate::stages_list().as_bytes());
    }
    let (text, operands) = match input::read(&arguments) {
        Ok(input) => input,
        Err(message) => return refuse(&format!("weir: {message}\n"), Exit::Usage),
    };
    let recording = match Recording::look(&arguments) {
        Ok(recording) => recording,
        Err(problem) => return refuse_for(&problem),
    };
    let show = Shown::new(&arguments);
    let session = Session { show, recording, arguments, text, meter: Arc::default() };
    let batch = match session.parse(operands) {
        Ok(batch) => batch,
        Err(mistakes) => return refuse(&session.render(&mistakes), Exit::Usage),
    };
    match batch.len() {
        0 => Ending::Exit(Exit::Done),
        1 => session.one(&batch),
        _ => session.several(&batch),
    }
}

/// Gives the help or the version that was asked for, or says what is wrong with the command line.
pub fn say_usage(error: &clap::Error) -> Ending {
    let missing = error.get(ContextKind::InvalidArg).map(ToString::to_string);
    if error.kind() == ErrorKind::MissingRequiredArgument && missing.is_none_or(|it| it.contains("CHAIN")) {
        return refuse(NO_CHAIN, Exit::Usage);
    }
    let text = error.render();
    let terminal = if error.use_stderr() { Terminal::of_stderr() } else { None };
    let is_coloured = terminal.is_some_and(|terminal| terminal.is_capable())
        && Look::of_environment().colour != Look::PLAIN.colour;
    let text = if is_coloured { text.ansi().to_string() } else { text.to_string() };
    // As every other message begins.
    let text = if error.use_stderr() { text.replacen("error:", "weir:", 1) } else { text };
    if error.use_stderr() { refuse(&text, Exit::Usage) } else { write_out(text.as_bytes()) }
}

fn refuse(message: &str, exit: Exit) -> Ending {
    tell(message);
    Ending::Exit(exit)
}

/// The same for a problem that belongs to no stage.
fn refuse_for(problem: &Problem) -> Ending {
    refuse(&show::problem_line(problem), problem.exit)
}

/// What every run of the call shares.
struct Session {
    arguments: Cli,
    text: Vec<u8>,
    show: Shown,
    meter: Arc<Meter>,
    recording: Recording,
}

/// A run that could start.
struct Ready {
    plan: Plan,
    facts: Facts,
}

/// Why a run cannot start.
enum Unready {
    /// The chain says so: this holds for every run of a batch.
    Chain(Refusal),
    /// The files say so.
    Files(Box<Plan>, Box<Hindered>),
}

impl Session {
    fn parse(&self, operands: input::Operands) -> Result<Batch, Vec<Mistake>> {
        let chain = lang::parse(&self.text).map_err(|mistakes| self.with_unknown_names(mistakes))?;
        if !self.arguments.quiet {
            self.notice_mistakes(&lang::doubts(&self.text, &chain));
        }
        match operands {
            input::Operands::Given(operands) => Batch::new(chain, operands),
            input::Operands::Listed(operands) => Batch::from_list(chain, operands),
        }
    }

    /// To the mistakes of the language, the names that no stage has; what else is wrong with a stage depends on them.
    fn with_unknown_names(&self, mut mistakes: Vec<Mistake>) -> Vec<Mistake> {
        let names = unknown_names(&lang::parse_anyway(&self.text), TABLE);
        let is_new = |name: &Mistake| {
            let meets = |other: &Mistake| {
                name.span.start < other.span.end.max(other.span.start + 1) && other.span.start < name.span.end
            };
            !mistakes.iter().any(meets)
        };
        let new: Vec<Mistake> = names.into_iter().filter(is_new).collect();
        mistakes.extend(new);
        mistakes.sort_by_key(|mistake| mistake.span.start);
        mistakes
    }

    fn render(&self, mistakes: &[Mistake]) -> String {
        let script = self.arguments.file.as_ref().map(|path| printable(path.as_os_str().as_bytes()));
        // Who reads JSON obeys no colours.
        let colour = if self.show.is_json() { Look::PLAIN.colour } else { self.show.look.colour };
        render_from(script.as_deref(), &self.text, mistakes, colour)
    }

    fn notice_mistakes(&self, mistakes: &[Mistake]) {
        if !mistakes.is_empty() {
            self.show.notice(&self.render(mistakes));
        }
    }

    /// Does `work` with the signals of the process in hand, and the metrics at their place.
    fn attached(&self, work: impl FnOnce(&Process) -> Ending) -> Ending {
        let process = match Process::attach() {
            Ok(process) => process,
            Err(error) => return refuse(&format!("weir: cannot handle signals: {error}\n"), Exit::Failed),
        };
        match self.export() {
            Ok(()) => work(&process),
            Err(message) => refuse(&message, Exit::Usage),
        }
    }

    /// Shows the metrics where the command line says.
    fn export(&self) -> Result<(), String> {
        const ALLOW_REMOTE: &str = "--metrics-allow-remote";
        let Some(address) = self.arguments.metrics.as_ref().filter(|_| !self.arguments.dry_run) else {
            return Ok(());
        };
        let reach = if self.arguments.metrics_allow_remote { Reach::Remote } else { Reach::Loopback };
        let meter = Arc::clone(&self.meter);
        let exporter = Exporter::open(address, reach, ALLOW_REMOTE, Arc::new(move || meter.text())).map_err(
            |fault| {
                let help = fault.help.iter().map(|help| format!("  {help}\n"));
                help.fold(format!("weir: --metrics: {fault}\n"), |text, help| text + &help)
            },
        )?;
        // A port that was chosen is known to nobody else.
        if !self.arguments.quiet || address.port == 0 {
            self.show.notice(&format!("weir: metrics at {}\n", exporter.url()));
        }
        Ok(())
    }

    /// Plans a run and looks at its files; says nothing.
    fn prepare(&self, chain: &Chain) -> Result<Ready, Unready> {
        let settings = self.arguments.buffer.map_or_else(Settings::default, Settings::with_buffer);
        let plan = Plan::new(chain, TABLE, settings).map_err(Unready::Chain)?;
        match preflight(&plan, &Streams::look(), self.arguments.size) {
            Ok(facts) => Ok(Ready { plan, facts }),
            Err(hindered) => Err(Unready::Files(Box::new(plan), hindered)),
        }
    }

    /// The only run of the call.
    fn one(&self, batch: &Batch) -> Ending {
        let turn = Turn::new(1, 1, batch.operands(0));
        let ready = match self.prepare(&batch.chain(0)) {
            Ok(ready) => ready,
            Err(unready) => return self.unready(&unready, &turn),
        };
        if let Err(problem) = self.recording.is_apart_from(&ready.plan) {
            return refuse_for(&problem);
        }
        self.announce(&ready);
        if self.arguments.dry_run {
            return write_out(dry_run(&ready.plan, &ready.facts).as_bytes());
        }
        if let Err(ending) = self.can_be_inspected(&ready.plan) {
            return ending;
        }
        self.attached(|process| {
            self.recording.during(process, &self.show, |records| self.go(ready, process, turn, records))
        })
    }

    /// Looks whether there is a terminal to inspect a run on, if that is asked for.
    fn can_be_inspected(&self, plan: &Plan) -> Result<(), Ending> {
        if !self.arguments.inspect || self.arguments.dry_run {
            return Ok(());
        }
        can_inspect(&self.show.live(plan, Turn::all(1)))
            .map_err(|message| refuse(&format!("weir: {message}\n"), Exit::Usage))
    }

    /// Says why no run can start.
    fn refused(&self, refusal: &Refusal) -> Ending {
        match refusal {
            Refusal::Help(text) => write_out(text.as_bytes()),
            Refusal::Mistakes(mistakes) => refuse(&self.render(mistakes), Exit::Usage),
        }
    }

    /// Says why a run cannot start.
    fn unready(&self, unready: &Unready, turn: &Turn) -> Ending {
        match unready {
            Unready::Chain(refusal) => self.refused(refusal),
            Unready::Files(plan, hindered) => {
                self.show.problems(turn, &self.text, plan, &hindered.problems);
                let report = show::unstarted(plan, &hindered.problems);
                self.meter.end(None, &report);
                ending(&report)
            }
        }
    }

    /// Warnings and notices, before anything is shown of the run itself.
    fn announce(&self, ready: &Ready) {
        if self.arguments.quiet {
            return;
        }
        self.notice_mistakes(&ready.plan.warnings);
        for notice in &ready.facts.notices {
            self.show.notice(&format!("weir: {notice}\n"));
        }
    }

    /// What a run is started with, beside its plan.
    fn settings(&self, total_bytes: Option<u64>) -> engine::Settings {
        let Cli { threads, stall_timeout, .. } = self.arguments;
        engine::Settings { threads, stall_timeout, total_bytes }
    }

    /// Starts a run, shows it, sees it to its end.
    fn go(&self, ready: Ready, process: &Process, turn: Turn, records: &Arc<Records>) -> Ending {
        if let Some(name) = &ready.facts.skip {
            self.show.left_out(&turn, &ready.plan, name);
            return Ending::Exit(Exit::Done);
        }
        let places = places(&ready.plan);
        let quoted = Quoted::of(&ready.plan);
        let live = self.show.live(&ready.plan, turn);
        let settings = self.settings(ready.facts.total_bytes);
        let (report, was_shown) = match engine::start(ready.plan, process, &settings) {
            Ok(running) => self.watch(running, &live, &places, quoted, records),
            Err(report) => {
                self.meter.end(None, &report);
                records.note(&report);
                (*report, false)
            }
        };
        self.show.end(&live.turn, &report, &self.text, &places, was_shown);
        ending(&report)
    }

    fn watch(
        &self,
        running: Running<'_>,
        settings: &LiveSettings,
        places: &[Place],
        quoted: Quoted,
        records: &Arc<Records>,
    ) -> (Report, bool) {
        let monitor = running.monitor();
        let sampled = monitor.clone();
        let sample: Sample = Arc::new(move || sampled.reading());
        let number = self.meter.begin(Arc::clone(&sample));
        let recorder = records.record(Arc::clone(&sample));
        let live = if self.arguments.inspect {
            Live::inspect(settings, Arc::clone(&sample), running.controls()).ok()
        } else {
            None
        };
        let live = live.unwrap_or_else(|| Live::start(settings, sample));
        let turn = &settings.turn;
        let report = running.wait(&mut |notice| match notice {
            Notice::Status => self.show.status(turn, &monitor.reading(), &live),
            Notice::Stopping => live.suspend(),
            Notice::Resumed => live.resume(),
            Notice::Resized => live.resized(),
            Notice::Remark { stage, line } => self.show.remark(turn, &places[stage], &line, &live),
            Notice::Quote { stage, lines } => self.show.quote(turn, &places[stage], quoted, &lines, &live),
        });
        self.meter.end(Some(number), &report);
        let was_shown = live.finish();
        recorder.finish(&report);
        (report, was_shown)
    }
}

fn ending(report: &Report) -> Ending {
    match report.outcome.exit() {
        Ok(exit) => Ending::Exit(exit),
        Err(signal) => Ending::Signal(signal),
    }
}
