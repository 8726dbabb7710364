//! `write`: a file, in place only when the whole run has succeeded.

use super::arguments::PathArgument;
use super::contract::{Body, Destination, Entry, Example, Existing, How, Opening, Role, Stage, Touch};

use super::fault::Fault;
use super::outside::destination::{FilePlace, Place, locate};
use super::outside::direct::{open_device, open_fifo, open_stdout};
use super::outside::dress::Dress;
use super::outside::in_place::{self, FileInPlace, Manner};
use super::outside::place::{self, PlacedFile};
use super::outside::standard::names_stdout;
use super::outside::target::Target;
use std::path::PathBuf;
use std::sync::Arc;

/// What a new file may be, before the process's mask is taken off.
const NEW_MODE: u32 = 0o666;

/// Write a file, in place only when the whole run has succeeded
///
/// The bytes go to a temporary file in the same directory, `.NAME.weir-XXXXXX`, which only its owner may read. When
/// every stage has ended well it takes the place of PATH; otherwise PATH stays as it was. The new file has the
/// mode and, where permitted, the owner of the one it replaces, without setuid and setgid; access control lists and
/// extended attributes are not carried over. With `--preserve` it has those of the one file that the chain reads, times
/// included. Symbolic links are followed. FIFOs, character devices and /dev/fd/N are written directly, and the options
/// for files mean nothing to them.
///
/// What comes straight from a file, as in `read A | write B`, shares its blocks where the file system can do that
/// (XFS with reflinks, a subvolume of Btrfs): then it takes neither time nor room.
#[derive(Debug, clap::Parser)]
pub(super) struct Write {
    /// The file; `-` is standard output
    #[arg(value_name = "PATH")]
    path: PathArgument,
    /// Write at the end of the file, at once; it is cut back when the run fails
    #[arg(long, conflicts_with_all = ["in_place", "no_clobber", "skip_existing"])]
    append: bool,
    /// Write over the file itself, at once, and cut it at the end: this cannot be undone
    #[arg(long, conflicts_with_all = ["no_clobber", "skip_existing"])]
    in_place: bool,
    /// Refuse to replace a file, even one that appears while running
    #[arg(long, conflicts_with = "skip_existing")]
    no_clobber: bool,
    /// Leave the run out when the file is there already
    #[arg(long)]
    skip_existing: bool,
    /// Sync the file and its directory, also when it replaces none
    #[arg(long)]
    sync: bool,
    /// Take mode, owner (where permitted) and times from the file that the chain reads
    #[arg(long, conflicts_with_all = ["append", "in_place", "mode"])]
    preserve: bool,
    /// The mode of the file, as octal digits: `640`
    #[arg(long, value_name = "OCTAL", value_parser = mode)]
    mode: Option<u32>,
}

pub(super) const ENTRY: Entry = Entry {
    examples: &[
        Example { chain: "write -", input: b"to standard output\n", output: b"to standard output\n" },
        Example { chain: "write /dev/null", input: b"gone\n", output: b"" },
    ],
    ..Entry::of::<Write>("write", Role::Sink)
};

/// Octal digits of a mode, up to 7777.
fn mode(digits: &str) -> Result<u32, String> {
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o7777 && digits.bytes().all(|digit| digit.is_ascii_digit()) => Ok(mode),
        _ => Err("expected octal digits up to 7777, such as `640`".to_owned()),
    }
}

impl Stage for Write {
    fn label(&self) -> String {
        self.path.to_string()
    }

    fn touches(&self) -> Vec<Touch> {
        if names_stdout(&self.path) {
            return vec![Touch::Stdout { forced: false }];
        }
        let how = match (self.append, self.in_place) {
            (true, _) => How::Append,
            (_, true) => How::InPlace,
            _ => How::Replace,
        };
        vec![Touch::Write(Destination { path: self.path.path.clone(), how, existing: self.existing() })]
    }

    fn needs_one_file(&self) -> Option<&'static str> {
        self.preserve.then_some("--preserve")
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        if names_stdout(&self.path) {
            return open_stdout(opening);
        }
        let path = self.path.path.clone();
        let target = match locate(&path)? {
            Place::Fifo => return Ok(open_fifo(path, opening)),
            Place::Device => return open_device(&path, opening),
            Place::Block if !self.in_place => {
                let fault = Fault::overwrite("is a block device").of(self.path.to_string());
                return Err(fault.help("`--in-place` writes over what is on it").into());
            }
            Place::Block => self.open_in_place(opening, path, Manner::Over)?,
            Place::File(place) if self.append => self.open_in_place(opening, place.path(), Manner::Append)?,
            Place::File(place) if self.in_place => self.open_in_place(opening, place.path(), Manner::Over)?,
            Place::File(place) => self.open_beside(opening, &place)?,
        };
        Ok(Body::sink(move |inlet, context| target.pour(inlet, context)))
    }
}

