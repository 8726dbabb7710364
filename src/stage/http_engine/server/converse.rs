//! A connection from its first byte to its last: requests and their answers, then an end that tells the peer how it was meant.
//! Knows nothing of what the answers are.

use super::guest::{Guest, Order};
use super::service::Desk;
use super::socket::have;
use super::watched::Watched;
use crate::stage::http_engine::io::WireIo;
use crate::stage::net::wire::Wire;
use bytes::Bytes;
use hyper::rt::{Read, ReadBuf, Write};
use hyper::server::conn::http1;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// So much of a request's head is read.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// So many of its lines.
const HEADERS_MAX: usize = 100;

/// So long, and so much, a peer that was told the end is still heard: closed at once, the connection would be reset, and the peer could lose what
/// it has not read yet.
const LAST_WORDS: Duration = Duration::from_secs(2);
const LAST_WORDS_BYTES: usize = 8 * 1024 * 1024;

/// So many reads of that are done before it is the turn of other connections.
const HEARD_AT_ONCE: usize = 64;

/// How a connection came to its end.
enum End {
    /// By itself.
    Over,
    /// It was told to end, and nothing is owed to the peer.
    Left,
    /// What the peer has is not the whole.
    Cut,
}

/// Serves a connection, whatever it becomes.
pub(super) async fn converse(wire: Wire, guest: Rc<Guest>) {
    // When no more descriptors can be watched, closing it is all that can be done.
    let Ok(io) = WireIo::new(wire) else { return };
    let io = Rc::new(RefCell::new(io));
    let (end, rest) = exchange(Watched::new(&io, &guest), &guest).await;
    let Ok(io) = Rc::try_unwrap(io) else { return };
    let mut io = io.into_inner();
    if let (End::Over, Some(upgrade)) = (&end, guest.upgrade()) {
        return have(upgrade, io, rest, guest).await;
    }
    match end {
        End::Over => take_leave(&mut io, &guest).await,
        End::Left => {}
        End::Cut => {
            if let Ok(wire) = io.into_wire() {
                wire.give_up();
            }
        }
    }
}

async fn exchange(io: Watched, guest: &Rc<Guest>) -> (End, Bytes) {
    let mut builder = http1::Builder::new();
    builder.max_headers(HEADERS_MAX).max_header_size(HEAD_BYTES_MAX);
    // A peer that has said all may still listen. Time limits are the guest's.
    builder.half_close(true).header_read_timeout(None);
    let mut connection = builder.serve_connection(io, Desk::new(Rc::clone(guest)));
    let mut is_finishing = false;
    let end = poll_fn(|task| {
        match guest.obey(task) {
            Order::Stay => {}
            Order::Cut => return Poll::Ready(End::Cut),
            Order::Leave => return Poll::Ready(End::Left),
            Order::Finish if guest.is_idle() => return Poll::Ready(End::Left),
            Order::Finish if !is_finishing => {
                is_finishing = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            Order::Finish => {}
        }
        Pin::new(&mut connection).poll(task).map(|ended| match ended {
            // An answer that broke off shows that by itself, but for one whose end is that of the connection. What the
            // peer sent wrong has had its answer, or deserves none.
            Err(error) if error.is_user() && guest.ends_as_its_answer() => End::Cut,
            _ => End::Over,
        })
    });
    let end = end.await;
    (end, connection.into_parts().read_buf)
}

/// Tells the peer the end, and waits until it has it, but not for long.
async fn take_leave(io: &mut WireIo, guest: &Guest) {
    let mut heard_bytes = 0;
    let mut over = pin!(tokio::time::sleep(LAST_WORDS));
    poll_fn(|task| {
        if guest.obey(task) > Order::Finish || over.as_mut().poll(task).is_ready() {
            return Poll::Ready(());
        }
        let _ = Pin::new(&mut *io).poll_shutdown(task);
        hear_out(io, &mut heard_bytes, task)
    })
    .await;
}

fn hear_out(io: &mut WireIo, heard_bytes: &mut usize, task: &mut Context<'_>) -> Poll<()> {
    let mut scrap = [0; 4096];
    for _ in 0..HEARD_AT_ONCE {
        let mut buffer = ReadBuf::new(&mut scrap);
        match Pin::new(&mut *io).poll_read(task, buffer.unfilled()) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() && *heard_bytes < LAST_WORDS_BYTES => {
                *heard_bytes += buffer.filled().len();
            }
            Poll::Ready(_) => return Poll::Ready(()),
            Poll::Pending => return Poll::Pending,
        }
    }
    // It is the others' turn.
    task.waker().wake_by_ref();
    Poll::Pending
}
