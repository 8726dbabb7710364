//! The loop of every decompressor: packed bytes from an inlet, through a [`Coder`], into the chunks that go out.
//! Knows nothing of any format.

use super::coder::{Coder, Outcome, Wrong};
use crate::flow::{Chunk, Inlet, Outlet};
use crate::stage::amount::Amount;
use crate::stage::fault::Fault;
use std::io::{self, BufRead};

/// As many bytes of a format that is not known are shown.
const SHOWN_BYTES: usize = 4;

/// Both ends, what was decoded and not sent yet, and how much it may become.
pub(in crate::stage) struct Unpacker<'e> {
    inlet: &'e mut Inlet,
    outlet: &'e mut Outlet,
    unpacked: Chunk,
    total_bytes: u64,
    /// The last chunk was filled to the end, so the coder may have more to give.
    is_held_back: bool,
    limit: Option<&'e Amount>,
}

impl<'e> Unpacker<'e> {
    /// Has `unpack` decode all that comes, and give at most `limit`. Whatever is found wrong, what came before it goes through.
    ///
    /// # Errors
    /// Those of `unpack` and of the links.
    pub(in crate::stage) fn run<T>(
        inlet: &'e mut Inlet,
        outlet: &'e mut Outlet,
        limit: Option<&'e Amount>,
        unpack: impl FnOnce(&mut Unpacker<'e>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let unpacked = outlet.chunk();
        let mut unpacker = Unpacker { inlet, outlet, unpacked, total_bytes: 0, is_held_back: false, limit };
        let result = unpack(&mut unpacker);
        let sent = unpacker.send();
        let value = result?;
        sent?;
        Ok(value)
    }

    /// Drives `coder` to the end of its stream.
    ///
    /// # Errors
    /// A [`Fault`] that tells the place of what is corrupt or missing, or that the limit is passed; those of the links.
    pub(in crate::stage) fn decode(&mut self, coder: &mut impl Coder) -> anyhow::Result<()> {
        while !self.step(coder)? {}
        Ok(())
    }

    /// One step of the coder; returns whether its stream has ended.
    fn step(&mut self, coder: &mut impl Coder) -> anyhow::Result<bool> {
        self.send_before_a_wait()?;
        // The coder may hold back what did not fit: that is not to wait for input.
        let is_draining = self.is_held_back && self.inlet.would_wait();
        let packed = if is_draining { &[] } else { self.inlet.fill_buf()? };
        let has_ended = packed.is_empty() && !is_draining;
        let step = coder.step(packed, self.unpacked.spare());
        self.inlet.consume(step.taken);
        self.unpacked.fill(step.given);
        self.total_bytes += step.given as u64;
        self.refuse_a_bomb()?;
        match step.outcome {
            Outcome::End => return Ok(true),
            Outcome::More if has_ended && step.given == 0 => {
                return Err(self.truncated("in compressed data").into());
            }
            Outcome::More => {}
            Outcome::Wrong(Wrong::Corrupt(what)) => return Err(self.corrupt(&what).into()),
            Outcome::Wrong(Wrong::Refused(fault)) => return Err(fault.into()),
        }
        self.is_held_back = self.unpacked.spare().is_empty();
        if self.is_held_back {
            self.send()?;
        }
        Ok(false)
    }

    fn refuse_a_bomb(&mut self) -> anyhow::Result<()> {
        if let Some(limit) = self.limit
            && self.total_bytes > limit.bytes
        {
            let over = usize::try_from(self.total_bytes - limit.bytes).unwrap_or(usize::MAX);
            self.unpacked.truncate(self.unpacked.len().saturating_sub(over));
            return Err(self.bomb(self.inlet.offset()).into());
        }
        Ok(())
    }

    fn bomb(&self, offset: u64) -> Fault {
        let limit = self.limit.map(ToString::to_string).unwrap_or_default();
        Fault::refused(format!("unpacks to more than {limit}, at input byte {offset}"))
            .help("if that is as it should be, raise `--max-output`")
    }

    /// Refuses input that does not begin with `magic`, which is taken; `format` is its name in the message.
    ///
    /// # Errors
    /// A [`Fault`] that shows what it begins with instead; those of the links.
    pub(in crate::stage) fn expect_magic(&mut self, magic: &[u8], format: &str) -> anyhow::Result<()> {
        let mut start = Vec::new();
        for &expected in magic {
            match self.byte()? {
                Some(byte) => start.push(byte),
                None if start.is_empty() => return Err(Unpacker::empty(format).into()),
                None => return Err(self.truncated("in a header").into()),
            }
            if start.last() != Some(&expected) {
                self.give_back(&start);
                let start = self.peek(SHOWN_BYTES)?;
                return Err(Unpacker::not_of(format, &start).into());
            }
        }
        Ok(())
    }

    /// The next bytes of the input, `count` of them or all there are; none is taken.
    ///
    /// # Errors
    /// Those of the links.
    pub(in crate::stage) fn peek(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let bytes = self.next_bytes(count)?;
        self.give_back(&bytes);
        Ok(bytes)
    }

    /// The next byte of the input, which is taken; `None` at its end.
    ///
    /// # Errors
    /// Those of the links.
    pub(in crate::stage) fn byte(&mut self) -> io::Result<Option<u8>> {
        self.send_before_a_wait()?;
        let byte = self.inlet.fill_buf()?.first().copied();
        self.inlet.consume(1);
        Ok(byte)
    }

    /// The next `count` bytes of the input, which are taken; fewer at its end.
    ///
    /// # Errors
    /// Those of the links.
    pub(in crate::stage) fn next_bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count
            && let Some(byte) = self.byte()?
        {
            bytes.push(byte);
        }
        Ok(bytes)
    }

