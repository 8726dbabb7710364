//! Bytes to text, in lines of a given width.
//! What the characters mean is known to `data-encoding`.

use crate::flow::{Inlet, Outlet};
use crate::stage::contract::Body;
use data_encoding::Encoding;
use std::fmt;
use std::io::{self, Write};

/// Encoded at once: a multiple of every group.
const PART_BYTES: usize = 48 * 1024;

/// How wide a line is, as an argument.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(skip)]
pub(in crate::stage) struct Wrap {
    /// Break lines after N characters; with 0 all is one line, without a newline at its end
    #[arg(id = "wrap", short = 'w', long = "wrap", value_name = "N", default_value_t = Wrap::USUAL)]
    columns: u64,
}

impl Wrap {
    const USUAL: u64 = 76;
}

/// As typed; nothing if that goes without saying.
impl fmt::Display for Wrap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.columns == Wrap::USUAL { Ok(()) } else { write!(formatter, "--wrap {}", self.columns) }
    }
}

/// An alphabet, and the width of the lines.
#[derive(Debug, Clone)]
pub(in crate::stage) struct Encoder {
    /// With its padding.
    pub(in crate::stage) alphabet: Encoding,
    pub(in crate::stage) wrap: Wrap,
}

impl Encoder {
    /// How long the text of that many bytes is, line ends included.
    pub(in crate::stage) fn size(&self, bytes: u64) -> Option<u64> {
        let group = self.alphabet.encode_align() as u64;
        let group_characters = self.alphabet.encode_len(self.alphabet.encode_align()) as u64;
        let characters = bytes.div_ceil(group).checked_mul(group_characters)?;
        match self.wrap.columns {
            0 => Some(characters),
            columns => characters.checked_add(characters.div_ceil(columns)),
        }
    }

    pub(in crate::stage) fn body(self) -> Body {
        Body::filter(move |inlet, outlet, _context| Ok(self.encode(inlet, outlet)?))
    }

    /// A group that is not complete yet is held, at most two bytes; all else goes out before the stage waits.
    fn encode(&self, inlet: &mut Inlet, outlet: &mut Outlet) -> io::Result<()> {
        let group = self.alphabet.encode_align();
        let mut lines = Lines { columns: self.wrap.columns, column: 0, outlet };
        let mut text = Vec::new();
        let mut held = Vec::with_capacity(group);
        while let Some(chunk) = inlet.next_chunk()? {
            let (missing, rest) = match held.len() {
                0 => (&[][..], &chunk[..]),
                length => chunk.split_at(chunk.len().min(group - length)),
            };
            held.extend_from_slice(missing);
            if held.len() == group {
                lines.push(self.encoded(&held, &mut text))?;
                held.clear();
            }
            let (whole, begun) = rest.split_at(rest.len() / group * group);
            for part in whole.chunks(PART_BYTES) {
                lines.push(self.encoded(part, &mut text))?;
            }
            held.extend_from_slice(begun);
            if inlet.would_wait() {
                lines.outlet.flush()?;
            }
        }
        lines.push(self.encoded(&held, &mut text))?;
        lines.end()
    }

    fn encoded<'t>(&self, bytes: &[u8], text: &'t mut Vec<u8>) -> &'t [u8] {
        text.resize(self.alphabet.encode_len(bytes.len()), 0);
        self.alphabet.encode_mut(bytes, text);
        text
    }
}

/// Text being written in lines.
struct Lines<'o> {
    columns: u64,
    /// Where the next character stands, from 0.
    column: u64,
    outlet: &'o mut Outlet,
}

impl Lines<'_> {
    fn push(&mut self, mut text: &[u8]) -> io::Result<()> {
        if self.columns == 0 {
            return self.outlet.write_all(text);
        }
        while !text.is_empty() {
            let room = usize::try_from(self.columns - self.column).unwrap_or(usize::MAX);
            let (line, rest) = text.split_at(room.min(text.len()));
            self.outlet.write_all(line)?;
            self.column += line.len() as u64;
            if self.column == self.columns {
                self.end()?;
            }
            text = rest;
        }
        Ok(())
    }

    /// Ends the line, if one has begun.
    fn end(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.column) == 0 { Ok(()) } else { self.outlet.write_all(b"\n") }
    }
}
