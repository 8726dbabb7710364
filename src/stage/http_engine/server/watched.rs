//! A connection as hyper takes it, that tells when its peer gives and takes.
//! Knows nothing of what follows from it.

use super::guest::Guest;
use super::lending::Next;
use crate::stage::http_engine::io::WireIo;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The connection of a guest.
pub(super) struct Watched {
    io: Rc<RefCell<WireIo>>,
    guest: Rc<Guest>,
}

impl Watched {
    pub(super) fn new(io: &Rc<RefCell<WireIo>>, guest: &Rc<Guest>) -> Watched {
        guest.watch(io);
        Watched { io: Rc::clone(io), guest: Rc::clone(guest) }
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.guest.is_full(),
            Poll::Ready(Ok(_)) => self.guest.took(),
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

impl Read for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut *self.io.borrow_mut()).poll_read(task, cursor);
        if matches!(read, Poll::Ready(Ok(()))) {
            self.guest.gave();
        }
        read
    }
}

impl Write for Watched {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(task, &[IoSlice::new(bytes)])
    }

    fn is_write_vectored(&self) -> bool {
        self.io.borrow().is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut io = self.io.borrow_mut();
        let written = match self.guest.lending.next(pieces) {
            Next::Pieces(count) => Pin::new(&mut *io).poll_write_vectored(task, &pieces[..count]),
            Next::File(stretch) => {
                let sent = io.poll_send(task, &stretch);
                self.guest.sent(&sent);
                sent
            }
        };
        self.note(written)
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io.borrow_mut()).poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io.borrow_mut()).poll_shutdown(task)
    }
}
