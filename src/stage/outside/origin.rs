//! What a source reads: a file, a FIFO, a device or standard input, from opening to its last byte.
//! Knows nothing of arguments.

use super::input::Removal;
use super::stream::{Handle, Kind, Stream, reason};
use crate::diagnostic::printable;
use crate::flow::{Closed, Extent, Medium, Outlet};
use crate::stage::contract::Context;

use crate::stage::fault::Fault;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::PollFlags;
use std::fs::{self, Metadata, OpenOptions};
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// How much of a file is handed over at once. It takes no memory, and every hand-over wakes a thread, on the cores that move
/// the bytes meanwhile; but what is handed over counts as read, and shall not be much of the file. Whole MiB, since file systems
/// share whole blocks only.
const EXTENT_BYTES: RangeInclusive<u64> = 1024 * 1024..=8 * 1024 * 1024;
const EXTENTS_PER_FILE: u64 = 64;

/// How messages call descriptor 0.
pub(in crate::stage) const STDIN_NAME: &str = "standard input";

/// An open origin.
#[derive(Debug)]
pub(in crate::stage) struct Origin {
    stream: Stream,
    name: String,
    /// A FIFO that may have no writer yet.
    waits_for_writer: bool,
}

impl Origin {
    /// Standard input, from where it stands.
    ///
    /// # Errors
    /// Those of looking at it.
    pub(in crate::stage) fn stdin() -> anyhow::Result<Origin> {
        let stream = Stream::stdin().map_err(|error| Fault::failed(reason(&error)).of(STDIN_NAME))?;
        Ok(Origin { stream, name: STDIN_NAME.to_owned(), waits_for_writer: false })
    }

    /// The file at `path`, without waiting for anybody.
    ///
    /// # Errors
    /// A [`Fault`] that names the file: those of the system, and that it is a directory or a socket.
    pub(in crate::stage) fn open(path: &Path) -> anyhow::Result<Origin> {
        let name = printable(path.as_os_str().as_bytes());
        let file_type = fs::metadata(path).map_err(|error| refusal(&error, &name))?.file_type();
        if file_type.is_dir() {
            return Err(Fault::failed("is a directory").of(name).into());
        }
        if file_type.is_socket() {
            return Err(Fault::failed("is a socket").of(name).help("`unix PATH` connects to it").into());
        }
        let mut options = OpenOptions::new();
        options.read(true);
        if !file_type.is_file() {
            // A line without a carrier and a FIFO without a writer would hold the open itself.
            options.custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
        }
        let opened = options.open(path).and_then(|file| Stream::new(Handle::Own(file)));
        let stream = opened.map_err(|error| refusal(&error, &name))?;
        let waits_for_writer = stream.kind() == Kind::Pipe;
        Ok(Origin { stream, name, waits_for_writer })
    }

    /// How many bytes it will give, when that can be known.
    pub(in crate::stage) fn left_bytes(&self) -> Option<u64> {
        self.stream.left_bytes()
    }

    /// What it is, as `fstat` tells.
    ///
    /// # Errors
    /// Those of `fstat`.
    pub(in crate::stage) fn metadata(&self) -> io::Result<Metadata> {
        self.stream.metadata()
    }

    /// Says how it looked when its end was found. Without that it is not removed.
    pub(in crate::stage) fn tell_end(&self, removal: &Removal) {
        if let (Ok(metadata), Ok(read_bytes)) = (self.stream.metadata(), self.stream.position()) {
            removal.was_read(metadata, read_bytes);
        }
    }

    /// Passes on what each read returns, at once, to the end.
    ///
    /// # Errors
    /// A [`Fault`] that names the file and the byte; a [`Closed`] when nobody wants more.
    pub(in crate::stage) fn pump(&self, outlet: &mut Outlet, context: &Context) -> anyhow::Result<()> {
        if self.waits_for_writer {
            // Without a writer a read would find the end at once. A writer who came and went is an end.
            context.waits_for(Medium::Opener);
            context.ready(self.stream.as_fd(), PollFlags::POLLIN)?;
        }
        context.waits_for(self.stream.medium());
        let mut offset_bytes = if outlet.takes_extents() { self.hand_over(outlet, context)? } else { 0 };
        loop {
            let mut chunk = outlet.chunk();
            let count =
                self.stream.read(chunk.spare(), context).map_err(|error| self.lost(error, offset_bytes))?;
            if count == 0 {
                return Ok(());
            }
            offset_bytes += count as u64;
            context.gauge().read(count as u64);
            chunk.fill(count);
            outlet.send(chunk)?;
        }
    }

    /// Tells the reader where the bytes of a regular file are, instead of reading them; how many. What the file grows by
    /// meanwhile is left to be read.
    fn hand_over(&self, outlet: &mut Outlet, context: &Context) -> anyhow::Result<u64> {
        let (Kind::Regular, Some(length_bytes)) = (self.stream.kind(), self.stream.left_bytes()) else {
            return Ok(0);
        };
        let lost = |error| self.lost(error, 0);
        let begin_bytes = self.stream.position().map_err(lost)?;
        let file = Arc::new(self.stream.duplicate().map_err(lost)?);
        let extent_bytes =
            (length_bytes / EXTENTS_PER_FILE).clamp(*EXTENT_BYTES.start(), *EXTENT_BYTES.end());
        let extent_bytes = extent_bytes.next_multiple_of(*EXTENT_BYTES.start());
        let mut handed_bytes = 0;
        while handed_bytes < length_bytes {
            let extent = Extent {
                file: Arc::clone(&file),
                offset_bytes: begin_bytes + handed_bytes,
                length_bytes: extent_bytes.min(length_bytes - handed_bytes),
            };
            handed_bytes += extent.length_bytes;
            context.gauge().read(extent.length_bytes);
            outlet.send_extent(extent)?;
        }
        self.stream.seek(begin_bytes + handed_bytes).map_err(lost)?;
        Ok(handed_bytes)
    }

    /// What a failed read is to the run.
    fn lost(&self, error: io::Error, offset_bytes: u64) -> anyhow::Error {
        if Closed::cause_of(&error).is_some() {
            return error.into();
        }
        let message = format!("read error at byte {offset_bytes}: {}", reason(&error));
        Fault::failed(message).of(&self.name).into()
    }
}

/// What a failed open is to the run.
fn refusal(error: &io::Error, name: &str) -> Fault {
    let fault = Fault::failed(reason(error)).of(name);
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMFILE) => fault.help("`ulimit -n` allows this process no more open files"),
        _ => fault,
    }
}
