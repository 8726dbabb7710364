//! The two ways of a stage with a child: out to its standard input, and back from its standard output to its very end.
//! Knows nothing of what the child is for.
//!
//! | what happens | what follows |
//! |---|---|
//! | the input ends | the child's standard input is closed |
//! | the stage before fails | the child is ended: it never sees an end that is none |
//! | the child reads no more | the stage before hears a hang-up; how the child ends decides |
//! | the child's output ends | the child is waited for, and its status looked at |
//! | the next stage wants no more | the child's output is closed; it goes, or is ended, and its status does not matter |
//! | the run is given up | the child is ended |

use super::command::Started;
use super::listener::Listener;
use super::process::{Child, Patience, objection};
use crate::flow::{Closed, Inlet, Medium, Outlet};
use crate::stage::contract::{Body, Context};
use crate::stage::fault::Fault;
use crate::stage::outside::stream::{Stream, reason};
use nix::errno::Errno;
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

/// What is typed to end a job goes to weir and its children at once. For so long a child that died of it does not count as
/// failed: the run may be about to be given up.
const SAME_SIGNAL_TIME: Duration = Duration::from_millis(100);

/// Which ends of a child are a success, and what to say of the others.
pub(in crate::stage) struct Terms {
    /// Beside 0, these exit statuses are a success.
    pub(in crate::stage) accepted: Vec<u8>,
    /// Puts a bad end into words.
    pub(in crate::stage) fault: Box<dyn FnOnce(BadEnd) -> Fault + Send>,
}

/// How a child ended, where that is no success.
#[derive(Debug)]
pub(in crate::stage) struct BadEnd {
    /// How messages call the child.
    pub(in crate::stage) name: String,
    /// Its exit status; `None` when a signal killed it.
    pub(in crate::stage) code: Option<i32>,
    /// `ended with exit status 3`, `was killed by signal 9 (KILL)`.
    pub(in crate::stage) how: String,
    /// Whether it has written anything to standard error.
    pub(in crate::stage) has_said_something: bool,
}

/// What runs for a child: both ways, or the way back from one that is given nothing.
pub(in crate::stage) fn body(started: Started, terms: Terms) -> Body {
    let Started { child, name, stdin, stdout, stderr } = started;
    let back = WayBack { child: Arc::clone(&child), name, stdout, stderr, terms };
    match stdin {
        None => Body::source(move |outlet, context| back.run(outlet, context)),
        Some(stdin) => Body::duplex(
            move |inlet, context| give(inlet, context, stdin, &child),
            move |outlet, context| back.run(outlet, context),
        ),
    }
}

/// Whether the child has read all.
enum Taken {
    All,
    Part,
}

/// The way out.
fn give(inlet: &mut Inlet, context: &Context, stdin: Stream, child: &Child) -> anyhow::Result<()> {
    context.waits_for(Medium::Child);
    match pour(inlet, &stdin, context) {
        Ok(Taken::All) => {}
        Ok(Taken::Part) => inlet.hang_up(),
        Err(error) => {
            // Closed now, it would look to the child as if this was all.
            child.keep(stdin);
            if Closed::cause_of(&error) != Some(Closed::HungUp) {
                child.end(Patience::GIVEN_UP);
            }
            return Err(error.into());
        }
    }
    Ok(())
}

fn pour(inlet: &mut Inlet, stdin: &Stream, context: &Context) -> io::Result<Taken> {
    while let Some(chunk) = inlet.next_chunk()? {
        let mut bytes = &chunk[..];
        while !bytes.is_empty() {
            let count = match stdin.write(bytes, context) {
                Ok(count) => count,
                Err(error) if error.raw_os_error() == Some(Errno::EPIPE as i32) => return Ok(Taken::Part),
                Err(error) => return Err(error),
            };
            context.gauge().wrote(count as u64);
            bytes = &bytes[count..];
        }
    }
    Ok(Taken::All)
}

struct WayBack {
    child: Arc<Child>,
    name: String,
    stdout: Stream,
    stderr: File,
    terms: Terms,
}

impl WayBack {
    fn run(self, outlet: &mut Outlet, context: &Context) -> anyhow::Result<()> {
        let WayBack { child, name, stdout, stderr, terms } = self;
        context.waits_for(Medium::Child);
        let fault =
            |error: &io::Error, what: &str| Fault::failed(format!("{what}: {}", reason(error))).of(&name);
        let listener =
            Listener::start(stderr, context).map_err(|error| fault(&error, "cannot listen to it"))?;
        let passed = pass_on(&stdout, outlet, context);
        // A child that still writes finds out that nobody reads.
        drop(stdout);
        let ended = passed.and_then(|()| child.await_end(context));
        if ended.is_err() {
            let is_not_wanted = outlet.refusal() == Some(Closed::HungUp);
            child.end(if is_not_wanted { Patience::NOT_WANTED } else { Patience::GIVEN_UP });
        }
        let status = child.reap();
        let has_said_something = listener.finish();
        match ended {
            Ok(()) => {}
            Err(error) if Closed::cause_of(&error).is_some() => return Err(error.into()),
            Err(error) => return Err(fault(&error, "what it gives cannot be read").into()),
        }
        match status {
            Ok(Some(_)) if child.was_told_to_end() => {
                // However it took that: what it was given was not the whole.
                Err(Closed::Aborted.into())
            }
            Ok(Some(status)) => {
                let Some(how) = objection(status, &terms.accepted) else { return Ok(()) };
                wait_for_the_signal(status, context)?;
                let end = BadEnd { name, code: status.code(), how, has_said_something };
                Err((terms.fault)(end).into())
            }
            Ok(None) => Err(Fault::failed("how it ended is not known").of(name).into()),
            Err(error) => Err(fault(&error, "how it ended is not known").into()),
        }
    }
}

/// Passes on what each read returns, to the end of the child's output.
fn pass_on(stdout: &Stream, outlet: &mut Outlet, context: &Context) -> io::Result<()> {
    loop {
        let mut chunk = outlet.chunk();
        let count = stdout.read(chunk.spare(), context)?;
        if count == 0 {
            return Ok(());
        }
        context.gauge().read(count as u64);
        chunk.fill(count);
        outlet.send(chunk)?;
    }
}

/// A child that died of what is typed to end a job: the same may be about to give up the run.
fn wait_for_the_signal(status: ExitStatus, context: &Context) -> io::Result<()> {
    match status.signal() {
        Some(1 | 2 | 3 | 15) => context.sleep(SAME_SIGNAL_TIME),
        _ => Ok(()),
    }
}
