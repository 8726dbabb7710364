//! A small stage table for the tests of this module: the real stages in outline, which never run.
//! No test of a stage is here.

use super::{Plan, Refusal, Settings};
use crate::diagnostic::{Colour, render};
use crate::lang::parse;
use crate::stage::{
    Body, Destination, Entry, Existing, Feed, Groups, How, Nature, Opening, PathArgument, Peer, Role, Stage,
    TextArgument, Touch,
};
use crate::units::parse_size;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The plan of a chain of the stages below.
pub(super) fn plan(text: &str) -> Result<Plan, Refusal> {
    let chain = parse(text.as_bytes()).expect("a chain");
    Plan::new(&chain, TABLE, Settings::default())
}

/// What people are told about a chain that is wrong.
pub(super) fn report(text: &str) -> String {
    match plan(text) {
        Err(Refusal::Mistakes(mistakes)) => render(text.as_bytes(), &mistakes, Colour::Never),
        Err(Refusal::Help(help)) => panic!("help: {help}"),
        Ok(_) => panic!("no mistake in {text}"),
    }
}

const fn entry(entry: Entry, nature: Nature, groups: Groups) -> Entry {
    let mut entry = entry;
    entry.nature = nature;
    entry.groups = groups;
    entry
}

const fn with_peer(entry: Entry) -> Entry {
    let mut entry = entry;
    entry.peer = Peer::SelfReliant;
    entry
}

pub(super) static TABLE: &[Entry] = &[
    entry(Entry::of::<Coding>("base64", Role::Filter), Nature::Encoder, Groups::None),
    entry(Entry::of::<Buffer>("buffer", Role::Filter), Nature::Neutral, Groups::None),
    entry(Entry::of::<Branch>("branch", Role::Sink), Nature::Neutral, Groups::Branches),
    entry(Entry::of::<Decrypt>("decrypt", Role::Filter), Nature::Decryptor, Groups::None),
    entry(Entry::of::<Encrypt>("encrypt", Role::Filter), Nature::Encryptor, Groups::None),
    entry(Entry::of::<Generate>("generate", Role::Source), Nature::Neutral, Groups::None),
    entry(Entry::of::<Gunzip>("gunzip", Role::Filter), Nature::Decompressor, Groups::None),
    entry(Entry::of::<Gzip>("gzip", Role::Filter), Nature::Compressor, Groups::None),
    entry(Entry::of::<Read>("read", Role::Source), Nature::Neutral, Groups::None),
    entry(Entry::of::<Spool>("spool", Role::Filter), Nature::Neutral, Groups::None),
    entry(Entry::of::<Stdin>("stdin", Role::Source), Nature::Neutral, Groups::None),
    entry(Entry::of::<Stdout>("stdout", Role::Sink), Nature::Neutral, Groups::None),
    with_peer(Entry::of::<Talk>("talk", Role::Filter)),
    entry(Entry::of::<Tee>("tee", Role::Filter), Nature::Neutral, Groups::Branches),
    entry(Entry::of::<Coding>("unbase64", Role::Filter), Nature::Decoder, Groups::None),
    entry(Entry::of::<Upper>("upper", Role::Filter), Nature::Text, Groups::None),
    entry(Entry::of::<Vouch>("vouch", Role::Filter), Nature::Neutral, Groups::None),
    entry(Entry::of::<Write>("write", Role::Sink), Nature::Neutral, Groups::None),
];

/// A stage that says what is given here, and never opens.
macro_rules! stage {
    ($type:ty { $($method:item)* }) => {
        impl Stage for $type {
            $($method)*
            fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
                anyhow::bail!("no trial stage runs")
            }
        }
    };
}

/// Hold more
#[derive(Debug, clap::Parser)]
struct Buffer {
    #[arg(value_name = "SIZE", value_parser = parse_size)]
    size: u64,
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    start: u8,
}
stage!(Buffer {
    fn passes_unchanged(&self) -> bool {
        true
    }
    fn feed(&self) -> Feed {
        Feed { high_bytes: usize::try_from(self.size).ok(), start_percent: self.start }
    }
});

/// Give everything to the branches
#[derive(Debug, clap::Parser)]
struct Branch {}
stage!(Branch {});

/// Make text of bytes, or bytes of text
#[derive(Debug, clap::Parser)]
struct Coding {}
stage!(Coding {});
/// Decrypt
#[derive(Debug, clap::Parser)]
struct Decrypt {}
stage!(Decrypt {});

