//! weir beside the tools people would use instead, in one run.
//!
//!     cargo bench --bench peers                    every row, and the table into the README
//!     cargo bench --bench peers -- gzip-6-text     the rows whose names contain this, printed only
//!
//! Each row runs two commands in turn, the order reversed every other round, on the same input, and quotes the median of
//! the ratios of their times: above 1 weir is the faster one. Absolute times are of this machine and this day, and are not
//! quoted. Outputs are compared before anything is timed, and removed, untimed, before each round. `WEIR_ROUNDS` sets the
//! number of pairs (7).
//!
//! Corpora, the same every time for the same lock file and toolchain: `text` is the source text of the crates that weir is
//! built from, `bin` the toolchain's libraries, `rnd` bytes of `generate random`; each repeated or cut to its size.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// One comparison.
struct Row {
    name: &'static str,
    job: &'static str,
    /// As bash runs it; `$T` is the text, `$B` the binaries, `$R` the random bytes, `$O` the output, `$D` a directory on disk, `$S` one in memory.
    weir: &'static str,
    peer: &'static str,
    /// Its program, and what prints its version.
    tool: &'static str,
    version: &'static str,
    /// The ratio to reach.
    at_least: f64,
    /// Turns an output into what must agree.
    decoded_by: &'static str,
    output: Output,
}

#[derive(Clone, Copy, PartialEq)]
enum Output {
    Disk,
    Memory,
    None,
}

const COREUTILS: &str = "cat --version | head -n 1";

