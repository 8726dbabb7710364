//! `stdout`: the sink that stands where none is written.

use super::contract::{Body, Entry, Example, Opening, Role, Stage, Touch};
use super::outside::direct::open_stdout;

/// Write standard output
///
/// This is the sink of a chain that names none. A reader that closes it ends the run quietly. What has been written
/// when a run fails cannot be taken back.
#[derive(Debug, clap::Parser)]
pub(super) struct Stdout {
    /// Send compressed or encrypted bytes even to a terminal
    #[arg(long)]
    force: bool,
}

pub(super) const ENTRY: Entry = Entry {
    examples: &[Example { chain: "stdout", input: b"as it comes\n", output: b"as it comes\n" }],
    ..Entry::of::<Stdout>("stdout", Role::Sink)
};

impl Stage for Stdout {
    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Stdout { forced: self.force }]
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        open_stdout(opening)
    }
}
