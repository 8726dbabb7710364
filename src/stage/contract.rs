//! What a stage is to the rest of the program, and what the rest is to a stage.
//! Holds no behaviour of any stage, and no wiring.

pub use super::context::Context;
pub use super::opening::{Interrupts, Opening, Registered};
use crate::flow::{Inlet, Outlet};
use std::fmt;
use std::path::PathBuf;

/// A stage's place in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// First: no input.
    Source,
    /// Between: input and output.
    Filter,
    /// Last: no output.
    Sink,
    /// Alone: it runs a chain of its own for each connection.
    Server,
}

/// What a stage does to the kind of its bytes, as far as a warning depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// Whatever comes goes, as it is or in parts.
    Neutral,
    /// It changes text: on compressed or encrypted bytes it would destroy them.
    Text,
    /// It compresses: its output is binary, and compressing that again gains nothing.
    Compressor,
    /// It decompresses: its output is whatever was compressed.
    Decompressor,
    /// It makes text of any bytes, in which their content is hidden: neither compressed any more, nor readable.
    Encoder,
    /// It takes such text: its output is whatever was encoded.
    Decoder,
    /// It encrypts: its output is binary unless [`Stage::gives_text`], and neither compresses nor bears a change.
    Encryptor,
    /// It decrypts: its output is whatever was encrypted.
    Decryptor,
}

/// What a stage does with `{ CHAIN }` among its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Groups {
    /// It takes none.
    None,
    /// Each is a branch that gets a copy of the stage's input.
    Branches,
    /// One at most: a chain that is run for each connection, whose standard streams are the connection. Only for a server.
    Served,
}

/// Whether a filter talks to a peer that both takes and gives bytes. Such a filter is a duplex: it has two threads, one for
/// each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// It does not.
    None,
    /// It does. First in a chain it is a source, and its peer is given nothing ([`Opening::has_input`]).
    SelfReliant,
    /// It does. First in a chain, its peer is given standard input.
    Fed,
}

/// A chain that shows the stage at work: in the man page, and run by the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// As typed; without a source or a sink it reads `input` and gives `output`.
    pub chain: &'static str,
    /// On standard input.
    pub input: &'static [u8],
    /// Expected on standard output.
    pub output: &'static [u8],
}

/// A row of the stage table: all that the parser, the help, the man page, the completions and the tests need.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// As typed in a chain.
    pub name: &'static str,
    /// Where it may stand.
    pub role: Role,
    /// For the plan's warnings.
    pub nature: Nature,
    /// Whether it takes groups.
    pub groups: Groups,
    /// Whether it has a peer: only for a filter.
    pub peer: Peer,
    /// At least one, or one that is only shown.
    pub examples: &'static [Example],
    /// Chains that are shown as examples and never run by the tests: they need another machine.
    pub shown: &'static [&'static str],
    /// The option that a word of a dash and digits stands for, where they may be several: to clap `-19` is `-1 -9`.
    pub number_option: Option<&'static str>,
    pub(super) command: fn() -> clap::Command,
    pub(super) parse: fn(&clap::ArgMatches) -> Result<Box<dyn Stage>, clap::Error>,
}

impl Entry {
    /// The entry of the stage whose arguments are `T`; the doc comment of `T` is its help.
    pub const fn of<T: Stage + clap::Parser + 'static>(name: &'static str, role: Role) -> Entry {
        Entry {
            name,
            role,
            nature: Nature::Neutral,
            groups: Groups::None,
            peer: Peer::None,
            examples: &[],
            shown: &[],
            number_option: None,
            command: T::command,
            parse: |matches| Ok(Box::new(T::from_arg_matches(matches)?)),
        }
    }

    /// The words of a call as clap takes them: `-19` becomes `--level=19` where a level may have two digits.
    pub fn spelt_out(&self, words: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let Some(option) = self.number_option else { return words };
        let end = words.iter().position(|word| word == b"--").unwrap_or(words.len());
        let spelt_out = |(at, word): (usize, Vec<u8>)| match word.split_first() {
            Some((b'-', digits))
                if at < end && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) =>
            {
                [b"--", option.as_bytes(), b"=", digits].concat()
            }
            _ => word,
        };
        words.into_iter().enumerate().map(spelt_out).collect()
    }

    /// The chains that show it at work, run by the tests or not.
    pub fn chains(&self) -> impl Iterator<Item = &'static str> {
        self.examples.iter().map(|example| example.chain).chain(self.shown.iter().copied())
    }

    /// Its arguments, as clap knows them.
    pub fn command(&self) -> clap::Command {
        (self.command)().name(self.name).no_binary_name(true).disable_help_subcommand(true)
    }

    /// The stage, from arguments that clap has accepted.
    ///
    /// # Errors
    /// What clap, or the argument struct itself, finds wrong with them.
    pub fn parse(&self, matches: &clap::ArgMatches) -> Result<Box<dyn Stage>, clap::Error> {
        (self.parse)(matches)
    }
}

