//! weir beside the tools people would use instead, in one run.
//!
//!     cargo bench --bench peers                    every row, and the table into the README
//!     cargo bench --bench peers -- gzip-6-text     the rows whose names contain this, printed only
//!
//! Each row runs two commands in turn, the order reversed every other round, on the same input, and quotes the median of
//! the ratios of their times: above 1 weir is the faster one. Absolute times are of this machine and this day, and are not
//! quoted. Outputs are compared before anything is timed, and removed, untimed, before each round. Peak memory is that of the
//! largest process of one more run; of servers, which are asked by the same client, theirs. `WEIR_ROUNDS` sets the number of pairs (7).
//!
//! Corpora, the same every time for the same lock file and toolchain: `text` is the source text of the crates that weir is
//! built from, `bin` the toolchain's libraries, `rnd` bytes of `generate random`; each repeated or cut to its size.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod rows;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rows::{Output, Package, ROWS, Row};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Directories, and how the commands see them.
#[derive(Clone)]
struct Stand {
    disk: PathBuf,
    memory: PathBuf,
    path: std::ffi::OsString,
    /// Where a server listens, and where it may, besides.
    ports: [u16; 2],
}

/// A server that runs for as long as this lives, in a process group of its own.
struct Server {
    child: std::process::Child,
    stand: Stand,
}

impl Server {
    /// Starts it, and returns when it answers.
    fn start(stand: &Stand, line: &str) -> Server {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        // Both at once, so that they differ.
        let ports = [free(), free()].map(|listener| listener.local_addr().unwrap().port());
        let stand = Stand { ports, ..stand.clone() };
        let mut command = stand.bash(line, Output::None);
        let child = command.stdout(Stdio::null()).process_group(0).spawn().unwrap();
        let server = Server { child, stand };
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", ports[0])).is_err() {
            assert!(begin.elapsed().as_secs() < 20, "{line}: does not answer");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        server
    }

    /// The most that it had resident.
    fn peak_mebibytes(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its own group: it, and what it started.
        let group = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
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
        Stand { disk, memory, path, ports: [0; 2] }
    }

