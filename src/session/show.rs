//! What a call says, and where: everything on stderr but what was asked for as output.
//! Makes no sentence itself that another part can make.

use super::Ending;
use crate::cli::{self, Cli, ReportForm};
use crate::diagnostic::{legible, printable, underline, visible};
use crate::engine::{Failure, Outcome, Report};
use crate::exit::Exit;
use crate::flow::Reading;
use crate::plan::{Plan, Problem};
use crate::stage::Touch;
use crate::verdict::judge;
use crate::view::json::{self, Turn};
use crate::view::{
    DataOn, Detail, Live, LiveSettings, Look, Place, Progress, Terminal, failures, notes, report, status_line,
};
use crate::view::{tell, tell_bytes, tell_in_passing};
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// How this call shows things.
pub(super) struct Shown {
    pub(super) look: Look,
    arguments: Settings,
}

/// The part of the command line that matters for it.
struct Settings {
    is_quiet: bool,
    is_verbose: bool,
    is_dry_run: bool,
    wants_report: bool,
    /// All that is said of runs is for another program.
    is_json: bool,
    progress: Progress,
    interval: Option<std::time::Duration>,
}

impl Shown {
    pub(super) fn new(arguments: &Cli) -> Shown {
        let is_plain = matches!(arguments.progress, cli::Progress::Plain | cli::Progress::Json);
        let look = match Terminal::of_stderr() {
            Some(terminal) if terminal.is_capable() && !is_plain => Look::of_environment(),
            _ => Look { colour: Look::PLAIN.colour, ..Look::of_environment() },
        };
        let arguments = Settings {
            is_quiet: arguments.quiet,
            is_verbose: arguments.verbose,
            is_dry_run: arguments.dry_run,
            wants_report: arguments.report.is_some() || arguments.verbose,
            is_json: !arguments.dry_run
                && (arguments.report == Some(ReportForm::Json) || arguments.progress == cli::Progress::Json),
            progress: match arguments.progress {
                _ if arguments.quiet => Progress::Never,
                cli::Progress::Auto => Progress::Auto,
                cli::Progress::Always => Progress::Always,
                cli::Progress::Never => Progress::Never,
                cli::Progress::Plain => Progress::Plain,
                cli::Progress::Json => Progress::Json,
            },
            interval: arguments.interval,
        };
        Shown { look, arguments }
    }

    /// How a run of `plan` is shown while it lasts.
    pub(super) fn live(&self, plan: &Plan, turn: Turn) -> LiveSettings {
        let touches = plan.stages.iter().flat_map(|planned| planned.stage.touches());
        let data_on = touches.filter_map(|touch| match touch {
            Touch::Stdin => Some(DataOn::Stdin),
            Touch::Stdout { .. } => Some(DataOn::Stdout),
            Touch::Read(path) => Some(DataOn::Named(path)),
            Touch::Write(destination) => Some(DataOn::Named(destination.path)),
            Touch::Child(_) | Touch::Receive(_) | Touch::Send(_) => None,
        });
        LiveSettings {
            progress: self.arguments.progress,
            interval: self.arguments.interval,
            turn,
            data_on: data_on.collect(),
            look: self.look,
        }
    }

    /// Something about the call itself, in whole lines.
    pub(super) fn notice(&self, text: &str) {
        if self.arguments.is_json { tell(&json::notice(text)) } else { tell(text) }
    }

    /// A status line, in the middle of a run. Said by the thread that hears signals, so whoever does not
    /// listen is not waited for.
    pub(super) fn status(&self, turn: &Turn, reading: &Reading, live: &Live) {
        live.suspend();
        tell_in_passing(&match self.arguments.is_json {
            true => json::progress(turn, reading, None),
            false => format!("{}\n", status_line(reading, None)),
        });
        live.resume();
    }