/// A stage as the chain asks for it: its arguments checked, nothing opened.
///
/// The plan asks about it, then the engine opens it, on one thread, in the order of the chain, before any byte moves.
pub trait Stage: Send {
    /// Its arguments as a line of the view shows them: `-6`, `access.log`.
    fn label(&self) -> String {
        String::new()
    }

    /// The files and streams it will open, for preflight.
    fn touches(&self) -> Vec<Touch> {
        Vec::new()
    }

    /// How many bytes come out when `input` bytes go in; `None` when that cannot be known. A source is given `None`.
    fn size_after(&self, _input: Option<u64>) -> Option<u64> {
        None
    }

    /// Whether a terminal can show what it gives, though by its nature that is binary.
    fn gives_text(&self) -> bool {
        false
    }

    /// What people should know of the bytes behind it when they look at a run: `no integrity check in this format`.
    fn caveat(&self) -> Option<&'static str> {
        None
    }

    /// What to try when it computes all the time and the run waits for it.
    fn advice(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// What the link it reads should be like.
    fn feed(&self) -> Feed {
        Feed::default()
    }

    /// Branches that stand for arguments that are no groups: each a call as words, run as if `{ CALL }` was written.
    fn branches(&self) -> Vec<Vec<Vec<u8>>> {
        Vec::new()
    }

    /// For a server: whether it needs a chain to run.
    fn needs_a_chain(&self) -> bool {
        true
    }

    /// Whether a failure in one of its branches leaves the others and the chain running (the run still exits 1).
    fn outlives_its_branches(&self) -> bool {
        false
    }

    /// Whether it has to see all of its input even when nobody wants its output any more.
    fn reads_to_the_end(&self) -> bool {
        false
    }

    /// Whether it gives more and more until the run tells it to end ([`Context::is_ending`]): only for a source.
    fn is_endless(&self) -> bool {
        false
    }

    /// Whether it removes the files it reads when everything that was made of them lasts: only for a source.
    fn removes_its_input(&self) -> bool {
        false
    }

    /// The option for which the run must read one file and nothing else ([`Opening::source`]).
    fn needs_one_file(&self) -> Option<&'static str> {
        None
    }

    /// Whether what it gives is what it takes, byte for byte, when both go to their end.
    fn passes_unchanged(&self) -> bool {
        false
    }

    /// Whether it asks somebody something on the terminal while it opens.
    fn asks(&self) -> bool {
        false
    }

    /// Whether only the end of its input tells it that the bytes it has passed on are the right ones.
    fn vouches_at_the_end(&self) -> bool {
        false
    }

    /// Whether nothing comes out of it before its input has ended well.
    fn holds_back(&self) -> bool {
        false
    }

    /// Opens what can be opened without waiting, and returns what runs.
    ///
    /// # Errors
    /// Whatever keeps it from running; nothing has moved yet.
    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body>;
}

type Give = Box<dyn FnOnce(&mut Outlet, &Context) -> anyhow::Result<()> + Send>;
type Change = Box<dyn FnOnce(&mut Inlet, &mut Outlet, &Context) -> anyhow::Result<()> + Send>;
type Take = Box<dyn FnOnce(&mut Inlet, &Context) -> anyhow::Result<()> + Send>;
type Serve = Box<dyn FnOnce(&Context) -> anyhow::Result<()> + Send>;

/// What runs on a stage's thread. It returns when its output is complete; an error in it fails the run.
///
/// An error that a link end caused (a [`Closed`](crate::flow::Closed) in its chain) is passed up as it is: the engine knows it for a
/// consequence. A sink whose stream nobody reads any more returns [`ReaderGone`](super::ReaderGone).
pub enum Body {
    /// Gives bytes.
    Source(Give),
    /// Takes and gives.
    Filter(Change),
    /// Takes bytes.
    Sink(Take),
    /// Runs a chain of its own for each connection.
    Server(Serve),
    /// Both ways to a peer and back, each on a thread of its own.
    Duplex {
        /// Gives the peer what comes in. When it returns well, the peer has been told of the end.
        out: Take,
        /// Passes on what the peer gives. When it returns, the peer has ended.
        back: Give,
    },
}

impl Body {
    /// A source.
    pub fn source(run: impl FnOnce(&mut Outlet, &Context) -> anyhow::Result<()> + Send + 'static) -> Self {
        Body::Source(Box::new(run))
    }

