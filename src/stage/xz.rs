//! `xz`: compression to the xz format, one stream in blocks.
//! The coder and its threads are liblzma's.

use super::contract::{Body, Context, Entry, Example, Nature, Opening, Role, Stage};
use super::fault::Fault;
use super::hired::Hired;
use super::level::Level;
use crate::flow::{Chunk, Closed, Inlet, Outlet};
use liblzma::stream::{Action, Check, MtStreamBuilder, Status, Stream};
use std::io;

/// The size of the dictionary of each level, as a power of two: those of `xz`.
const DICTIONARY_LOGS: [u32; 10] = [18, 20, 21, 22, 22, 23, 23, 24, 25, 26];
/// Blocks are that many dictionaries large, and at least this: as those of `xz`.
const DICTIONARIES_PER_BLOCK: u64 = 3;
const BLOCK_BYTES_MIN: u64 = 1 << 20;

/// With more than that in use, fewer threads run.
const MEMORY_BYTES: u64 = 3 << 30;
/// After that time the library tells how far it is, whether or not it has anything to give.
const PATIENCE_MILLISECONDS: u32 = 100;

/// Compress to the xz format
///
/// The output is one stream with a CRC64, the same for the same input, whatever the number of threads. It is packed in
/// blocks, whose size depends on the level (24 MiB at `-6`). Levels above `-6` pay only for inputs that are larger than 8,
/// 16 and 32 MiB.
///
/// Each thread needs memory: 1.2 GiB at `-9`, 166 MiB at `-6`, 31 MiB at `-1`. Where all of them would need over 3 GiB,
/// fewer run.
#[derive(Debug, clap::Parser)]
pub(super) struct Xz {
    #[command(flatten)]
    level: Level<0, 9, 6>,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Compressor,
    examples: &[Example { chain: "xz -9 | unxz", input: b"there and back\n", output: b"there and back\n" }],
    ..Entry::of::<Xz>("xz", Role::Filter)
};

impl Stage for Xz {
    fn label(&self) -> String {
        format!("-{}", self.level.number)
    }

    fn advice(&self) -> Vec<&'static str> {
        if self.level.number == 0 { Vec::new() } else { vec!["xz -0"] }
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(Body::filter(move |inlet, outlet, context| {
            let mut packer = Packer::new(self.level.number, outlet, context)?;
            packer.run(inlet)
        }))
    }
}

/// A stream in the making, on the library's threads.
struct Packer<'o> {
    stream: Stream,
    threads: u32,
    block_bytes: u64,
    hired: Hired,
    chunk: Chunk,
    outlet: &'o mut Outlet,
}

impl<'o> Packer<'o> {
    fn new(level: u8, outlet: &'o mut Outlet, context: &Context) -> Result<Self, Fault> {
        let block_bytes = block_bytes(level);
        let mut builder = MtStreamBuilder::new();
        builder.preset(u32::from(level)).check(Check::Crc64).block_size(block_bytes);
        builder.timeout_ms(PATIENCE_MILLISECONDS);
        let threads = affordable(&mut builder, context.workers().threads_max());
        let stream = builder.threads(threads).encoder().map_err(failed)?;
        let (hired, chunk) = (Hired::new(context), outlet.chunk());
        Ok(Packer { stream, threads, block_bytes, hired, chunk, outlet })
    }

    fn run(&mut self, inlet: &mut Inlet) -> anyhow::Result<()> {
        loop {
            if inlet.would_wait() {
                self.send()?;
            }
            let Some(chunk) = inlet.next_chunk()? else { break };
            let mut taken = 0;
            while taken < chunk.len() {
                taken += self.step(&chunk[taken..], Action::Run)?.0;
            }
        }
        while self.step(&[], Action::Finish)?.1 != Status::StreamEnd {}
        Ok(self.send()?)
    }

    /// How much of `bytes` is taken, and what the library says.
    fn step(&mut self, bytes: &[u8], action: Action) -> anyhow::Result<(usize, Status)> {
        let before = (self.stream.total_in(), self.stream.total_out());
        let active = self.active(before.0 + bytes.len() as u64, action);
        let (stream, room) = (&mut self.stream, self.chunk.spare());
        let status = self.hired.wait(|| (stream.process(bytes, room, action), active));
        // Neither is more than the buffers hold.
        let taken = usize::try_from(self.stream.total_in() - before.0).unwrap_or(0);
        self.chunk.fill(usize::try_from(self.stream.total_out() - before.1).unwrap_or(0));
        let status = status.map_err(failed)?;
        if self.chunk.spare().is_empty() {
            self.send()?;
        } else if self.outlet.is_hung_up() {
            return Err(io::Error::from(Closed::HungUp).into());
        }
        Ok((taken, status))
    }

