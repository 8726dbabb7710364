//! `gunzip`: decompression of the gzip format (RFC 1952), all members of it.
//! The inflate coder is flate2's; headers, trailers and what stands between members are read here.

use super::amount::Amount;
use super::contract::{Body, Context, Entry, Example, Nature, Opening, Role, Stage};

use super::deflate;
use super::fault::Fault;
use crate::flow::{Chunk, Inlet, Outlet};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use std::io::{self, BufRead};

/// RFC 1952 §2.3.1: what a member begins with.
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The only method there is: deflate.
const METHOD_DEFLATE: u8 = 8;
const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;
const FLAGS_RESERVED: u8 = 0b1110_0000;

/// Decompress the gzip format
///
/// All members are unpacked, one after another. Empty, truncated and corrupt input is refused (exit 3), with the place
/// in the input; so is anything behind the last member other than padding with NUL bytes, after all data is through.
#[derive(Debug, clap::Parser)]
pub(super) struct Gunzip {
    /// Ignore what follows the last member
    #[arg(long)]
    allow_trailing: bool,

    /// Refuse input that unpacks to more than this
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    max_output: Option<Amount>,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Decompressor,
    examples: &[Example {
        chain: "gunzip",
        input: b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x4b\xe4\x02\0\x07\xa1\xea\xdd\x02\0\0\0",
        output: b"a\n",
    }],
    ..Entry::of::<Gunzip>("gunzip", Role::Filter)
};

impl Stage for Gunzip {
    fn label(&self) -> String {
        if self.allow_trailing { "--allow-trailing".to_owned() } else { String::new() }
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(Body::filter(move |inlet, outlet, context| {
            let unpacked = outlet.chunk();
            let mut unpacker = Unpacker {
                inlet,
                outlet,
                unpacked,
                total_bytes: 0,
                is_held_back: false,
                limit: self.max_output,
                context,
            };
            let members = unpacker.members();
            // Whatever is found wrong, what came before it goes through.
            let sent = unpacker.send();
            let trailing_bytes = members?;
            sent?;
            if trailing_bytes > 0 && !self.allow_trailing {
                return Err(trailing(trailing_bytes).into());
            }
            Ok(())
        }))
    }
}

/// Unpacks straight into the chunks that go out.
struct Unpacker<'e> {
    inlet: &'e mut Inlet,
    outlet: &'e mut Outlet,
    unpacked: Chunk,
    total_bytes: u64,
    /// The last chunk was filled to the end, so the coder may have more to give.
    is_held_back: bool,
    limit: Option<Amount>,
    context: &'e Context,
}

