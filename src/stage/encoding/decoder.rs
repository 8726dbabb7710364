//! Text to bytes, strictly: every character that does not belong is refused at its place in the input.
//! White space is no part of the text. What the characters mean is known to `data-encoding`.

use crate::flow::{Inlet, Outlet};
use crate::stage::contract::Body;
use crate::stage::fault::Fault;
use data_encoding::{BASE64_NOPAD, Encoding, HEXLOWER_PERMISSIVE};
use std::io::Write;

/// Decoded at once.
const PART_BYTES: usize = 64 * 1024;

const PADDING: u8 = b'=';

/// What is to be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) enum Format {
    /// RFC 4648 §4.
    Base64,
    /// RFC 4648 §8, in either case.
    Hex,
}

impl Format {
    /// Padding is seen to here.
    fn alphabet(self) -> Encoding {
        match self {
            Format::Base64 => BASE64_NOPAD,
            Format::Hex => HEXLOWER_PERMISSIVE,
        }
    }

    /// How many characters stand for a whole number of bytes.
    fn group(self) -> usize {
        match self {
            Format::Base64 => 4,
            Format::Hex => 2,
        }
    }

    /// How many bytes that is.
    fn group_bytes(self) -> usize {
        match self {
            Format::Base64 => 3,
            Format::Hex => 1,
        }
    }

    /// What it consists of.
    fn character(self) -> &'static str {
        match self {
            Format::Base64 => "base64 character",
            Format::Hex => "hexadecimal digit",
        }
    }

    pub(in crate::stage) fn body(self) -> Body {
        Body::filter(move |inlet, outlet, _context| decode(self, inlet, outlet))
    }
}

/// What was decoded goes out before the stage waits, and before an error is told.
fn decode(format: Format, inlet: &mut Inlet, outlet: &mut Outlet) -> anyhow::Result<()> {
    let mut decoder = Decoder {
        format,
        alphabet: format.alphabet(),
        group: Vec::new(),
        places: Vec::new(),
        padding: Padding::None,
        bytes: vec![0; PART_BYTES],
        outlet,
    };
    let result = decoder.run(inlet);
    // The first failure is the one to be told.
    let flushed = decoder.outlet.flush();
    result.and(flushed.map_err(Into::into))
}

/// How much of the padding has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    None,
    /// That many characters of it are still to come.
    Begun(usize),
    Complete,
}

struct Decoder<'o> {
    format: Format,
    alphabet: Encoding,
    /// Characters that have come and are not decoded: between two parts, less than a group.
    group: Vec<u8>,
    /// Where in the input each of them stands.
    places: Vec<u64>,
    padding: Padding,
    bytes: Vec<u8>,
    outlet: &'o mut Outlet,
}

