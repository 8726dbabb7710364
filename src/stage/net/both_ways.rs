//! The two ways of a stage whose peer is at the other end of a socket: out to it, and back from it to its very end.
//! Knows nothing of how the connection came about.
//!
//! | what happens | what follows |
//! |---|---|
//! | the input ends | the peer is told so (half-close), and may go on giving |
//! | the peer ends | what still comes in is given to it; if nothing comes for a moment, that was all |
//! | either resets the connection | the run fails |
//! | the stage before fails, or the run is given up | the peer sees a reset: never an end that is none |
//! | the next stage wants no more | the connection is closed: by a reset, if the peer was not given the whole input |

use super::extent::send_extent;
use super::meeting::{Awaited, Promise, meeting};
use super::wire::Wire;
use crate::flow::{Closed, Inlet, Medium, Outlet, Parcel};
use crate::stage::contract::{Body, Context};
use crate::stage::fault::Fault;
use crate::stage::outside::stream::reason;
use crate::units;
use nix::poll::PollFlags;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A peer that has said that it gives no more may have left altogether, which cannot be told from one that still
/// reads. For so long its input may pause; then nobody is taken to be there.
const PAUSE: Duration = Duration::from_secs(1);

/// What runs for a stage that talks to the peer which `connect` reaches.
///
/// # Errors
/// When the process has no descriptor left.
pub(in crate::stage) fn body(
    connect: impl FnOnce(&Context) -> anyhow::Result<Wire> + Send + 'static,
) -> io::Result<Body> {
    let (promise, awaited) = meeting()?;
    Ok(Body::duplex(
        move |inlet, context| give(inlet, context, connect, promise),
        move |outlet, context| take(outlet, context, awaited),
    ))
}

/// A connection, and how far the way out has come.
#[derive(Debug)]
struct Line {
    wire: Wire,
    /// Readable when nothing more is given.
    is_over: EventFd,
    /// When the way out last had something to give, on the run's clock; `IN_HAND` while it has.
    given_nanos: AtomicU64,
    /// Whether the peer was given the whole input, and told so.
    was_given_all: AtomicBool,
    /// Whether the peer has ended, and that was all.
    has_ended: AtomicBool,
}

/// Something is being given.
const IN_HAND: u64 = u64::MAX;

fn give(
    inlet: &mut Inlet,
    context: &Context,
    connect: impl FnOnce(&Context) -> anyhow::Result<Wire>,
    promise: Promise<Arc<Line>>,
) -> anyhow::Result<()> {
    let wire = connect(context)?;
    let is_over = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let given_nanos = AtomicU64::new(context.clock().now_nanos());
    let (was_given_all, has_ended) = (AtomicBool::new(false), AtomicBool::new(false));
    let line = Arc::new(Line { wire, is_over, given_nanos, was_given_all, has_ended });
    promise.keep(Arc::clone(&line));
    context.waits_for(Medium::Socket);
    let mut given_bytes = 0;
    let poured = line.pour(inlet, context, &mut given_bytes).and_then(|()| line.wire.finish(context));
    let result = match poured {
        Ok(()) => {
            line.was_given_all.store(true, Ordering::Relaxed);
            Ok(())
        }
        Err(error) => {
            if !line.has_ended.load(Ordering::Relaxed) {
                line.wire.give_up();
            }
            Err(lost(error, &line.wire, &format!("after it was sent {}", units::size(given_bytes))))
        }
    };
    // A counter of one cannot overflow.
    let _ = line.is_over.write(1);
    result
}

impl Line {
    fn pour(&self, inlet: &mut Inlet, context: &Context, given_bytes: &mut u64) -> io::Result<()> {
        loop {
            self.given_nanos.store(context.clock().now_nanos(), Ordering::Relaxed);
            let Some(parcel) = inlet.next_parcel()? else { return Ok(()) };
            self.given_nanos.store(IN_HAND, Ordering::Relaxed);
            match parcel {
                Parcel::Chunk(chunk) => {
                    let mut bytes = &chunk[..];
                    while !bytes.is_empty() {
                        let count = self.wire.write(bytes, context)?;
                        context.gauge().wrote(count as u64);
                        *given_bytes += count as u64;
                        bytes = &bytes[count..];
                    }
                }
                Parcel::Extent(extent) => {
                    *given_bytes += {
                        let wait = || context.ready(self.wire.as_fd(), PollFlags::POLLOUT);
                        send_extent(&self.wire, extent, context, wait)?
                    }
                }
            }
        }
    }

    /// Returns when all is given, or nothing came to be given for a while; an error if that is because the peer reset it.
    fn await_the_way_out(&self, context: &Context) -> io::Result<()> {
        loop {
            if context.ready_within(self.is_over.as_fd(), PollFlags::POLLIN, PAUSE / 4)? {
                return Ok(());
            }
            let given_nanos = self.given_nanos.load(Ordering::Relaxed);
            let pause_nanos = context.clock().now_nanos().saturating_sub(given_nanos);
            if given_nanos != IN_HAND && pause_nanos > PAUSE.as_nanos() as u64 {
                // A reset since then: the peer was gone before it had what it was given.
                return self.wire.trouble();
            }
        }
    }
}

fn take(outlet: &mut Outlet, context: &Context, awaited: Awaited<Arc<Line>>) -> anyhow::Result<()> {
    context.waits_for(Medium::Socket);
    let line = awaited.get(context)?;
    let mut taken_bytes = 0;
    let taken = pass_on(&line.wire, outlet, context, &mut taken_bytes);
    let result = taken.and_then(|()| line.await_the_way_out(context));
    let Err(error) = result else {
        line.has_ended.store(true, Ordering::Relaxed);
        return Ok(());
    };
    if Closed::cause_of(&error).is_none() {
        return Err(lost(error, &line.wire, &format!("after it gave {}", units::size(taken_bytes))));
    }
    let is_hung_up = outlet.refusal() == Some(Closed::HungUp);
    if !(is_hung_up && line.was_given_all.load(Ordering::Relaxed)) {
        line.wire.give_up();
    }
    // Whatever woke it: unless nobody wants more, what came is not the whole.
    Err(if is_hung_up { Closed::HungUp } else { Closed::Aborted }.into())
}

/// Passes on what each read returns, to the end of what the peer gives.
fn pass_on(wire: &Wire, outlet: &mut Outlet, context: &Context, taken_bytes: &mut u64) -> io::Result<()> {
    loop {
        let mut chunk = outlet.chunk();
        let count = wire.read(chunk.spare(), context)?;
        if count == 0 {
            return Ok(());
        }
        context.gauge().read(count as u64);
        *taken_bytes += count as u64;
        chunk.fill(count);
        outlet.send(chunk)?;
    }
}

/// What a connection that broke is to the run.
fn lost(error: io::Error, wire: &Wire, when: &str) -> anyhow::Error {
    if Closed::cause_of(&error).is_some() {
        return error.into();
    }
    let why = match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the peer has reset the connection".to_owned()
        }
        io::ErrorKind::UnexpectedEof => "the connection was cut".to_owned(),
        _ => reason(&error),
    };
    Fault::failed(format!("{why}, {when}")).of(wire.name()).into()
}
