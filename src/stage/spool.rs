//! `spool`: holds everything until the input has ended well, then passes it on.
//! Knows nothing of why somebody waits for the end.

use super::contract::{Body, Context, Entry, Example, Opening, Role, Stage};

use super::fault::Fault;
use crate::flow::{Inlet, Medium, Outlet};
use std::io::{self, Read, Seek, Write};
use tempfile::SpooledTempFile;

/// So much is held in memory; what is larger goes to the file.
const MEMORY_BYTES: usize = 1 << 20;

/// Hold everything until the input has ended well, then pass it on
///
/// For what cannot be undone: the stage after it gets its first byte only when everything before it has
/// succeeded, as in `hash sha256 --expect DIGEST | spool | exec tar -x`. If a stage before it fails, nothing comes out.
///
/// What is larger than 1 MiB is held in a file without a name in the temporary directory (`TMPDIR`, or `/tmp`), which
/// needs room for all of it; the system removes it however weir ends.
#[derive(Debug, clap::Parser)]
pub(super) struct Spool {}

pub(super) const ENTRY: Entry = Entry {
    examples: &[Example { chain: "spool", input: b"all or nothing\n", output: b"all or nothing\n" }],
    ..Entry::of::<Spool>("spool", Role::Filter)
};

impl Stage for Spool {
    fn size_after(&self, input: Option<u64>) -> Option<u64> {
        input
    }

    fn passes_unchanged(&self) -> bool {
        true
    }

    fn holds_back(&self) -> bool {
        true
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(Body::filter(|inlet, outlet, context| spool(inlet, outlet, context, MEMORY_BYTES)))
    }
}

fn spool(
    inlet: &mut Inlet,
    outlet: &mut Outlet,
    context: &Context,
    memory_bytes: usize,
) -> anyhow::Result<()> {
    context.waits_for(Medium::Disk);
    let mut file = SpooledTempFile::new(memory_bytes);
    while let Some(chunk) = inlet.next_chunk()? {
        file.write_all(&chunk).map_err(|error| trouble("write", &error))?;
    }
    file.rewind().map_err(|error| trouble("read", &error))?;
    loop {
        let mut chunk = outlet.chunk();
        while !chunk.spare().is_empty() {
            match file.read(chunk.spare()) {
                Ok(0) => break,
                Ok(count) => chunk.fill(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(trouble("read", &error).into()),
            }
        }
        if chunk.is_empty() {
            return Ok(());
        }
        outlet.send(chunk)?;
    }
}

fn trouble(verb: &str, error: &io::Error) -> Fault {
    let directory = std::env::temp_dir();
    Fault::failed(format!("cannot {verb} the temporary file: {error}"))
        .of(directory.display().to_string())
        .help("set TMPDIR to a directory that has room for the whole data")
}

#[cfg(test)]
mod tests {
    use super::{MEMORY_BYTES, trouble};
    use crate::stage::testing::{Ending, Trial, assert_gives, cut};
    use std::io;

    #[test]
    fn everything_comes_out_whether_it_fits_memory_or_not() {
        assert_gives("spool", b"", b"");
        assert_gives("spool", b"small", b"small");
        let large: Vec<u8> = (0..MEMORY_BYTES + 70_001).map(|index| (index % 251) as u8).collect();
        let outcome = Trial::of("spool").chunk_bytes(65_536).run(&cut(&large, 100_003));
        assert_eq!(outcome.failure(), None);
        assert!(outcome.output == large);
    }

    #[test]
    fn nothing_comes_out_when_a_stage_before_it_fails() {
        let outcome = Trial::of("spool").ending(Ending::Aborted).run(&[b"some"]);
        assert!(outcome.result.is_err());
        assert!(outcome.output.is_empty());
    }

    #[test]
    fn trouble_names_the_directory() {
        let fault = trouble("write", &io::Error::from(io::ErrorKind::StorageFull));
        assert!(fault.to_string().starts_with(&std::env::temp_dir().display().to_string()), "{fault}");
    }
}
