//! A stream that a sink writes to, shared with the commit that will put the result in place.
//! Knows nothing of how the stream was opened, or of what is done with it at the end.

use super::stream::{Kind, Stream, reason};
use crate::flow::{Closed, Extent, Inlet, Parcel};
use crate::stage::contract::Context;

use crate::stage::fault::{Fault, ReaderGone};
use nix::errno::Errno;
use nix::unistd::ftruncate;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What is written to, and how far. The stage's thread writes; the commit looks, and may give it up at any time, even
/// while that thread is stuck in the system.
#[derive(Debug)]
pub(in crate::stage) struct Target {
    stream: Stream,
    /// For messages.
    subject: String,
    written_bytes: AtomicU64,
    is_abandoned: AtomicBool,
    /// To this length an abandoned file is cut.
    kept_bytes: Option<u64>,
}

impl Target {
    /// Nothing written yet.
    pub(in crate::stage) fn new(stream: Stream, subject: String) -> Self {
        Target {
            stream,
            subject,
            written_bytes: AtomicU64::new(0),
            is_abandoned: AtomicBool::new(false),
            kept_bytes: None,
        }
    }

    /// As [`Target::new`], for a file whose first `kept_bytes` are left when it is abandoned.
    pub(in crate::stage) fn keeping(stream: Stream, subject: String, kept_bytes: u64) -> Self {
        Target { kept_bytes: Some(kept_bytes), ..Target::new(stream, subject) }
    }

    /// The stream.
    pub(in crate::stage) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Its name in messages.
    pub(in crate::stage) fn subject(&self) -> &str {
        &self.subject
    }

    /// Has the errors of a close told; it stays open.
    ///
    /// # Errors
    /// As [`Target::close`].
    pub(in crate::stage) fn flush_by_close(&self) -> anyhow::Result<()> {
        self.stream.flush_by_close().map_err(|error| {
            Fault::failed(format!("error at close: {}", reason(&error))).of(&self.subject).into()
        })
    }

    /// Closes it, when nobody writes any more, with the errors that only show there.
    ///
    /// # Errors
    /// A [`Fault`] with that of `close`.
    pub(in crate::stage) fn close(self) -> anyhow::Result<()> {
        let Target { stream, subject, .. } = self;
        stream
            .close()
            .map_err(|error| Fault::failed(format!("error at close: {}", reason(&error))).of(subject).into())
    }

    /// How many bytes the system has taken.
    pub(in crate::stage) fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Acquire)
    }

    /// Whoever still writes shall leave what was there before.
    ///
    /// # Errors
    /// Those of cutting the file to what was there.
    pub(in crate::stage) fn abandon(&self) -> io::Result<()> {
        // A write that goes on now looks here when it returns, and cuts again.
        self.is_abandoned.store(true, Ordering::SeqCst);
        self.cut()
    }

    fn cut(&self) -> io::Result<()> {
        match self.kept_bytes {
            Some(length) => Ok(ftruncate(&self.stream, signed(length)?)?),
            None => Ok(()),
        }
    }

    /// Writes all that comes.
    ///
    /// # Errors
    /// [`ReaderGone`] when nobody reads a pipe any more; a [`Fault`] with the place of any other failed write.
    pub(in crate::stage) fn pour(&self, inlet: &mut Inlet, context: &Context) -> anyhow::Result<()> {
        context.waits_for(self.stream.medium());
        while let Some(parcel) = inlet.next_parcel()? {
            match parcel {
                Parcel::Chunk(chunk) => self.pour_bytes(&chunk, context)?,
                Parcel::Extent(extent) => self.pour_extent(extent, context)?,
            }
        }
        Ok(())
    }

    /// Writes `bytes`.
    ///
    /// # Errors
    /// As [`Target::pour`].
    pub(in crate::stage) fn pour_bytes(&self, mut bytes: &[u8], context: &Context) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            let count = self.stream.write(bytes, context).map_err(|error| self.lost(error))?;
            self.took(count, context)?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Has the system move a stretch of a file, or share it; where it cannot, reads it and writes it.
    fn pour_extent(&self, mut extent: Extent, context: &Context) -> anyhow::Result<()> {
        while extent.length_bytes > 0 {
            let (moved, is_refused): (_, fn(&io::Error) -> bool) = match self.stream.kind() {
                Kind::Regular => (self.stream.copy(&extent), |error| !is_for_want_of_room(error)),
                _ => (self.stream.splice(&extent, context), is_unsupported),
            };
            let count = match moved {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    self.took(count, context)?;
                    count
                }
                // What it is about, and in which of the two files, a read and a write will tell.
                Err(error) if is_refused(&error) => {
                    let chunk = extent.read().map_err(|error| self.unread(&extent, &error))?;
                    if chunk.is_empty() {
                        return Ok(());
                    }
                    self.pour_bytes(&chunk, context)?;
                    chunk.len()
                }
                Err(error) => return Err(self.lost(error)),
            };
            extent.advance(count as u64);
        }
        Ok(())
    }

    /// Counts what the system took.
    fn took(&self, bytes: usize, context: &Context) -> anyhow::Result<()> {
        self.written_bytes.fetch_add(bytes as u64, Ordering::AcqRel);
        if self.is_abandoned.load(Ordering::SeqCst) {
            // The run has been told what became of the file; this only undoes the write that came late.
            let _ = self.cut();
            return Err(Closed::Cancelled.into());
        }
        context.gauge().wrote(bytes as u64);
        Ok(())
    }

    /// What it is to the run that the file which is copied cannot be read.
    fn unread(&self, extent: &Extent, error: &io::Error) -> anyhow::Error {
        let message = format!("its input: read error at byte {}: {}", extent.offset_bytes, reason(error));
        Fault::failed(message).of(&self.subject).into()
    }

    /// What a failed write is to the run.
    fn lost(&self, error: io::Error) -> anyhow::Error {
        if Closed::cause_of(&error).is_some() {
            return error.into();
        }
        let written = self.written_bytes();
        let why = reason(&error);
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EPIPE) => ReaderGone { stream: self.subject.clone() }.into(),
            Some(Errno::ENOSPC | Errno::EDQUOT) => {
                let fault = Fault::failed(format!("{why} after {written} bytes")).of(&self.subject);
                fault.help("free some space there, or write to another place").into()
            }
            Some(Errno::EFBIG) => {
                let fault = Fault::failed(format!("{why} after {written} bytes")).of(&self.subject);
                fault.help("`ulimit -f`, or the file system, allows no larger file").into()
            }
            None if error.kind() == io::ErrorKind::WriteZero => {
                Fault::failed(format!("write error at byte {written}: it takes nothing more"))
                    .of(&self.subject)
                    .into()
            }
            _ => Fault::failed(format!("write error at byte {written}: {why}")).of(&self.subject).into(),
        }
    }
}

