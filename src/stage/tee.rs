//! `tee` and `branch`: a copy of the stream to each branch. `tee` passes it onward, too; `branch` ends the chain.
//! A branch is an outlet: what reads it is the engine's. Chunks are shared, never copied.

use super::arguments::{DATA_MARK, PathArgument};
use super::contract::{Body, Entry, Example, Groups, Opening, Role, Stage};
use crate::flow::{Chunk, Closed, Outlet};
use std::io;
use std::os::unix::ffi::OsStrExt;

/// Copy the bytes to files and branches, and pass them on
///
/// Each PATH gets a copy, as `{ write PATH }` would, and each `{ CHAIN }` gets one to work on. The slowest output sets the
/// pace for all. An output that has enough (`head`) is done, and the others go on.
///
/// All files appear together at the end, or none does. If a branch fails the run fails, unless `--keep-going` is given.
#[derive(Debug, clap::Parser)]
pub(super) struct Tee {
    /// Files to write a copy to
    #[arg(value_name = "PATH")]
    paths: Vec<PathArgument>,

    /// When a branch fails while it runs, finish the others all the same, and exit with 1
    #[arg(long)]
    keep_going: bool,
}

/// Copy the bytes to branches, and end the chain
///
/// As `tee`, without an output of its own: everything goes to the branches, each `{ CHAIN }` one. The slowest sets the
/// pace for all. A branch that has enough (`head`) is done, and the others go on.
#[derive(Debug, clap::Parser)]
pub(super) struct Branch {
    /// When a branch fails while it runs, finish the others all the same, and exit with 1
    #[arg(long)]
    keep_going: bool,
}

pub(super) const ENTRY: Entry = Entry {
    groups: Groups::Branches,
    examples: &[Example {
        chain: "tee { gzip | discard } | upper",
        input: b"to both\n",
        output: b"TO BOTH\n",
    }],
    ..Entry::of::<Tee>("tee", Role::Filter)
};

pub(super) const BRANCH_ENTRY: Entry = Entry {
    groups: Groups::Branches,
    examples: &[Example {
        chain: "branch { upper | stdout } { gzip | discard }",
        input: b"to both\n",
        output: b"TO BOTH\n",
    }],
    ..Entry::of::<Branch>("branch", Role::Sink)
};

impl Stage for Tee {
    fn label(&self) -> String {
        let paths: Vec<String> = self.paths.iter().map(ToString::to_string).collect();
        paths.join(" ")
    }

    fn size_after(&self, input: Option<u64>) -> Option<u64> {
        input
    }

    fn branches(&self) -> Vec<Vec<Vec<u8>>> {
        self.paths.iter().map(|path| vec![b"write".to_vec(), word(path)]).collect()
    }

    fn outlives_its_branches(&self) -> bool {
        self.keep_going
    }

    fn passes_unchanged(&self) -> bool {
        true
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let mut branches = Branches::of(opening);
        Ok(Body::filter(move |inlet, outlet, _context| {
            let mut goes_onward = true;
            while (goes_onward || !branches.are_done())
                && let Some(chunk) = inlet.next_chunk()?
            {
                branches.send(&chunk)?;
                goes_onward = goes_onward && takes(outlet, chunk)?;
            }
            branches.finish();
            Ok(())
        }))
    }
}

impl Stage for Branch {
    fn outlives_its_branches(&self) -> bool {
        self.keep_going
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let mut branches = Branches::of(opening);
        Ok(Body::sink(move |inlet, _context| {
            while !branches.are_done()
                && let Some(chunk) = inlet.next_chunk()?
            {
                branches.send(&chunk)?;
            }
            branches.finish();
            Ok(())
        }))
    }
}

/// The path as a word of a chain, which is to mean the same there.
fn word(argument: &PathArgument) -> Vec<u8> {
    let path = argument.path.as_os_str().as_bytes();
    if path.starts_with(b"-") && !argument.is_standard_stream() {
        return [&[DATA_MARK], path].concat();
    }
    path.to_vec()
}

/// The branches that take more. Dropped without [`Branches::finish`] they are aborted.
#[derive(Debug)]
struct Branches {
    outlets: Vec<Outlet>,
}

