//! One call of weir: from its command line to the way the process ends.
//! Holds no rule of its own: it hands text, plans, runs and reports from one part to the next.

mod at_once;
mod batch;
mod input;
mod record;
mod show;

use crate::cli::Cli;
use crate::diagnostic::{Mistake, printable, render_from};
use crate::engine::{self, Notice, Outcome, Process, Report, Running};
use crate::exit::Exit;
use crate::generate;
use crate::lang::{self, Batch, Chain};
use crate::plan::{Facts, Plan, Problem, Refusal, Settings, Streams, dry_run, preflight, unknown_names};
use crate::stage::TABLE;
use crate::view::{Live, LiveSettings, Look, Place, Records, Sample, Terminal, can_inspect, tell};
use clap::error::ErrorKind;
use record::Recording;
use show::{Quoted, Shown, write_out};
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
    let session = Session { show: Shown::new(&arguments), recording, arguments, text };
    let batch = match session.parse(operands) {
        Ok(batch) => batch,
        Err(mistakes) => return refuse(&session.render(&mistakes), Exit::Usage),
    };
    match batch.len() {
        0 => Ending::Exit(Exit::Done),
        1 => session.one(&batch.chain(0)),
        _ => session.several(&batch),
    }
}

/// Gives the help or the version that was asked for, or says what is wrong with the command line.
pub fn say_usage(error: &clap::Error) -> Ending {
    if error.kind() == ErrorKind::MissingRequiredArgument {
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

/// Does `work` with the signals of the process in hand.
fn attached(work: impl FnOnce(&Process) -> Ending) -> Ending {
    match Process::attach() {
        Ok(process) => work(&process),
        Err(error) => refuse(&format!("weir: cannot handle signals: {error}\n"), Exit::Failed),
    }
}

/// What every run of the call shares.
struct Session {
    arguments: Cli,
    text: Vec<u8>,
    show: Shown,
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
    Files(Box<Plan>, Vec<Problem>),
}

impl Session {
    fn parse(&self, operands: input::Operands) -> Result<Batch, Vec<Mistake>> {
        let chain = lang::parse(&self.text).map_err(|mistakes| self.with_unknown_names(mistakes))?;
        if !self.arguments.quiet {
            self.say_mistakes(&lang::doubts(&self.text, &chain));
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
        render_from(script.as_deref(), &self.text, mistakes, self.show.look.colour)
    }

    fn say_mistakes(&self, mistakes: &[Mistake]) {
        if !mistakes.is_empty() {
            tell(&self.render(mistakes));
        }
    }

    /// Plans a run and looks at its files; says nothing.
    fn prepare(&self, chain: &Chain) -> Result<Ready, Unready> {
        let settings = self.arguments.buffer.map_or_else(Settings::default, Settings::with_buffer);
        let plan = Plan::new(chain, TABLE, settings).map_err(Unready::Chain)?;
        match preflight(&plan, &Streams::look(), self.arguments.size) {
            Ok(facts) => Ok(Ready { plan, facts }),
            Err(problems) => Err(Unready::Files(Box::new(plan), problems)),
        }
    }

    /// The only run of the call.
    fn one(&self, chain: &Chain) -> Ending {
        let ready = match self.prepare(chain) {
            Ok(ready) => ready,
            Err(unready) => return self.unready(&unready),
        };
        if let Err(problem) = self.recording.is_apart_from(&ready.plan) {
            return refuse_for(&problem);
        }
        self.announce(&ready);
        if self.arguments.dry_run {
            return write_out(dry_run(&ready.plan, &ready.facts).as_bytes());
        }
        attached(|process| self.recording.during(process, |records| self.go(ready, process, records)))
    }

    /// Says why a run cannot start.
    fn unready(&self, unready: &Unready) -> Ending {
        match unready {
            Unready::Chain(Refusal::Help(text)) => write_out(text.as_bytes()),
            Unready::Chain(Refusal::Mistakes(mistakes)) => refuse(&self.render(mistakes), Exit::Usage),
            Unready::Files(plan, problems) => {
                self.show.problems(&self.text, plan, problems);
                Ending::Exit(problems.first().map_or(Exit::Failed, |problem| problem.exit))
            }
        }
    }

    /// Warnings and notices, before anything is shown of the run itself.
    fn announce(&self, ready: &Ready) {
        if self.arguments.quiet {
            return;
        }
        self.say_mistakes(&ready.plan.warnings);
        for notice in &ready.facts.notices {
            tell(&format!("weir: {notice}\n"));
        }
    }

    /// What a run is started with, beside its plan.
    fn settings(&self, total_bytes: Option<u64>) -> engine::Settings {
        let Cli { threads, stall_timeout, .. } = self.arguments;
        engine::Settings { threads, stall_timeout, total_bytes }
    }

    /// Says that a run has nothing to do: its output, called `name`, is there.
    fn say_left_out(&self, name: &str) {
        if !self.arguments.quiet {
            tell(&format!("weir: {name} is there already: left out\n"));
        }
    }

    /// Starts a run, shows it, sees it to its end.
    fn go(&self, ready: Ready, process: &Process, records: &Arc<Records>) -> Ending {
        if let Some(name) = &ready.facts.skip {
            self.say_left_out(name);
            return Ending::Exit(Exit::Done);
        }
        let places = places(&ready.plan);
        let quoted = Quoted::of(&ready.plan);
        let live = self.show.live(&ready.plan);
        if self.arguments.inspect
            && let Err(message) = can_inspect(&live)
        {
            return refuse(&format!("weir: {message}\n"), Exit::Usage);
        }
        let settings = self.settings(ready.facts.total_bytes);
        let (report, was_shown) = match engine::start(ready.plan, process, &settings) {
            Ok(running) => self.watch(running, &live, &places, quoted, records),
            Err(report) => {
                records.note(&report);
                (*report, false)
            }
        };
        self.show.end(&report, &self.text, &places, was_shown);
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
        let recorder = records.record(Arc::clone(&sample));
        let live = if self.arguments.inspect {
            Live::inspect(settings, Arc::clone(&sample), running.controls()).ok()
        } else {
            None
        };
        let live = live.unwrap_or_else(|| Live::start(settings, sample));
        let report = running.wait(&mut |notice| match notice {
            Notice::Status => self.show.status(&monitor.reading(), &live),
            Notice::Stopping => live.suspend(),
            Notice::Resumed => live.resume(),
            Notice::Resized => live.resized(),
            Notice::Remark { stage, line } => self.show.remark(&places[stage], &line, &live),
            Notice::Quote { stage, lines } => self.show.quote(&places[stage], quoted, &lines, &live),
        });
        let was_shown = live.finish();
        recorder.finish(&report);
        (report, was_shown)
    }
}

/// Where each stage of a plan stands.
fn places(plan: &Plan) -> Vec<Place> {
    let place = |stage| Place { name: plan.place(stage), span: plan.stages[stage].span.clone() };
    (0..plan.stages.len()).map(place).collect()
}

fn ending(report: &Report) -> Ending {
    match report.outcome {
        Outcome::Done => Ending::Exit(Exit::Done),
        Outcome::HungUp => Ending::Signal(nix::sys::signal::Signal::SIGPIPE as i32),
        Outcome::Failed(exit) => Ending::Exit(exit),
        Outcome::Cancelled(signal) => Ending::Signal(signal),
        Outcome::Stalled => Ending::Exit(Exit::Stalled),
    }
}
