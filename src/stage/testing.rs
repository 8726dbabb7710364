//! A bench for one stage: it runs between links of its own, on a thread of its own, over the chunks a test gives.
//! Knows nothing of chains, plans and runs.

use super::contract::{Body, Context, Opening, Registered, Stage};

use super::fault::Fault;
use crate::exit::Exit;
use crate::flow::{
    Alarm, Bounds, CHUNK_BYTES, Clock, Closed, Inlet, Link, LinkReader, Outlet, Parcel, Pool, StageGauge,
    Workers,
};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::thread;

/// Runs `call` over `chunks`, which reach the stage cut just so, and takes all it gives.
pub(super) fn run(call: &str, chunks: &[&[u8]]) -> Outcome {
    Trial::of(call).run(chunks)
}

/// The stage of `call`, a name and arguments that need no quotes.
pub(super) fn stage(call: &str) -> Result<Box<dyn Stage>, clap::Error> {
    let mut words = call.split_ascii_whitespace();
    let entry = words.next().and_then(super::find).expect("a call begins with the name of a stage");
    let words = entry.spelt_out(words.map(|word| word.as_bytes().to_vec()).collect());
    let words = words.into_iter().map(OsString::from_vec);
    entry.parse(&entry.command().try_get_matches_from(words)?)
}

/// `bytes` in pieces of `size`.
pub(super) fn cut(bytes: &[u8], size: usize) -> Vec<&[u8]> {
    bytes.chunks(size).collect()
}

/// Fails unless `call` gives `expected` for `input` however it is cut.
pub(super) fn assert_gives(call: &str, input: &[u8], expected: &[u8]) {
    for size in [1, 2, 3, 7, 31, 251, 4093, input.len().max(1)] {
        let outcome = run(call, &cut(input, size));
        assert_eq!(outcome.failure(), None, "`{call}` over pieces of {size}");
        assert!(
            outcome.output == expected,
            "`{call}` over pieces of {size} gives\n{:?}, expected\n{:?}",
            String::from_utf8_lossy(&outcome.output),
            String::from_utf8_lossy(expected)
        );
    }
}

/// What came of a [`Trial`].
#[derive(Debug)]
pub(super) struct Outcome {
    /// What the stage returned.
    pub(super) result: anyhow::Result<()>,
    /// What came out.
    pub(super) output: Vec<u8>,
    /// The length of each chunk that came out.
    pub(super) lengths: Vec<usize>,
    /// What came out on each branch, and whether it ended as finished.
    pub(super) branches: Vec<(Vec<u8>, bool)>,
    /// What it has to tell at the end of a run.
    #[cfg_attr(not(feature = "hash"), allow(dead_code))]
    pub(super) notes: Vec<String>,
}

impl Outcome {
    /// The message of the failure, if it is one.
    pub(super) fn failure(&self) -> Option<String> {
        self.result.as_ref().err().map(ToString::to_string)
    }

    /// The message of a refusal of the data; any other outcome fails the test.
    pub(super) fn refusal(&self) -> String {
        let error = self.result.as_ref().expect_err("the data was accepted");
        let fault = error.downcast_ref::<Fault>().unwrap_or_else(|| panic!("no fault: {error:?}"));
        assert_eq!(fault.exit, Exit::Refused, "{fault}");
        fault.to_string()
    }
}

/// How the input of a trial ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Well.
    Finished,
    /// The stage before it failed.
    Aborted,
    /// Not before the stage has returned.
    Open,
    /// Well, but not before the next stage has what it takes.
    Awaited,
}

/// One stage on the bench, and how the stages around it behave.
#[derive(Debug)]
pub(super) struct Trial<'a> {
    call: &'a str,
    ending: Ending,
    chunk_bytes: usize,
    taken_bytes: usize,
    branches: Vec<usize>,
}

impl<'a> Trial<'a> {
    /// The stage of `call`, between patient neighbours.
    pub(super) fn of(call: &'a str) -> Self {
        Trial {
            call,
            ending: Ending::Finished,
            chunk_bytes: CHUNK_BYTES,
            taken_bytes: usize::MAX,
            branches: Vec::new(),
        }
    }

    /// Its input ends like that.
    pub(super) fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// Its output chunks hold that many bytes.
    pub(super) fn chunk_bytes(mut self, chunk_bytes: usize) -> Self {
        self.chunk_bytes = chunk_bytes;
        self
    }

    /// The next stage hangs up after that many bytes.
    pub(super) fn taking(mut self, bytes: usize) -> Self {
        self.taken_bytes = bytes;
        self
    }

    /// One more branch, which hangs up after `taken_bytes`.
    pub(super) fn branch(mut self, taken_bytes: usize) -> Self {
        self.branches.push(taken_bytes);
        self
    }

