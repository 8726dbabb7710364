//! The body of a request: nothing, or what a stage's thread sends over a bridge, chunk by chunk and uncopied.
//! Knows nothing of stages and connections.

use super::bridge::Receiver;
use crate::flow::Chunk;
use bytes::Buf;
use hyper::body::{Body, Frame};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// What comes over the bridge. A bridge that ends without an [`Piece::End`] is a body that is not whole.
#[derive(Debug)]
pub(in crate::stage) enum Piece {
    /// Some of it.
    Data(Chunk),
    /// This was all.
    End,
}

/// The body of a request.
#[derive(Debug)]
pub(in crate::stage) enum Upload {
    /// Nothing, or nothing any more.
    Over,
    /// What comes over a bridge.
    Bridge(Receiver<Piece>),
}

/// A chunk that hyper sends from where it is.
#[derive(Debug)]
pub(in crate::stage) struct Sent(Chunk);

impl Buf for Sent {
    fn remaining(&self) -> usize {
        self.0.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.0
    }

    fn advance(&mut self, count: usize) {
        self.0.advance(count);
    }
}

/// The stage before did not end well: the server must not take what it has for the whole.
#[derive(Debug)]
pub(in crate::stage) struct NotWhole;

impl fmt::Display for NotWhole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("what is to be sent did not end well")
    }
}

impl std::error::Error for NotWhole {}

impl Body for Upload {
    type Data = Sent;
    type Error = NotWhole;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Sent>, NotWhole>>> {
        let piece = match &*self {
            Upload::Over => return Poll::Ready(None),
            Upload::Bridge(receiver) => ready!(receiver.poll_receive(task)),
        };
        Poll::Ready(match piece {
            Some(Piece::Data(chunk)) => Some(Ok(Frame::data(Sent(chunk)))),
            Some(Piece::End) => {
                *self = Upload::Over;
                None
            }
            None => Some(Err(NotWhole)),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Upload::Over)
    }
}
