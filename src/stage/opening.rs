//! What a stage may use, and what it says of itself, while it opens.
//! Opens nothing by itself.

use super::contract::{Body, Commit};
use super::knob::Knob;
use super::notes::Notes;
use super::outside::input::{Removal, SourceFile};
use super::serving::Template;
use crate::flow::Outlet;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// What a stage has registered while it opened.
#[derive(Debug, Default)]
pub struct Registered {
    /// Its lasting outputs.
    pub commits: Vec<Box<dyn Commit>>,
    /// Streams it writes whose reader may go away while the stage is silent: its input is then hung up. Each is a
    /// descriptor of the registration's own.
    pub streams: Vec<OwnedFd>,
    /// Names of outputs that cannot be undone.
    pub irrevocable: Vec<String>,
    /// Whether it takes stretches of files, to have them moved by the system.
    pub takes_extents: bool,
    /// The one file that it reads.
    pub source: Option<SourceFile>,
    /// What it reads and the run removes in the end.
    pub removals: Vec<Arc<Removal>>,
    /// What it has to tell at the end of the run.
    pub notes: Notes,
    /// What of it can be changed while it runs.
    pub knob: Option<Arc<Knob>>,
}

/// What stands for the standard streams of a run, until a stage takes it.
pub struct GivenEnds {
    /// A [`Body::Source`].
    pub stdin: Option<Body>,
    /// A [`Body::Sink`].
    pub stdout: Option<Body>,
    /// Whether that takes stretches of files.
    pub takes_extents: bool,
    /// What tells, by an error or a hang-up, that nobody wants more of it.
    pub reader: Option<OwnedFd>,
}

impl fmt::Debug for GivenEnds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stdin, stdout) = (self.stdin.is_some(), self.stdout.is_some());
        formatter.debug_struct("GivenEnds").field("stdin", &stdin).field("stdout", &stdout).finish()
    }
}

impl fmt::Debug for dyn Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Template")
    }
}

/// What a stage may use while it opens.
#[derive(Debug)]
pub struct Opening<'a> {
    /// The file mode creation mask that the process was started with.
    pub umask: u32,
    /// The outlets of the stage's branches, in order; a stage with groups takes them.
    pub branches: Vec<Outlet>,
    /// For a server: its chain.
    pub template: Option<Arc<dyn Template>>,
    ends: Option<&'a mut GivenEnds>,
    /// Whether the stage will have an inlet. A filter with a peer may stand where a source does.
    pub has_input: bool,
    source: Option<Arc<SourceFile>>,
    /// The file that holds the very bytes the stage is given, as the chain calls it: one that is read, or one that will
    /// be written. `None` where no name tells.
    pub file_of_bytes: Option<PathBuf>,
    registered: &'a mut Registered,
    interrupts: Option<&'a dyn Interrupts>,
}

/// Who knows whether the run was given up before it began.
pub trait Interrupts: fmt::Debug {
    /// Whether it was.
    fn is_given_up(&self) -> bool;
}

impl<'a> Opening<'a> {
    /// For one stage.
    pub fn new(umask: u32, branches: Vec<Outlet>, registered: &'a mut Registered) -> Self {
        Opening {
            umask,
            branches,
            template: None,
            ends: None,
            has_input: true,
            source: None,
            file_of_bytes: None,
            interrupts: None,
            registered,
        }
    }

    /// The same, for a stage that has an inlet, or none.
    #[must_use]
    pub fn with_input(mut self, has_input: bool) -> Self {
        self.has_input = has_input;
        self
    }

    /// The same, in a run between the ends of a connection, which stand for its standard streams.
    #[must_use]
    pub fn between(mut self, ends: Option<&'a mut GivenEnds>) -> Self {
        self.ends = ends;
        self
    }

    /// Whether the standard streams of the process are not those of the run.
    pub fn has_given_ends(&self) -> bool {
        self.ends.is_some()
    }

    /// In a run between the ends of a connection: what stands for standard input. There is one, which is given once.
    pub fn take_given_stdin(&mut self) -> Option<Body> {
        self.ends.as_mut()?.stdin.take()
    }

    /// In a run between the ends of a connection: what stands for standard output.
    pub fn take_given_stdout(&mut self) -> Option<Body> {
        let ends = self.ends.as_mut()?;
        // Whoever reads what the peer gives learns of its end, and of what kind it is, better.
        if ends.stdin.is_some() {
            self.registered.streams.extend(ends.reader.take());
        }
        self.registered.takes_extents |= ends.takes_extents;
        ends.stdout.take()
    }

    /// The same, in a run that reads `source`.
    #[must_use]
    pub fn reading(mut self, source: Option<Arc<SourceFile>>) -> Self {
        self.source = source;
        self
    }

    /// The file that the run reads, if it is one and nothing else: the source has opened it by now.
    pub fn source(&self) -> Option<&SourceFile> {
        self.source.as_deref()
    }

    /// Says that the stage, which is a source, reads this file and nothing else.
    pub fn reads(&mut self, source: SourceFile) {
        self.registered.source = Some(source);
    }

    /// Has a file that the stage reads removed when all outputs of the run last.
    pub fn remove(&mut self, removal: Arc<Removal>) {
        self.registered.removals.push(removal);
    }

    /// Has it know when the run is given up.
    #[must_use]
    pub fn interrupted_by(mut self, interrupts: &'a dyn Interrupts) -> Self {
        self.interrupts = Some(interrupts);
        self
    }

    /// Whether the run is given up: a stage that asks somebody something goes no further, and returns any error.
    pub fn is_given_up(&self) -> bool {
        self.interrupts.is_some_and(Interrupts::is_given_up)
    }

    /// Registers a lasting output; from now on the engine sees to its end.
    pub fn commit(&mut self, commit: Box<dyn Commit>) {
        self.registered.commits.push(commit);
    }

    /// Has a stream watched, so that a reader who goes away ends even a silent chain.
    pub fn watch(&mut self, stream: OwnedFd) {
        self.registered.streams.push(stream);
    }

    /// Says that the stage asks its inlet for parcels, and has stretches of files moved by the system.
    pub fn take_extents(&mut self) {
        self.registered.takes_extents = true;
    }

    /// Where the stage leaves what people are told at the end of the run.
    pub fn notes(&self) -> Notes {
        self.registered.notes.clone()
    }

    /// Offers a number of the stage to whoever wants to change it while it runs.
    pub fn offer(&mut self, knob: Arc<Knob>) {
        self.registered.knob = Some(knob);
    }

    /// Says that what the stage writes cannot be taken back; the report then tells how much of it went out.
    pub fn cannot_be_undone(&mut self, name: impl Into<String>) {
        self.registered.irrevocable.push(name.into());
    }
}