impl Write {
    fn existing(&self) -> Existing {
        match (self.no_clobber, self.skip_existing) {
            (true, _) => Existing::Refuse,
            (_, true) => Existing::Skip,
            _ => Existing::Write,
        }
    }

    fn open_beside(&self, opening: &mut Opening<'_>, place: &FilePlace) -> Result<Arc<Target>, Fault> {
        let terms = place::Terms {
            existing: self.existing(),
            mode: self.mode,
            new_mode: NEW_MODE & !opening.umask,
            dress: if self.preserve { Some(self.dress(opening)?) } else { None },
            sync: self.sync,
        };
        let (commit, target) = PlacedFile::create(self.path.path.clone(), place, terms)?;
        opening.commit(Box::new(commit));
        let source = opening.source().and_then(|source| source.metadata.as_ref());
        if source.is_some_and(|source| target.stream().can_share_blocks(source)) {
            opening.take_extents();
        }
        Ok(target)
    }

    /// What the file that the run reads looks like.
    fn dress(&self, opening: &Opening<'_>) -> Result<Dress, Fault> {
        let source = opening.source().and_then(|source| source.metadata.as_ref());
        source.filter(|metadata| metadata.is_file()).map(Dress::of_source).ok_or_else(|| {
            let fault = Fault::failed("`--preserve` takes after a regular file, and the run reads none");
            fault.of(self.path.to_string()).help("leave `--preserve` out, or read a file: `read FILE | …`")
        })
    }

    fn open_in_place(
        &self,
        opening: &mut Opening<'_>,
        at: PathBuf,
        manner: Manner,
    ) -> Result<Arc<Target>, Fault> {
        let terms =
            in_place::Terms { manner, mode: self.mode, new_mode: NEW_MODE & !opening.umask, sync: self.sync };
        let (commit, target) = FileInPlace::open(self.path.path.clone(), at, terms)?;
        opening.commit(Box::new(commit));
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::mode;
    use crate::stage::testing_ends::words;
    use crate::stage::{Destination, Existing, How, Stage, Touch, find};
    use std::ffi::OsString;

    fn parse(words: &[OsString]) -> Result<Box<dyn Stage>, clap::Error> {
        let entry = find("write").unwrap();
        entry.parse(&entry.command().try_get_matches_from(words)?)
    }

    #[test]
    fn preflight_hears_what_will_be_touched() {
        let touches = |words: &[OsString]| parse(words).unwrap().touches();
        let file = |how, existing| vec![Touch::Write(Destination { path: "f".into(), how, existing })];
        assert_eq!(touches(words!["f"]), file(How::Replace, Existing::Write));
        assert_eq!(touches(words!["f", "--append"]), file(How::Append, Existing::Write));
        assert_eq!(touches(words!["f", "--in-place"]), file(How::InPlace, Existing::Write));
        assert_eq!(touches(words!["f", "--no-clobber"]), file(How::Replace, Existing::Refuse));
        assert_eq!(touches(words!["f", "--skip-existing"]), file(How::Replace, Existing::Skip));
        assert_eq!(touches(words!["-"]), [Touch::Stdout { forced: false }]);
        assert_eq!(touches(words!["/dev/stdout"]), [Touch::Stdout { forced: false }]);
        // An operand is a file of that name.
        assert!(matches!(&touches(words!["\0-"])[..], [Touch::Write(_)]));
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        for pair in [
            ["--append", "--in-place"],
            ["--append", "--no-clobber"],
            ["--in-place", "--skip-existing"],
            ["--preserve", "--mode=600"],
            ["--preserve", "--append"],
        ] {
            assert!(parse(words!["f", pair[0], pair[1]]).is_err(), "{pair:?}");
        }
    }

    #[test]
    fn a_mode_is_octal() {
        assert_eq!(mode("640"), Ok(0o640));
        assert_eq!(mode("0755"), Ok(0o755));
        for wrong in ["", "8", "+7", "17777", "u+x"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }
}
