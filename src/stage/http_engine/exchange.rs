//! One request and its answer over one connection, for a thread that blocks: each wait ends when the run does.
//! Knows nothing of what is asked for, or of what becomes of the answer.
//!
//! Request and answer travel at once: whenever the answer is waited for, the request's body goes on being sent.

use super::io::WireIo;
use super::listening::Listening;
use super::lost::Lost;
use super::upload::Upload;
use crate::flow::Closed;
use crate::stage::contract::Context;
use crate::stage::net::wire::Wire;
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, Connection};
use hyper::{Request, Response};
use std::future::{Future, poll_fn};
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
            let io = Listening::new(WireIo::new(wire).map_err(Lost::Io)?);
            let (mut sender, connection) =
                http1::Builder::new().handshake(io).await.map_err(|error| Lost::of(&error))?;
            let mut line = Line { connection, end: None, context };
            let answer = sender.send_request(request);
            // There will be no other: the connection ends with this one.
            drop(sender);
            match line.wait(limit, answer).await {
                Ok(Ok(answer)) => Ok((line, answer)),
                Ok(Err(error)) => {
                    let lost = line.lost(&error);
                    Err(line.gone(lost))
                }
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
        if let Ok(wire) = self.connection.into_parts().io.into_inner().into_wire() {
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

#[cfg(test)]
mod tests {
    use super::Exchange;
    use crate::flow::Closed;
    use crate::stage::contract::Context;
    use crate::stage::http_engine::bridge::bridge;
    use crate::stage::http_engine::lost::Lost;
    use crate::stage::http_engine::upload::{Piece, Upload};
    use crate::stage::net::address::Address;
    use crate::stage::net::dial::dial;
    use crate::stage::testing_ends::bench;
    use hyper::{Request, Response};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    /// A request with `upload`, asked of `server`, which has the connection.
    fn ask<'a>(
        context: &'a Context,
        upload: Upload,
        limit: Option<Duration>,
        server: impl FnOnce(TcpStream) + Send + 'static,
    ) -> Result<(Exchange<'a>, Response<()>), Lost> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::new("127.0.0.1", listener.local_addr().unwrap().port());
        std::thread::spawn(move || server(listener.accept().unwrap().0));
        let wire = dial(&address, Duration::from_secs(10), context).unwrap();
        let mut request = Request::new(upload);
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = "/".parse().unwrap();
        Exchange::begin(wire, request, limit, context)
    }

    fn read_head(stream: &mut TcpStream) {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
    }

    /// Answers with `answer`, then holds the connection until the other end of the gate is gone.
    fn holding(answer: &'static [u8]) -> (mpsc::Sender<()>, impl FnOnce(TcpStream) + Send + 'static) {
        let (gate, is_over) = mpsc::channel();
        let server = move |mut stream: TcpStream| {
            read_head(&mut stream);
            stream.write_all(answer).unwrap();
            is_over.recv().ok();
        };
        (gate, server)
    }

    #[test]
    fn a_silent_server_is_given_its_time_and_no_more() {
        let bench = bench(64);
        let limit = Some(Duration::from_millis(20));
        let (_gate, server) = holding(b"");
        let lost = ask(&bench.context, Upload::Over, limit, server).unwrap_err();
        assert!(matches!(lost, Lost::Silent(time) if Some(time) == limit), "{lost:?}");
        let (_gate, server) = holding(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
        let (mut exchange, _) = ask(&bench.context, Upload::Over, None, server).unwrap();
        assert_eq!(exchange.announced_bytes(), Some(4));
        assert_eq!(exchange.next_bytes(limit).unwrap().as_deref(), Some(&b"ab"[..]));
        assert!(matches!(exchange.next_bytes(limit), Err(Lost::Silent(_))));
    }

    #[test]
    fn a_time_limit_does_not_run_while_the_process_is_stopped() {
        let bench = bench(64);
        bench.context.clock().freeze();
        let limit = Duration::from_millis(1);
        let (_, answer) = ask(&bench.context, Upload::Over, Some(limit), move |mut stream| {
            read_head(&mut stream);
            let asked = Instant::now();
            while asked.elapsed() < 5 * limit {}
            stream.write_all(b"HTTP/1.1 204 x\r\n\r\n").unwrap();
        })
        .unwrap();
        assert_eq!(answer.status(), 204);
    }

    #[test]
    fn a_wait_ends_when_the_run_is_given_up() {
        let bench = bench(64);
        let (gate, is_asked) = mpsc::channel();
        let (_hold, server) = holding(b"");
        let alarm = std::sync::Arc::clone(&bench.alarm);
        let ringer = std::thread::spawn(move || {
            is_asked.recv().unwrap();
            alarm.ring();
        });
        let lost = ask(&bench.context, Upload::Over, None, move |stream| {
            gate.send(()).unwrap();
            server(stream);
        });
        assert!(matches!(lost.unwrap_err(), Lost::Closed(Closed::HungUp)));
        ringer.join().unwrap();
    }

    #[test]
    fn a_request_that_never_becomes_whole_is_reset() {
        let bench = bench(64);
        let (sender, receiver) = bridge(2).unwrap();
        let mut chunk = bench.outlet.chunk();
        chunk.append(b"part");
        assert!(sender.send(Piece::Data(chunk), &bench.context).unwrap());
        drop(sender);
        let (told, taken) = mpsc::channel();
        let lost = ask(&bench.context, Upload::Bridge(receiver), None, move |mut stream| {
            // To whatever end comes, and no further.
            let (mut all, mut byte) = (Vec::new(), [0]);
            let broke = loop {
                match stream.read(&mut byte) {
                    Ok(0) => break false,
                    Ok(_) => all.push(byte[0]),
                    Err(_) => break true,
                }
                if all.ends_with(b"\r\n0\r\n\r\n") {
                    break false;
                }
            };
            told.send(broke).unwrap();
        });
        assert!(matches!(lost.unwrap_err(), Lost::NotWhole));
        assert!(taken.recv().unwrap(), "it ended, and was not reset");
    }
}
