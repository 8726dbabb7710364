//! `stdin`: the source that stands where none is written.

use super::contract::{Body, Entry, Example, Opening, Role, Stage, Touch};
use super::outside::origin::Origin;

/// Read standard input
///
/// This is the source of a chain that names none. A file on standard input is read from where it stands.
#[derive(Debug, clap::Parser)]
pub(super) struct Stdin {}

pub(super) const ENTRY: Entry = Entry {
    examples: &[Example { chain: "stdin", input: b"as it comes\n", output: b"as it comes\n" }],
    ..Entry::of::<Stdin>("stdin", Role::Source)
};

impl Stage for Stdin {
    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Stdin]
    }

    fn size_after(&self, _input: Option<u64>) -> Option<u64> {
        Origin::stdin().ok()?.left_bytes()
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        if let Some(given) = opening.take_given_stdin() {
            return Ok(given);
        }
        let origin = Origin::stdin()?;
        Ok(Body::source(move |outlet, context| origin.pump(outlet, context)))
    }
}