    /// A filter.
    pub fn filter(
        run: impl FnOnce(&mut Inlet, &mut Outlet, &Context) -> anyhow::Result<()> + Send + 'static,
    ) -> Self {
        Body::Filter(Box::new(run))
    }

    /// A sink.
    pub fn sink(run: impl FnOnce(&mut Inlet, &Context) -> anyhow::Result<()> + Send + 'static) -> Self {
        Body::Sink(Box::new(run))
    }

    /// A server.
    pub fn server(run: impl FnOnce(&Context) -> anyhow::Result<()> + Send + 'static) -> Self {
        Body::Server(Box::new(run))
    }

    /// A filter with a peer.
    pub fn duplex(
        out: impl FnOnce(&mut Inlet, &Context) -> anyhow::Result<()> + Send + 'static,
        back: impl FnOnce(&mut Outlet, &Context) -> anyhow::Result<()> + Send + 'static,
    ) -> Self {
        Body::Duplex { out: Box::new(out), back: Box::new(back) }
    }
}

/// The [`Stage::caveat`] of a format that has none.
pub(super) const NO_INTEGRITY_CHECK: &str = "no integrity check in this format";

/// What a stage wants of the link it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Feed {
    /// The high mark in bytes, in place of the run's.
    pub high_bytes: Option<usize>,
    /// After every time the link ran empty, the reader is held until it is this full, in percent of the high mark.
    pub start_percent: u8,
}

/// A file or a standard stream that a stage will open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touch {
    /// Reads a file.
    Read(PathBuf),
    /// Reads standard input.
    Stdin,
    /// Writes a file.
    Write(Destination),
    /// Writes standard output; `forced` when compressed bytes may go to a terminal.
    Stdout {
        /// `--force` was given.
        forced: bool,
    },
    /// Starts a process, which messages call so.
    Child(String),
    /// Takes bytes from a peer, which messages call so.
    Receive(String),
    /// Sends bytes to a peer, which messages call so.
    Send(String),
}

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Its name.
    pub path: PathBuf,
    /// By which way.
    pub how: How,
    /// What if it is there already.
    pub existing: Existing,
}

/// The way a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Beside its final place, put there at the end.
    Replace,
    /// At its end, cut back on failure.
    Append,
    /// Over its old content: cannot be undone.
    InPlace,
}

/// What to do about a destination that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Write it.
    Write,
    /// Refuse the run.
    Refuse,
    /// Leave the run out, as done.
    Skip,
}

/// A lasting output, complete but not in place yet. The engine takes all commits of a run through these steps together.
///
/// Dropped without [`Commit::settle`] it leaves what was there before, and nothing else.
pub trait Commit: Send {
    /// The file it will be, for messages and the report.
    fn destination(&self) -> PathBuf;

    /// Everything that may fail and leaves no trace: flush, mode, owner, sync.
    ///
    /// # Errors
    /// Those of the system; the run then fails, and no output appears.
    fn prepare(&mut self, run: Published) -> anyhow::Result<()>;

    /// Puts the output in place so that [`Commit::revoke`] can still take it back.
    ///
    /// # Errors
    /// Those of the system; the outputs already published are revoked.
    fn publish(&mut self, run: Published) -> anyhow::Result<()>;

    /// Puts the old state back after a [`Commit::publish`].
    ///
    /// # Errors
    /// Those of the system: the only case in which outputs of one run can be mixed, so it is told.
    fn revoke(&mut self) -> anyhow::Result<()>;

    /// Everything is in place: drops the means to go back.
    ///
    /// # Errors
    /// Those of the system; the outputs stand.
    fn settle(&mut self) -> anyhow::Result<()>;

    /// Removes what was written. Called at most once, in place of the other steps or after [`Commit::revoke`].
    ///
    /// # Errors
    /// With the name of what could not be removed.
    fn discard(&mut self) -> anyhow::Result<()>;

    /// What has become of the file. Asked when the other steps are done with.
    fn became(&self) -> Became;
}

/// What has become of the file that a commit is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// What was there before is there, or nothing if there was nothing.
    Untouched,
    /// It is complete and in place.
    Placed,
    /// Something else is there: `its first 3 bytes have been written over`.
    Changed(String),
}

/// What a commit needs to know of the run it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// How many outputs the run has: a single one needs no way back.
    pub outputs: usize,
    /// Whether its input is removed in the end: then everything is synced first, and nothing may be left out.
    pub removes_input: bool,
}

impl fmt::Debug for dyn Commit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Commit({})", self.destination().display())
    }
}
