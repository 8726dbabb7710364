//! `pass`: hands on what it gets. A place to measure.

use super::contract::{Body, Entry, Example, Opening, Role, Stage};

/// Pass the bytes on unchanged
///
/// A place to measure: its two links show how the stages around it keep up with each other.
#[derive(Debug, clap::Parser)]
pub(super) struct Pass {}

pub(super) const ENTRY: Entry = Entry {
    examples: &[Example { chain: "pass", input: b"as it is\n", output: b"as it is\n" }],
    ..Entry::of::<Pass>("pass", Role::Filter)
};

impl Stage for Pass {
    fn size_after(&self, input: Option<u64>) -> Option<u64> {
        input
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
