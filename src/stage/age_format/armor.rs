//! The armor put on: lines of base64 between two marks (c2sp.org/age, "ASCII armor").
//! Knows nothing of what is in it.

use super::dearmor::{BEGIN_MARK, COLUMNS, END_MARK, LINE_BYTES};
use data_encoding::BASE64;
use std::io::{self, Write};

/// An armor in the making.
pub(super) struct Armor {
    /// What does not fill a line yet.
    rest: Vec<u8>,
}

impl Armor {
    /// Writes the first mark.
    ///
    /// # Errors
    /// Those of `output`.
    pub(super) fn begin(output: &mut impl Write) -> io::Result<Armor> {
        output.write_all(BEGIN_MARK)?;
        output.write_all(b"\n")?;
        Ok(Armor { rest: Vec::with_capacity(LINE_BYTES) })
    }

    /// Writes as many lines as `bytes` fill.
    ///
    /// # Errors
    /// Those of `output`.
    pub(super) fn write(&mut self, mut bytes: &[u8], output: &mut impl Write) -> io::Result<()> {
        if !self.rest.is_empty() {
            let (begin, behind) = bytes.split_at(bytes.len().min(LINE_BYTES - self.rest.len()));
            self.rest.extend_from_slice(begin);
            bytes = behind;
            if self.rest.len() < LINE_BYTES {
                return Ok(());
            }
            line(&self.rest, output)?;
            self.rest.clear();
        }
        let (lines, rest) = bytes.as_chunks::<LINE_BYTES>();
        for bytes in lines {
            line(bytes, output)?;
        }
        self.rest.extend_from_slice(rest);
        Ok(())
    }

    /// Writes the last line and the last mark.
    ///
    /// # Errors
    /// Those of `output`.
    pub(super) fn end(self, output: &mut impl Write) -> io::Result<()> {
        if !self.rest.is_empty() {
            line(&self.rest, output)?;
        }
        output.write_all(END_MARK)?;
        output.write_all(b"\n")
    }
}

fn line(bytes: &[u8], output: &mut impl Write) -> io::Result<()> {
    let mut line = [b'\n'; COLUMNS + 1];
    let length = BASE64.encode_len(bytes.len());
    BASE64.encode_mut(bytes, &mut line[..length]);
    line[length] = b'\n';
    output.write_all(&line[..=length])
}