    /// Runs it over `chunks`.
    pub(super) fn run(self, chunks: &[&[u8]]) -> Outcome {
        let clock = Arc::new(Clock::new());
        let link = || {
            let bounds = Bounds::new(4 * self.chunk_bytes, self.chunk_bytes);
            Link::open(bounds, Arc::clone(&clock), None, None)
        };
        let pool = Pool::new(self.chunk_bytes);
        let (mut feed, inlet, input) = link();
        let (outlet, taker, _) = link();
        let (branches, branch_takers): (Vec<_>, Vec<_>) =
            self.branches.iter().map(|_| link()).map(|(writer, reader, _)| (writer, reader)).unzip();

        let alarm = Arc::new(Alarm::new().expect("a descriptor is left"));
        let context =
            Context::new(alarm, Arc::clone(&clock), Arc::new(StageGauge::default()), Workers::new(2));
        let branches = branches.into_iter().map(|link| Outlet::new(link, pool.clone())).collect();
        let mut registered = Registered::default();
        let mut opening = Opening::new(0, branches, &mut registered);
        let stage = stage(self.call).unwrap_or_else(|error| panic!("`{}`: {error}", self.call));
        let body = stage.open(&mut opening).expect("the stage opens");
        drop(opening);
        let (inlet, outlet) = (Inlet::new(inlet), Outlet::new(outlet, pool));

        thread::scope(|scope| {
            let run = scope.spawn(move || run_body(body, inlet, outlet, &context, &input));
            let taken_bytes = self.taken_bytes;
            let take = scope.spawn(move || take(taker, taken_bytes));
            let branch_takes: Vec<_> = branch_takers
                .into_iter()
                .zip(&self.branches)
                .map(|(reader, &taken_bytes)| scope.spawn(move || take_all(reader, taken_bytes)))
                .collect();
            for bytes in chunks {
                // Without room to spare, so that the link joins no two of them.
                let mut chunk = Pool::new(bytes.len()).chunk();
                chunk.append(bytes);
                if feed.send(chunk).is_err() {
                    break;
                }
            }
            let taken = || take.join().expect("the taker does not panic");
            let stopped = || run.join().expect("the stage does not panic");
            let ((output, lengths, _), result) = match self.ending {
                Ending::Finished => {
                    feed.finish();
                    (taken(), stopped())
                }
                Ending::Aborted => {
                    drop(feed);
                    (taken(), stopped())
                }
                Ending::Open => {
                    let result = stopped();
                    drop(feed);
                    (taken(), result)
                }
                Ending::Awaited => {
                    let taken = taken();
                    feed.finish();
                    (taken, stopped())
                }
            };
            let branches = branch_takes.into_iter().map(|take| take.join().expect("nor does a branch"));
            let notes = registered.notes.take();
            Outcome { result, output, lengths, branches: branches.collect(), notes }
        })
    }
}

fn run_body(
    body: Body,
    mut inlet: Inlet,
    mut outlet: Outlet,
    context: &Context,
    input: &Link,
) -> anyhow::Result<()> {
    match body {
        Body::Source(run) => run(&mut outlet, context)?,
        Body::Filter(run) => run(&mut inlet, &mut outlet, context)?,
        Body::Sink(run) => run(&mut inlet, context)?,
        Body::Server(run) => run(context)?,
        Body::Duplex { out, back } => thread::scope(|scope| {
            let out = scope.spawn(move || out(&mut inlet, context));
            let back = back(&mut outlet, context);
            // As the engine does: nothing can be given to a peer that has ended.
            input.hang_up();
            let out = out.join().expect("the stage does not panic");
            let is_hung_up = |error: &anyhow::Error| Closed::cause_of(error.as_ref()) == Some(Closed::HungUp);
            back.and(out.or_else(|error| if is_hung_up(&error) { Ok(()) } else { Err(error) }))
        })?,
    }
    outlet.finish();
    Ok(())
}

fn take_all(reader: LinkReader, taken_bytes: usize) -> (Vec<u8>, bool) {
    let (bytes, _, finished) = take(reader, taken_bytes);
    (bytes, finished)
}

/// What comes until `taken_bytes` are there, the length of each chunk, and whether a finished end was found.
fn take(mut reader: LinkReader, taken_bytes: usize) -> (Vec<u8>, Vec<usize>, bool) {
    let (mut bytes, mut lengths) = (Vec::new(), Vec::new());
    while bytes.len() < taken_bytes {
        match reader.receive() {
            Ok(Some(Parcel::Chunk(chunk))) => {
                bytes.extend_from_slice(&chunk);
                lengths.push(chunk.len());
            }
            Ok(None) => return (bytes, lengths, true),
            Ok(Some(Parcel::Extent(_))) | Err(_) => return (bytes, lengths, false),
        }
    }
    (bytes, lengths, false)
}
