//! A connected socket that does not block, plain or under TLS: reads and writes that can be given up, and its three ends.
//! Knows nothing of how it was connected, or of what goes over it.
//!
//! | end | what the peer sees |
//! |---|---|
//! | [`Wire::finish`] | the end of what we give; it may go on giving |
//! | dropped | that nobody is here any more |
//! | [`Wire::give_up`], then dropped | a reset: never an end that is none |

#[cfg(feature = "web")]
use super::tls::Session;
use crate::flow::Extent;
use crate::stage::contract::Context;
use nix::errno::Errno;
use nix::libc::linger;
use nix::poll::PollFlags;
use nix::sys::sendfile::sendfile;
use nix::sys::socket::{Shutdown, getsockopt, setsockopt, shutdown, sockopt};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A connection to a peer. Both ways may use it at once.
#[derive(Debug)]
pub(in crate::stage) struct Wire {
    /// Read and written by `read` and `write`, which sockets understand.
    socket: File,
    /// How messages call the peer.
    name: String,
    #[cfg(feature = "web")]
    session: Option<Session>,
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Wire {
    /// Of a connected socket that does not block.
    pub(in crate::stage) fn plain(socket: OwnedFd, name: impl Into<String>) -> Wire {
        Wire {
            socket: socket.into(),
            name: name.into(),
            #[cfg(feature = "web")]
            session: None,
        }
    }

    /// The same wire under TLS, before its handshake.
    #[cfg(feature = "web")]
    pub(in crate::stage) fn secured(self, session: Session) -> Wire {
        Wire { session: Some(session), ..self }
    }

    /// The socket, the protocol it is under, and how messages call the peer; the reverse of [`Wire::plain`] and [`Wire::secured`].
    #[cfg(feature = "web")]
    pub(in crate::stage) fn into_parts(self) -> (OwnedFd, Option<Session>, String) {
        (self.socket.into(), self.session, self.name)
    }

    /// What it is under, if it is.
    #[cfg(feature = "web")]
    pub(super) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// What is below.
    #[cfg(feature = "web")]
    pub(super) fn socket(&self) -> &File {
        &self.socket
    }

    /// How messages call the peer.
    pub(in crate::stage) fn name(&self) -> &str {
        &self.name
    }

    /// What there is to read now; 0 at the end of what the peer gives. `buffer` is not empty.
    ///
    /// # Errors
    /// Those of `read`: `WouldBlock` when there is nothing yet. Under TLS, those of the protocol, and `UnexpectedEof` when the
    /// connection ended without the peer's word.
    pub(in crate::stage) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(feature = "web")]
        if let Some(session) = &self.session {
            return session.read(&mut &self.socket, buffer);
        }
        retry(|| (&self.socket).read(buffer))
    }

    /// How much of `bytes` was taken now.
    ///
    /// # Errors
    /// Those of `write`: `WouldBlock` when nothing can be taken yet.
    pub(in crate::stage) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(feature = "web")]
        if let Some(session) = &self.session {
            return session.write(&mut &self.socket, bytes);
        }
        retry(|| (&self.socket).write(bytes))
    }

    /// Sends on what TLS still holds of what was taken; nothing, without it.
    ///
    /// # Errors
    /// Those of `write`: `WouldBlock` when it is not all gone yet.
    pub(in crate::stage) fn try_flush(&self) -> io::Result<()> {
        #[cfg(feature = "web")]
        if let Some(session) = &self.session {
            return session.flush(&mut &self.socket);
        }
        Ok(())
    }

    /// What one read returns; 0 at the end.
    ///
    /// # Errors
    /// Those of [`Wire::try_read`]; a [`Closed`](crate::flow::Closed) when the run ends while it waits.
    pub(in crate::stage) fn read(&self, buffer: &mut [u8], context: &Context) -> io::Result<usize> {
        self.when_ready(PollFlags::POLLIN, context, || self.try_read(buffer))
    }

    /// How much of `bytes` one write took; never 0 of some.
    ///
    /// # Errors
    /// Those of [`Wire::try_write`]; a [`Closed`](crate::flow::Closed) when the run ends while it waits.
    pub(in crate::stage) fn write(&self, bytes: &[u8], context: &Context) -> io::Result<usize> {
        let count = self.when_ready(PollFlags::POLLOUT, context, || self.try_write(bytes))?;
        self.when_ready(PollFlags::POLLOUT, context, || self.try_flush())?;
        Ok(count)
    }

    /// Has the system send up to `length_bytes` of `extent` from its file; how many it sent now, 0 when the file has no more.
    ///
    /// # Errors
    /// Those of `sendfile`: `EAGAIN` when nothing can be taken yet, `EINVAL` where that file cannot be sent so, and for a wire under
    /// TLS.
    pub(in crate::stage) fn try_send_extent(&self, extent: &Extent) -> io::Result<usize> {
        if self.is_secured() {
            return Err(Errno::EINVAL.into());
        }
        let length = usize::try_from(extent.length_bytes).unwrap_or(usize::MAX);
        let mut offset = i64::try_from(extent.offset_bytes).map_err(|_| Errno::EOVERFLOW)?;
        retry(|| Ok(sendfile(&self.socket, &*extent.file, Some(&mut offset), length)?))
    }

    /// Whether it is under TLS.
    pub(in crate::stage) fn is_secured(&self) -> bool {
        #[cfg(feature = "web")]
        return self.session.is_some();
        #[cfg(not(feature = "web"))]
        return false;
    }

    /// Tells the peer that this was all.
    ///
    /// # Errors
    /// As [`Wire::write`].
    pub(in crate::stage) fn finish(&self, context: &Context) -> io::Result<()> {
        #[cfg(feature = "web")]
        return self.when_ready(PollFlags::POLLOUT, context, || self.try_finish());
        #[cfg(not(feature = "web"))]
        self.when_ready(PollFlags::POLLOUT, context, || self.shut_for_writing())
    }

    /// As [`Wire::finish`], without waiting; to be repeated until it does not block.
    ///
    /// # Errors
    /// As [`Wire::try_write`].
    #[cfg(feature = "web")]
    pub(in crate::stage) fn try_finish(&self) -> io::Result<()> {
        if let Some(session) = &self.session {
            session.say_goodbye();
            session.flush(&mut &self.socket)?;
        }
        self.shut_for_writing()
    }

    /// Tells the peer below any TLS that nothing follows. One that is not connected any more has been told, or tells it itself when
    /// it is read.
    fn shut_for_writing(&self) -> io::Result<()> {
        match shutdown(self.socket.as_raw_fd(), Shutdown::Write) {
            Ok(()) | Err(Errno::ENOTCONN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What has gone wrong with the connection since it was last used.
    ///
    /// # Errors
    /// Just that.
    pub(super) fn trouble(&self) -> io::Result<()> {
        match getsockopt(&self.socket, sockopt::SocketError)? {
            0 => Ok(()),
            number => Err(Errno::from_raw(number).into()),
        }
    }

    /// Ends both ways at once, below any TLS: who waits for either finds the end.
    #[cfg(feature = "web")]
    pub(in crate::stage) fn shut(&self) {
        // One that is not connected any more has ended already.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
    }

    /// Has the peer see a reset when the wire is dropped: what it was given is not the whole.
    pub(in crate::stage) fn give_up(&self) {
        // A socket that is none of TCP has no reset; its peer sees an end, and nothing can be done about that.
        let _ = setsockopt(&self.socket, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 });
    }

    /// Repeats `attempt` until it does not block.
    pub(in crate::stage) fn when_ready<T>(
        &self,
        interest: PollFlags,
        context: &Context,
        mut attempt: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    context.ready(self.socket.as_fd(), interest)?;
                }
                result => return result,
            }
        }
    }
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
