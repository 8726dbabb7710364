//! The bytes of an age file out of an inlet, armored or not; which of both it is, is found out by looking.
//! Knows nothing of what the bytes mean.

use super::dearmor::{BEGIN_MARK, Dearmor, nothing_behind};
use super::truncated;
use crate::flow::Inlet;
use crate::stage::fault::Fault;
use std::io::BufRead;

/// White space that may stand in front of an armor: what a person pastes.
const SPACE_BYTES_MAX: usize = 1024;
/// How much of something else is shown.
const SHOWN_BYTES: usize = 8;

/// The input, without its armor.
pub(super) struct Source<'i> {
    inlet: &'i mut Inlet,
    armor: Option<Dearmor>,
}

impl<'i> Source<'i> {
    /// Looks at the first bytes.
    ///
    /// # Errors
    /// A [`Fault`] for input that is empty or something else; those of the links.
    pub(super) fn begin(inlet: &'i mut Inlet) -> anyhow::Result<Source<'i>> {
        let mut source = Source { inlet, armor: None };
        let mut start = Vec::new();
        loop {
            match source.byte()? {
                None if start.is_empty() => return Err(Fault::refused("empty input, not age data").into()),
                Some(byte) if byte.is_ascii_whitespace() && start.len() < SPACE_BYTES_MAX => start.push(byte),
                Some(b'-') => break,
                // Binary, or nothing at all: the header's first line tells.
                Some(byte) if start.is_empty() => {
                    source.inlet.give_back(&[byte]);
                    return Ok(source);
                }
                byte => {
                    start.extend(byte);
                    return Err(source.foreign(&start).into());
                }
            }
        }
        let space = start.len();
        start.push(b'-');
        while start.len() - space < BEGIN_MARK.len() {
            match source.byte()? {
                None => return Err(truncated(source.inlet.offset(), "in the armor").into()),
                Some(byte) => start.push(byte),
            }
            if !BEGIN_MARK.starts_with(&start[space..]) {
                return Err(source.foreign(&start).into());
            }
        }
        source.armor = Some(Dearmor::begin(source.inlet)?);
        Ok(source)
    }

    fn byte(&mut self) -> anyhow::Result<Option<u8>> {
        let byte = self.inlet.fill_buf()?.first().copied();
        self.inlet.consume(1);
        Ok(byte)
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// A [`Fault`] for an armor that is malformed or cut; those of the links.
    pub(super) fn fill(&mut self) -> anyhow::Result<&[u8]> {
        match &mut self.armor {
            None => Ok(self.inlet.fill_buf()?),
            Some(armor) => armor.fill(self.inlet),
        }
    }

    /// Takes the first `count` of them.
    pub(super) fn consume(&mut self, count: usize) {
        match &mut self.armor {
            None => self.inlet.consume(count),
            Some(armor) => armor.consume(count),
        }
    }

    /// Where in the input the next byte stands.
    pub(super) fn offset(&self) -> u64 {
        match &self.armor {
            None => self.inlet.offset(),
            Some(armor) => armor.offset(self.inlet),
        }
    }

    /// Whether [`Source::fill`] would have to wait.
    ///
    /// # Errors
    /// Those of the links.
    pub(super) fn would_wait(&mut self) -> anyhow::Result<bool> {
        match &mut self.armor {
            None => Ok(self.inlet.would_wait()),
            Some(armor) => Ok(armor.would_wait(self.inlet)?),
        }
    }

    /// Reads to the end of the input, where that is behind the end of what it holds.
    ///
    /// # Errors
    /// A [`Fault`] for what else stands there; those of the links.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.armor.map_or(Ok(()), |_| nothing_behind(self.inlet))
    }

    /// That the input is of another format; `start` is what was taken of it.
    pub(super) fn foreign(&mut self, start: &[u8]) -> Fault {
        let mut start = start.to_vec();
        // Of a line of text, enough to tell what it is.
        let shown_bytes = if start.starts_with(b"-") { BEGIN_MARK.len() } else { SHOWN_BYTES };
        // Some more of it to show, however it is cut; an error of the link will come again.
        while start.len() < shown_bytes
            && let Ok(bytes) = self.fill()
            && let Some(&byte) = bytes.first()
        {
            self.consume(1);
            start.push(byte);
        }
        start.truncate(shown_bytes);
        Fault::refused(format!("not age data (starts with `{}`)", start.escape_ascii()))
            .help("see what `file` makes of the data")
    }
}