    /// The next bytes of the input; `place` says where they are missing if it ends before.
    ///
    /// # Errors
    /// A [`Fault`] for input that ends; those of the links.
    pub(in crate::stage) fn bytes<const COUNT: usize>(&mut self, place: &str) -> anyhow::Result<[u8; COUNT]> {
        let mut bytes = [0; COUNT];
        for byte in &mut bytes {
            *byte = self.byte()?.ok_or_else(|| self.truncated(place))?;
        }
        Ok(bytes)
    }

    /// Reads over `count` bytes; `place` says where they are missing if the input ends before.
    ///
    /// # Errors
    /// As [`Unpacker::bytes`].
    #[cfg(feature = "zstd")]
    pub(in crate::stage) fn skip(&mut self, count: u64, place: &str) -> anyhow::Result<()> {
        let end_offset = self.inlet.offset() + count;
        while self.inlet.offset() < end_offset {
            self.send_before_a_wait()?;
            let available = self.inlet.fill_buf()?.len();
            if available == 0 {
                return Err(self.truncated(place).into());
            }
            // What is more than an address is more than is available, too.
            let left = usize::try_from(end_offset - self.inlet.offset()).unwrap_or(usize::MAX);
            self.inlet.consume(left.min(available));
        }
        Ok(())
    }

    /// Whether the input is at its end. Waits for it; what was decoded goes out before.
    ///
    /// # Errors
    /// Those of the links.
    pub(in crate::stage) fn is_at_the_end(&mut self) -> io::Result<bool> {
        self.send_before_a_wait()?;
        Ok(self.inlet.fill_buf()?.is_empty())
    }

    /// Has `bytes`, the last ones that were taken, read again.
    pub(in crate::stage) fn give_back(&mut self, bytes: &[u8]) {
        self.inlet.give_back(bytes);
    }

    /// Whether nothing but NULs follows. Stops behind the first other byte.
    ///
    /// # Errors
    /// Those of the links.
    pub(in crate::stage) fn is_padding_to_the_end(&mut self) -> anyhow::Result<bool> {
        loop {
            self.send_before_a_wait()?;
            let bytes = self.inlet.fill_buf()?;
            let (count, nuls) = (bytes.len(), bytes.iter().take_while(|&&byte| byte == 0).count());
            self.inlet.consume(nuls);
            if nuls < count || count == 0 {
                return Ok(count == 0);
            }
        }
    }

    /// Reads to the end, once all that was decoded is out, and refuses the input if there are bytes behind `end_offset`.
    ///
    /// # Errors
    /// A [`Fault`] that counts them; those of the links.
    pub(in crate::stage) fn refuse_bytes_behind(&mut self, end_offset: u64) -> anyhow::Result<()> {
        match self.rest_since(end_offset)? {
            0 => Ok(()),
            count => {
                let unit = if count == 1 { "byte" } else { "bytes" };
                let message = format!("{count} trailing {unit} after the end of the stream");
                Err(Fault::refused(message).help("all data before them is good").into())
            }
        }
    }

    /// Reads to the end, once all that was decoded is out; the number of bytes since `offset`.
    ///
    /// # Errors
    /// Those of the links.
    pub(in crate::stage) fn rest_since(&mut self, offset: u64) -> io::Result<u64> {
        self.send()?;
        self.inlet.drain()?;
        Ok(self.inlet.offset() - offset)
    }

