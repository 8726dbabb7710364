//! The bzip2 format: all streams of an input, their blocks decoded side by side.
//! The coder of a block is the library's; what stands between blocks, and the checksum of a stream, are read here.
//!
//! Nothing in the format says how long a block is, but each begins with a mark of 48 bits, at any bit, and so does the end
//! of a stream. So the input is cut where a mark seems to be, and a worker decodes what is between two of them. A cut may be
//! false: the mark may be a part of a block's data, and the input may be made by somebody who wants that. But a block says
//! itself where it ends, and a piece is taken only if that is the cut; so, from one piece to the next, every place that counts
//! is the right one. Where a piece does not fit, the stage itself decodes the block, from all that is there, and goes on where
//! it ends, or knows what is wrong. What comes out, and what is found wrong at which byte, depend on the input alone.

mod block;
#[cfg(test)]
mod tests;
mod window;

use self::block::{Decoded, Given, Rest, Span, Unread};
use self::window::{MARK_BITS, Mark, Window};
use super::Unpacker;
use crate::flow::{CHUNK_BYTES, Ordered, Pool};
use crate::stage::contract::Context;
use pbz2_core::{Error, Level};
use std::collections::VecDeque;

/// What a stream begins with; then comes the level, as a digit.
pub(in crate::stage) const MAGIC: [u8; 3] = *b"BZh";
/// Behind the end mark of a stream: the checksum of its blocks, then zeros up to a byte.
const CRC_BITS: u64 = 32;
/// More than the longest block: 900 000 symbols of 20 bits, and what tells their codes. Only codes that are told in a
/// roundabout way take more; nothing writes that, and it could go on for ever.
const BLOCK_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Found places that wait for the blocks before them: some for each block, and no more if streams without blocks come.
const EVENTS_MAX: usize = 1000;

/// Unpacks all streams.
///
/// # Errors
/// A [`Fault`](crate::stage::fault::Fault) for what is refused; those of the links.
pub(in crate::stage) fn unpack(unpacker: &mut Unpacker<'_>, context: &Context) -> anyhow::Result<()> {
    unpacker.expect_magic(&MAGIC, "bzip2")?;
    let Some(digit) = unpacker.byte()? else {
        return Err(unpacker.truncated("in a header").into());
    };
    let Some(level) = level(digit) else {
        return Err(Unpacker::not_of("bzip2", &[&MAGIC[..], &[digit]].concat()).into());
    };
    let offset = unpacker.offset();
    let streams = Streams {
        unpacker,
        context,
        ordered: Ordered::new(context.workers(), context.gauge()),
        pool: Pool::new(CHUNK_BYTES),
        window: Window::new(offset),
        has_ended: false,
        at: offset * 8,
        scanned: 0,
        level,
        events: VecDeque::new(),
        crc: 0,
    };
    streams.run()
}

fn level(digit: u8) -> Option<Level> {
    Level::new(digit.wrapping_sub(b'0'))
}

struct Streams<'a, 'e> {
    unpacker: &'a mut Unpacker<'e>,
    context: &'a Context,
    /// The blocks among the events.
    ordered: Ordered<'a, Result<Decoded, Error>>,
    pool: Pool,
    window: Window,
    has_ended: bool,

    /// How far the input is cut: here a mark should be.
    at: u64,
    /// Up to here there is none behind that one.
    scanned: u64,
    /// Of the stream that is cut.
    level: Level,

    /// What was cut and is not known to be true yet, in order.
    events: VecDeque<Event>,
    /// Of the blocks of the stream that are known to be true.
    crc: u32,
}

/// What stands in the input.
enum Event {
    /// A block, on its way through the workers.
    Block { begin: u64, end: u64, level: Level },
    /// The end of a stream; another begins behind it.
    Edge(Edge),
}

/// The end of a stream.
struct Edge {
    /// Which checksum it states.
    crc: u64,
    /// Where it ends, in bytes.
    offset: u64,
}

/// What the next cut comes to.
enum Found {
    /// A block that ends there.
    Block(u64),
    /// The end of a stream, and another one, of this level.
    Edge(Edge, Level),
    /// Nothing before more is read.
    More,
    /// Nothing that could be cut.
    Nothing,
}

impl Streams<'_, '_> {
    fn run(mut self) -> anyhow::Result<()> {
        loop {
            match self.cut() {
                Found::Block(end) => self.submit(end),
                Found::Edge(edge, level) => {
                    self.level = level;
                    self.at = (edge.offset + MAGIC.len() as u64 + 1) * 8;
                    self.events.push_back(Event::Edge(edge));
                }
                // What is on its way is given before the stage waits.
                Found::More if !self.has_ended && (self.events.is_empty() || !self.unpacker.would_wait()) => {
                    self.read()?;
                }
                Found::More | Found::Nothing => match self.events.pop_front() {
                    Some(event) => self.take(&event)?,
                    None if self.go_on()? => {}
                    None => return Ok(()),
                },
            }
            while self.ordered.is_full() || self.events.len() > EVENTS_MAX {
                let Some(event) = self.events.pop_front() else { break };
                self.take(&event)?;
            }
        }
    }

    fn read(&mut self) -> anyhow::Result<()> {
        self.has_ended = self.unpacker.take(&mut self.window.bytes, usize::MAX)? == 0;
        Ok(())
    }

