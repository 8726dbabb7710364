//! Runs a source or a sink by itself, for the tests of those.
//! Knows nothing of engines: a test holds the other end of the link.

use super::contract::{Body, Commit, Context, Opening, Published, Registered};

use super::fault::Fault;
use super::find;
use crate::flow::{
    Alarm, Bounds, Clock, Inlet, Link, LinkReader, Outlet, Pool, StageGauge, StageReading, Workers,
};
use std::ffi::OsString;
use std::io::Write;
use std::sync::Arc;

/// A stage, opened.
pub(super) struct Opened {
    pub(super) body: Body,
    pub(super) commits: Vec<Box<dyn Commit>>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Opened({:?})", self.commits)
    }
}

/// Parses and opens a stage, with a mask of 022.
pub(super) fn open(words: &[OsString]) -> anyhow::Result<Opened> {
    let entry = find(words[0].to_str().unwrap()).unwrap();
    let matches = entry.command().try_get_matches_from(&words[1..])?;
    let mut registered = Registered::default();
    let body = entry.parse(&matches)?.open(&mut Opening::new(0o022, Vec::new(), &mut registered))?;
    Ok(Opened { body, commits: registered.commits })
}

/// `words![name, path, "--option"]`, each anything that makes an `OsString`.
macro_rules! words {
    ($($word:expr),+ $(,)?) => { &[$(std::ffi::OsString::from($word)),+][..] };
}
pub(super) use words;

/// Both ends of a link that holds whatever a test writes, and a context whose alarm the link rings.
pub(super) struct Bench {
    pub(super) outlet: Outlet,
    pub(super) reader: LinkReader,
    pub(super) context: Context,
    pub(super) alarm: Arc<Alarm>,
}

/// A bench with chunks of `chunk_bytes`.
pub(super) fn bench(chunk_bytes: usize) -> Bench {
    let clock = Arc::new(Clock::new());
    let alarm = Arc::new(Alarm::new().unwrap());
    let no_limit = usize::MAX / 4;
    let bounds = Bounds { high_bytes: no_limit, low_bytes: no_limit, slots: no_limit, start_bytes: 0 };
    let (writer, reader, _link) =
        Link::open(bounds, Arc::clone(&clock), Some(Arc::clone(&alarm)), Some(Arc::clone(&alarm)));
    let context = Context::new(Arc::clone(&alarm), clock, Arc::new(StageGauge::default()), Workers::new(1));
    Bench { outlet: Outlet::new(writer, Pool::new(chunk_bytes)), reader, context, alarm }
}

/// Runs a source to its end: what it gave, and what it counted.
pub(super) fn run_source(body: Body) -> (anyhow::Result<()>, Vec<u8>, StageReading) {
    let Body::Source(run) = body else { panic!("no source") };
    let Bench { mut outlet, reader, context, .. } = bench(64);
    let result = run(&mut outlet, &context);
    outlet.finish();
    let mut inlet = Inlet::new(reader);
    let mut bytes = Vec::new();
    while let Some(chunk) = inlet.next_chunk().unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    (result, bytes, context.gauge().reading())
}

/// Runs a sink on `bytes`.
pub(super) fn run_sink(body: Body, bytes: &[u8]) -> anyhow::Result<()> {
    let Body::Sink(run) = body else { panic!("no sink") };
    let Bench { mut outlet, reader, context, .. } = bench(64);
    outlet.write_all(bytes).unwrap();
    outlet.finish();
    run(&mut Inlet::new(reader), &context)
}

/// Takes the commits of a run through all steps.
pub(super) fn commit(commits: &mut [Box<dyn Commit>]) -> anyhow::Result<()> {
    let run = Published { outputs: commits.len(), removes_input: false };
    commits.iter_mut().try_for_each(|commit| commit.prepare(run))?;
    commits.iter_mut().try_for_each(|commit| commit.publish(run))?;
    commits.iter_mut().try_for_each(|commit| commit.settle())
}

/// Opens, runs and commits a sink.
pub(super) fn write_through(words: &[OsString], bytes: &[u8]) -> anyhow::Result<()> {
    let Opened { body, mut commits, .. } = open(words)?;
    run_sink(body, bytes)?;
    commit(&mut commits)
}

/// The fault that a stage returned.
pub(super) fn fault<T: std::fmt::Debug>(result: anyhow::Result<T>) -> Fault {
    result.unwrap_err().downcast().unwrap()
}
