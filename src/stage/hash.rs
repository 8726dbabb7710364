//! `hash`: digests of what passes, told, written down, or compared at its end.
//! The algorithms, and the lists that other tools write, are in `digest`.

use super::arguments::PathArgument;
use super::contract::{
    Body, Context, Destination, Entry, Example, Existing, How, Opening, Role, Stage, Touch,
};
use super::digest::{Algorithm, Digest, Expected, Missing, Pass, Untagged, digest_list, line};
use super::fault::Fault;
use super::outside::destination::{Place, locate};
use super::outside::direct::device;
use super::outside::place::{PlacedFile, Terms};
use super::outside::small::read_small;
use super::outside::target::Target;
use crate::flow::{Chunk, Closed, Inlet, Ordered, Outlet};
use clap::FromArgMatches;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// What a new list of digests may be, before the process's mask is taken off.
const NEW_MODE: u32 = 0o666;

/// Smaller chunks are not worth waking a worker for.
const SIDE_BY_SIDE_BYTES: usize = 32 * 1024;

/// Compute digests of the bytes that pass, and check them
///
/// The bytes go on as they are. At the end of the run the digest is told on standard error (not with `-q`), and
/// stands in the report. Several algorithms take one pass, side by side on the cores there are.
///
/// With `--expect` or `--check` a digest that differs fails the run: no output is put in place, and the exit code is 3.
/// What can be taken back by nobody, such as standard output, has left by then; `spool` behind `hash` holds it until the
/// digest is known to be right. With these and with `-o` everything is read, even if the stages behind want no more
/// (`head`). Without them `hash` ends with those, and tells a digest only of a whole input.
///
/// A digest is told and looked up under the name of the file that holds the same bytes: the one that is read, or
/// else the one that is written, where no stage between changes them; `-` where there is none.
#[derive(Debug, clap::Parser)]
pub(super) struct Hash {
    /// One algorithm, or several with commas or spaces between: `sha256,md5`
    #[arg(value_name = "ALGO", value_enum, value_delimiter = ',', required = true)]
    algorithms: Vec<Algorithm>,

    /// Fail unless this is the digest, in hexadecimal digits; for one algorithm
    #[arg(long, value_name = "HEX", value_parser = digits, conflicts_with = "check")]
    expect: Option<String>,

    /// Fail unless the digest is the one in FILE, a list as `sha256sum` writes it, tagged (`--tag`) or not
    ///
    /// The line counts that has the name of the file, or else the same base name; one that is the only one counts
    /// whatever its name. With several algorithms each needs a tagged line.
    #[arg(long, value_name = "FILE")]
    check: Option<PathArgument>,

    /// Write the digest to FILE, in place when the run has succeeded, as `sha256sum -c` and its like read it
    ///
    /// Several algorithms are written tagged, a line for each, and so are crc32 and xxh3 alone.
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathArgument>,
}

pub(super) const ENTRY: Entry = Entry {
    examples: &[
        Example { chain: "hash sha256", input: b"passes as it is\n", output: b"passes as it is\n" },
        Example {
            chain: "hash md5 --expect 764efa883dda1e11db47671c4a3bbd9e | spool",
            input: b"hi\n",
            output: b"hi\n",
        },
    ],
    parse: |matches| Ok(Box::new(Hash::from_arg_matches(matches)?.checked()?)),
    ..Entry::of::<Hash>("hash", Role::Filter)
};

/// Hexadecimal digits, in any case.
fn digits(text: &str) -> Result<String, String> {
    match text.bytes().all(|byte| byte.is_ascii_hexdigit()) && !text.is_empty() {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("expected hexadecimal digits".to_owned()),
    }
}

/// A mistake in an argument that only the others show.
fn mistake(argument: &str, message: String) -> clap::Error {
    let mut error = clap::Error::raw(ErrorKind::ValueValidation, message);
    error.insert(ContextKind::InvalidArg, ContextValue::String(argument.to_owned()));
    error
}