impl Unpacker<'_> {
    /// Unpacks all members, and returns how many bytes that are no padding follow the last.
    fn members(&mut self) -> anyhow::Result<u64> {
        self.first_magic()?;
        let mut coder = Decompress::new(false);
        loop {
            let hint = self.header()?;
            self.data(hint, &mut coder)?;
            let end = self.inlet.offset();
            match self.byte()? {
                None => return Ok(0),
                Some(byte) if byte == MAGIC[0] => match self.byte()? {
                    Some(byte) if byte == MAGIC[1] => coder.reset(false),
                    _ => return self.rest_since(end),
                },
                Some(0) if self.is_padding_to_the_end()? => return Ok(0),
                Some(_) => return self.rest_since(end),
            }
        }
    }

    fn first_magic(&mut self) -> anyhow::Result<()> {
        let mut start = Vec::new();
        for expected in MAGIC {
            match self.byte()? {
                Some(byte) if byte == expected => start.push(byte),
                Some(byte) => {
                    start.push(byte);
                    while start.len() < 4
                        && let Some(byte) = self.byte()?
                    {
                        start.push(byte);
                    }
                    let message = format!("not gzip data (starts with `{}`)", start.escape_ascii());
                    let help = "leave `gunzip` out, or see what `file` makes of the data";
                    return Err(Fault::refused(message).help(help).into());
                }
                None if start.is_empty() => return Err(Fault::refused("empty input, not gzip data").into()),
                None => return Err(self.truncated("in a header").into()),
            }
        }
        Ok(())
    }

    /// Reads a member's header, from behind the magic (RFC 1952 §2.3), and returns the hint that one of ours holds.
    fn header(&mut self) -> anyhow::Result<Option<usize>> {
        let mut crc = Crc::new();
        crc.update(&MAGIC);
        let [method, flags, ..] = self.header_bytes::<8>(&mut crc)?;
        if method != METHOD_DEFLATE {
            return Err(self.corrupt(&format!("unknown compression method {method}")).into());
        }
        if flags & FLAGS_RESERVED != 0 {
            return Err(self.corrupt("reserved flags are set in a header").into());
        }
        let mut extra = Vec::new();
        if flags & FLAG_EXTRA != 0 {
            let length = u16::from_le_bytes(self.header_bytes(&mut crc)?);
            for _ in 0..length {
                extra.extend(self.header_bytes::<1>(&mut crc)?);
            }
        }
        for flag in [FLAG_NAME, FLAG_COMMENT] {
            while flags & flag != 0 && self.header_bytes(&mut crc)? != [0] {}
        }
        if flags & FLAG_HEADER_CRC != 0 {
            let [low, high, ..] = crc.sum().to_le_bytes();
            if self.header_bytes(&mut crc)? != [low, high] {
                return Err(self.corrupt("crc mismatch in a header").into());
            }
        }
        Ok(deflate::hint(&extra))
    }

    fn header_bytes<const COUNT: usize>(&mut self, crc: &mut Crc) -> anyhow::Result<[u8; COUNT]> {
        let bytes = self.bytes("in a header")?;
        crc.update(&bytes);
        Ok(bytes)
    }

    /// Unpacks a member's data and compares it with the trailer.
    fn data(&mut self, hint: Option<usize>, coder: &mut Decompress) -> anyhow::Result<()> {
        let mut crc = match hint {
            Some(block_bytes) => self.ahead(block_bytes, coder)?,
            None => Crc::new(),
        };
        while !self.inflate(coder, &mut crc)? {}
        let expected = u32::from_le_bytes(self.bytes("in a trailer")?);
        if expected != crc.sum() {
            return Err(self.corrupt("crc mismatch").into());
        }
        let expected = u32::from_le_bytes(self.bytes("in a trailer")?);
        if expected != crc.amount() {
            return Err(self.corrupt("length mismatch").into());
        }
        Ok(())
    }

    /// Unpacks side by side what a hinted member lets; the coder then goes on where that ended.
    fn ahead(&mut self, block_bytes: usize, coder: &mut Decompress) -> anyhow::Result<Crc> {
        if !self.unpacked.is_empty() {
            self.send()?;
        }
        let limit_bytes = self.limit.as_ref().map_or(u64::MAX, |limit| limit.bytes);
        let allowed_bytes = limit_bytes.saturating_sub(self.total_bytes);
        let begun = deflate::ahead(block_bytes, allowed_bytes, self.inlet, self.outlet, self.context)?;
        if !begun.window.is_empty() {
            coder.set_dictionary(&begun.window)?;
        }
        self.total_bytes += begun.bytes;
        Ok(begun.crc)
    }

    /// One step of the coder; returns whether the data has ended.
    fn inflate(&mut self, coder: &mut Decompress, crc: &mut Crc) -> anyhow::Result<bool> {
        self.send_before_a_wait()?;
        // The coder may hold back what did not fit: that is not to wait for input.
        let is_draining = self.is_held_back && self.inlet.would_wait();
        let packed = if is_draining { &[] } else { self.inlet.fill_buf()? };
        let has_ended = packed.is_empty() && !is_draining;
        let before = (coder.total_in(), coder.total_out());
        let status = coder.decompress(packed, self.unpacked.spare(), FlushDecompress::None);
        let taken = usize::try_from(coder.total_in() - before.0)?;
        let given = usize::try_from(coder.total_out() - before.1)?;
        self.inlet.consume(taken);
        crc.update(&self.unpacked.spare()[..given]);
        self.unpacked.fill(given);
        self.total_bytes += given as u64;
        self.refuse_a_bomb()?;
        match status {
            Ok(Status::StreamEnd) => return Ok(true),
            Ok(_) if has_ended && given == 0 => return Err(self.truncated("in compressed data").into()),
            Ok(_) => {}
            // What the coder says of it depends on how the data was cut.
            Err(_) => return Err(self.corrupt("invalid deflate data").into()),
        }
        self.is_held_back = self.unpacked.spare().is_empty();
        if self.is_held_back {
            self.send()?;
        }
        Ok(false)
    }

    fn refuse_a_bomb(&mut self) -> anyhow::Result<()> {
        if let Some(limit) = &self.limit
            && self.total_bytes > limit.bytes
        {
            let over = usize::try_from(self.total_bytes - limit.bytes).unwrap_or(usize::MAX);
            self.unpacked.truncate(self.unpacked.len().saturating_sub(over));
            let message = format!("unpacks to more than {limit}, at input byte {}", self.inlet.offset());
            let help = "if that is as it should be, raise `--max-output`";
            return Err(Fault::refused(message).help(help).into());
        }
        Ok(())
    }

    /// After a NUL: whether nothing but NULs follows. Stops behind the first other byte.
    fn is_padding_to_the_end(&mut self) -> anyhow::Result<bool> {
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

    /// Reads to the end; the number of bytes since `offset`.
    fn rest_since(&mut self, offset: u64) -> anyhow::Result<u64> {
        self.send()?;
        self.inlet.drain()?;
        Ok(self.inlet.offset() - offset)
    }

    fn bytes<const COUNT: usize>(&mut self, place: &str) -> anyhow::Result<[u8; COUNT]> {
        let mut bytes = [0; COUNT];
        for byte in &mut bytes {
            *byte = self.byte()?.ok_or_else(|| self.truncated(place))?;
        }
        Ok(bytes)
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        self.send_before_a_wait()?;
        let byte = self.inlet.fill_buf()?.first().copied();
        self.inlet.consume(1);
        Ok(byte)
    }

    fn send_before_a_wait(&mut self) -> io::Result<()> {
        if !self.unpacked.is_empty() && self.inlet.would_wait() { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> io::Result<()> {
        let unpacked = std::mem::replace(&mut self.unpacked, self.outlet.chunk());
        self.outlet.send(unpacked)
    }

    fn corrupt(&self, what: &str) -> Fault {
        Fault::refused(format!("corrupt data at input byte {}: {what}", self.inlet.offset()))
    }

    fn truncated(&self, place: &str) -> Fault {
        Fault::refused(format!("truncated at input byte {}, {place}", self.inlet.offset()))
            .help("the input is not complete: fetch or copy it again")
    }
}

fn trailing(bytes: u64) -> Fault {
    let unit = if bytes == 1 { "byte" } else { "bytes" };
    Fault::refused(format!("{bytes} trailing {unit} after the end of the stream"))
        .help("all data before them is good; `--allow-trailing` ignores them")
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Ending, Outcome, Trial, assert_gives, cut, run};
    use flate2::{Compression, GzBuilder};
    use std::io::Write;

    const TEXT: &[u8] = b"A text that is a text that is a text, and then something else to end it.\n";

    fn member(bytes: &[u8]) -> Vec<u8> {
        built(GzBuilder::new(), bytes)
    }

    fn built(header: GzBuilder, bytes: &[u8]) -> Vec<u8> {
        let mut encoder = header.write(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// With a checksum of its own, which no encoder at hand writes.
    fn with_header_crc(bytes: &[u8]) -> Vec<u8> {
        let plain = member(bytes);
        let mut header = plain[..10].to_vec();
        header[3] |= super::FLAG_HEADER_CRC;
        let mut crc = flate2::Crc::new();
        crc.update(&header);
        [&header, &crc.sum().to_le_bytes()[..2], &plain[10..]].concat()
    }

    fn gunzip(bytes: &[u8]) -> Outcome {
        run("gunzip", &[bytes])
    }

    #[test]
    fn sizes_around_the_edge_of_a_chunk_come_back() {
        for size in [0, 1, 4095, 4096, 4097, 8192, 100_000] {
            let bytes: Vec<u8> = (0..size).map(|index: u64| ((index * index) >> 3) as u8).collect();
            let packed = member(&bytes);
            for chunk_bytes in [1, 7, 4096, 65_536] {
                let outcome = Trial::of("gunzip").chunk_bytes(chunk_bytes).run(&cut(&packed, 509));
                assert_eq!(outcome.failure(), None, "{size} bytes in chunks of {chunk_bytes}");
                assert!(outcome.output == bytes, "{size} bytes in chunks of {chunk_bytes}");
            }
        }
    }

    #[test]
    fn every_member_is_unpacked_with_all_that_a_header_may_hold() {
        let named = GzBuilder::new().filename("name").comment("comment").extra(vec![7; 300]).mtime(9);
        let members = [built(named, TEXT), member(b""), with_header_crc(TEXT)];
        assert_gives("gunzip", &members.concat(), &[TEXT, TEXT].concat());
    }

    #[test]
    fn padding_with_nuls_is_accepted() {
        for count in [1, 2, 511, 5000] {
            assert_gives("gunzip", &[member(TEXT), vec![0; count]].concat(), TEXT);
        }
    }

    #[test]
    fn every_cut_is_refused_at_its_place() {
        let packed = [built(GzBuilder::new().filename("name"), TEXT), member(TEXT)].concat();
        let first_length = packed.len() - member(TEXT).len();
        for length in 0..packed.len() {
            let outcome = gunzip(&packed[..length]);
            if length == first_length {
                assert_eq!((outcome.failure(), &outcome.output[..]), (None, TEXT));
                continue;
            }
            let expected = match length {
                0 => "empty input, not gzip data".to_owned(),
                _ if length == first_length + 1 => "1 trailing byte after the end of the stream".to_owned(),
                _ => format!("truncated at input byte {length}, "),
            };
            let refusal = outcome.refusal();
            assert!(refusal.starts_with(&expected), "cut at {length}: {refusal}");
            assert!([TEXT, TEXT].concat().starts_with(&outcome.output));
        }
    }

    #[test]
    fn no_changed_byte_changes_the_output_unseen() {
        let packed = [with_header_crc(TEXT), member(TEXT)].concat();
        let whole = [TEXT, TEXT].concat();
        for index in 0..packed.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = packed.clone();
                changed[index] ^= change;
                let outcome = gunzip(&changed);
                if outcome.result.is_ok() {
                    // A time, a system: nothing that the data depends on.
                    assert!(outcome.output == whole, "byte {index} changed by {change:#x}");
                } else {
                    outcome.refusal();
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let packed = member(TEXT);
        let end = packed.len();
        let changed = |index: usize, byte: u8| {
            let mut changed = packed.clone();
            changed[index] = byte;
            gunzip(&changed).refusal()
        };
        assert_eq!(gunzip(b"hello, world").refusal(), "not gzip data (starts with `hell`)");
        assert_eq!(gunzip(b"\x1fA").refusal(), "not gzip data (starts with `\\x1fA`)");
        assert_eq!(gunzip(b"\x1f").refusal(), "truncated at input byte 1, in a header");
        assert_eq!(changed(2, 7), "corrupt data at input byte 10: unknown compression method 7");
        assert_eq!(changed(3, 0x80), "corrupt data at input byte 10: reserved flags are set in a header");
        let crc_end = end - 4;
        assert_eq!(
            changed(end - 5, !packed[end - 5]),
            format!("corrupt data at input byte {crc_end}: crc mismatch")
        );
        assert_eq!(changed(end - 1, 9), format!("corrupt data at input byte {end}: length mismatch"));
        assert_eq!(changed(10, 7), "corrupt data at input byte 11: invalid deflate data");
        let mut flagged = with_header_crc(TEXT);
        flagged[4] ^= 1;
        assert_eq!(gunzip(&flagged).refusal(), "corrupt data at input byte 12: crc mismatch in a header");
    }

    #[test]
    fn the_place_counts_from_the_beginning_of_all_members() {
        let first = member(TEXT);
        let mut second = first.clone();
        second[2] = 0;
        let expected =
            format!("corrupt data at input byte {}: unknown compression method 0", first.len() + 10);
        assert_eq!(gunzip(&[first, second].concat()).refusal(), expected);
    }

    #[test]
    fn other_bytes_behind_the_data_are_refused_after_it_is_through() {
        for (trailing, count) in [
            (&b"text"[..], "4 trailing bytes"),
            (b"\x01", "1 trailing byte"),
            (b"\0\0\x1f\x8b", "4 trailing bytes"),
        ] {
            let bytes = [&member(TEXT), trailing].concat();
            for size in [1, 5, bytes.len()] {
                let outcome = run("gunzip", &cut(&bytes, size));
                assert_eq!(outcome.output, TEXT);
                assert_eq!(outcome.refusal(), format!("{count} after the end of the stream"));
            }
            assert_gives("gunzip --allow-trailing", &bytes, TEXT);
        }
    }

    #[test]
    fn data_is_sent_on_as_soon_as_it_can_be() {
        let packed = run("gzip --stream", &[TEXT]).output;
        let open = Trial::of("gunzip").taking(TEXT.len()).ending(Ending::Awaited);
        // Without the end of the stream: all that a flush made certain has to come.
        let outcome = open.run(&[&packed[..packed.len() - 9]]);
        assert_eq!(outcome.output, TEXT);
    }

    #[test]
    fn an_output_over_the_limit_is_refused() {
        let packed = member(&[b'x'; 100_000]);
        let outcome = Trial::of("gunzip --max-output 1000").chunk_bytes(64).run(&[&packed]);
        assert_eq!(outcome.output, [b'x'; 1000]);
        assert!(outcome.refusal().starts_with("unpacks to more than 1000, at input byte "));
        assert_eq!(run("gunzip --max-output 100000", &[&packed]).failure(), None);
    }

    #[test]
    fn a_failure_before_it_is_passed_up() {
        let outcome = Trial::of("gunzip").ending(Ending::Aborted).run(&[&member(TEXT)]);
        assert!(outcome.result.unwrap_err().downcast_ref::<std::io::Error>().is_some());
    }
}
