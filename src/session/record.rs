//! The files about the runs of a call, as far as the command line asks for them: where they may be, and what is told of them.
//! Records nothing itself.

use super::show::Shown;
use super::{Ending, refuse_for};
use crate::cli::Cli;
use crate::diagnostic::printable;
use crate::engine::Process;
use crate::exit::Exit;
use crate::plan::{Aside, Plan, Problem, Streams};
use crate::view::{Form, Records};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files that are asked for, as they were found before any run.
pub(super) struct Recording {
    trace: Option<PathBuf>,
    plot: Option<(Form, PathBuf)>,
    looked: Vec<Aside>,
    /// Nothing runs, so nothing is recorded.
    is_dry: bool,
}

impl Recording {
    /// Looks whether the files can be written, and are none that the call reads.
    ///
    /// # Errors
    /// Why one of them cannot be.
    pub(super) fn look(arguments: &Cli) -> Result<Recording, Problem> {
        let plot = arguments.plot.as_ref().map(|path| match Form::of(path) {
            Some(form) => Ok((form, path.clone())),
            None => Err(ending(path)),
        });
        let plot = plot.transpose()?;
        let chain = [
            ("the chain", arguments.file.as_deref()),
            ("the operands", arguments.files0_from.as_deref()),
            ("`--trace`", arguments.trace.as_deref().filter(|_| plot.is_some())),
        ];
        let mut looked = Vec::new();
        let options = [("--trace", arguments.trace.as_deref()), ("--plot", arguments.plot.as_deref())];
        for (option, path) in options {
            let Some(path) = path else { continue };
            let aside = Aside::look(option, path)?;
            // Each is told apart from what stands before it.
            aside.is_none_of(&chain[..2 + looked.len()])?;
            looked.push(aside);
        }
        Ok(Recording { trace: arguments.trace.clone(), plot, looked, is_dry: arguments.dry_run })
    }

    /// Looks whether a run reads or writes one of them.
    ///
    /// # Errors
    /// Which one, and the stage that does.
    pub(super) fn is_apart_from(&self, plan: &Plan) -> Result<(), Problem> {
        self.looked.iter().try_for_each(|aside| aside.is_apart_from(plan, &Streams::look()))
    }

    /// Looks whether so many runs can be recorded.
    ///
    /// # Errors
    /// When they cannot.
    pub(super) fn holds(&self, runs: usize) -> Result<(), Problem> {
        match &self.plot {
            Some(_) if runs > 1 => Err(Problem {
                stage: None,
                message: format!("--plot: one picture shows one run, and this batch has {runs}"),
                help: Some(
                    "`--trace FILE` holds all of them; or draw each with a call of its own".to_string(),
                ),
                exit: Exit::Usage,
            }),
            _ => Ok(()),
        }
    }

    /// Does the work of all runs with the files open, and puts them in place. What goes wrong with them after the work has
    /// begun is told, and changes nothing about how the call ends: the data is where it belongs.
    pub(super) fn during(
        &self,
        process: &Process,
        show: &Shown,
        work: impl FnOnce(&Arc<Records>) -> Ending,
    ) -> Ending {
        if self.is_dry {
            return work(&Arc::default());
        }
        let plot = self.plot.as_ref().map(|(form, path)| (*form, path.as_path()));
        let records = match Records::begin(self.trace.as_deref(), plot, process.umask) {
            Ok(records) => records,
            Err(fault) => {
                let (message, exit) = (fault.to_string(), fault.exit);
                return refuse_for(&Problem { stage: None, message, help: fault.help, exit });
            }
        };
        let ending = work(&records);
        for message in records.finish() {
            show.notice(&format!("weir: warning: {message}\n"));
        }
        ending
    }
}

fn ending(path: &Path) -> Problem {
    let name = printable(path.as_os_str().as_bytes());
    let help = "name a file that does: `.svg` is the picture, `.html` a page with the picture and the report";
    Problem {
        stage: None,
        message: format!("--plot: {name}: ends neither in `.svg` nor in `.html`"),
        help: Some(help.to_string()),
        exit: Exit::Usage,
    }
}
