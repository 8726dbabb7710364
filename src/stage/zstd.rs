//! `zstd`: compression to the zstd format (RFC 8878), one frame.
//! The coder and its threads are the zstd library's.

use super::contract::{Body, Context, Entry, Example, Nature, Opening, Role, Stage};
use super::fault::Fault;
use super::hired::Hired;
use super::level::{LEVEL_OPTION, Level};
use crate::flow::{Chunk, Closed, Inlet, Outlet};
use std::io::{self, BufRead, Write};
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective::{self, ZSTD_e_continue, ZSTD_e_end};
use zstd::zstd_safe::{self, CCtx, CParameter, InBuffer, OutBuffer};

/// Input up to this size is packed at once, on the stage's own thread: the library has no smaller job for its threads.
const SMALL_BYTES: usize = 512 * 1024;
/// As many threads as the library takes.
const THREADS_MAX: usize = 256;

/// Compress to the zstd format
///
/// The output is one frame with a checksum, the same for the same input, whatever the number of threads. Levels are `-1`
/// to `-19`.
///
/// With `--long` repetitions are found over a larger distance than the level has by itself. It is the base-2 logarithm
/// of a number of bytes: `--long=27`, or `--long` alone, is 128 MiB. With more than that, `unzstd --memory` has to allow
/// it, as `zstd -d --long=N` has to.
#[derive(Debug, clap::Parser)]
pub(super) struct Zstd {
    #[command(flatten)]
    level: Level<1, 19, 3>,

    /// Look for repetitions over 2^N bytes, 10 to 31; 27 if no N is given
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "27")]
    #[arg(value_parser = clap::value_parser!(u32).range(10..=31))]
    long: Option<u32>,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Compressor,
    number_option: Some(LEVEL_OPTION),
    examples: &[
        Example { chain: "zstd -19 | unzstd", input: b"there and back\n", output: b"there and back\n" },
        Example { chain: "zstd --long | unzstd", input: b"a long way back\n", output: b"a long way back\n" },
    ],
    ..Entry::of::<Zstd>("zstd", Role::Filter)
};

impl Stage for Zstd {
    fn label(&self) -> String {
        let level = self.level.number;
        match self.long {
            Some(long) => format!("-{level} --long={long}"),
            None => format!("-{level}"),
        }
    }

    fn advice(&self) -> Vec<&'static str> {
        if self.level.number == 1 { Vec::new() } else { vec!["zstd -1"] }
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(Body::filter(move |inlet, outlet, context| self.pack(inlet, outlet, context)))
    }
}

impl Zstd {
    fn pack(&self, inlet: &mut Inlet, outlet: &mut Outlet, context: &Context) -> anyhow::Result<()> {
        let coder = self.coder(context.workers().threads_max())?;
        // Whether the coder gets all of it at once must not depend on how it comes.
        let mut begin = Vec::new();
        while begin.len() <= SMALL_BYTES {
            let available = inlet.fill_buf()?;
            let count = available.len().min(SMALL_BYTES + 1 - begin.len());
            if count == 0 {
                return small(coder, &begin, outlet);
            }
            begin.extend_from_slice(&available[..count]);
            inlet.consume(count);
        }
        let chunk = outlet.chunk();
        let mut frame = Frame { coder: Some(coder), hired: Hired::new(context), chunk, outlet };
        frame.pack(&begin)?;
        drop(begin);
        loop {
            if inlet.would_wait() {
                frame.send()?;
            }
            match inlet.next_chunk()? {
                Some(chunk) => frame.pack(&chunk)?,
                None => return frame.end(),
            }
        }
    }

    fn coder(&self, threads: usize) -> Result<CCtx<'static>, Fault> {
        let mut coder = CCtx::try_create().ok_or_else(|| Fault::failed("no memory is left"))?;
        // One thread and none give different bytes; one and more give the same.
        let threads = u32::try_from(threads.clamp(1, THREADS_MAX)).unwrap_or(1);
        let mut parameters = vec![
            CParameter::CompressionLevel(i32::from(self.level.number)),
            CParameter::ChecksumFlag(true),
            CParameter::NbWorkers(threads),
        ];
        if let Some(long) = self.long {
            parameters.extend([CParameter::EnableLongDistanceMatching(true), CParameter::WindowLog(long)]);
        }
        for parameter in parameters {
            coder.set_parameter(parameter).map_err(failed)?;
        }
        Ok(coder)
    }
}

fn failed(code: usize) -> Fault {
    Fault::failed(format!("the zstd library failed: {}", zstd_safe::get_error_name(code).to_lowercase()))
}

/// Packs all of the input. The room is large enough for whatever comes of it: the coder would cut it elsewhere in a smaller one.
fn small(mut coder: CCtx<'static>, bytes: &[u8], outlet: &mut Outlet) -> anyhow::Result<()> {
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
    coder.compress2(&mut packed, bytes).map_err(failed)?;
    Ok(outlet.write_all(&packed)?)
}

/// A frame in the making, on the library's threads.
struct Frame<'o> {
    /// There until the end.
    coder: Option<CCtx<'static>>,
    hired: Hired,
    chunk: Chunk,
    outlet: &'o mut Outlet,
}

impl Frame<'_> {
    fn pack(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut input = InBuffer::around(bytes);
        while input.pos() < bytes.len() {
            self.step(&mut input, ZSTD_e_continue)?;
        }
        Ok(())
    }

    fn end(mut self) -> anyhow::Result<()> {
        while self.step(&mut InBuffer::around(&[]), ZSTD_e_end)? > 0 {}
        self.send()?;
        // Nothing is under way any more: it need not be waited for elsewhere.
        drop(self.coder.take());
        Ok(())
    }

    /// Returns 0 when all that was asked for is done.
    fn step(&mut self, input: &mut InBuffer<'_>, directive: ZSTD_EndDirective) -> anyhow::Result<usize> {
        let Some(coder) = &mut self.coder else { return Ok(0) };
        let mut output = OutBuffer::around(self.chunk.spare());
        let left = self.hired.wait(|| {
            let left = coder.compress_stream2(&mut output, input, directive);
            (left, coder.get_frame_progression().nbActiveWorkers)
        });
        let given = output.pos();
        self.chunk.fill(given);
        let left = left.map_err(failed)?;
        if self.chunk.spare().is_empty() {
            self.send()?;
        } else if self.outlet.is_hung_up() {
            return Err(io::Error::from(Closed::HungUp).into());
        }
        Ok(left)
    }

    fn send(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, self.outlet.chunk());
        self.outlet.send(chunk)
    }
}

impl Drop for Frame<'_> {
    fn drop(&mut self) {
        // The library waits for its threads, which may take seconds: nobody else has to.
        if let Some(coder) = self.coder.take() {
            let _ = std::thread::Builder::new().name("zstd leftover".to_owned()).spawn(move || drop(coder));
        }
    }
}