    /// What a stage has to tell while it runs.
    pub(super) fn remark(&self, turn: &Turn, place: &Place, line: &str, live: &Live) {
        live.suspend();
        tell(&match self.arguments.is_json {
            true => json::remark(turn, place, line),
            false => format!("weir: {}: {}\n", place.name, visible(line)),
        });
        live.resume();
    }

    /// What the peer of a stage said.
    pub(super) fn quote(&self, turn: &Turn, place: &Place, quoted: Quoted, lines: &[u8], live: &Live) {
        if self.arguments.is_json {
            live.suspend();
            tell(&json::quote(turn, place, lines));
            live.resume();
            return;
        }
        let is_terminal = Terminal::of_stderr().is_some_and(|terminal| terminal.is_terminal());
        // A file keeps what was said; a terminal must not obey it.
        let lines = if is_terminal { legible(lines).into_bytes() } else { lines.to_vec() };
        let said = match quoted {
            Quoted::One => lines,
            Quoted::Several => {
                let name = format!("{}: ", place.name);
                let named =
                    lines.split_inclusive(|&byte| byte == b'\n').flat_map(|line| [name.as_bytes(), line]);
                named.collect::<Vec<_>>().concat()
            }
        };
        live.suspend();
        tell_bytes(&said);
        live.resume();
    }

    /// What preflight found, each with its place in the chain.
    pub(super) fn problems(&self, turn: &Turn, text: &[u8], plan: &Plan, problems: &[Problem]) {
        if self.arguments.is_json {
            tell(&json::report(turn, &unstarted(plan, problems), &places(plan)));
            return;
        }
        for problem in problems {
            let planned = problem.stage.map(|stage| &plan.stages[stage]);
            let place = problem.stage.map(|stage| format!("{}: ", plan.place(stage))).unwrap_or_default();
            let mut said = format!("weir: {place}{}\n", problem.message);
            if let Some(span) = planned.and_then(|planned| planned.span.clone()) {
                said.push_str(&format!("{}\n", underline(text, span)));
            }
            if let Some(help) = &problem.help {
                said.push_str(&format!("  {help}\n"));
            }
            tell(&said);
        }
    }

    /// Says how a run ended: the report if it is wanted, what stages have to tell in any case, then why the run failed.
    pub(super) fn end(&self, turn: &Turn, ended: &Report, text: &[u8], places: &[Place], was_shown: bool) {
        self.tell_of(ended, &self.end_words(turn, ended, text, places, was_shown));
    }

    /// Says something of a run that ended.
    pub(super) fn tell_of(&self, ended: &Report, said: &str) {
        match ended.outcome {
            Outcome::Cancelled(_) => tell_in_passing(said),
            _ => tell(said),
        }
    }

    /// What its stages have to tell.
    pub(super) fn notes(&self, ended: &Report) -> String {
        if self.arguments.is_quiet { String::new() } else { notes(ended, self.look) }
    }

    /// What there is to say at the end of a run.
    pub(super) fn end_words(
        &self,
        turn: &Turn,
        ended: &Report,
        text: &[u8],
        places: &[Place],
        was_shown: bool,
    ) -> String {
        if self.arguments.is_json {
            return json::report(turn, ended, places);
        }
        let detail = if self.arguments.is_verbose { Detail::Everything } else { Detail::RootCause };
        let is_wanted = self.arguments.wants_report || was_shown;
        let said = if is_wanted && !self.arguments.is_quiet && ended.outcome != Outcome::HungUp {
            let columns = Terminal::of_stderr()
                .filter(Terminal::is_terminal)
                .map_or(usize::MAX, |terminal| usize::from(terminal.size().0));
            report(ended, &judge(&ended.reading, None), columns, self.look)
        } else {
            self.notes(ended)
        };
        said + &failures(ended, text, places, detail)
    }

    /// Whether all that is said of runs is for another program.
    pub(super) fn is_json(&self) -> bool {
        self.arguments.is_json
    }