/// Encrypt
#[derive(Debug, clap::Parser)]
struct Encrypt {
    #[arg(long)]
    armor: bool,
}
stage!(Encrypt {
    fn gives_text(&self) -> bool {
        self.armor
    }
});

/// Make bytes up
#[derive(Debug, clap::Parser)]
struct Generate {
    #[arg(value_parser = parse_size)]
    size: u64,
}
stage!(Generate {
    fn size_after(&self, _input: Option<u64>) -> Option<u64> {
        Some(self.size)
    }
});

/// Unpack
#[derive(Debug, clap::Parser)]
struct Gunzip {
    #[arg(long)]
    allow_trailing: bool,
}
stage!(Gunzip {});

/// Compress
#[derive(Debug, clap::Parser)]
struct Gzip {
    #[arg(short, long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(0..=9))]
    level: u8,
    #[arg(short = '1', long, conflicts_with = "level")]
    fast: bool,
}
stage!(Gzip {
    fn label(&self) -> String {
        format!("-{}", self.level)
    }
});

/// Read files
#[derive(Debug, clap::Parser)]
struct Read {
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathArgument>,
    #[arg(long)]
    follow: bool,
    #[arg(long)]
    remove: bool,
}
stage!(Read {
    fn is_endless(&self) -> bool {
        self.follow
    }
    fn removes_its_input(&self) -> bool {
        self.remove
    }
    fn label(&self) -> String {
        self.paths[0].to_string()
    }
    fn touches(&self) -> Vec<Touch> {
        let touch = |path: &PathArgument| match path.is_standard_stream() {
            true => Touch::Stdin,
            false => Touch::Read(path.path.clone()),
        };
        self.paths.iter().map(touch).collect()
    }
});

/// Hold everything
#[derive(Debug, clap::Parser)]
struct Spool {}
stage!(Spool {
    fn holds_back(&self) -> bool {
        true
    }
});

/// Read standard input
#[derive(Debug, clap::Parser)]
struct Stdin {}
stage!(Stdin {
    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Stdin]
    }
});

/// Write standard output
#[derive(Debug, clap::Parser)]
struct Stdout {
    #[arg(long)]
    force: bool,
}
stage!(Stdout {
    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Stdout { forced: self.force }]
    }
});

/// Talk to a process
#[derive(Debug, clap::Parser)]
struct Talk {}
stage!(Talk {
    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Child("parrot".to_string())]
    }
});

/// Copy to files and branches
#[derive(Debug, clap::Parser)]
struct Tee {
    paths: Vec<TextArgument>,
}
stage!(Tee {
    fn passes_unchanged(&self) -> bool {
        true
    }
    fn size_after(&self, input: Option<u64>) -> Option<u64> {
        input
    }
    fn branches(&self) -> Vec<Vec<Vec<u8>>> {
        self.paths.iter().map(|path| vec![b"write".to_vec(), path.0.as_bytes().to_vec()]).collect()
    }
});

/// Make capitals
#[derive(Debug, clap::Parser)]
struct Upper {}
stage!(Upper {});

/// Check at the end
#[derive(Debug, clap::Parser)]
struct Vouch {}
stage!(Vouch {
    fn passes_unchanged(&self) -> bool {
        true
    }
    fn vouches_at_the_end(&self) -> bool {
        true
    }
});

/// Write a file
#[derive(Debug, clap::Parser)]
struct Write {
    path: PathArgument,
    #[arg(long)]
    append: bool,
    #[arg(long)]
    in_place: bool,
    #[arg(long)]
    no_clobber: bool,
    #[arg(long)]
    skip_existing: bool,
    #[arg(long)]
    preserve: bool,
}
stage!(Write {
    fn needs_one_file(&self) -> Option<&'static str> {
        self.preserve.then_some("--preserve")
    }
    fn label(&self) -> String {
        self.path.to_string()
    }
    fn touches(&self) -> Vec<Touch> {
        let how = match (self.append, self.in_place) {
            (true, _) => How::Append,
            (false, true) => How::InPlace,
            (false, false) => How::Replace,
        };
        let existing = match (self.no_clobber, self.skip_existing) {
            (true, _) => Existing::Refuse,
            (false, true) => Existing::Skip,
            (false, false) => Existing::Write,
        };
        vec![Touch::Write(Destination { path: Path::new(&self.path.path).to_path_buf(), how, existing })]
    }
});
