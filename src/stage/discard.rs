//! `discard`: counts and drops.

use super::contract::{Body, Entry, Example, Opening, Role, Stage};

/// Count the bytes and drop them
#[derive(Debug, clap::Parser)]
pub(super) struct Discard {}

pub(super) const ENTRY: Entry = Entry {
    examples: &[Example { chain: "discard", input: b"gone\n", output: b"" }],
    ..Entry::of::<Discard>("discard", Role::Sink)
};

impl Stage for Discard {
    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(Body::sink(|inlet, context| {
            while let Some(chunk) = inlet.next_chunk()? {
                context.gauge().wrote(chunk.len() as u64);
            }
            Ok(())
        }))
    }
}
