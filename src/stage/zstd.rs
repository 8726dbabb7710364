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
        // One thread and none give different bytes; one and more give the same.
        let threads = u32::try_from(context.workers().threads_max().clamp(1, THREADS_MAX)).unwrap_or(1);
        let coder = self.coder(threads)?;
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
        let hired = Hired::new(context);
        let mut frame = Frame { coder: Some(coder), threads, hired, chunk, outlet };
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

    fn coder(&self, threads: u32) -> Result<CCtx<'static>, Fault> {
        let mut coder = CCtx::try_create().ok_or_else(|| Fault::failed("no memory is left"))?;
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
    threads: u32,
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
            // A job that is ready is counted as well, though no thread may be free for it.
            (left, coder.get_frame_progression().nbActiveWorkers.min(self.threads))
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

#[cfg(test)]
mod tests {
    use super::SMALL_BYTES;
    use crate::stage::testing::{Ending, Trial, cut, run, stage};

    /// Neither trivial nor incompressible.
    fn bytes(count: usize) -> Vec<u8> {
        let words = (0_u64..).map(|index| (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 5000);
        let mut text = words.flat_map(|word| format!("{word} ").into_bytes());
        text.by_ref().take(count).collect()
    }

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let outcome = run("unzstd --memory 2G", &[packed]);
        assert_eq!(outcome.failure(), None);
        outcome.output
    }

    #[test]
    fn the_output_does_not_depend_on_how_it_is_cut() {
        for size in [0, 1, 1000, SMALL_BYTES - 1, SMALL_BYTES, SMALL_BYTES + 1, 2_500_000] {
            let bytes = bytes(size);
            for call in ["zstd -1", "zstd", "zstd --long=20"] {
                let whole = run(call, &[&bytes]).output;
                assert!(unpacked(&whole) == bytes, "`{call}`, {size} bytes");
                for (piece, chunk_bytes) in [(65_537, 4096), (262_144, 65_536)] {
                    let trial = Trial::of(call).chunk_bytes(chunk_bytes);
                    let came = trial.run(&cut(&bytes, piece)).output;
                    assert!(came == whole, "`{call}`, {size} bytes in pieces of {piece}");
                }
            }
        }
        let few = &bytes(3000);
        assert!(run("zstd", &cut(few, 1)).output == run("zstd", &[few]).output);
    }

    #[test]
    fn the_frame_has_a_checksum_and_the_window_that_was_asked_for() {
        let small = run("zstd", &[b"a"]).output;
        assert_eq!(small[..6], [0x28, 0xb5, 0x2f, 0xfd, 0x24, 1], "one segment of one byte, and a checksum");
        let large = run("zstd --long", &[&bytes(SMALL_BYTES + 1)]).output;
        assert_eq!(large[4..6], [4, (27 - 10) << 3], "a window, and a checksum");
    }

    #[test]
    fn a_reader_that_has_enough_ends_it() {
        let outcome = Trial::of("zstd -19").chunk_bytes(64).taking(64).run(&cut(&bytes(9_000_000), 65_536));
        let error = outcome.result.unwrap_err();
        assert!(error.downcast_ref::<std::io::Error>().is_some(), "{error}");
    }

    #[test]
    fn a_failure_before_it_is_passed_up() {
        assert!(Trial::of("zstd").ending(Ending::Aborted).run(&[b"a"]).result.is_err());
        assert!(Trial::of("zstd").ending(Ending::Aborted).run(&[&bytes(600_000)]).result.is_err());
    }

    #[test]
    fn levels_have_one_or_two_digits() {
        let label = |call: &str| stage(call).ok().map(|stage| stage.label());
        for (call, expected) in [
            ("zstd", "-3"),
            ("zstd -1", "-1"),
            ("zstd -19", "-19"),
            ("zstd -l 12", "-12"),
            ("zstd --long -19", "-19 --long=27"),
            ("zstd -5 --long 30", "-5 --long=30"),
            ("zstd --long=10", "-3 --long=10"),
        ] {
            assert_eq!(label(call).as_deref(), Some(expected), "{call}");
        }
        for call in [
            "zstd -0",
            "zstd -20",
            "zstd -1 -9",
            "zstd -5 -l 5",
            "zstd -- -5",
            "zstd --long=9",
            "zstd --long=32",
        ] {
            assert_eq!(label(call), None, "{call}");
        }
    }
}