const ROWS: &[Row] = &[
    Row {
        name: "copy-disk-cat",
        job: "copy, disk",
        weir: "weir 'read $T | write $O'",
        peer: "cat $T >$O",
        tool: "cat",
        version: COREUTILS,
        at_least: 1.25,
        decoded_by: "cat",
        output: Output::Disk,
    },
    Row {
        name: "copy-disk-cp",
        job: "copy, disk",
        weir: "weir 'read $T | write $O'",
        peer: "cp $T $O",
        tool: "cp",
        version: "cp --version | head -n 1",
        at_least: 1.4,
        decoded_by: "cat",
        output: Output::Disk,
    },
    Row {
        name: "copy-memory-cat",
        job: "copy, tmpfs",
        weir: "weir 'read $S/text | write $O'",
        peer: "cat $S/text >$O",
        tool: "cat",
        version: COREUTILS,
        at_least: 1.2,
        decoded_by: "cat",
        output: Output::Memory,
    },
    Row {
        name: "file-to-pipe",
        job: "file → pipe",
        weir: "weir 'read $T' | cat >/dev/null",
        peer: "pv -q $T | cat >/dev/null",
        tool: "pv",
        version: "pv --version | head -n 1",
        at_least: 3.5,
        decoded_by: "",
        output: Output::None,
    },
    Row {
        name: "middle-of-a-pipe",
        job: "middle of a pipe",
        weir: "cat $T | weir pass | cat >/dev/null",
        peer: "cat $T | dd bs=256k status=none | cat >/dev/null",
        tool: "dd",
        version: "dd --version | head -n 1",
        at_least: 1.35,
        decoded_by: "",
        output: Output::None,
    },
    Row {
        name: "pipe-to-null",
        job: "pipe → null",
        weir: "cat $T | weir 'stdin' >/dev/null",
        peer: "cat $T | pv -q >/dev/null",
        tool: "pv",
        version: "pv --version | head -n 1",
        at_least: 2.0,
        decoded_by: "",
        output: Output::None,
    },
    Row {
        name: "gzip-6-text",
        job: "gzip -6, text",
        weir: "weir 'read $T | gzip -6 | write $O'",
        peer: "pigz -p2 -6 -c $T >$O",
        tool: "pigz",
        version: "pigz --version 2>&1",
        at_least: 2.4,
        decoded_by: "gzip -dc",
        output: Output::Memory,
    },
    Row {
        name: "gzip-6-text-crabz",
        job: "gzip -6, text",
        weir: "weir 'read $T | gzip -6 | write $O'",
        peer: "crabz -Q -p2 -l6 $T >$O",
        tool: "crabz",
        version: "crabz --version",
        at_least: 1.33,
        decoded_by: "gzip -dc",
        output: Output::Memory,
    },
    Row {
        name: "gzip-6-bin",
        job: "gzip -6, binaries",
        weir: "weir 'read $B | gzip -6 | write $O'",
        peer: "pigz -p2 -6 -c $B >$O",
        tool: "pigz",
        version: "pigz --version 2>&1",
        at_least: 3.2,
        decoded_by: "gzip -dc",
        output: Output::Memory,
    },
    Row {
        name: "gzip-9-text",
        job: "gzip -9, text",
        weir: "weir 'read $T | gzip -9 | write $O'",
        peer: "pigz -p2 -9 -c $T >$O",
        tool: "pigz",
        version: "pigz --version 2>&1",
        at_least: 2.2,
        decoded_by: "gzip -dc",
        output: Output::Memory,
    },
    Row {
        name: "gzip-6-random",
        job: "gzip -6, random bytes",
        weir: "weir 'read $R | gzip -6 | write $O'",
        peer: "pigz -p2 -6 -c $R >$O",
        tool: "pigz",
        version: "pigz --version 2>&1",
        at_least: 20.0,
        decoded_by: "gzip -dc",
        output: Output::Memory,
    },
    Row {
        name: "gzip-1-text-igzip",
        job: "gzip -1, text",
        weir: "weir 'read $T | gzip -1 | write $O'",
        peer: "igzip -1 -c $T >$O",
        tool: "igzip",
        version: "igzip --version",
        at_least: 0.9,
        decoded_by: "gzip -dc",
        output: Output::Memory,
    },
    Row {
        name: "gzip-1-text-pigz",
        job: "gzip -1, text",
        weir: "weir 'read $T | gzip -1 | write $O'",
        peer: "pigz -p2 -1 -c $T >$O",
        tool: "pigz",
        version: "pigz --version 2>&1",
        at_least: 1.8,
        decoded_by: "gzip -dc",
        output: Output::Memory,
    },
    Row {
        name: "gunzip-foreign",
        job: "gunzip, gzip's file",
        weir: "weir 'read $S/text.gz | gunzip | write $O'",
        peer: "igzip -dc $S/text.gz >$O",
        tool: "igzip",
        version: "igzip --version",
        at_least: 1.1,
        decoded_by: "cat",
        output: Output::Memory,
    },
    Row {
        name: "gunzip-own",
        job: "gunzip, our file",
        weir: "weir 'read $S/own.gz | gunzip | write $O'",
        peer: "igzip -dc $S/own.gz >$O",
        tool: "igzip",
        version: "igzip --version",
        at_least: 1.5,
        decoded_by: "cat",
        output: Output::Memory,
    },
    Row {
        name: "upper-memory",
        job: "upper --ascii, tmpfs",
        weir: "weir 'read $S/text | upper --ascii | write $O'",
        peer: "tr a-z A-Z <$S/text >$O",
        tool: "tr",
        version: "tr --version | head -n 1",
        at_least: 3.0,
        decoded_by: "cat",
        output: Output::Memory,
    },
    Row {
        name: "upper-disk",
        job: "upper --ascii, disk",
        weir: "weir 'read $T | upper --ascii | write $O'",
        peer: "tr a-z A-Z <$T >$O",
        tool: "tr",
        version: "tr --version | head -n 1",
        at_least: 6.0,
        decoded_by: "cat",
        output: Output::Disk,
    },
    Row {
        name: "upper-gzip",
        job: "upper --ascii ¦ gzip -6",
        weir: "weir 'read $T | upper --ascii | gzip -6 | write $O'",
        peer: "tr a-z A-Z <$T | pigz -p2 -6 >$O",
        tool: "pigz",
        version: "pigz --version 2>&1",
        at_least: 2.5,
        decoded_by: "gzip -dc",
        output: Output::Memory,
    },
    Row {
        name: "upper-gzip-node",
        job: "upper --ascii ¦ gzip -6",
        weir: "weir 'read $T | upper --ascii | gzip -6 | write $O'",
        peer: "node -e \"const f=require('fs'),z=require('zlib'),s=require('stream');s.pipeline(f.createReadStream('$T'),new s.Transform({transform(c,e,n){n(null,Buffer.from(c.toString('latin1').replace(/[a-z]+/g,x=>x.toUpperCase()),'latin1'))}}),z.createGzip({level:6}),f.createWriteStream('$O'),e=>{if(e)throw e})\"",
        tool: "node",
        version: "echo node $(node --version)",
        at_least: 4.2,
        decoded_by: "gzip -dc",
        output: Output::Memory,
    },
    Row {
        name: "sixteen-passes",
        job: "16 × pass to a file against 1",
        weir: "weir 'read $S/text | pass | pass | pass | pass | pass | pass | pass | pass | pass | pass | pass | pass | pass | pass | pass | pass | write $O'",
        peer: "weir 'read $S/text | pass | write $O'",
        tool: "weir",
        version: "weir --version",
        at_least: 0.67,
        decoded_by: "cat",
        output: Output::Memory,
    },
    Row {
        name: "start-up",
        job: "a tiny chain",
        weir: "for i in {1..50}; do weir 'read $S/tiny' >/dev/null; done",
        peer: "for i in {1..50}; do cat $S/tiny >/dev/null; done",
        tool: "cat",
        version: COREUTILS,
        at_least: 0.5,
        decoded_by: "",
        output: Output::None,
    },
];