impl Hash {
    fn checked(self) -> Result<Self, clap::Error> {
        for (at, algorithm) in self.algorithms.iter().enumerate() {
            if self.algorithms[..at].contains(algorithm) {
                return Err(mistake("<ALGO>", format!("`{}` is asked for twice", algorithm.name())));
            }
        }
        if let (Some(hex), &[algorithm, ref more @ ..]) = (&self.expect, &self.algorithms[..]) {
            if !more.is_empty() {
                let message = "`--expect` is for one algorithm; `--check FILE` takes the digests of several";
                return Err(mistake("--expect <HEX>", message.to_owned()));
            }
            let (name, digits) = (algorithm.name(), algorithm.digits());
            if hex.len() != digits {
                let message = format!("{name} has {digits} digits, and here are {}", hex.len());
                return Err(mistake("--expect <HEX>", message));
            }
        }
        for (argument, path) in [("--check <FILE>", &self.check), ("--output <FILE>", &self.output)] {
            if path.as_ref().is_some_and(PathArgument::is_standard_stream) {
                let option = argument.split(' ').next().unwrap_or_default();
                let message = format!("`{option}` needs a file; the standard streams carry the data");
                return Err(mistake(argument, message));
            }
        }
        Ok(self)
    }

    fn is_told_what_to_expect(&self) -> bool {
        self.expect.is_some() || self.check.is_some()
    }

    /// The digits that each algorithm must come to, for the file called `name`; none if nobody says.
    fn expected(&self, name: Option<&[u8]>) -> Result<Vec<String>, Fault> {
        let Some(path) = &self.check else { return Ok(self.expect.iter().cloned().collect()) };
        let list = read_small(&path.path)?;
        let untagged = if self.algorithms.len() == 1 { Untagged::Count } else { Untagged::AreLeftOut };
        let look_up = |&algorithm: &Algorithm| {
            let expected = Expected::of(&list, algorithm, untagged);
            expected.digits_of(name).map(str::to_owned).map_err(|why| not_listed(path, algorithm, name, why))
        };
        self.algorithms.iter().map(look_up).collect()
    }
}

fn not_listed(list: &PathArgument, algorithm: Algorithm, name: Option<&[u8]>, why: Missing) -> Fault {
    let algorithm = algorithm.name();
    let file = name.map_or_else(|| "data without a name".to_owned(), crate::diagnostic::printable);
    let fault = match why {
        Missing::All => Fault::failed(format!("holds no {algorithm} digest")),
        Missing::Name(names) => Fault::failed(format!("holds no {algorithm} digest for {file}"))
            .help(format!("it names {names}; `--expect HEX` gives the digest itself")),
        Missing::Doubtful => Fault::failed(format!("holds {algorithm} digests for {file} that differ"))
            .help("`--expect HEX` gives the digest itself"),
    };
    fault.of(list.to_string())
}

impl Stage for Hash {
    fn label(&self) -> String {
        self.algorithms.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(",")
    }

    fn touches(&self) -> Vec<Touch> {
        let list = self.check.iter().map(|list| Touch::Read(list.path.clone()));
        let output = self.output.iter().map(|output| {
            let (how, existing) = (How::Replace, Existing::Write);
            Touch::Write(Destination { path: output.path.clone(), how, existing })
        });
        list.chain(output).collect()
    }

    fn size_after(&self, input: Option<u64>) -> Option<u64> {
        input
    }

