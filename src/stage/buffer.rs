//! `buffer`: a larger link at this place.
//! Holds nothing itself: the link it reads does.

use super::amount::Amount;
use super::contract::{Body, Entry, Example, Feed, Opening, Role, Stage};

/// Hold up to SIZE bytes at this place
///
/// Evens out stages that are fast and slow by turns: while one pauses, the other works from the buffer. It costs up to
/// SIZE bytes of memory and nothing else; it helps only where the pace varies.
///
/// With `--start`, the next stage is held until the buffer has filled that far or the input has ended, and again every
/// time it ran empty: for tape drives and others that should run long or not at all.
#[derive(Debug, clap::Parser)]
pub(super) struct Buffer {
    /// How many bytes it holds
    #[arg(value_parser = Amount::some_size)]
    size: Amount,

    /// Hold the next stage until it is this full, 0 to 100
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    start: u8,
}

pub(super) const ENTRY: Entry = Entry {
    examples: &[Example { chain: "buffer 64M --start 50", input: b"as it is\n", output: b"as it is\n" }],
    ..Entry::of::<Buffer>("buffer", Role::Filter)
};

impl Stage for Buffer {
    fn label(&self) -> String {
        match self.start {
            0 => self.size.to_string(),
            percent => format!("{} --start {percent}", self.size),
        }
    }

    fn size_after(&self, input: Option<u64>) -> Option<u64> {
        input
    }

    fn feed(&self) -> Feed {
        let high_bytes = usize::try_from(self.size.bytes).unwrap_or(usize::MAX);
        Feed { high_bytes: Some(high_bytes), start_percent: self.start }
    }

    fn passes_unchanged(&self) -> bool {
        true
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(Body::filter(|inlet, outlet, _context| {
            while let Some(chunk) = inlet.next_chunk()? {
                outlet.send(chunk)?;
            }
            Ok(())
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::contract::Feed;
    use crate::stage::testing::{assert_gives, stage};

    #[test]
    fn it_passes_everything_on() {
        assert_gives("buffer 1K", b"as it is", b"as it is");
        assert_gives("buffer 1K --start 100", b"", b"");
    }

    #[test]
    fn it_asks_for_its_link() {
        let feed = stage("buffer 64M --start 80").unwrap().feed();
        assert_eq!(feed, Feed { high_bytes: Some(64 << 20), start_percent: 80 });
        assert_eq!(stage("buffer 1").unwrap().feed().start_percent, 0);
    }

    #[test]
    fn nothing_and_more_than_all_are_refused() {
        for call in ["buffer", "buffer 0", "buffer 1K --start 101", "buffer 1K --start -1"] {
            assert!(stage(call).is_err(), "{call}");
        }
    }
}
