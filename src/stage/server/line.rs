//! A connection as the standard streams of a run: what the peer gives is read, what the chain gives is sent. A peer that does neither
//! for too long is a failure.
//! Knows nothing of the chain.

use crate::flow::{Closed, Inlet, Medium, Outlet, Parcel};
use crate::stage::contract::{Body, Context};
use crate::stage::fault::{Fault, ReaderGone};
use crate::stage::net::extent::send_extent;
use crate::stage::net::wire::Wire;
use crate::stage::outside::stream::reason;
use crate::stage::serving::Template;
use crate::units;
use nix::poll::PollFlags;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A connection that is served.
pub(in crate::stage) struct Line {
    pub(in crate::stage) wire: Wire,
    template: Arc<dyn Template>,
    /// How long the peer may neither give nor take while it is waited for; `None` is for ever.
    patience: Option<Duration>,
    /// When it last did, on the run's clock.
    stirred_nanos: AtomicU64,
    /// Whether anybody reads what it gives.
    is_heard: AtomicBool,
}

impl Line {
    /// Of a connection that was just made.
    pub(in crate::stage) fn new(
        wire: Wire,
        template: Arc<dyn Template>,
        patience: Option<Duration>,
        context: &Context,
    ) -> Arc<Line> {
        let stirred_nanos = AtomicU64::new(context.clock().now_nanos());
        Arc::new(Line { wire, template, patience, stirred_nanos, is_heard: AtomicBool::new(false) })
    }

    /// What the peer gives.
    pub(in crate::stage) fn stdin(self: &Arc<Self>) -> Body {
        let line = Arc::clone(self);
        Body::source(move |outlet, context| line.take(outlet, context))
    }

    /// What goes to the peer. Its end is not told: that is for whoever knows how the run has ended.
    pub(in crate::stage) fn stdout(self: &Arc<Self>) -> Body {
        let line = Arc::clone(self);
        Body::sink(move |inlet, context| line.give(inlet, context))
    }

    fn take(&self, outlet: &mut Outlet, context: &Context) -> anyhow::Result<()> {
        self.is_heard.store(true, Ordering::Relaxed);
        context.waits_for(Medium::Socket);
        loop {
            let mut chunk = outlet.chunk();
            let count = self.repeat(PollFlags::POLLIN, context, || self.wire.try_read(chunk.spare()));
            let count = count.map_err(|error| self.lost(error))?;
            if count == 0 {
                return Ok(());
            }
            context.gauge().read(count as u64);
            self.template.gauge().read(count as u64);
            chunk.fill(count);
            outlet.send(chunk)?;
        }
    }

    fn give(&self, inlet: &mut Inlet, context: &Context) -> anyhow::Result<()> {
        context.waits_for(Medium::Socket);
        while let Some(parcel) = inlet.next_parcel()? {
            match parcel {
                Parcel::Chunk(chunk) => {
                    let mut bytes = &chunk[..];
                    while !bytes.is_empty() {
                        let count = self.repeat(PollFlags::POLLOUT, context, || self.wire.try_write(bytes));
                        let count = count.map_err(|error| self.gone(error))?;
                        context.gauge().wrote(count as u64);
                        self.template.gauge().wrote(count as u64);
                        bytes = &bytes[count..];
                    }
                }
                Parcel::Extent(extent) => {
                    let wait = || self.await_peer(PollFlags::POLLOUT, context);
                    let sent = send_extent(&self.wire, extent, context, wait);
                    self.template.gauge().wrote(sent.map_err(|error| self.gone(error))?);
                }
            }
        }
        Ok(())
    }

    fn repeat<T>(
        &self,
        interest: PollFlags,
        context: &Context,
        mut attempt: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.await_peer(interest, context)?;
                }
                result => {
                    self.stirred_nanos.store(context.clock().now_nanos(), Ordering::Relaxed);
                    return result;
                }
            }
        }
    }

    /// Waits for the peer, for as long as it stirs in one way or the other.
    fn await_peer(&self, interest: PollFlags, context: &Context) -> io::Result<()> {
        let Some(patience) = self.patience else {
            return context.ready(self.wire.as_fd(), interest);
        };
        loop {
            let stirred_nanos = self.stirred_nanos.load(Ordering::Relaxed);
            let silent = Duration::from_nanos(context.clock().now_nanos().saturating_sub(stirred_nanos));
            let left = patience.saturating_sub(silent);
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if context.ready_within(self.wire.as_fd(), interest, left)? {
                self.stirred_nanos.store(context.clock().now_nanos(), Ordering::Relaxed);
                return Ok(());
            }
        }
    }

    /// What a failed read is to the run.
    fn lost(&self, error: io::Error) -> anyhow::Error {
        if Closed::cause_of(&error).is_some() {
            return error.into();
        }
        let message = match (error.kind(), self.patience) {
            (io::ErrorKind::TimedOut, Some(patience)) => {
                format!("the peer was silent for {}", units::duration(patience))
            }
            (io::ErrorKind::ConnectionReset, _) => "the peer has reset the connection".to_owned(),
            _ => reason(&error),
        };
        Fault::failed(message).into()
    }

    /// What a failed write is to the run. A peer that is gone wants no more; one that was to give something has broken off.
    fn gone(&self, error: io::Error) -> anyhow::Error {
        let is_gone = matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
        match (is_gone, self.is_heard.load(Ordering::Relaxed)) {
            (true, false) => ReaderGone { stream: self.wire.name().to_owned() }.into(),
            (true, true) => self.lost(io::ErrorKind::ConnectionReset.into()),
            (false, _) => self.lost(error),
        }
    }
}
