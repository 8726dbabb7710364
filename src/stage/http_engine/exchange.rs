//! One request and its answer over one connection, for a thread that blocks: each wait ends when the run does.
//! Knows nothing of what is asked for, or of what becomes of the answer.
//!
//! Request and answer travel at once: whenever the answer is waited for, the request's body goes on being sent.

use super::io::WireIo;
use super::lost::Lost;
use super::upload::Upload;
use crate::flow::Closed;
use crate::stage::contract::Context;
use crate::stage::net::wire::Wire;
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, Connection};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{self, Poll};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// A connection on which a request is being answered.
#[derive(Debug)]
pub(in crate::stage) struct Exchange<'a> {
    // Before the runtime that it is registered with.
    line: Line<'a>,
    answer: Option<Incoming>,
    runtime: Runtime,
}

#[derive(Debug)]
struct Line<'a> {
    connection: Connection<Listening, Upload>,
    /// How it ended.
    end: Option<hyper::Result<()>>,
    context: &'a Context,
}

/// How long a wait may take on the run's clock.
pub(in crate::stage) type Limit = Option<Duration>;

impl<'a> Exchange<'a> {
    /// Sends `request` over `wire`, and waits for the head of its answer.
    ///
    /// # Errors
    /// What became of the connection.
    pub(in crate::stage) fn begin(
        wire: Wire,
        request: Request<Upload>,
        limit: Limit,
        context: &'a Context,
    ) -> Result<(Exchange<'a>, Response<()>), Lost> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build().map_err(Lost::Io)?;
        let (line, answer) = runtime.block_on(async {
            let io = Listening { io: WireIo::new(wire).map_err(Lost::Io)?, is_deaf: false };
            let (mut sender, connection) =
                http1::Builder::new().handshake(io).await.map_err(|error| Lost::of(&error))?;
            let mut line = Line { connection, end: None, context };
            let answer = sender.send_request(request);
            // There will be no other: the connection ends with this one.
            drop(sender);
            match line.wait(limit, answer).await {
                Ok(Ok(answer)) => Ok((line, answer)),
                Ok(Err(error)) => Err(line.lost(&error)),
                Err(lost) => Err(line.gone(lost)),
            }
        })?;
        let (head, answer) = answer.into_parts();
        Ok((Exchange { line, answer: Some(answer), runtime }, Response::from_parts(head, ())))
    }

    /// How many bytes of the answer are still to come, where its head has said so.
    pub(in crate::stage) fn announced_bytes(&self) -> Option<u64> {
        self.answer.as_ref().map_or(Some(0), |answer| answer.size_hint().exact())
    }

    /// The next bytes of the answer; `None` when it was whole.
    ///
    /// # Errors
    /// What became of the connection.
    pub(in crate::stage) fn next_bytes(&mut self, limit: Limit) -> Result<Option<Bytes>, Lost> {
        let Some(answer) = &mut self.answer else { return Ok(None) };
        loop {
            let frame = poll_fn(|task| Pin::new(&mut *answer).poll_frame(task));
            match self.runtime.block_on(self.line.wait(limit, frame))? {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if bytes.is_empty() => {}
                    Ok(bytes) => return Ok(Some(bytes)),
                    // Trailers say nothing that a stage could pass on.
                    Err(_) => {}
                },
                Some(Err(error)) => return Err(self.line.lost(&error)),
                None => {
                    self.answer = None;
                    return Ok(None);
                }
            }
        }
    }

    /// When the answer was whole: sends the rest of the request, as far as the server takes it.
    ///
    /// # Errors
    /// When the request did not become whole, or the run is given up.
    pub(in crate::stage) fn finish(mut self) -> Result<(), Lost> {
        let ended = self.runtime.block_on(self.line.ended());
        match ended {
            Err(lost @ (Lost::Closed(_) | Lost::NotWhole)) => {
                self.give_up();
                Err(lost)
            }
            // A server that has answered in full may close when it likes.
            _ => Ok(()),
        }
    }

    /// Has the server see a reset: what it was sent is not the whole.
    pub(in crate::stage) fn give_up(self) {
        self.line.give_up();
    }
}

impl Line<'_> {
    /// What `future` comes to while the connection is served, within `limit`.
    async fn wait<T>(&mut self, limit: Limit, future: impl Future<Output = T>) -> Result<T, Lost> {
        let mut future = pin!(future);
        let mut is_over = pin!(passed(limit, self.context));
        poll_fn(|task| {
            if self.context.poll_given_up(task).is_ready() {
                return Poll::Ready(Err(Lost::Closed(Closed::HungUp)));
            }
            self.serve(task);
            match future.as_mut().poll(task) {
                Poll::Ready(result) => Poll::Ready(Ok(result)),
                Poll::Pending => is_over.as_mut().poll(task).map(|time| Err(Lost::Silent(time))),
            }
        })
        .await
    }

    /// Serves the connection to its end.
    async fn ended(&mut self) -> Result<(), Lost> {
        poll_fn(|task| {
            if self.context.poll_given_up(task).is_ready() {
                return Poll::Ready(Err(Lost::Closed(Closed::HungUp)));
            }
            self.serve(task);
            match &self.end {
                None => Poll::Pending,
                Some(Ok(())) => Poll::Ready(Ok(())),
                Some(Err(error)) => Poll::Ready(Err(Lost::of(error))),
            }
        })
        .await
    }

    fn serve(&mut self, task: &mut task::Context<'_>) {
        if self.end.is_none()
            && let Poll::Ready(end) = Pin::new(&mut self.connection).poll(task)
        {
            self.end = Some(end);
        }
    }

    /// Why the exchange failed: the connection may know better than who waited.
    fn lost(&self, error: &hyper::Error) -> Lost {
        match &self.end {
            Some(Err(end)) if error.is_canceled() || error.is_closed() => Lost::of(end),
            _ => Lost::of(error),
        }
    }

    fn gone(self, lost: Lost) -> Lost {
        self.give_up();
        lost
    }

    fn give_up(self) {
        if let Ok(wire) = self.connection.into_parts().io.io.into_wire() {
            wire.give_up();
        }
    }
}

/// Returns when `limit` has passed on the run's clock, which stands still while the process is stopped.
async fn passed(limit: Limit, context: &Context) -> Duration {
    let Some(limit) = limit else { return std::future::pending().await };
    let until_nanos =
        context.clock().now_nanos().saturating_add(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
    loop {
        let left_nanos = until_nanos.saturating_sub(context.clock().now_nanos());
        if left_nanos == 0 {
            return limit;
        }
        tokio::time::sleep(Duration::from_nanos(left_nanos)).await;
    }
}

/// A connection whose peer may take no more and still have an answer to give: one that refuses a large body does not read it.
#[derive(Debug)]
struct Listening {
    io: WireIo,
    /// Whether the peer takes no more. What it has given is read all the same, to an end that tells.
    is_deaf: bool,
}

impl Listening {
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