    /// Whether a report was asked for.
    pub(super) fn wants_report(&self) -> bool {
        self.arguments.wants_report && !self.arguments.is_quiet
    }

    /// A run that has nothing to do: its output, called `name`, is there.
    pub(super) fn left_out(&self, turn: &Turn, plan: &Plan, name: &str) {
        let why = format!("{name} is there already: left out");
        if self.arguments.is_json {
            let report = Report { outcome: Outcome::Done, notes: vec![why], ..unstarted(plan, &[]) };
            tell(&json::report(turn, &report, &[]));
        } else if !self.arguments.is_quiet {
            tell(&format!("weir: {why}\n"));
        }
    }

    /// The end of a batch of so many runs.
    pub(super) fn batch(&self, runs: usize, failed: usize) {
        let done = runs - failed;
        if self.arguments.is_json {
            let exit = if failed == 0 { Exit::Done } else { Exit::Batch };
            tell(&json::batch(runs, done, failed, i32::from(exit.code())));
        } else if failed > 0 {
            let (well, ill) =
                if self.arguments.is_dry_run { ("could start", "could not") } else { ("done", "failed") };
            tell(&format!("weir: {done} of {runs} runs {well}, {failed} {ill}\n"));
        }
    }

    /// The end of a batch that a signal ended; `notes` are what stages still had to tell.
    pub(super) fn batch_cancelled(&self, runs: usize, done: usize, failed: usize, signal: i32, notes: &str) {
        tell_in_passing(&match self.arguments.is_json {
            true => json::batch(runs, done, failed, 128 + signal),
            false => format!("{notes}weir: {done} of {runs} runs done\n"),
        });
    }

    /// How a run of a batch is called: by its operands.
    pub(super) fn run_name(&self, operands: &[OsString]) -> String {
        operands.iter().map(|operand| printable(operand.as_bytes())).collect::<Vec<_>>().join(" ")
    }
}

/// Where each stage of a plan stands.
pub(super) fn places(plan: &Plan) -> Vec<Place> {
    let place = |stage| Place { name: plan.place(stage), span: plan.stages[stage].span.clone() };
    (0..plan.stages.len()).map(place).collect()
}

/// The end of a run that these problems kept from its beginning.
pub(super) fn unstarted(plan: &Plan, problems: &[Problem]) -> Report {
    let failure = |problem: &Problem| Failure {
        stage: problem.stage,
        exit: problem.exit,
        message: problem.message.clone(),
        help: problem.help.clone(),
    };
    Report {
        outcome: Outcome::Failed(problems.first().map_or(Exit::Failed, |problem| problem.exit)),
        failures: problems.iter().map(failure).collect(),
        outputs: Vec::new(),
        notes: Vec::new(),
        reading: Reading::before(Arc::new(plan.scheme(None, 0))),
    }
}

/// How many stages of a run have a peer that may say something: what the only one says needs no name in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoted {
    One,
    Several,
}

impl Quoted {
    pub(super) fn of(plan: &Plan) -> Quoted {
        let touches = plan.stages.iter().flat_map(|planned| planned.stage.touches());
        match touches.filter(|touch| matches!(touch, Touch::Child(_))).count() {
            0 | 1 => Quoted::One,
            _ => Quoted::Several,
        }
    }
}

/// A problem that belongs to no stage.
pub(super) fn problem_line(problem: &Problem) -> String {
    let help = problem.help.as_ref().map(|help| format!("  {help}\n")).unwrap_or_default();
    format!("weir: {}\n{help}", problem.message)
}

/// Gives what was asked for as output.
pub(super) fn write_out(bytes: &[u8]) -> Ending {
    let mut stdout = io::stdout();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ending::Exit(Exit::Done),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ending::Signal(Signal::SIGPIPE as i32),
        Err(error) => {
            let cause = nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0)).desc().to_lowercase();
            tell(&format!("weir: standard output: {cause}\n"));
            Ending::Exit(Exit::Failed)
        }
    }
}