    fn bash(&self, line: &str, output: Output) -> Command {
        let out = match output {
            Output::Memory => self.memory.join("out"),
            Output::Disk | Output::None => self.disk.join("out"),
        };
        let mut command = Command::new("bash");
        let named = [
            ("T", self.disk.join("text")),
            ("M", self.disk.join("part")),
            ("G", self.disk.join("long")),
            ("B", self.disk.join("bin")),
            ("R", self.disk.join("rnd")),
        ];
        let mut line = line.to_owned();
        for (name, value) in
            named.into_iter().chain([("O", out), ("D", self.disk.clone()), ("S", self.memory.clone())])
        {
            line = line.replace(&format!("${name}"), &value.display().to_string());
        }
        for (name, port) in ["$L", "$K"].into_iter().zip(self.ports) {
            line = line.replace(name, &port.to_string());
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

    /// The most that any process of `line` had resident.
    fn peak_mebibytes(&self, line: &str, output: Output) -> f64 {
        // The system tells it of all children together: so a process of its own has just this one.
        let line = self.bash(line, output);
        let mut alone = Command::new(std::env::current_exe().unwrap());
        alone.arg(ALONE).args(line.get_args().skip(1));
        alone.envs(line.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = alone.stdin(Stdio::null()).stderr(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
    }

    /// What the output of `line` stands for, and its size.
    fn outcome(&self, line: &str, row: &Row) -> (String, u64) {
        self.time(line, row.output);
        let place = if row.output == Output::Memory { &self.memory } else { &self.disk };
        let bytes = fs::metadata(place.join("out")).unwrap().len();
        (self.answer(&format!("{} <{}/out | sha256sum", row.decoded_by, place.display())).unwrap(), bytes)
    }

    fn make_corpora(&self) {
        // Of this platform: those of others may never have been fetched.
        let metadata = "cargo metadata --format-version 1 --offline --filter-platform $(rustc -vV | sed -n 's/host: //p')";
        let crates = self.answer(metadata).unwrap_or_default();
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
        let made = [
            "test -f $R || weir 'generate random 256M | write $R'",
            "head -c 64M $T >$M; echo hello >$S/tiny; cp $T $S/text",
            "test \"$(wc -c <$G)\" = 1073741824 || cat $T $T $T $T >$G; cp $G $S/long",
            "gzip -6 -c $T >$S/text.gz; weir 'read $T | gzip -6 | write $S/own.gz'",
            "zstd -q -3 -c $T >$S/text.zst; xz -T2 -1 -c $M >$S/part.xz; lz4 -q -c $T >$S/text.lz4",
            "rm -f $D/key; age-keygen -o $D/key && age-keygen -y $D/key >$D/key.pub && age -R $D/key.pub -o $S/text.age $T",
            // Or the disk is busy with them while the first rows are timed.
            "sync",
        ];
        for line in made {
            // A corpus that misses its tool is missed again, and told, where it is wanted.
            self.bash(line, Output::None).stdout(Stdio::null()).status().unwrap();
        }
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
fn install_peers(stand: &Stand, rows: &[&Row]) {
    let mut tools: Vec<_> = rows.iter().map(|row| row.tool).collect();
    tools.dedup_by_key(|tool| tool.name);
    for tool in tools {
        if stand.answer(&format!("command -v {}", tool.name)).is_some() {
            continue;
        }
        let line = match tool.package {
            Package::Debian(package) => format!("apt-get install -y -qq {package}"),
            Package::Cargo(package) => {
                // What some of them are built with.
                stand.bash("apt-get install -y -qq cmake", Output::None).stdout(Stdio::null()).status().ok();
                format!("env -u CARGO_TARGET_DIR cargo install --quiet --locked {package} --root $D/tools")
            }
            Package::Own => continue,
        };
        eprintln!("installing {}", tool.name);
        stand.bash(&line, Output::None).stdout(Stdio::null()).status().ok();
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn measure(stand: &Stand, row: &Row, rounds: usize) -> Option<String> {
    let Some(version) = stand.answer(row.tool.version) else {
        eprintln!("{}: left out, `{}` is not installed", row.name, row.tool.name);
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
    let servers =
        row.servers.map(|servers| [servers.weir, servers.peer].map(|line| Server::start(stand, line)));
    let [our_stand, their_stand] = match &servers {
        Some([ours, theirs]) => [&ours.stand, &theirs.stand],
        None => [stand, stand],
    };
    let (mut ratios, mut cpu_ratios) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let (ours, theirs) = if round % 2 == 0 {
            let ours = our_stand.time(row.weir, row.output);
            (ours, their_stand.time(row.peer, row.output))
        } else {
            let theirs = their_stand.time(row.peer, row.output);
            (our_stand.time(row.weir, row.output), theirs)
        };
        ratios.push(row.times_the_work * theirs.wall_seconds / ours.wall_seconds);
        let their_cpu_seconds = row.times_the_work * theirs.cpu_seconds.max(1e-3);
        cpu_ratios.push(ours.cpu_seconds / their_cpu_seconds);
    }
    // What a server used is not told to whoever waits for a client.
    let (cpu, peaks) = match &servers {
        Some(servers) => (String::new(), servers.each_ref().map(Server::peak_mebibytes)),
        None => {
            let peak = |line| stand.peak_mebibytes(line, row.output);
            (format!("{:.2}", median(&mut cpu_ratios)), [row.weir, row.peer].map(peak))
        }
    };
    let ratio = median(&mut ratios);
    let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
    let line = format!(
        "| {} | {} | {ratio:.2} ({least:.2}–{most:.2}) | {} | {cpu} | {size} | {:.0} / {:.0} |",
        row.job,
        version.lines().next().and_then(|line| line.split(" - ").next()).unwrap_or(row.tool.name),
        row.at_least,
        peaks[0],
        peaks[1],
    );
    println!("{:<20} {line}", row.name);
    Some(line)
}

/// Has one line run, and nothing else, and prints the peak of its memory.
const ALONE: &str = "--alone";

fn alone(line: &str) {
    let status = Command::new("bash").arg("-c").arg(line).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{line}: {status}");
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() as f64 / 1024.0);
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
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [mark, line] = &words[..]
        && mark == ALONE
    {
        return alone(line);
    }
    let wanted: Vec<String> = words.into_iter().filter(|word| !word.starts_with("--")).collect();
    let is_wanted =
        |row: &&Row| wanted.is_empty() || wanted.iter().any(|part| row.name.contains(part.as_str()));
    let rows: Vec<&Row> = ROWS.iter().filter(is_wanted).collect();
    let rounds = std::env::var("WEIR_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    let stand = Stand::new();
    install_peers(&stand, &rows);
    stand.make_corpora();
    let mut table = format!(
        "| job | peer | × as fast, median of {rounds} (least–most) | to reach | CPU time, weir / peer | size, weir / peer | peak MiB, weir / peer |\n|---|---|---|---|---|---|---|\n"
    );
    for row in rows {
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