impl Decoder<'_> {
    fn run(&mut self, inlet: &mut Inlet) -> anyhow::Result<()> {
        let mut offset = inlet.offset();
        while let Some(chunk) = inlet.next_chunk()? {
            for part in chunk.chunks(PART_BYTES) {
                self.take(part, offset)?;
                offset += part.len() as u64;
            }
            if inlet.would_wait() {
                self.outlet.flush()?;
            }
        }
        self.end(offset)
    }

    /// Takes a part of the text that stands at `offset` in the input.
    fn take(&mut self, part: &[u8], offset: u64) -> anyhow::Result<()> {
        if self.padding != Padding::None {
            return places(part, offset).try_for_each(|(character, place)| self.step(character, place));
        }
        for word in part.split(u8::is_ascii_whitespace) {
            self.group.extend_from_slice(word);
        }
        let whole = self.group.len() / self.format.group() * self.format.group();
        let room = &mut self.bytes[..whole / self.format.group() * self.format.group_bytes()];
        let is_within = !self.group.contains(&PADDING);
        if is_within && let Ok(count) = self.alphabet.decode_mut(&self.group[..whole], room) {
            self.outlet.write_all(&self.bytes[..count])?;
            self.group.drain(..whole);
            let last: Vec<_> = places(part, offset).rev().take(self.group.len()).collect();
            self.places.extend(last.into_iter().rev().map(|(_, place)| place));
            self.places.drain(..self.places.len() - self.group.len());
            return Ok(());
        }
        // The end of the text, or a mistake: which one, and where, the characters tell one by one.
        self.places.extend(places(part, offset).map(|(_, place)| place));
        let (characters, places) = (std::mem::take(&mut self.group), std::mem::take(&mut self.places));
        characters.into_iter().zip(places).try_for_each(|(character, place)| self.step(character, place))
    }

    fn step(&mut self, character: u8, place: u64) -> anyhow::Result<()> {
        let is_padding = character == PADDING && self.format == Format::Base64;
        let missing = match (self.padding, is_padding) {
            (Padding::None, false) => {
                self.group.push(character);
                self.places.push(place);
                return if self.group.len() == self.format.group() { self.flush() } else { Ok(()) };
            }
            (Padding::None, true) => {
                self.check()?;
                match self.group.len() {
                    2 => 2,
                    3 => 1,
                    _ => return refuse(format!("`=` at input byte {place}, where no padding belongs")),
                }
            }
            (Padding::Begun(missing), true) => missing,
            (Padding::Begun(_), false) => {
                let character = character.escape_ascii();
                return refuse(format!("`{character}` at input byte {place}, where `=` belongs"));
            }
            (Padding::Complete, _) => {
                return Err(Fault::refused(format!("more data behind the padding, at input byte {place}"))
                    .help("several texts one after another are decoded one by one")
                    .into());
            }
        };
        if missing > 1 {
            self.padding = Padding::Begun(missing - 1);
            return Ok(());
        }
        self.padding = Padding::Complete;
        self.flush()
    }

    /// Decodes a group, the last one of which may be incomplete.
    fn flush(&mut self) -> anyhow::Result<()> {
        self.check()?;
        // RFC 4648 §3.5: other bits would be lost, and another text would stand for the same bytes.
        match self.alphabet.decode(&self.group) {
            Ok(bytes) => self.outlet.write_all(&bytes)?,
            Err(error) => {
                let place = self.places.get(error.position).copied().unwrap_or_default();
                return refuse(format!(
                    "the character at input byte {place} has bits that belong to no byte"
                ));
            }
        }
        self.group.clear();
        self.places.clear();
        Ok(())
    }

    /// Whether all of the group is in the alphabet.
    fn check(&self) -> anyhow::Result<()> {
        let mut characters = self.group.iter().zip(&self.places);
        let unknown = characters.find(|(byte, _)| self.alphabet.interpret_byte(**byte).is_symbol().is_none());
        let Some((&character, &place)) = unknown else { return Ok(()) };
        let what = self.format.character();
        let fault =
            Fault::refused(format!("`{}` at input byte {place} is no {what}", character.escape_ascii()));
        Err(match (self.format, character) {
            (Format::Base64, b'-') if place == 0 => {
                fault.help("lines that frame the text, such as `-----BEGIN …-----`, are no part of it")
            }
            (Format::Base64, b'-' | b'_') => {
                fault.help("if this is the alphabet for URLs, `+` stands for its `-`, and `/` for its `_`")
            }
            _ => fault,
        }
        .into())
    }

    /// The text has ended, at `offset`.
    fn end(&self, offset: u64) -> anyhow::Result<()> {
        self.check()?;
        let what = match (self.padding, self.format) {
            (Padding::Begun(_), _) => "`=` is missing",
            (Padding::None, Format::Base64) if self.group.len() > 1 => "padding with `=` is missing",
            (Padding::None, Format::Base64) if self.group.len() == 1 => {
                "the last group has one character only"
            }
            (Padding::None, Format::Hex) if !self.group.is_empty() => "the number of digits is odd",
            (Padding::None | Padding::Complete, _) => return Ok(()),
        };
        Err(Fault::refused(format!("truncated at input byte {offset}: {what}"))
            .help("the input is not complete: fetch or copy it again")
            .into())
    }
}

/// The characters of a part that begins at `offset`, and where in the input each of them stands.
fn places(part: &[u8], offset: u64) -> impl DoubleEndedIterator<Item = (u8, u64)> {
    let characters = part.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace());
    characters.map(move |(at, &byte)| (byte, offset + at as u64))
}

fn refuse(message: String) -> anyhow::Result<()> {
    Err(Fault::refused(message).into())
}