    fn advice(&self) -> Vec<&'static str> {
        let is_slow = |algorithm: &Algorithm| matches!(algorithm, Algorithm::Md5 | Algorithm::Sha512);
        let is_free = !self.is_told_what_to_expect();
        if is_free && self.algorithms.iter().any(is_slow) {
            vec!["hash sha256", "hash blake3"]
        } else {
            vec![]
        }
    }

    fn reads_to_the_end(&self) -> bool {
        self.is_told_what_to_expect() || self.output.is_some()
    }

    fn passes_unchanged(&self) -> bool {
        true
    }

    fn vouches_at_the_end(&self) -> bool {
        self.is_told_what_to_expect()
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let name = opening.file_of_bytes.take().map(|path| path.as_os_str().as_bytes().to_vec());
        let expected = self.expected(name.as_deref())?;
        let by = self.check.as_ref().map_or_else(|| "`--expect`".to_owned(), ToString::to_string);
        let output = self.output.as_ref().map(|path| open_list(path, opening)).transpose()?;
        let notes = opening.notes();
        let ending = if self.reads_to_the_end() { Ending::OfTheInput } else { Ending::WhenUnwanted };
        Ok(Body::filter(move |inlet, outlet, context| {
            let digests = pass_on(inlet, outlet, context, &self.algorithms, ending)?;
            if let Some((digest, other)) =
                digests.iter().zip(&expected).find(|(d, other)| d.digits != **other)
            {
                return Err(differs(digest, other, &by).into());
            }
            let name = name.as_deref().unwrap_or(b"-");
            if let Some(output) = output {
                output.pour_bytes(&digest_list(&digests, name), context)?;
            }
            digests.iter().for_each(|digest| notes.add(line(digest, name)));
            Ok(())
        }))
    }
}

/// `by` says that `other` is the right one.
fn differs(digest: &Digest, other: &str, by: &str) -> Fault {
    let Digest { algorithm, digits } = digest;
    Fault::refused(format!("{} is {digits}, but {by} says {other}", algorithm.name()))
        .help("the data is not what was meant, or it was damaged on its way: fetch or copy it again")
}

/// The list to be written: beside its place, or at once where nothing can be put in place.
fn open_list(path: &PathArgument, opening: &mut Opening<'_>) -> anyhow::Result<Arc<Target>> {
    match locate(&path.path)? {
        Place::File(place) => {
            let terms = Terms {
                existing: Existing::Write,
                mode: None,
                new_mode: NEW_MODE & !opening.umask,
                sync: false,
                dress: None,
            };
            let (commit, target) = PlacedFile::create(path.path.clone(), &place, terms)?;
            opening.commit(Box::new(commit));
            Ok(target)
        }
        Place::Device | Place::Fifo => Ok(Arc::new(device(&path.path, opening)?)),
        Place::Block => {
            let fault = Fault::overwrite("is a block device").of(path.to_string());
            Err(fault.help("`-o` writes a file").into())
        }
    }
}

/// When the bytes are no longer passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Not before all have been seen.
    OfTheInput,
    /// As soon as the next stage takes no more.
    WhenUnwanted,
}

/// Passes everything on; the digests of all of it.
fn pass_on(
    inlet: &mut Inlet,
    outlet: &mut Outlet,
    context: &Context,
    algorithms: &[Algorithm],
    ending: Ending,
) -> anyhow::Result<Vec<Digest>> {
    let mut passes: Vec<Pass> = algorithms.iter().map(|algorithm| algorithm.begin()).collect();
    let mut side = Ordered::new(context.workers(), context.gauge());
    let is_alone = passes.len() == 1 || context.workers().threads_max() == 1;
    let mut is_wanted = true;
    while let Some(chunk) = inlet.next_chunk()? {
        // Before the next stage has it: that one may change the bytes in place then, as nobody shares them.
        if is_alone || chunk.len() < SIDE_BY_SIDE_BYTES {
            passes.iter_mut().for_each(|pass| pass.update(&chunk));
        } else {
            passes = side_by_side(passes, &chunk, &mut side);
        }
        if !is_wanted {
            continue;
        }
        if let Err(error) = outlet.send(chunk) {
            is_wanted = false;
            if ending == Ending::WhenUnwanted || Closed::cause_of(&error) != Some(Closed::HungUp) {
                return Err(error.into());
            }
        }
    }
    Ok(passes.into_iter().map(Pass::finish).collect())
}

