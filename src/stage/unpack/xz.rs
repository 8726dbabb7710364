//! The xz format (The .xz File Format 1.2): all streams of an input, and the padding between them.
//! The coder is liblzma's; stream headers are looked at here, and what stands between streams is read here.

use super::{Coder, Outcome, Step, Unpacker, Wrong};
use crate::stage::fault::Fault;
use crate::units;
use liblzma::stream::{Action, Error, Status, Stream, TELL_UNSUPPORTED_CHECK};

/// §2.1.1.1: what a stream begins with.
pub(in crate::stage) const MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
/// What the older `.lzma` files begin with, unless they were made with options that nobody uses.
const LZMA_START: [u8; 3] = [0x5d, 0, 0];

/// How much memory is used unless more is allowed: several times what `xz -9` needs.
pub(in crate::stage) const MEMORY_BYTES: u64 = 256 << 20;

/// What follows the magic in a stream's header: two bytes of flags, and their checksum (§2.1.1).
const FLAGS_BYTES: usize = 6;
/// §2.2: stream padding comes in groups of that many NULs.
const PADDING_BYTES: u64 = 4;

/// Unpacks all streams, in up to `memory_bytes`.
///
/// # Errors
/// A [`Fault`] for what is refused; those of the links.
pub(in crate::stage) fn unpack(unpacker: &mut Unpacker<'_>, memory_bytes: u64) -> anyhow::Result<()> {
    let start = unpacker.next_bytes(LZMA_START.len())?;
    if start == LZMA_START {
        let message = "lzma data, the format before xz, is not supported";
        return Err(Fault::refused(message).help("`xz -d --format=lzma` unpacks it").into());
    }
    unpacker.give_back(&start);
    unpacker.expect_magic(&MAGIC, "xz")?;
    loop {
        let flags = unpacker.bytes::<FLAGS_BYTES>("in a header")?;
        let mut coder = Lzma::begin(&flags, memory_bytes, unpacker)?;
        unpacker.decode(&mut coder)?;
        if !has_another(unpacker)? {
            return Ok(());
        }
    }
}

/// Reads over padding and the magic of the next stream; `false` at the end of the input.
fn has_another(unpacker: &mut Unpacker<'_>) -> anyhow::Result<bool> {
    let end = unpacker.offset();
    let mut padding_bytes = 0;
    loop {
        let is_aligned = padding_bytes % PADDING_BYTES == 0;
        match unpacker.byte()? {
            Some(0) => padding_bytes += 1,
            None if is_aligned => return Ok(false),
            None => {
                let message = format!("padding of {padding_bytes} NUL bytes is no multiple of 4");
                return Err(unpacker.corrupt(&message).into());
            }
            Some(first) if first == MAGIC[0] && is_aligned => {
                let rest = unpacker.next_bytes(MAGIC.len() - 1)?;
                if rest == MAGIC[1..] {
                    return Ok(true);
                }
                if MAGIC[1..].starts_with(&rest) {
                    return Err(unpacker.truncated("in a header").into());
                }
                break;
            }
            Some(_) => break,
        }
    }
    unpacker.refuse_bytes_behind(end)?;
    Ok(false)
}

/// One stream.
struct Lzma {
    stream: Stream,
    /// Where it begins in the input.
    start_offset: u64,
    memory_bytes: u64,
    /// The kind of its integrity check (§2.1.1.2).
    check: u8,
}

impl Lzma {
    /// From behind the header, of which `flags` is the part after the magic.
    fn begin(flags: &[u8; FLAGS_BYTES], memory_bytes: u64, unpacker: &Unpacker<'_>) -> Result<Lzma, Fault> {
        let stream = Stream::new_stream_decoder(memory_bytes.max(1), TELL_UNSUPPORTED_CHECK)
            .map_err(|error| Fault::failed(format!("liblzma failed: {error}")))?;
        let header = [&MAGIC[..], flags].concat();
        let start_offset = unpacker.offset() - header.len() as u64;
        let mut lzma = Lzma { stream, start_offset, memory_bytes, check: flags[1] & 0x0f };
        match lzma.step(&header, &mut []).outcome {
            Outcome::Wrong(Wrong::Refused(fault)) => Err(fault),
            Outcome::Wrong(Wrong::Corrupt(_)) => Err(unpacker.corrupt("invalid header")),
            Outcome::More | Outcome::End => Ok(lzma),
        }
    }

    fn wrong(&mut self, error: Error) -> Wrong {
        let offset = self.start_offset + self.stream.total_in();
        let refused = |message: String, help: String| Wrong::Refused(Fault::refused(message).help(help));
        match error {
            Error::Data | Error::Format => Wrong::corrupt("invalid xz data, or its check does not match"),
            Error::Options => refused(
                format!("needs a filter or an option that is not supported, at input byte {offset}"),
                "a newer `xz` may unpack it".to_owned(),
            ),
            Error::UnsupportedCheck => refused(
                format!("has an integrity check of kind {}, which is not supported", self.check),
                "`xz -d` unpacks it, and does not verify it".to_owned(),
            ),
            Error::MemLimit => {
                let needed_bytes = self.needed_bytes();
                let (needed, allowed) = (units::size(needed_bytes), units::size(self.memory_bytes));
                refused(
                    format!("needs {needed} of memory, at input byte {offset}; {allowed} are allowed"),
                    format!("`unxz --memory {}M` allows it", needed_bytes.div_ceil(1 << 20)),
                )
            }
            Error::Mem | Error::Program | Error::NoCheck => {
                Wrong::Refused(Fault::failed(format!("liblzma failed: {error}, at input byte {offset}")))
            }
        }
    }

    /// How much memory would do, when the limit does not: the least that the coder accepts.
    fn needed_bytes(&mut self) -> u64 {
        let (mut too_little, mut enough) = (self.memory_bytes, u64::MAX);
        while enough - too_little > 1 {
            let middle = too_little + (enough - too_little) / 2;
            match self.stream.set_memlimit(middle) {
                Ok(()) => enough = middle,
                Err(_) => too_little = middle,
            }
        }
        enough
    }
}

impl Coder for Lzma {
    fn step(&mut self, packed: &[u8], room: &mut [u8]) -> Step {
        let before = (self.stream.total_in(), self.stream.total_out());
        let status = self.stream.process(packed, room, Action::Run);
        // Neither is more than the buffers hold.
        let taken = usize::try_from(self.stream.total_in() - before.0).unwrap_or(0);
        let given = usize::try_from(self.stream.total_out() - before.1).unwrap_or(0);
        let outcome = match status {
            Ok(Status::StreamEnd) => Outcome::End,
            Ok(Status::Ok | Status::GetCheck | Status::MemNeeded) => Outcome::More,
            Err(error) => Outcome::Wrong(self.wrong(error)),
        };
        Step { taken, given, outcome }
    }
}