impl Branches {
    fn of(opening: &mut Opening<'_>) -> Self {
        Branches { outlets: std::mem::take(&mut opening.branches) }
    }

    fn are_done(&self) -> bool {
        self.outlets.is_empty()
    }

    fn send(&mut self, chunk: &Chunk) -> io::Result<()> {
        let mut index = 0;
        while let Some(outlet) = self.outlets.get_mut(index) {
            if takes(outlet, chunk.clone())? {
                index += 1;
            } else {
                // Its reader is gone: what an end means to it does not matter.
                self.outlets.remove(index);
            }
        }
        Ok(())
    }

    fn finish(self) {
        self.outlets.into_iter().for_each(Outlet::finish);
    }
}

/// Sends to an outlet whose reader may have enough; returns whether it takes more.
fn takes(outlet: &mut Outlet, chunk: Chunk) -> io::Result<bool> {
    match outlet.send(chunk) {
        Ok(()) => Ok(true),
        Err(error) if Closed::cause_of(&error) == Some(Closed::HungUp) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Ending, Trial, cut, stage};

    const ALL: usize = usize::MAX;

    fn bytes() -> Vec<u8> {
        (0..100_000_u32).map(|number| (number % 251) as u8).collect()
    }

    #[test]
    fn every_output_gets_everything() {
        let bytes = bytes();
        let outcome = Trial::of("tee").branch(ALL).branch(ALL).run(&cut(&bytes, 1009));
        assert_eq!(outcome.failure(), None);
        assert!(outcome.output == bytes);
        assert_eq!(outcome.branches.len(), 2);
        assert!(outcome.branches.iter().all(|(taken, is_finished)| *taken == bytes && *is_finished));
    }

    #[test]
    fn an_output_that_has_enough_leaves_the_others_going() {
        let bytes = bytes();
        let outcome = Trial::of("tee").branch(1).branch(ALL).run(&cut(&bytes, 1009));
        assert_eq!((outcome.failure(), outcome.output.len()), (None, bytes.len()));
        assert!(outcome.branches[1] == (bytes.clone(), true));

        let outcome = Trial::of("tee").taking(1).branch(ALL).run(&cut(&bytes, 1009));
        assert_eq!(outcome.failure(), None);
        assert!(outcome.branches[0] == (bytes, true));
    }

    #[test]
    fn it_takes_no_more_when_all_have_enough() {
        let endless = [b"some".as_slice(); 1000];
        for call in ["tee", "branch"] {
            let outcome = Trial::of(call).taking(1).branch(1).branch(1).ending(Ending::Open).run(&endless);
            assert_eq!(outcome.failure(), None);
            assert!(outcome.output.len() < 4000);
        }
    }

    #[test]
    fn a_failure_before_it_aborts_every_output() {
        for call in ["tee", "branch"] {
            let outcome = Trial::of(call).branch(ALL).ending(Ending::Aborted).run(&[b"some"]);
            assert!(outcome.result.is_err());
            assert_eq!(outcome.branches, [(b"some".to_vec(), false)]);
        }
    }

    #[test]
    fn a_branch_at_the_end_gets_everything() {
        let outcome = Trial::of("branch").branch(ALL).run(&[b"a", b"b"]);
        assert_eq!((outcome.failure(), outcome.branches), (None, vec![(b"ab".to_vec(), true)]));
    }

    #[test]
    fn a_path_is_a_branch_that_writes_it() {
        let branches = stage("tee a - b --keep-going").unwrap().branches();
        let call = |path: &[u8]| vec![b"write".to_vec(), path.to_vec()];
        assert_eq!(branches, [call(b"a"), call(b"-"), call(b"b")]);
        assert_eq!(stage("tee -- -x").unwrap().branches(), [call(b"\0-x")]);
        assert!(stage("branch a").is_err());
    }

    #[test]
    fn only_keep_going_outlives_a_branch() {
        for (call, outlives) in
            [("tee", false), ("tee --keep-going", true), ("branch", false), ("branch --keep-going", true)]
        {
            assert_eq!(stage(call).unwrap().outlives_its_branches(), outlives);
        }
    }
}