    /// Looks what is at the place where a mark should be.
    fn cut(&mut self) -> Found {
        match self.window.mark(self.at) {
            None => Found::More,
            Some(None) => Found::Nothing,
            Some(Some(Mark::Block)) => {
                let found = self.window.find(self.scanned.max(self.at + MARK_BITS));
                let (Ok(seen) | Err(seen)) = found;
                self.scanned = seen;
                match found {
                    _ if seen - self.at > BLOCK_BYTES_MAX as u64 * 8 => Found::Nothing,
                    Ok(end) => Found::Block(end),
                    Err(_) => Found::More,
                }
            }
            Some(Some(Mark::End)) => {
                let Some(edge) = self.edge() else { return Found::More };
                let [first, second, third, digit, ..] = self.window.from(edge.offset * 8) else {
                    return Found::More;
                };
                match level(*digit) {
                    Some(level) if [*first, *second, *third] == MAGIC => Found::Edge(edge, level),
                    _ => Found::Nothing,
                }
            }
        }
    }

    /// The end of a stream whose mark is here; `None` if not all of it was read.
    fn edge(&self) -> Option<Edge> {
        let crc = self.window.bits(self.at + MARK_BITS, CRC_BITS)?;
        Some(Edge { crc, offset: (self.at + MARK_BITS + CRC_BITS).div_ceil(8) })
    }

    fn submit(&mut self, end: u64) {
        let (begin, level) = (self.at, self.level);
        let length = usize::try_from(end.div_ceil(8) - begin / 8).unwrap_or(usize::MAX);
        let bytes = self.window.from(begin);
        let bytes = bytes[..length.min(bytes.len())].to_vec();
        let span = Span { level, begin: begin % 8, end_max: begin % 8 + (end - begin) };
        let pool = self.pool.clone();
        self.ordered.submit(move || span.decode(&bytes, &pool));
        self.events.push_back(Event::Block { begin, end, level });
        self.at = end;
    }

    /// Takes the next event, which is true up to where it begins.
    fn take(&mut self, event: &Event) -> anyhow::Result<()> {
        match event {
            Event::Edge(edge) => self.end_stream(edge),
            Event::Block { begin, end, level } => match self.ordered.take() {
                Some(Ok(decoded)) if decoded.bits == end - begin => self.give(decoded, *end),
                _ => {
                    self.level = *level;
                    self.resolve(*begin)
                }
            },
        }
    }

    fn end_stream(&mut self, edge: &Edge) -> anyhow::Result<()> {
        if edge.crc != u64::from(self.crc) {
            return Err(Unpacker::corrupt_at(edge.offset, "crc mismatch at the end of a stream").into());
        }
        self.crc = 0;
        self.window.forget(edge.offset * 8);
        Ok(())
    }

    /// Gives a block that is a true one.
    fn give(&mut self, decoded: Decoded, end: u64) -> anyhow::Result<()> {
        let offset = end.div_ceil(8);
        for chunk in decoded.output {
            self.unpacker.give(chunk, offset)?;
        }
        let crc = match decoded.rest {
            Rest::None(crc) => Some(crc),
            Rest::More(unread) => self.give_rest(unread, offset)?,
            Rest::Broken => None,
        };
        let Some(crc) = crc else {
            return Err(Unpacker::corrupt_at(offset, "crc mismatch in a block").into());
        };
        self.crc = self.crc.rotate_left(1) ^ crc;
        self.window.forget(end);
        Ok(())
    }

    /// Gives what was not decoded ahead; its checksum, if it is right.
    fn give_rest(&mut self, mut unread: Unread, offset: u64) -> anyhow::Result<Option<u32>> {
        loop {
            let mut chunk = self.pool.chunk();
            let given = unread.fill(&mut chunk);
            self.unpacker.give(chunk, offset)?;
            match given {
                Given::More => {}
                Given::End(crc) => return Ok(Some(crc)),
                Given::Broken => return Ok(None),
            }
        }
    }

    /// Goes on where nothing could be cut, and everything before is true; `false` at the end of the last stream.
    fn go_on(&mut self) -> anyhow::Result<bool> {
        match self.window.mark(self.at) {
            None => Err(self.unpacker.truncated("in compressed data").into()),
            Some(None) => Err(Unpacker::corrupt_at(self.at / 8, "neither a block nor an end").into()),
            Some(Some(Mark::Block)) => self.resolve(self.at).map(|()| true),
            Some(Some(Mark::End)) => {
                let Some(edge) = self.edge() else {
                    return Err(self.unpacker.truncated("in a trailer").into());
                };
                self.end_stream(&edge)?;
                self.unpacker.refuse_bytes_behind(edge.offset)?;
                Ok(false)
            }
        }
    }

    /// Decodes the block at `begin` here, up to where it says itself that it ends, gives it, and cuts anew behind it.
    fn resolve(&mut self, begin: u64) -> anyhow::Result<()> {
        self.ordered = Ordered::new(self.context.workers(), self.context.gauge());
        self.events.clear();
        while self.window.from(begin).len() < BLOCK_BYTES_MAX && !self.has_ended {
            self.read()?;
        }
        let bytes = self.window.from(begin);
        let bytes = &bytes[..bytes.len().min(BLOCK_BYTES_MAX)];
        let span = Span { level: self.level, begin: begin % 8, end_max: bytes.len() as u64 * 8 };
        match span.decode(bytes, &self.pool) {
            Ok(decoded) => {
                self.at = begin + decoded.bits;
                self.scanned = 0;
                self.give(decoded, self.at)
            }
            Err(Error::Truncated) if bytes.len() < BLOCK_BYTES_MAX => {
                Err(self.unpacker.truncated("in compressed data").into())
            }
            Err(Error::Truncated) => Err(Unpacker::corrupt_at(begin / 8, "a block of no end").into()),
            Err(_) => {
                let bit = begin + span.corrupt_bit(bytes);
                Err(Unpacker::corrupt_at(bit / 8, "invalid bzip2 data").into())
            }
        }
    }
}
