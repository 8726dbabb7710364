//! Descriptors as streams of bytes: what is behind them, and reads and writes that can be given up while they wait.
//! Knows nothing of names, commits or stages.

use crate::flow::{Extent, Medium};
use crate::stage::contract::Context;
use nix::errno::Errno;
use nix::fcntl::{
    FcntlArg, OFlag, PosixFadviseAdvice, SpliceFFlags, copy_file_range, fcntl, posix_fadvise, splice,
};
use nix::poll::PollFlags;
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, FsType, XFS_SUPER_MAGIC, fstatfs};
use nix::unistd::{Whence, close, isatty, lseek, read, write};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};

/// What a pipe is grown to: with the 64 KiB of the system each hand-over costs a switch of processes.
const PIPE_BYTES: i32 = 1024 * 1024;

/// At most this much in one write to a terminal, which may be stopped (Ctrl-S) in the middle of a larger one.
const TERMINAL_WRITE_BYTES: usize = 4096;

/// Whether two files of such a file system can share blocks, until one of them is written to.
pub fn shares_blocks(file_system: FsType) -> bool {
    [BTRFS_SUPER_MAGIC, XFS_SUPER_MAGIC].contains(&file_system)
}

/// A descriptor: one of the stage's own, or a standard stream, which is never closed.
#[derive(Debug)]
pub(in crate::stage) enum Handle {
    /// Closed with the stream.
    Own(File),
    /// Descriptor 0.
    Stdin(io::Stdin),
    /// Descriptor 1.
    Stdout(io::Stdout),
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Handle::Own(file) => file.as_fd(),
            Handle::Stdin(stdin) => stdin.as_fd(),
            Handle::Stdout(stdout) => stdout.as_fd(),
        }
    }
}

/// What stands behind a descriptor, as far as it matters to who reads or writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) enum Kind {
    /// A regular file. Never waited for: reads and writes of it go to the disk.
    Regular,
    /// A block device.
    Block,
    /// A pipe or a FIFO.
    Pipe,
    /// A socket.
    Socket,
    /// A character device that is a terminal.
    Terminal,
    /// Any other device.
    Device,
}

