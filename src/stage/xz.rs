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
