//! A connected socket as hyper takes it.
//! Knows nothing of HTTP.

use super::files::answer::Stretch;
use crate::stage::net::tls::Session;
use crate::stage::net::wire::Wire;
use hyper::rt::{Read, ReadBufCursor, Write};
use nix::errno::Errno;
use nix::sys::sendfile::sendfile;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;

/// So much is read at once.
const READ_BYTES: usize = 256 * 1024;

thread_local! {
    /// Where a read puts what came, before hyper gets it. One for all connections of a runtime, however many there are.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A wire in a runtime.
#[derive(Debug)]
pub(in crate::stage) struct WireIo {
    stream: TcpStream,
    session: Option<Session>,
    name: String,
}

impl WireIo {
    /// Called in the runtime that is going to use it. The wire is one of TCP.
    ///
    /// # Errors
    /// Those of the system, when no more descriptors can be watched.
    pub(in crate::stage) fn new(wire: Wire) -> io::Result<WireIo> {
        let (socket, session, name) = wire.into_parts();
        Ok(WireIo { stream: TcpStream::from_std(socket.into())?, session, name })
    }

    /// The wire again, for code that blocks.
    ///
    /// # Errors
    /// Those of the system, when it cannot be taken from the runtime.
    pub(in crate::stage) fn into_wire(self) -> io::Result<Wire> {
        let wire = Wire::plain(self.stream.into_std()?.into(), self.name);
        Ok(match self.session {
            Some(session) => wire.secured(session),
            None => wire,
        })
    }

    /// What is below, to look at.
    pub(in crate::stage) fn socket(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    fn poll_readable<T>(
        &self,
        task: &mut Context<'_>,
        mut attempt: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_read_ready(task))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_writable<T>(
        &self,
        task: &mut Context<'_>,
        mut attempt: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_write_ready(task))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }
}

/// The socket below TLS: as it is ready now, or `WouldBlock`.
struct Below<'a>(&'a TcpStream);

impl io::Read for Below<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl io::Write for Below<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for WireIo {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(READ_BYTES, 0);
            let length = cursor.remaining().min(READ_BYTES);
            let buffer = &mut scratch[..length];
            let count = ready!(self.poll_readable(task, || match &self.session {
                Some(session) => session.read(&mut Below(&self.stream), buffer),
                None => self.stream.try_read(buffer),
            }))?;
            cursor.put_slice(&scratch[..count]);
            Poll::Ready(Ok(()))
        })
    }
}

impl Write for WireIo {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_writable(task, || match &self.session {
            Some(session) => session.write(&mut Below(&self.stream), bytes),
            None => self.stream.try_write(bytes),
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.session.is_none()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.session.is_some() {
            let piece = pieces.iter().find(|piece| !piece.is_empty());
            return piece.map_or(Poll::Ready(Ok(0)), |piece| self.poll_write(task, piece));
        }
        self.poll_writable(task, || self.stream.try_write_vectored(pieces))
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_writable(task, || match &self.session {
            Some(session) => session.flush(&mut Below(&self.stream)),
            None => Ok(()),
        })
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(session) = &self.session {
            session.say_goodbye();
        }
        ready!(self.as_mut().poll_flush(task))?;
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}

impl WireIo {
    /// Has the system send a stretch of a file; how much it sent. Not for a wire under TLS.
    ///
    /// # Errors
    /// Those of the socket and of the file; `UnexpectedEof` when the file has become shorter.
    pub(in crate::stage) fn poll_send(
        &self,
        task: &mut Context<'_>,
        stretch: &Stretch,
    ) -> Poll<io::Result<usize>> {
        let length = usize::try_from(stretch.length_bytes).unwrap_or(usize::MAX);
        let mut offset = i64::try_from(stretch.offset_bytes).map_err(|_| Errno::EOVERFLOW)?;
        let send = || Ok(sendfile(self.stream.as_fd(), &*stretch.file, Some(&mut offset), length)?);
        let mut send = send;
        let sent = ready!(self.poll_writable(task, || self.stream.try_io(Interest::WRITABLE, &mut send)));
        Poll::Ready(match sent {
            Ok(0) => Err(shortened()),
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => {
                ready!(self.poll_copy(task, stretch))
            }
            sent => sent,
        })
    }

    /// The same by way of memory, for a file that the system does not send.
    fn poll_copy(&self, task: &mut Context<'_>, stretch: &Stretch) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(READ_BYTES, 0);
            let length = usize::try_from(stretch.length_bytes).unwrap_or(usize::MAX).min(READ_BYTES);
            let count = stretch.file.read_at(&mut scratch[..length], stretch.offset_bytes)?;
            if count == 0 {
                return Poll::Ready(Err(shortened()));
            }
            self.poll_writable(task, || self.stream.try_write(&scratch[..count]))
        })
    }
}

fn shortened() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter while it was sent")
}