/// An open descriptor and what is behind it.
#[derive(Debug)]
pub(in crate::stage) struct Stream {
    handle: Handle,
    kind: Kind,
    is_polled_for_reading: bool,
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl Stream {
    /// Looks what is behind `handle`, and prepares it: pipes are grown, read-ahead is asked for.
    ///
    /// # Errors
    /// Those of `fstat`: the descriptor is not open.
    pub(in crate::stage) fn new(handle: Handle) -> io::Result<Stream> {
        let metadata = metadata(&handle)?;
        let kind = kind_of(&metadata, &handle);
        match kind {
            Kind::Pipe => grow(&handle),
            // Only a wish: a file that takes no advice is read all the same.
            Kind::Regular => drop(posix_fadvise(&handle, 0, 0, PosixFadviseAdvice::POSIX_FADV_SEQUENTIAL)),
            _ => {}
        }
        // A regular file of no size may be one the kernel makes up, and some of those wait for events.
        let is_polled_for_reading = kind != Kind::Regular || metadata.len() == 0;
        Ok(Stream { handle, kind, is_polled_for_reading })
    }

    /// Standard input.
    ///
    /// # Errors
    /// As [`Stream::new`].
    pub(in crate::stage) fn stdin() -> io::Result<Stream> {
        Stream::new(Handle::Stdin(io::stdin()))
    }

    /// Standard output. Of a pipe the stream has a descriptor of its own that does not block, so that a write can be
    /// given up; what the process shares with others is left as it is.
    ///
    /// # Errors
    /// As [`Stream::new`].
    pub(in crate::stage) fn stdout() -> io::Result<Stream> {
        Stream::new(Handle::Stdout(io::stdout()))?.without_blocking()
    }

    /// The same pipe, by a descriptor that does not block; any other stream as it is.
    fn without_blocking(self) -> io::Result<Stream> {
        if self.kind != Kind::Pipe {
            return Ok(self);
        }
        // Not allowed for the pipe of another user, nor without /proc: then writes block, as they do everywhere.
        let path = format!("/proc/self/fd/{}", self.as_fd().as_raw_fd());
        let reopened = OpenOptions::new().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
        Ok(match reopened {
            Ok(file) if same_file(&file.metadata()?, &metadata(&self.handle)?) => {
                Stream { handle: Handle::Own(file), ..self }
            }
            _ => self,
        })
    }

    /// What is behind it.
    pub(in crate::stage) fn kind(&self) -> Kind {
        self.kind
    }

    /// What a stage that uses it waits for.
    pub(in crate::stage) fn medium(&self) -> Medium {
        match self.kind {
            Kind::Regular | Kind::Block => Medium::Disk,
            Kind::Terminal => Medium::Terminal,
            Kind::Pipe | Kind::Socket | Kind::Device => Medium::Pipe,
        }
    }

    /// What one `read` returns; 0 at the end. `buffer` is not empty.
    ///
    /// # Errors
    /// Those of `read`; a [`Closed`](crate::flow::Closed) when the run ends while it waits.
    pub(in crate::stage) fn read(&self, buffer: &mut [u8], context: &Context) -> io::Result<usize> {
        if self.is_polled_for_reading {
            context.ready(self.as_fd(), PollFlags::POLLIN)?;
        }
        loop {
            match read(&self.handle, buffer) {
                Ok(count) => return Ok(count),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => context.ready(self.as_fd(), PollFlags::POLLIN)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// How much of `bytes` one `write` took; never 0 of some.
    ///
    /// # Errors
    /// Those of `write`; a [`Closed`](crate::flow::Closed) when the run ends while it waits.
    pub(in crate::stage) fn write(&self, bytes: &[u8], context: &Context) -> io::Result<usize> {
        let mut bytes = bytes;
        if self.kind == Kind::Terminal {
            bytes = &bytes[..bytes.len().min(TERMINAL_WRITE_BYTES)];
            context.ready(self.as_fd(), PollFlags::POLLOUT)?;
        }
        loop {
            match write(&self.handle, bytes) {
                Ok(0) if !bytes.is_empty() => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => return Ok(count),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => context.ready(self.as_fd(), PollFlags::POLLOUT)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Has the system move up to `length_bytes` of `extent` from its file into this pipe; how many it moved, 0 when the file
    /// has no more.
    ///
    /// # Errors
    /// Those of `splice`: `EINVAL` where that file cannot be moved so; a [`Closed`](crate::flow::Closed) when the run ends while
    /// it waits.
    pub(in crate::stage) fn splice(&self, extent: &Extent, context: &Context) -> io::Result<usize> {
        let length = usize::try_from(extent.length_bytes).unwrap_or(usize::MAX);
        let mut offset = i64::try_from(extent.offset_bytes).map_err(|_| Errno::EOVERFLOW)?;
        let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
        loop {
            match splice(&*extent.file, Some(&mut offset), &self.handle, None, length, flags) {
                Ok(count) => return Ok(count),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => context.ready(self.as_fd(), PollFlags::POLLOUT)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Has the system copy up to `length_bytes` of `extent` to where this file stands; how many it copied, 0 when the other
    /// file has no more. Where the file system can, both then share the blocks, and nothing is copied: see
    /// [`Stream::can_share_blocks`].
    ///
    /// # Errors
    /// Those of `copy_file_range`.
    pub(in crate::stage) fn copy(&self, extent: &Extent) -> io::Result<usize> {
        let length = usize::try_from(extent.length_bytes).unwrap_or(usize::MAX);
        let mut offset = i64::try_from(extent.offset_bytes).map_err(|_| Errno::EOVERFLOW)?;
        loop {
            match copy_file_range(&*extent.file, Some(&mut offset), &self.handle, None, length) {
                Ok(count) => return Ok(count),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether this file can share its blocks with another one: both on one file system, and one that does that. On any other
    /// [`Stream::copy`] is no faster than `read` and `write`, which go on side by side.
    pub(in crate::stage) fn can_share_blocks(&self, with: &Metadata) -> bool {
        let is_near = |own: Metadata| own.is_file() && with.is_file() && own.dev() == with.dev();
        metadata(&self.handle).is_ok_and(is_near)
            && fstatfs(&self.handle).is_ok_and(|system| shares_blocks(system.filesystem_type()))
    }

    /// Where the next read begins, in bytes.
    ///
    /// # Errors
    /// Those of `lseek`: a pipe has no position.
    pub(in crate::stage) fn position(&self) -> io::Result<u64> {
        let position = lseek(&self.handle, 0, Whence::SeekCur)?;
        Ok(u64::try_from(position).unwrap_or(0))
    }

    /// Lets the next read begin there.
    ///
    /// # Errors
    /// Those of `lseek`.
    pub(in crate::stage) fn seek(&self, position_bytes: u64) -> io::Result<()> {
        let position = i64::try_from(position_bytes).map_err(|_| Errno::EOVERFLOW)?;
        lseek(&self.handle, position, Whence::SeekSet)?;
        Ok(())
    }

    /// How many bytes are left to read, when that can be known.
    pub(in crate::stage) fn left_bytes(&self) -> Option<u64> {
        let size = match self.kind {
            Kind::Regular => metadata(&self.handle).ok()?.len(),
            Kind::Block => {
                let here = lseek(&self.handle, 0, Whence::SeekCur).ok()?;
                let end = lseek(&self.handle, 0, Whence::SeekEnd).ok()?;
                lseek(&self.handle, here, Whence::SeekSet).ok()?;
                u64::try_from(end).ok()?
            }
            _ => return None,
        };
        let here = u64::try_from(lseek(&self.handle, 0, Whence::SeekCur).ok()?).ok()?;
        // A size of 0 is what files of /proc have, whatever is in them.
        (size > 0).then(|| size.saturating_sub(here))
    }

    /// What `fstat` says of it.
    ///
    /// # Errors
    /// Those of `fstat`.
    pub(in crate::stage) fn metadata(&self) -> io::Result<Metadata> {
        metadata(&self.handle)
    }

    /// How long the file is.
    ///
    /// # Errors
    /// Those of `fstat`.
    pub(in crate::stage) fn length_bytes(&self) -> io::Result<u64> {
        Ok(metadata(&self.handle)?.len())
    }

    /// A descriptor of the same open file, of the caller's own.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(in crate::stage) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.as_fd().try_clone_to_owned()
    }

    /// Has the errors told that the system keeps for `close`. The stream stays open.
    ///
    /// # Errors
    /// Those of `close`: network file systems and quotas report here what `write` could not know yet.
    pub(in crate::stage) fn flush_by_close(&self) -> io::Result<()> {
        // Without a free descriptor there is nothing to close; that says nothing about the bytes written.
        match self.duplicate() {
            Ok(duplicate) => checked_close(duplicate),
            Err(_) => Ok(()),
        }
    }

    /// Closes a descriptor of its own; of a standard stream, only the errors are had out.
    ///
    /// # Errors
    /// Those of `close`.
    pub(in crate::stage) fn close(self) -> io::Result<()> {
        match self.handle {
            Handle::Own(file) => checked_close(file.into()),
            Handle::Stdin(_) | Handle::Stdout(_) => self.flush_by_close(),
        }
    }
}

/// `close`, with its errors; `File` would drop them.
fn checked_close(descriptor: OwnedFd) -> io::Result<()> {
    match close(descriptor) {
        // On Linux the descriptor is closed all the same, and nothing was lost.
        Ok(()) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What `fstat` says of a descriptor.
///
/// # Errors
/// Those of `fstat`, or that the process has no descriptor left.
fn metadata(handle: &Handle) -> io::Result<Metadata> {
    match handle {
        Handle::Own(file) => file.metadata(),
        standard => File::from(standard.as_fd().try_clone_to_owned()?).metadata(),
    }
}

fn kind_of(metadata: &Metadata, descriptor: &impl AsFd) -> Kind {
    let file_type = metadata.file_type();
    if file_type.is_block_device() {
        Kind::Block
    } else if file_type.is_fifo() {
        Kind::Pipe
    } else if file_type.is_socket() {
        Kind::Socket
    } else if file_type.is_char_device() {
        if isatty(descriptor).unwrap_or(false) { Kind::Terminal } else { Kind::Device }
    } else {
        // A directory, too: the first read tells.
        Kind::Regular
    }
}

/// Whether two looks were at one file.
pub(in crate::stage) fn same_file(left: &Metadata, right: &Metadata) -> bool {
    (left.dev(), left.ino()) == (right.dev(), right.ino())
}

/// Grows a pipe that is smaller. Above the user's allowance the system refuses: then it stays as it is.
fn grow(pipe: &impl AsFd) {
    if fcntl(pipe, FcntlArg::F_GETPIPE_SZ).is_ok_and(|bytes| bytes < PIPE_BYTES) {
        let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    }
}

/// What the system says, as it stands in a message: without a number, lower case.
pub(in crate::stage) fn reason(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    };
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().collect::<String>() + &text[first.len_utf8()..]
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{Handle, Kind, PIPE_BYTES, Stream, reason};
    use crate::flow::{Closed, Medium};
    use crate::stage::testing_ends::bench;
    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use std::fs::File;
    use std::io::{self, Seek, SeekFrom};
    use std::os::fd::OwnedFd;

    #[test]
    fn a_message_has_no_number_and_begins_small() {
        let told = |number: Errno| reason(&number.into());
        assert_eq!(told(Errno::ENOENT), "no such file or directory");
        assert_eq!(told(Errno::EIO), "I/O error");
        assert_eq!(reason(&io::Error::other("as it is")), "as it is");
    }

    #[test]
    fn a_pipe_is_grown_and_known_for_one() {
        let (reader, _writer) = io::pipe().unwrap();
        let stream = Stream::new(Handle::Own(File::from(OwnedFd::from(reader)))).unwrap();
        assert_eq!((stream.kind(), stream.medium()), (Kind::Pipe, Medium::Pipe));
        let bytes = fcntl(&stream, FcntlArg::F_GETPIPE_SZ).unwrap();
        // The system may have refused; it never shrinks.
        assert!((4096..=PIPE_BYTES).contains(&bytes), "{bytes}");
    }

    #[test]
    fn what_is_left_of_a_file_counts_from_where_it_stands() {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(1000).unwrap();
        file.seek(SeekFrom::Start(300)).unwrap();
        let stream = Stream::new(Handle::Own(file)).unwrap();
        assert_eq!((stream.left_bytes(), stream.medium()), (Some(700), Medium::Disk));
        let device = Stream::new(Handle::Own(File::open("/dev/zero").unwrap())).unwrap();
        assert_eq!((device.left_bytes(), device.kind()), (None, Kind::Device));
    }

    #[test]
    fn a_write_to_a_full_pipe_can_be_given_up_and_the_pipe_of_others_stays_as_it_is() {
        let (_reader, writer) = io::pipe().unwrap();
        let others = writer.try_clone().unwrap();
        let stream = Stream::new(Handle::Own(File::from(OwnedFd::from(writer)))).unwrap();
        let stream = stream.without_blocking().unwrap();
        let bench = bench(64);
        // More than it holds: a part is taken, at once.
        let count = stream.write(&[0; 4 * PIPE_BYTES as usize], &bench.context).unwrap();
        assert!(count > 0 && count <= PIPE_BYTES as usize);
        bench.alarm.ring();
        let error = stream.write(b"more", &bench.context).unwrap_err();
        assert!(Closed::cause_of(&error).is_some());
        let flags = OFlag::from_bits_truncate(fcntl(&others, FcntlArg::F_GETFL).unwrap());
        assert!(!flags.contains(OFlag::O_NONBLOCK));
    }
}
