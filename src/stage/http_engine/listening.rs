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

#[cfg(test)]
mod tests {
    use super::Listening;
    use crate::stage::http_engine::io::WireIo;
    use crate::stage::net::address::Address;
    use crate::stage::net::dial::dial;
    use crate::stage::testing_ends::bench;
    use hyper::rt::{Read, ReadBuf, Write};
    use std::future::poll_fn;
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::pin::Pin;
    use std::task::Poll;
    use std::time::Duration;

    #[test]
    fn what_a_peer_has_said_before_it_reset_the_connection_is_heard() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::new("127.0.0.1", listener.local_addr().unwrap().port());
        let bench = bench(64);
        let wire = dial(&address, Duration::from_secs(10), &bench.context).unwrap();
        wire.write(b"not read", &bench.context).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"no").unwrap();
        // Closed with something unread, a connection is reset.
        drop(peer);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let mut listening = Listening::new(WireIo::new(wire).unwrap());
            poll_fn(|task| match Pin::new(&mut listening).poll_write(task, b"more") {
                Poll::Pending if listening.is_deaf => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
                Poll::Ready(result) => panic!("a peer that is gone has taken it: {result:?}"),
            })
            .await;
            let mut storage = [0; 8];
            let mut buffer = ReadBuf::new(&mut storage);
            poll_fn(|task| Pin::new(&mut listening).poll_read(task, buffer.unfilled())).await.unwrap();
            assert_eq!(buffer.filled(), b"no");
        });
    }
}