    /// Gives the rest of the input as it is, and no more than the limit allows.
    ///
    /// # Errors
    /// A [`Fault`] for more than that; those of the links.
    pub(in crate::stage) fn pass_on(&mut self) -> anyhow::Result<()> {
        self.ends()?;
        while let Some(chunk) = self.inlet.next_chunk()? {
            self.total_bytes += chunk.len() as u64;
            self.unpacked = chunk;
            self.refuse_a_bomb()?;
            self.send()?;
        }
        Ok(())
    }

    /// How many bytes of the input are taken.
    pub(in crate::stage) fn offset(&self) -> u64 {
        self.inlet.offset()
    }

    /// How many bytes may still be given.
    pub(in crate::stage) fn allowed_bytes(&self) -> u64 {
        self.limit.map_or(u64::MAX, |limit| limit.bytes).saturating_sub(self.total_bytes)
    }

    /// Both ends, for a coder that sends by itself; it [`gave`](Unpacker::gave) what it sent. Everything decoded so far is out.
    ///
    /// # Errors
    /// Those of the links.
    pub(in crate::stage) fn ends(&mut self) -> io::Result<(&mut Inlet, &mut Outlet)> {
        if !self.unpacked.is_empty() {
            self.send()?;
        }
        Ok((self.inlet, self.outlet))
    }

    /// Gives a chunk of data that was decoded elsewhere, after all that was decoded so far; it came of the input before `offset`.
    ///
    /// # Errors
    /// A [`Fault`] if the limit is passed; those of the links.
    pub(in crate::stage) fn give(&mut self, mut chunk: Chunk, offset: u64) -> anyhow::Result<()> {
        let is_too_much = chunk.len() as u64 > self.allowed_bytes();
        chunk.truncate(usize::try_from(self.allowed_bytes()).unwrap_or(usize::MAX));
        self.gave(chunk.len() as u64);
        self.ends()?.1.send(chunk)?;
        if is_too_much { Err(self.bomb(offset).into()) } else { Ok(()) }
    }

    /// Takes the bytes that are at hand, at most `count`, behind those of `bytes`; waits for some. How many: none at the end.
    ///
    /// # Errors
    /// Those of the links.
    pub(in crate::stage) fn take(&mut self, bytes: &mut Vec<u8>, count: usize) -> io::Result<usize> {
        self.send_before_a_wait()?;
        let available = self.inlet.fill_buf()?;
        let count = count.min(available.len());
        bytes.extend_from_slice(&available[..count]);
        self.inlet.consume(count);
        Ok(count)
    }

    /// Whether the next read would have to wait: what was decoded elsewhere is then to be given first.
    pub(in crate::stage) fn would_wait(&self) -> bool {
        self.inlet.would_wait()
    }

    /// Counts what went out by [`Unpacker::ends`].
    pub(in crate::stage) fn gave(&mut self, bytes: u64) {
        self.total_bytes += bytes;
    }

    /// That the data is corrupt here.
    pub(in crate::stage) fn corrupt(&self, what: &str) -> Fault {
        Self::corrupt_at(self.inlet.offset(), what)
    }

    /// That the data is corrupt at `offset`.
    pub(in crate::stage) fn corrupt_at(offset: u64, what: &str) -> Fault {
        Fault::refused(format!("corrupt data at input byte {offset}: {what}"))
    }

    /// That the input ends here, and should not.
    pub(in crate::stage) fn truncated(&self, place: &str) -> Fault {
        Fault::refused(format!("truncated at input byte {}, {place}", self.inlet.offset()))
            .help("the input is not complete: fetch or copy it again")
    }

    /// That the input is of another format than `format`, with the bytes it begins with.
    pub(in crate::stage) fn not_of(format: &str, start: &[u8]) -> Fault {
        Fault::refused(format!("not {format} data (starts with `{}`)", start.escape_ascii()))
            .help("see what `file` makes of the data, or let `decompress` find out")
    }

    /// That there is no input at all.
    pub(in crate::stage) fn empty(format: &str) -> Fault {
        Fault::refused(format!("empty input, not {format} data"))
    }

    fn send_before_a_wait(&mut self) -> io::Result<()> {
        if !self.unpacked.is_empty() && self.inlet.would_wait() { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> io::Result<()> {
        let unpacked = std::mem::replace(&mut self.unpacked, self.outlet.chunk());
        self.outlet.send(unpacked)
    }
}