/// Directories, and how the commands see them.
struct Stand {
    disk: PathBuf,
    memory: PathBuf,
    path: std::ffi::OsString,
}

/// What one command took.
#[derive(Clone, Copy)]
struct Took {
    wall_seconds: f64,
    cpu_seconds: f64,
}

impl Stand {
    fn new() -> Stand {
        let disk = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
        let memory = PathBuf::from("/dev/shm/weir-peers");
        fs::create_dir_all(&disk).unwrap();
        fs::create_dir_all(&memory).unwrap();
        let own = Path::new(env!("CARGO_BIN_EXE_weir")).parent().unwrap().to_owned();
        let tools = disk.join("tools/bin");
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths([own, tools].into_iter().chain(std::env::split_paths(&paths))).unwrap();
        Stand { disk, memory, path }
    }

    fn bash(&self, line: &str, output: Output) -> Command {
        let out = match output {
            Output::Memory => self.memory.join("out"),
            Output::Disk | Output::None => self.disk.join("out"),
        };
        let mut command = Command::new("bash");
        let named =
            [("T", self.disk.join("text")), ("B", self.disk.join("bin")), ("R", self.disk.join("rnd"))];
        let mut line = line.to_owned();
        for (name, value) in
            named.into_iter().chain([("O", out), ("D", self.disk.clone()), ("S", self.memory.clone())])
        {
            line = line.replace(&format!("${name}"), &value.display().to_string());
        }
        command
            .arg("-c")
            .arg(line)
            .env("PATH", &self.path)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn answer(&self, line: &str) -> Option<String> {
        let output = self.bash(line, Output::None).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    }

    fn time(&self, line: &str, output: Output) -> Took {
        for place in [&self.disk, &self.memory] {
            fs::remove_file(place.join("out")).ok();
        }
        let cpu = || {
            let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
            (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
        };
        let (before, begin) = (cpu(), Instant::now());
        let status = self.bash(line, output).status().unwrap();
        let took = Took { wall_seconds: begin.elapsed().as_secs_f64(), cpu_seconds: cpu() - before };
        assert!(status.success(), "{line}: {status}");
        took
    }

    /// What the output of `line` stands for, and its size.
    fn outcome(&self, line: &str, row: &Row) -> (String, u64) {
        self.time(line, row.output);
        let place = if row.output == Output::Memory { &self.memory } else { &self.disk };
        let bytes = fs::metadata(place.join("out")).unwrap().len();
        (self.answer(&format!("{} <{}/out | sha256sum", row.decoded_by, place.display())).unwrap(), bytes)
    }

    fn make_corpora(&self) {
        let crates = self.answer("cargo metadata --format-version 1 --offline").unwrap_or_default();
        let mut folders: Vec<PathBuf> = crates
            .split("\"manifest_path\":\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .filter_map(|path| Path::new(path).parent().map(Path::to_owned))
            .filter(|path| path.components().any(|part| part.as_os_str() == "registry"))
            .collect();
        folders.sort();
        folders.dedup();
        fill(&self.disk.join("text"), 256 << 20, &folders, |name| {
            [".rs", ".md", ".toml", ".txt", ".c", ".h"].iter().any(|ending| name.ends_with(ending))
        });
        let libraries = PathBuf::from(self.answer("rustc --print sysroot").unwrap()).join("lib");
        fill(&self.disk.join("bin"), 256 << 20, &[libraries], |name| {
            name.contains(".so") || name.ends_with(".rlib")
        });
        self.time("test -f $R || weir 'generate random 256M | write $R'", Output::None);
        self.time("cp $T $S/text; gzip -6 -c $T >$S/text.gz; weir 'read $T | gzip -6 | write $S/own.gz'; echo hello >$S/tiny", Output::None);
    }
}

/// Fills `path` with the files below `folders` whose names are wanted, in order of their paths, over and over.
fn fill(path: &Path, bytes: u64, folders: &[PathBuf], is_wanted: impl Fn(&str) -> bool) {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() == bytes) {
        return;
    }
    let mut files = Vec::new();
    let mut next = folders.to_vec();
    while let Some(folder) = next.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                next.push(entry.path());
            } else if kind.is_file() && is_wanted(&entry.file_name().to_string_lossy()) {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    let mut contents = Vec::new();
    for file in &files {
        contents.extend(fs::read(file).unwrap());
    }
    assert!(!contents.is_empty(), "nothing to make {} of", path.display());
    let mut written = 0;
    let mut file = File::create(path).unwrap();
    while written < bytes {
        let count = (bytes - written).min(contents.len() as u64);
        file.write_all(&contents[..usize::try_from(count).unwrap()]).unwrap();
        written += count;
    }
    println!(
        "{}: {} files, {} MiB before repeating",
        path.file_name().unwrap().display(),
        files.len(),
        contents.len() >> 20
    );
}

/// Installs what is missing, where that can be done; a row without its peer is named, and left out.
fn install_peers(stand: &Stand) {
    for (tool, package) in [("pv", "pv"), ("pigz", "pigz"), ("igzip", "isal"), ("node", "nodejs")] {
        if stand.answer(&format!("command -v {tool}")).is_none() {
            eprintln!("installing {package}");
            stand
                .bash(&format!("apt-get install -y -qq {package}"), Output::None)
                .stdout(Stdio::null())
                .status()
                .ok();
        }
    }
    if stand.answer("command -v crabz").is_none() {
        eprintln!("installing crabz");
        let line = "env -u CARGO_TARGET_DIR cargo install --quiet --locked crabz --root $D/tools";
        stand.bash(line, Output::None).stdout(Stdio::null()).status().ok();
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn measure(stand: &Stand, row: &Row, rounds: usize) -> Option<String> {
    let Some(version) = stand.answer(row.version) else {
        eprintln!("{}: left out, `{}` is not installed", row.name, row.tool);
        return None;
    };
    let mut size = String::new();
    if row.output != Output::None {
        let (ours, our_bytes) = stand.outcome(row.weir, row);
        let (theirs, their_bytes) = stand.outcome(row.peer, row);
        assert_eq!(ours, theirs, "{}: the outputs differ", row.name);
        if our_bytes != their_bytes {
            write!(size, "{:.3}", our_bytes as f64 / their_bytes as f64).unwrap();
        }
    }
    let (mut ratios, mut cpu_ratios) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let (ours, theirs) = if round % 2 == 0 {
            let ours = stand.time(row.weir, row.output);
            (ours, stand.time(row.peer, row.output))
        } else {
            let theirs = stand.time(row.peer, row.output);
            (stand.time(row.weir, row.output), theirs)
        };
        ratios.push(theirs.wall_seconds / ours.wall_seconds);
        cpu_ratios.push(ours.cpu_seconds / theirs.cpu_seconds.max(1e-3));
    }
    let ratio = median(&mut ratios);
    let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
    let line = format!(
        "| {} | {} | {ratio:.2} ({least:.2}–{most:.2}) | {} | {:.2} | {size} |",
        row.job,
        version.lines().next().and_then(|line| line.split(" - ").next()).unwrap_or(row.tool),
        row.at_least,
        median(&mut cpu_ratios),
    );
    println!("{:<20} {line}", row.name);
    Some(line)
}

const BEGIN: &str = "<!-- peers: written by `cargo bench --bench peers` -->";
const END: &str = "<!-- end of peers -->";

fn into_readme(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (Some((head, rest)), Some((_, tail))) = (readme.split_once(BEGIN), readme.split_once(END)) else {
        eprintln!("the README has no place for the table");
        return;
    };
    assert!(rest.contains(END));
    fs::write(&path, format!("{head}{BEGIN}\n{table}{END}{tail}")).unwrap();
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let rounds = std::env::var("WEIR_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    let stand = Stand::new();
    install_peers(&stand);
    stand.make_corpora();
    let mut table = format!(
        "| job | peer | × as fast, median of {rounds} (least–most) | to reach | CPU time, weir / peer | size, weir / peer |\n|---|---|---|---|---|---|\n"
    );
    for row in ROWS {
        if !wanted.is_empty() && !wanted.iter().any(|part| row.name.contains(part.as_str())) {
            continue;
        }
        if let Some(line) = measure(&stand, row, rounds) {
            table.push_str(&line);
            table.push('\n');
        }
    }
    fs::remove_dir_all(&stand.memory).ok();
    if wanted.is_empty() {
        into_readme(&table);
    }
}
