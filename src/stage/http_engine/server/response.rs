//! The body of an answer: nothing, a text, or what a run gives, chunk by chunk and uncopied.
//! Knows nothing of heads. Its end comes after that of the run, whose outputs are in place by then.

use super::errand::Errand;
use super::guest::{Busy, Guest};
use super::lending::{LENT_BYTES, stand_in};
use crate::flow::{Chunk, Inlet, Medium};
use crate::stage::contract::{Body, Context};
use crate::stage::fault::ReaderGone;
use crate::stage::http_engine::bridge::{Receiver, Sender};
use crate::stage::http_engine::files::answer::Stretch;
use crate::stage::serving::Served;
use bytes::{Buf, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::fmt;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// The body of an answer.
pub(super) enum Content {
    /// Nothing, or nothing any more.
    Over,
    /// A text.
    Text {
        /// Nothing is left of it when it was given.
        text: Bytes,
    },
    /// What a run gives.
    Run(Box<Output>),
    /// A file.
    File(Box<Lent>),
}

/// A file on its way.
pub(super) struct Lent {
    /// What is left of it.
    left: Stretch,
    guest: Rc<Guest>,
    errand: Arc<Errand>,
    _busy: Busy,
    _place: OwnedSemaphorePermit,
}

impl Lent {
    pub(super) fn new(
        left: Stretch,
        guest: &Rc<Guest>,
        busy: Busy,
        errand: &Arc<Errand>,
        place: OwnedSemaphorePermit,
    ) -> Lent {
        guest.site.template.gauge().run_begins();
        Lent { left, guest: Rc::clone(guest), errand: Arc::clone(errand), _busy: busy, _place: place }
    }

    /// The next of it, lent to the connection.
    fn next(&mut self) -> Option<usize> {
        let length = usize::try_from(self.left.length_bytes).unwrap_or(usize::MAX).min(LENT_BYTES);
        if length == 0 {
            return None;
        }
        self.guest.lending.lend(Stretch { length_bytes: length as u64, ..self.left.clone() });
        self.left.offset_bytes += length as u64;
        self.left.length_bytes -= length as u64;
        Some(length)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.guest.site.template.gauge().run_ends(self.errand.has_failed());
    }
}

/// What hyper sends from where it is.
#[derive(Debug)]
pub(super) enum Portion {
    Chunk(Chunk),
    Bytes(Bytes),
    /// So many bytes of a file that is lent.
    StandIn(usize),
}

impl Buf for Portion {
    fn remaining(&self) -> usize {
        match self {
            Portion::StandIn(length) => *length,
            held => held.chunk().len(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Portion::Chunk(chunk) => chunk,
            Portion::Bytes(bytes) => bytes,
            Portion::StandIn(length) => stand_in(*length),
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Portion::Chunk(chunk) => chunk.advance(count),
            Portion::Bytes(bytes) => bytes.advance(count),
            Portion::StandIn(length) => *length -= count,
        }
    }
}

/// What a run gives, and how it ended.
pub(super) struct Output {
    pub(super) chunks: Receiver<Chunk>,
    pub(super) outcome: oneshot::Receiver<Served>,
    /// The first of them, which has decided the answer's head.
    pub(super) first: Option<Chunk>,
    /// The last, which would make the answer whole: it waits for the end of the run.
    pub(super) last: Option<Chunk>,
    /// How many bytes there will be, as far as the head says so.
    pub(super) announced_bytes: Option<u64>,
    pub(super) given_bytes: u64,
    /// Closed, it tells the run that nobody wants more.
    pub(super) _reader: OwnedFd,
    pub(super) guest: Rc<Guest>,
    pub(super) _busy: Busy,
}

/// The peer must not take what it has for the whole.
#[derive(Debug)]
pub(super) struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the answer was broken off")
    }
}

impl std::error::Error for BrokenOff {}

impl Content {
    pub(super) fn text(text: Bytes) -> Content {
        Content::Text { text }
    }
}

impl Output {
    /// The next of it; `None` when it was whole and the run has ended well.
    fn poll_next(&mut self, task: &mut task::Context<'_>) -> Poll<Option<Result<Chunk, BrokenOff>>> {
        loop {
            let next = match self.first.take() {
                Some(chunk) => Some(chunk),
                None => ready!(self.chunks.poll_receive(task)),
            };
            let Some(chunk) = next else { return self.poll_end(task) };
            self.given_bytes += chunk.len() as u64;
            match self.announced_bytes {
                _ if chunk.is_empty() => {}
                Some(announced_bytes) if self.given_bytes > announced_bytes => {
                    return Poll::Ready(Some(Err(BrokenOff)));
                }
                Some(announced_bytes) if self.given_bytes == announced_bytes => self.last = Some(chunk),
                _ => return Poll::Ready(Some(Ok(chunk))),
            }
        }
    }

    fn poll_end(&mut self, task: &mut task::Context<'_>) -> Poll<Option<Result<Chunk, BrokenOff>>> {
        if !self.outcome.is_terminated() {
            let outcome = ready!(Pin::new(&mut self.outcome).poll(task));
            let is_whole = self.announced_bytes.is_none_or(|announced| announced == self.given_bytes);
            if outcome != Ok(Served::Done) || !is_whole {
                return Poll::Ready(Some(Err(BrokenOff)));
            }
        }
        Poll::Ready(self.last.take().map(Ok))
    }
}

impl HttpBody for Content {
    type Data = Portion;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Portion>, BrokenOff>>> {
        let next = match &mut *self {
            Content::Over => None,
            Content::Text { text } => Some(Ok(Portion::Bytes(std::mem::take(text)))),
            Content::Run(output) => {
                let next = ready!(output.poll_next(task));
                if let Some(Ok(chunk)) = &next {
                    output.guest.site.template.gauge().wrote(chunk.len() as u64);
                }
                next.map(|next| next.map(Portion::Chunk))
            }
            Content::File(lent) => lent.next().map(|length| Ok(Portion::StandIn(length))),
        };
        if !matches!((&*self, &next), (Content::Run(_) | Content::File(_), Some(Ok(_)))) {
            *self = Content::Over;
        }
        Poll::Ready(next.map(|next| next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Content::Over)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Content::Over => SizeHint::with_exact(0),
            Content::Text { text } => SizeHint::with_exact(text.len() as u64),
            Content::File(lent) => SizeHint::with_exact(lent.left.length_bytes),
            Content::Run(output) => output.announced_bytes.map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}

/// What the body of an answer is to a run of `peer`.
pub(super) fn stdout(chunks: Sender<Chunk>, peer: String) -> Body {
    Body::sink(move |inlet, context| give(inlet, context, &chunks, &peer))
}

fn give(inlet: &mut Inlet, context: &Context, chunks: &Sender<Chunk>, peer: &str) -> anyhow::Result<()> {
    context.waits_for(Medium::Socket);
    while let Some(chunk) = inlet.next_chunk()? {
        let length = chunk.len() as u64;
        if !chunks.send(chunk, context)? {
            return Err(ReaderGone { stream: peer.to_owned() }.into());
        }
        context.gauge().wrote(length);
    }
    Ok(())
}
