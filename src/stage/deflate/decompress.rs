//! A gzip file to its bytes: member after member, RFC 1952.
//! Knows nothing of how a body is decoded.

use super::inflate::{Progress, Sink, corrupt, inflate, truncated};
use super::member;
use super::source::Source;
use crate::flow::{Inlet, Outlet};
use crate::stage::contract::{Context, Fault};
use flate2::Crc;

/// What to do about bytes behind the last member that are no padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) enum Trailing {
    /// Refuse them, after the data is through.
    Refuse,
    /// Pass them over.
    Allow,
}

/// What is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) struct Limits {
    /// Bytes behind the last member.
    pub(in crate::stage) trailing: Trailing,
    /// The most that may come out, in bytes.
    pub(in crate::stage) output_bytes_max: Option<u64>,
}

const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// Decompresses all members that come.
///
/// # Errors
/// A [`Fault`] for data that is empty, not gzip, corrupt, truncated, too large or followed by other data. Those of the
/// links.
pub(in crate::stage) fn decompress(
    limits: Limits,
    inlet: &mut Inlet,
    outlet: &mut Outlet,
    context: &Context,
) -> anyhow::Result<()> {
    let source = &mut Source::new(inlet);
    let limit_bytes = limits.output_bytes_max.unwrap_or(u64::MAX);
    let sink = &mut Sink { outlet, allowed_bytes: limit_bytes, limit_bytes };
    if source.fill()?.is_empty() {
        return Err(Fault::refused("the input is empty, and so no gzip data").into());
    }
    match begin(source)? {
        Begin::Member => {}
        Begin::End | Begin::Other(_) => return Err(foreign().into()),
    }
    loop {
        let hint = header(source)?;
        body(hint, source, sink, context)?;
        match next(source)? {
            Begin::Member => {}
            Begin::End => return Ok(()),
            Begin::Other(offset) if limits.trailing == Trailing::Refuse => {
                let message = format!("other data at input byte {offset}, behind the end of the gzip data");
                let help = "`gunzip --allow-trailing` passes it over";
                return Err(Fault::refused(message).help(help).into());
            }
            Begin::Other(_) => {
                while !source.fill()?.is_empty() {
                    let count = source.fill()?.len();
                    source.consume(count);
                }
                return Ok(());
            }
        }
    }
}

fn foreign() -> Fault {
    Fault::refused("not gzip data").help("`decompress` finds out by itself which format it is")
}

/// What comes next.
enum Begin {
    /// A member; its first two bytes are taken.
    Member,
    End,
    /// Something else, from that offset on.
    Other(u64),
}

/// Whether a member begins here.
fn begin(source: &mut Source<'_>) -> anyhow::Result<Begin> {
    let offset = source.offset();
    let is_member = match source.byte()? {
        None => return Ok(Begin::End),
        Some(first) => first == 0x1f && source.byte()? == Some(0x8b),
    };
    Ok(if is_member { Begin::Member } else { Begin::Other(offset) })
}

/// What comes behind a member. NULs up to the end are padding.
fn next(source: &mut Source<'_>) -> anyhow::Result<Begin> {
    let mut is_padded = false;
    while source.fill()?.first() == Some(&0) {
        is_padded = true;
        source.consume(1);
    }
    Ok(match begin(source)? {
        Begin::Member if is_padded => Begin::Other(source.offset() - 2),
        begin => begin,
    })
}

/// A header being read, with the checksum it may carry.
struct Header<'a, 'b> {
    source: &'a mut Source<'b>,
    crc: Crc,
}

impl Header<'_, '_> {
    fn byte(&mut self) -> anyhow::Result<u8> {
        match self.source.byte()? {
            Some(byte) => {
                self.crc.update(&[byte]);
                Ok(byte)
            }
            None => Err(truncated(self.source.offset())),
        }
    }

    fn pair(&mut self) -> anyhow::Result<u16> {
        Ok(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    fn text(&mut self) -> anyhow::Result<()> {
        while self.byte()? != 0 {}
        Ok(())
    }
}

/// Reads the rest of a header: RFC 1952 §2.3. The hint in it, if it has one.
fn header(source: &mut Source<'_>) -> anyhow::Result<Option<usize>> {
    let mut header = Header { source, crc: Crc::new() };
    header.crc.update(&[0x1f, 0x8b]);
    if header.byte()? != 8 {
        let offset = header.source.offset() - 1;
        return Err(corrupt(offset, "an unknown method of compression"));
    }
    let flags = header.byte()?;
    if flags & RESERVED != 0 {
        let offset = header.source.offset() - 1;
        return Err(corrupt(offset, "unknown flags in the header"));
    }
    for _ in 0..6 {
        header.byte()?;
    }
    let mut extra = Vec::new();
    if flags & FEXTRA != 0 {
        for _ in 0..header.pair()? {
            extra.push(header.byte()?);
        }
    }
    if flags & FNAME != 0 {
        header.text()?;
    }
    if flags & FCOMMENT != 0 {
        header.text()?;
    }
    if flags & FHCRC != 0 {
        let expected = header.crc.sum() as u16;
        let offset = header.source.offset();
        if header.pair()? != expected {
            return Err(corrupt(offset, "crc mismatch in the header"));
        }
    }
    Ok(member::hint(&extra))
}

/// Decodes the body and compares the trailer.
fn body(
    hint: Option<usize>,
    source: &mut Source<'_>,
    sink: &mut Sink<'_>,
    context: &Context,
) -> anyhow::Result<()> {
    let mut progress = Progress::default();
    #[cfg(feature = "libdeflate")]
    if let Some(block_bytes) = hint {
        super::ahead::ahead(block_bytes, source, sink, &mut progress, context)?;
    }
    #[cfg(not(feature = "libdeflate"))]
    let _ = (hint, context);
    inflate(source, sink, &mut progress)?;
    let offset = source.offset();
    let mut found = [0; 8];
    for byte in &mut found {
        *byte = source.byte()?.ok_or_else(|| truncated(source.offset()))?;
    }
    let expected = member::trailer(&progress.crc);
    if found[..4] != expected[..4] {
        return Err(corrupt(offset, "crc mismatch"));
    }
    if found[4..] != expected[4..] {
        return Err(corrupt(offset + 4, "length mismatch"));
    }
    Ok(())
}