    /// How many threads are at work, as far as it can be known: while it waits to be rid of its input, all that have got a
    /// block; at the end at least one.
    fn active(&self, total_bytes: u64, action: Action) -> u32 {
        let begun = u32::try_from(total_bytes.div_ceil(self.block_bytes)).unwrap_or(u32::MAX);
        match action {
            Action::Finish => begun.min(1),
            _ => begun.min(self.threads),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, self.outlet.chunk());
        self.outlet.send(chunk)
    }
}

fn block_bytes(level: u8) -> u64 {
    let dictionary_bytes = 1 << DICTIONARY_LOGS[usize::from(level)];
    BLOCK_BYTES_MIN.max(DICTIONARIES_PER_BLOCK * dictionary_bytes)
}

/// As many of `threads` as the memory suffices for; one at least.
fn affordable(builder: &mut MtStreamBuilder, threads: usize) -> u32 {
    let mut threads = u32::try_from(threads).unwrap_or(u32::MAX).clamp(1, THREADS_MAX);
    while threads > 1 && builder.threads(threads).memusage() > MEMORY_BYTES {
        threads -= 1;
    }
    threads
}

/// As many threads as liblzma takes.
const THREADS_MAX: u32 = 16_384;

fn failed(error: liblzma::stream::Error) -> Fault {
    Fault::failed(format!("liblzma failed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::{MEMORY_BYTES, affordable, block_bytes};
    use crate::stage::testing::{Ending, Trial, cut, run, stage};
    use liblzma::stream::{Check, MtStreamBuilder};

    /// Neither trivial nor incompressible.
    fn bytes(count: usize) -> Vec<u8> {
        let words = (0_u64..).map(|index| (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 5000);
        let mut text = words.flat_map(|word| format!("{word} ").into_bytes());
        text.by_ref().take(count).collect()
    }

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let outcome = run("unxz", &[packed]);
        assert_eq!(outcome.failure(), None);
        outcome.output
    }

    #[test]
    fn the_output_does_not_depend_on_how_it_is_cut() {
        for size in [0, 1, 1000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1] {
            let bytes = bytes(size);
            let whole = run("xz -0", &[&bytes]).output;
            assert!(unpacked(&whole) == bytes, "{size} bytes");
            for (piece, chunk_bytes) in [(65_537, 4096), (262_144, 65_536)] {
                let came = Trial::of("xz -0").chunk_bytes(chunk_bytes).run(&cut(&bytes, piece)).output;
                assert!(came == whole, "{size} bytes in pieces of {piece}");
            }
        }
        let few = &bytes(3000);
        assert!(run("xz", &cut(few, 1)).output == run("xz", &[few]).output);
    }

    #[test]
    fn every_level_comes_back() {
        let bytes = bytes(20_000);
        for level in 0..=9 {
            assert!(unpacked(&run(&format!("xz -{level}"), &[&bytes]).output) == bytes, "level {level}");
        }
    }

    #[test]
    fn blocks_are_those_of_xz() {
        let mebibytes = [1, 3, 6, 12, 12, 24, 24, 48, 96, 192];
        for (level, expected) in (0..).zip(mebibytes) {
            assert_eq!(block_bytes(level), expected << 20, "level {level}");
        }
    }

    #[test]
    fn threads_are_fewer_where_the_memory_does_not_do() {
        let threads = |level: u8| {
            let mut builder = MtStreamBuilder::new();
            builder.preset(u32::from(level)).check(Check::Crc64).block_size(block_bytes(level));
            let threads = affordable(&mut builder, 64);
            assert!(builder.threads(threads).memusage() <= MEMORY_BYTES);
            threads
        };
        assert_eq!(threads(0), 64);
        assert!((2..64).contains(&threads(9)), "{}", threads(9));
    }

    #[test]
    fn a_reader_that_has_enough_ends_it() {
        let outcome = Trial::of("xz -0").chunk_bytes(64).taking(64).run(&cut(&bytes(3_000_000), 65_536));
        let error = outcome.result.unwrap_err();
        assert!(error.downcast_ref::<std::io::Error>().is_some(), "{error}");
    }

    #[test]
    fn a_failure_before_it_is_passed_up() {
        assert!(Trial::of("xz").ending(Ending::Aborted).run(&[b"a"]).result.is_err());
    }

    #[test]
    fn its_label_is_its_level() {
        assert_eq!(stage("xz").unwrap().label(), "-6");
        assert_eq!(stage("xz -0").unwrap().label(), "-0");
        assert!(stage("xz -l 10").is_err());
    }
}
