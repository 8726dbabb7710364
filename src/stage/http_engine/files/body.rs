//! A part of a file as the body of an answer, read piece by piece as it is sent.
//! Knows nothing of what the file is, nor of who gets it.

use super::answer::Stretch;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// So much is read at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Gives the bytes of a [`Stretch`], exactly so many, or an error: a file that has become shorter is never filled up.
///
/// Reading waits for the disk, if for anything. What was read goes out without being copied again; its room comes back and is read into
/// again, so that a body holds no more pieces than are on their way.
#[derive(Debug)]
pub(in crate::stage) struct FileBody {
    /// What is still to be given.
    left: Stretch,
    shelf: Arc<Shelf>,
}

/// Rooms that wait to be read into.
type Shelf = Mutex<Vec<Vec<u8>>>;

/// What was read, at the beginning of its room.
struct Piece {
    room: Vec<u8>,
    length_bytes: usize,
    shelf: Arc<Shelf>,
}

impl FileBody {
    pub(in crate::stage) fn new(stretch: Stretch) -> FileBody {
        FileBody { left: stretch, shelf: Arc::default() }
    }

    /// The next piece; there is one.
    fn read(&mut self) -> io::Result<Bytes> {
        let wanted_bytes =
            usize::try_from(self.left.length_bytes).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        // Nothing panics while it is held. All rooms of a body are as large as its first piece, and no later one is larger.
        let waiting = self.shelf.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut room = waiting.unwrap_or_else(|| vec![0; wanted_bytes]);
        let length_bytes = loop {
            match self.left.file.read_at(&mut room[..wanted_bytes], self.left.offset_bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if length_bytes == 0 {
            let message = "the file has become shorter while it was being sent";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        self.left.offset_bytes += length_bytes as u64;
        self.left.length_bytes -= length_bytes as u64;
        Ok(Bytes::from_owner(Piece { room, length_bytes, shelf: Arc::clone(&self.shelf) }))
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready((self.left.length_bytes > 0).then(|| self.read().map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left.length_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.length_bytes)
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.room[..self.length_bytes]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let room = std::mem::take(&mut self.room);
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).push(room);
    }
}

#[cfg(test)]
mod tests {
    use super::{FileBody, PIECE_BYTES};
    use crate::stage::http_engine::files::answer::Stretch;
    use bytes::Bytes;
    use hyper::body::Body;
    use std::fs::File;
    use std::io::{self, Write};
    use std::os::unix::fs::FileExt;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    fn file(content: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Arc::new(file)
    }

    fn next(body: &mut FileBody) -> Option<io::Result<Bytes>> {
        match Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(frame) => frame.map(|frame| Ok(frame?.into_data().unwrap())),
            Poll::Pending => panic!("a file is always ready"),
        }
    }

    fn noise(length: usize) -> Vec<u8> {
        (0..length as u32)
            .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
            .take(length)
            .collect()
    }

    #[test]
    fn it_gives_the_stretch_and_says_how_much_is_left() {
        let content = noise(3 * PIECE_BYTES + 7);
        let file = file(&content);
        let all = content.len();
        for (from, length) in [
            (0, 0),
            (0, 1),
            (0, all),
            (all - 1, 1),
            (5, PIECE_BYTES),
            (7, PIECE_BYTES - 1),
            (PIECE_BYTES, PIECE_BYTES + 1),
        ] {
            let stretch =
                Stretch { file: Arc::clone(&file), offset_bytes: from as u64, length_bytes: length as u64 };
            let mut body = FileBody::new(stretch);
            let mut given = Vec::new();
            loop {
                assert_eq!(body.size_hint().exact(), Some((length - given.len()) as u64));
                assert_eq!(body.is_end_stream(), given.len() == length);
                let Some(piece) = next(&mut body) else { break };
                given.extend_from_slice(&piece.unwrap());
            }
            assert!(given == content[from..from + length], "{from} {length}");
        }
    }

    #[test]
    fn a_file_that_becomes_shorter_is_an_error_and_never_filled_up() {
        let file = file(&noise(2 * PIECE_BYTES));
        let length_bytes = 2 * PIECE_BYTES as u64;
        let mut body = FileBody::new(Stretch { file: Arc::clone(&file), offset_bytes: 0, length_bytes });
        assert_eq!(next(&mut body).unwrap().unwrap().len(), PIECE_BYTES);
        file.set_len(PIECE_BYTES as u64 + 3).unwrap();
        assert_eq!(next(&mut body).unwrap().unwrap().len(), 3);
        assert!(!body.is_end_stream());
        for _ in 0..2 {
            let error = next(&mut body).unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn a_file_that_grows_is_sent_as_long_as_it_was() {
        let file = file(b"0123456789");
        let mut body = FileBody::new(Stretch { file: Arc::clone(&file), offset_bytes: 0, length_bytes: 10 });
        file.set_len(20).unwrap();
        assert_eq!(next(&mut body).unwrap().unwrap(), "0123456789");
        assert!(next(&mut body).is_none());
    }

    #[test]
    fn a_file_may_be_longer_than_four_gibibytes() {
        let file = file(b"");
        let end: u64 = 5 << 30;
        file.set_len(end).unwrap();
        file.write_all_at(b"end", end - 3).unwrap();
        let whole = Stretch { file: Arc::clone(&file), offset_bytes: 0, length_bytes: end };
        assert_eq!(FileBody::new(whole).size_hint().exact(), Some(end));
        let mut body = FileBody::new(Stretch { file, offset_bytes: end - 4, length_bytes: 4 });
        assert_eq!(next(&mut body).unwrap().unwrap(), "\0end");
        assert!(next(&mut body).is_none());
    }

    #[test]
    fn a_piece_that_was_sent_is_read_into_again_and_one_that_was_not_is_kept() {
        let content = noise(4 * PIECE_BYTES);
        let length_bytes = content.len() as u64;
        let mut body = FileBody::new(Stretch { file: file(&content), offset_bytes: 0, length_bytes });
        let first = next(&mut body).unwrap().unwrap();
        let place = first.as_ptr();
        let second = next(&mut body).unwrap().unwrap();
        assert_ne!(second.as_ptr(), place);
        drop(first);
        let third = next(&mut body).unwrap().unwrap();
        assert_eq!(third.as_ptr(), place);
        assert!(
            second == content[PIECE_BYTES..2 * PIECE_BYTES]
                && third == content[2 * PIECE_BYTES..3 * PIECE_BYTES]
        );
    }
}
