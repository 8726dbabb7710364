//! A connection whose peer may take no more and still have an answer to give: one that refuses a large body does not read it.
//! Knows nothing of requests and answers.

use super::io::WireIo;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{self, Poll};

/// Whoever cannot be told anything any more is listened to all the same.
#[derive(Debug)]
pub(super) struct Listening {
    io: WireIo,
    /// Whether the peer takes no more. What it has given is read all the same, to an end that tells.
    is_deaf: bool,
}

impl Listening {
    pub(super) fn new(io: WireIo) -> Listening {
        Listening { io, is_deaf: false }
    }

    /// What it is a connection over.
    pub(super) fn into_inner(self) -> WireIo {
        self.io
    }

    fn unless_deaf<T>(&mut self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match result {
            Poll::Ready(Err(error))
                if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
            {
                self.is_deaf = true;
                Poll::Pending
            }
            result => result,
        }
    }
}

impl Read for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut task::Context<'_>,
        cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(task, cursor)
    }
}

impl Write for Listening {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut task::Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_deaf {
            return Poll::Pending;
        }
        let result = Pin::new(&mut self.io).poll_write(task, bytes);
        self.unless_deaf(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut task::Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_deaf {
            return Poll::Pending;
        }
        let result = Pin::new(&mut self.io).poll_write_vectored(task, pieces);
        self.unless_deaf(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        if self.is_deaf {
            return Poll::Pending;
        }
        let result = Pin::new(&mut self.io).poll_flush(task);
        self.unless_deaf(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        if self.is_deaf {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(task)
    }
}