/// Whether the system moves no bytes from such a file by itself.
fn is_unsupported(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::EINVAL as i32)
}

/// Whether the file that is written to can take no more.
fn is_for_want_of_room(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw);
    matches!(number, Some(Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG))
}

/// A length as the system takes it.
///
/// # Errors
/// `EFBIG` for one that no file can have.
pub(in crate::stage) fn signed(length: u64) -> io::Result<i64> {
    i64::try_from(length).map_err(|_| Errno::EFBIG.into())
}

#[cfg(test)]
mod tests {
    use super::Target;
    use crate::flow::{Extent, Inlet};
    use crate::stage::outside::stream::{Handle, Stream};
    use crate::stage::testing_ends::{Bench, bench};
    use std::fs::File;
    use std::io::{Read, Seek, Write};
    use std::sync::Arc;

    /// What a file holds that one byte and then the stretch were poured into.
    fn poured(file: File, offset_bytes: u64, length_bytes: u64) -> Vec<u8> {
        let mut into = tempfile::tempfile().unwrap();
        let stream = Stream::new(Handle::Own(into.try_clone().unwrap())).unwrap();
        let Bench { mut outlet, reader, context, .. } = bench(4096);
        outlet.write_all(b"-").unwrap();
        outlet.send_extent(Extent { file: Arc::new(file.into()), offset_bytes, length_bytes }).unwrap();
        outlet.finish();
        let target = Target::new(stream, "out".to_owned());
        target.pour(&mut Inlet::new(reader), &context).unwrap();
        let mut bytes = Vec::new();
        into.rewind().unwrap();
        into.read_to_end(&mut bytes).unwrap();
        assert_eq!(target.written_bytes(), bytes.len() as u64);
        bytes
    }

    #[test]
    fn a_stretch_of_a_file_comes_into_another() {
        let bytes: Vec<u8> = (0..1_500_000_u32).map(|number| (number >> 5) as u8).collect();
        for (offset, length) in [(0, 1_500_000), (4096, 8192), (5, 1_400_001), (1_499_999, 1), (0, 0)] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let poured = poured(file, offset as u64, length as u64);
            assert!(poured[1..] == bytes[offset..offset + length], "{length} bytes from {offset}");
        }
    }

    #[test]
    fn of_a_file_that_has_become_shorter_comes_what_is_left() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        assert_eq!(poured(file, 4, 1 << 20), b"-456789");
    }

    #[test]
    fn what_the_system_does_not_copy_is_read() {
        // None of the files of /proc can be copied by the system.
        let file = File::open("/proc/version").unwrap();
        let expected = std::fs::read("/proc/version").unwrap();
        assert_eq!(poured(file, 0, expected.len() as u64)[1..], expected);
    }
}