/// Every pass over one chunk at the same time: the first here, the others on the workers.
fn side_by_side(passes: Vec<Pass>, chunk: &Chunk, side: &mut Ordered<'_, Pass>) -> Vec<Pass> {
    let mut passes = passes.into_iter();
    let own = passes.next();
    for mut pass in passes {
        let chunk = chunk.clone();
        side.submit(move || {
            pass.update(&chunk);
            pass
        });
    }
    let own = own.map(|mut pass| {
        pass.update(chunk);
        pass
    });
    own.into_iter().chain(std::iter::from_fn(|| side.take())).collect()
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Ending, Trial, assert_gives, cut, run, stage};

    const ABC_MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

    #[test]
    fn the_bytes_go_on_as_they_are_however_they_come() {
        let bytes: Vec<u8> = (0..100_003_u32).map(|number| (number % 251) as u8).collect();
        assert_gives("hash crc32", &bytes[..9000], &bytes[..9000]);
        assert_gives("hash md5,sha256", b"", b"");
        for size in [1009, super::SIDE_BY_SIDE_BYTES, 65_536] {
            let outcome = run("hash sha1,crc32,xxh3", &cut(&bytes, size));
            assert_eq!(outcome.failure(), None);
            assert!(outcome.output == bytes);
        }
    }

    #[test]
    fn several_digests_side_by_side_are_those_of_one_after_another() {
        let bytes: Vec<u8> = (0..300_000_u32).map(|number| (number / 7 % 256) as u8).collect();
        let notes = |call: &str, size| run(call, &cut(&bytes, size)).notes;
        let alone = ["md5", "sha512", "blake3"].map(|name| notes(&format!("hash {name}"), 4096)).concat();
        assert_eq!(alone.len(), 3);
        assert_eq!(notes("hash md5,sha512,blake3", 100_000), alone);
    }

    #[test]
    fn the_right_digest_passes_in_any_case_and_the_wrong_one_is_refused() {
        let call = |digits: &str| format!("hash md5 --expect {digits}");
        let right = run(&call(&ABC_MD5.to_uppercase()), &[b"ab", b"c"]);
        assert_eq!((right.failure(), right.output), (None, b"abc".to_vec()));
        assert_eq!(right.notes, [format!("md5 {ABC_MD5}  -")]);
        let wrong = run(&call(&"0".repeat(32)), &[b"ab", b"c"]);
        assert_eq!(wrong.refusal(), format!("md5 is {ABC_MD5}, but `--expect` says {}", "0".repeat(32)));
        assert_eq!(wrong.notes, [""; 0]);
    }

    #[test]
    fn with_a_digest_to_check_everything_is_read_though_nobody_wants_it() {
        let pieces = vec![&[b'x'; 5000][..]; 100];
        let wrong = Trial::of("hash crc32 --expect 00000000").taking(1).run(&pieces);
        assert!(wrong.refusal().starts_with("crc32 is "));
        let plain = Trial::of("hash crc32").taking(1).chunk_bytes(4096).run(&pieces);
        assert!(plain.result.is_err() && plain.notes.is_empty());
    }

    #[test]
    fn a_digest_of_a_part_is_not_told() {
        for call in ["hash crc32", "hash crc32 --expect 00000000"] {
            let outcome = Trial::of(call).ending(Ending::Aborted).run(&[b"abc"]);
            let error = outcome.result.unwrap_err();
            assert!(crate::flow::Closed::cause_of(error.as_ref()).is_some(), "{error:?}");
            assert!(outcome.notes.is_empty());
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_before_anything_is_opened() {
        for (call, reason) in [
            ("hash md5,crc32,md5", "`md5` is asked for twice"),
            ("hash md5 crc32 --expect 00000000", "`--expect` is for one algorithm"),
            ("hash md5 --expect 00000000", "md5 has 32 digits, and here are 8"),
            ("hash crc32 --expect 0000000g", "expected hexadecimal digits"),
            ("hash crc32 --expect 00000000 --check list", "cannot be used with"),
            ("hash crc32 --check -", "`--check` needs a file"),
            ("hash crc32 -o -", "`--output` needs a file"),
            ("hash", "required"),
        ] {
            let told = stage(call).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(told.contains(reason), "`{call}`: {told}");
        }
    }
}
