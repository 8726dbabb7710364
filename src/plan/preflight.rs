//! What can be said of a run by looking: the files it names, the streams it is given, the room there is.
//! Opens nothing and changes nothing; what happens between the look and the opening is the stages' to see.

use super::Plan;
use super::destination::{is_done, look};
use super::facts::{Facts, Fate, Hindered, OutputFact, Problem};
use super::source;
use super::streams::Streams;
use super::target::{Identity, Target, cause, may};
use crate::diagnostic::printable;
use crate::exit::Exit;
use crate::stage::{Role, Touch, shares_blocks};
use crate::units::size;
use nix::sys::statfs::statfs;
use nix::sys::statvfs::statvfs;
use nix::unistd::AccessFlags;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Looks at everything that `plan` would open. `size_hint` is what the command line says of the input's size, in bytes.
///
/// # Errors
/// Everything that would make the run fail, in the order of the stages, and what is known all the same.
pub fn preflight(plan: &Plan, streams: &Streams, size_hint: Option<u64>) -> Result<Facts, Box<Hindered>> {
    if let Some(name) = skip(plan) {
        return Ok(Facts { skip: Some(name), ..Facts::default() });
    }
    let known = plan.stages.first().and_then(|source| source.stage.size_after(None));
    let mut flight = Flight::new(plan, streams);
    for stage in 0..plan.stages.len() {
        for touch in plan.stages[stage].stage.touches() {
            flight.touch(stage, touch);
        }
        flight.served(stage);
    }
    flight.meetings();
    flight.room(&plan.sizes(known));
    let Flight { mut facts, inputs, mut problems, .. } = flight;
    facts.inputs = inputs;
    // Of what never ends no part is known, whatever the command line says.
    facts.total_bytes = size_hint.or(known).filter(|_| !plan.is_endless());
    if problems.is_empty() {
        return Ok(facts);
    }
    problems.sort_by_key(|problem| problem.stage);
    Err(Box::new(Hindered { problems, facts }))
}

fn skip(plan: &Plan) -> Option<String> {
    let touches = plan.stages.iter().flat_map(|planned| planned.stage.touches());
    let mut done = touches.filter_map(|touch| match touch {
        Touch::Write(destination) if is_done(&destination) => Some(name_of(&destination.path)),
        _ => None,
    });
    done.next()
}

fn name_of(path: &Path) -> String {
    printable(path.as_os_str().as_bytes())
}

const STDOUT: &str = "standard output";

struct Flight<'a> {
    plan: &'a Plan,
    streams: &'a Streams,
    facts: Facts,
    problems: Vec<Problem>,
    /// What the source reads.
    inputs: Vec<Identity>,
    /// Where each file output takes up room.
    directories: Vec<(usize, PathBuf)>,
}

impl<'a> Flight<'a> {
    fn new(plan: &'a Plan, streams: &'a Streams) -> Flight<'a> {
        Flight {
            plan,
            streams,
            facts: Facts::default(),
            problems: Vec::new(),
            inputs: Vec::new(),
            directories: Vec::new(),
        }
    }

    fn problem(&mut self, stage: usize, exit: Exit, message: String, help: Option<&str>) {
        let help = help.map(ToString::to_string);
        self.problems.push(Problem { stage: Some(stage), message, help, exit });
    }

    fn touch(&mut self, stage: usize, touch: Touch) {
        match touch {
            Touch::Read(path) => self.input(stage, &path),
            Touch::Stdin => {
                self.inputs.extend(self.streams.stdin.file.clone());
                let notice = "reading standard input from the terminal; end it with Ctrl-D".to_string();
                if self.streams.stdin.is_terminal && !self.facts.notices.contains(&notice) {
                    self.facts.notices.push(notice);
                }
            }
            Touch::Write(destination) => match look(&destination, stage) {
                Ok(looked) => {
                    let name = name_of(&destination.path);
                    // What a stage writes beside its output is not as large as what it is given.
                    let directory = looked.directory.filter(|_| self.plan.stages[stage].role() == Role::Sink);
                    self.directories.extend(directory.map(|directory| (stage, directory)));
                    let (fate, identity) = (looked.fate, looked.identity);
                    self.facts.outputs.push(OutputFact { stage, name, fate, identity });
                }
                Err(problem) => self.problems.push(problem),
            },
            Touch::Stdout { forced } => self.stdout(stage, forced),
            Touch::Child(name) => {
                self.facts.outputs.push(OutputFact { stage, name, fate: Fate::Child, identity: None });
            }
            Touch::Receive(_) => {}
            Touch::Send(name) => {
                self.facts.outputs.push(OutputFact { stage, name, fate: Fate::Peer, identity: None });
            }
        }
    }

    /// The chain of a server. Its standard streams are none of ours, and what it writes appears again and again.
    fn served(&mut self, stage: usize) {
        let Some(served) = &self.plan.stages[stage].served else { return };
        match preflight(&served.plan, &Streams::default(), None) {
            Ok(facts) => self.facts.notices.extend(facts.notices),
            Err(hindered) => self.problems.extend(hindered.problems.into_iter().map(|problem| {
                let place = problem.stage.map(|inner| format!("{}: ", served.plan.place(inner)));
                let message = format!("{}{}", place.unwrap_or_default(), problem.message);
                Problem { stage: Some(stage), message, ..problem }
            })),
        }
    }

    fn input(&mut self, stage: usize, path: &Path) {
        let name = name_of(path);
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if source::is_awaited(self.plan, &error) => {
                self.facts.notices.push(format!("{name}: is not there yet; waiting for it"));
                return;
            }
            Err(error) => {
                // It may be there by the time the run begins.
                let missing = Target::of(path).ok().filter(|_| self.is_source(stage));
                self.inputs.extend(missing.map(|target| target.identity));
                return self.problem(stage, Exit::Failed, format!("{name}: {}", cause(&error)), None);
            }
        };
        if metadata.is_dir() {
            let help = Some("name the files in it");
            return self.problem(stage, Exit::Failed, format!("{name}: is a directory"), help);
        }
        if let Err(error) = may(path, AccessFlags::R_OK) {
            return self.problem(stage, Exit::Failed, format!("{name}: {}", cause(&error.into())), None);
        }
        if self.is_source(stage) {
            if let Err(unfit) = source::look(self.plan, path, &metadata) {
                return self.problem(stage, unfit.exit, format!("{name}: {}", unfit.what), unfit.help);
            }
            self.inputs.push(Identity::of(&metadata));
        }
    }

    /// Whether what it reads goes through the chain.
    fn is_source(&self, stage: usize) -> bool {
        self.plan.stages[stage].input.is_none() && self.plan.stages[stage].parent.is_none()
    }

    fn stdout(&mut self, stage: usize, forced: bool) {
        let stdout = &self.streams.stdout;
        if let (true, false, Some(by)) = (stdout.is_terminal, forced, self.plan.stages[stage].compressed_by) {
            let by = self.plan.stages[by].name;
            let message = format!("{STDOUT} is a terminal, and what `{by}` gives is no text");
            let help = Some("name a file with `| write FILE` or `> FILE`, or insist with `| stdout --force`");
            self.problem(stage, Exit::Usage, message, help);
        }
        let identity = stdout.file.clone();
        self.facts.outputs.push(OutputFact { stage, name: STDOUT.to_string(), fate: Fate::Direct, identity });
    }

    /// Files that are written while they are read, or by two stages.
    fn meetings(&mut self) {
        let outputs = std::mem::take(&mut self.facts.outputs);
        for (at, output) in outputs.iter().enumerate() {
            let Some(identity) = &output.identity else { continue };
            let help = match output.fate {
                Fate::Replace { .. } if self.plan.removes_its_input() && self.inputs.contains(identity) => {
                    let message = format!("{}: is the input, and would be removed in the end", output.name);
                    let help = Some("leave `--remove` out: it is replaced, and nothing else is left of it");
                    self.problem(output.stage, Exit::Usage, message, help);
                    continue;
                }
                Fate::Create | Fate::Replace { .. } => None,
                Fate::Append { .. } => Some("append to another file"),
                Fate::Overwrite => Some("without `--in-place` it is replaced when all of it has been read"),
                Fate::Direct | Fate::Child | Fate::Peer => {
                    Some("`| write FILE` replaces it when all of it has been read")
                }
            };
            if help.is_some() && self.inputs.contains(identity) {
                let message = format!("{}: is the input, and would change while it is read", output.name);
                self.problem(output.stage, Exit::Usage, message, help);
            }
            let other = outputs[..at].iter().find(|other| other.identity.as_ref() == Some(identity));
            if let Some(other) = other {
                self.twice(output, other);
            }
        }
        let mut stdouts =
            outputs.iter().filter(|output| output.name == STDOUT && output.fate == Fate::Direct);
        if let (Some(first), Some(second)) = (stdouts.next(), stdouts.next())
            && second.identity.is_none()
        {
            self.twice(second, first);
        }
        // What a filter writes beside its output, such as a digest, does not hold what was read.
        let lasts = |output: &OutputFact| {
            !output.fate.is_passing() && self.plan.stages[output.stage].role() == Role::Sink
        };
        if self.plan.removes_its_input() && !outputs.iter().any(lasts) {
            let message = "what `--remove` removes would be lost: no output is a file".to_string();
            self.problem(0, Exit::Usage, message, Some("write a file, or leave `--remove` out"));
        }
        self.facts.outputs = outputs;
    }

    fn twice(&mut self, output: &OutputFact, other: &OutputFact) {
        let place = self.plan.place(other.stage);
        let message = if output.name == other.name {
            format!("{}: {place} writes it, too", output.name)
        } else {
            format!("{}: is the file that {place} writes as {}", output.name, other.name)
        };
        self.problem(output.stage, Exit::Usage, message, Some("name another file for one of them"));
    }

    /// Whether `stage` is given a file whose blocks it can share in `directory`.
    fn shares_blocks(&self, stage: usize, directory: &Path, metadata: &Metadata) -> bool {
        let is_one_file = |writer: usize| {
            self.plan.stages[writer].input.is_none()
                && matches!(&self.plan.stages[writer].stage.touches()[..], [Touch::Read(_)])
                && matches!(&self.inputs[..], [Identity::File(device, _)] if *device == metadata.dev())
        };
        self.plan.writer_of(stage).is_some_and(is_one_file)
            && statfs(directory).is_ok_and(|system| shares_blocks(system.filesystem_type()))
    }

    /// Whether what is known to come fits where it goes. A part that is appended or replaces counts whole: the old file
    /// stays until the end.
    fn room(&mut self, sizes: &[Option<u64>]) {
        let mut needs: Vec<(u64, usize, PathBuf, u64)> = Vec::new();
        for (stage, directory) in std::mem::take(&mut self.directories) {
            let fate =
                self.facts.outputs.iter().find(|output| output.stage == stage).map(|output| output.fate);
            let (Some(bytes), Ok(metadata)) = (sizes[stage], fs::metadata(&directory)) else { continue };
            let is_fresh = matches!(fate, Some(Fate::Create | Fate::Replace { .. }));
            let takes_no_room = fate == Some(Fate::Overwrite)
                || (is_fresh && self.shares_blocks(stage, &directory, &metadata));
            if takes_no_room {
                continue;
            }
            match needs.iter_mut().find(|(device, ..)| *device == metadata.dev()) {
                Some((.., need)) => *need = need.saturating_add(bytes),
                None => needs.push((metadata.dev(), stage, directory, bytes)),
            }
        }
        for (_, stage, directory, need) in needs {
            let Ok(status) = statvfs(&directory) else { continue };
            // The widths of both differ between systems.
            #[allow(clippy::unnecessary_cast)]
            let free = (status.blocks_available() as u64).saturating_mul(status.fragment_size() as u64);
            // A file system that says nothing of its blocks, says nothing of what is free.
            if status.blocks() > 0 && need > free {
                let directory = name_of(&directory);
                let message = format!("{directory}: {} are needed, {} are free", size(need), size(free));
                self.problem(stage, Exit::Failed, message, Some("make room, or write to another disk"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Hindered, Streams, preflight};
    use crate::exit::Exit;
    use crate::lang::{Batch, parse};
    use crate::plan::trial::TABLE;
    use crate::plan::{Facts, Fate, Identity, Plan, Problem, Settings, Stream};
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;
    use tempfile::TempDir;

    /// A directory with a file `a` of three bytes, a second name `hard` for a file `b`, and a directory `sub`.
    fn place() -> TempDir {
        let place = tempfile::tempdir().expect("a directory");
        let at = |name: &str| place.path().join(name);
        fs::write(at("a"), "abc").expect("a file");
        fs::write(at("b"), "b").expect("a file");
        fs::hard_link(at("b"), at("hard")).expect("a link");
        fs::create_dir(at("sub")).expect("a directory");
        symlink("a", at("link")).expect("a link");
        place
    }

    /// In the chain, `{}` is the directory.
    fn look_with(place: &TempDir, text: &str, streams: &Streams) -> Result<Facts, Box<Hindered>> {
        let chain = parse(text.as_bytes()).expect("a chain");
        let operands = if text.contains("{}") { vec![place.path().into()] } else { Vec::new() };
        let batch = Batch::new(chain, operands).expect("one run");
        let plan = Plan::new(&batch.chain(0), TABLE, Settings::default()).expect("a plan");
        preflight(&plan, streams, None)
    }

    fn look(place: &TempDir, text: &str) -> Result<Facts, Box<Hindered>> {
        look_with(place, text, &Streams::default())
    }

    /// `exit message` of the only problem, without the directory.
    fn problem(place: &TempDir, text: &str) -> String {
        let problems = look(place, text).expect_err(text).problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        told(place, &problems[0])
    }

    fn told(place: &TempDir, problem: &Problem) -> String {
        let directory = format!("{}/", place.path().display());
        format!("{} {}", problem.exit.code(), problem.message.replace(&directory, ""))
    }

    fn identity(path: &Path) -> Option<Identity> {
        let metadata = fs::metadata(path).expect("a file");
        Some(Identity::File(metadata.dev(), metadata.ino()))
    }

    #[test]
    fn an_input_that_cannot_be_read_is_told() {
        let place = place();
        assert_eq!(problem(&place, "read {}/missing | write {}/new"), "1 missing: no such file or directory");
        assert_eq!(problem(&place, "read {}/sub"), "1 sub: is a directory");
        assert!(!place.path().join("new").exists());
        fs::set_permissions(place.path().join("a"), fs::Permissions::from_mode(0o000)).expect("a mode");
        if fs::File::open(place.path().join("a")).is_err() {
            assert_eq!(problem(&place, "read {}/a"), "1 a: permission denied");
        }
    }

    #[test]
    fn a_destination_that_cannot_be_written_is_told() {
        let place = place();
        assert_eq!(problem(&place, "write {}/sub"), "1 sub: is a directory");
        assert!(problem(&place, "write {}/none/new").starts_with("1 none/new: there is no directory `"));
        assert_eq!(problem(&place, "write {}/new/"), "1 new/: names a directory that is not there");
        assert_eq!(
            problem(&place, "write /dev/weir-new"),
            "1 /dev/weir-new: is not there, and nothing is created among devices"
        );
        fs::set_permissions(place.path().join("sub"), fs::Permissions::from_mode(0o500)).expect("a mode");
        if fs::File::create(place.path().join("sub/x")).is_err() {
            assert!(problem(&place, "write {}/sub/new").ends_with("sub`: permission denied"));
        }
    }

    #[test]
    fn an_overwrite_that_would_lose_something_is_refused() {
        let place = place();
        assert_eq!(
            problem(&place, "write --no-clobber {}/a"),
            "4 a: is there already, and `--no-clobber` keeps it"
        );
        assert_eq!(problem(&place, "write {}/hard"), "4 hard: has 2 names, and only this one would change");
        assert!(look(&place, "write --in-place {}/hard").is_ok());
        assert!(look(&place, "write --append {}/hard").is_ok());
        assert!(look(&place, "write --no-clobber {}/new").is_ok());
    }

    #[test]
    fn an_input_may_be_replaced_and_may_not_change_while_it_is_read() {
        let place = place();
        assert!(look(&place, "read {}/a | write {}/link").is_ok());
        let refused = "is the input, and would change while it is read";
        assert_eq!(problem(&place, "read {}/a | write --append {}/link"), format!("2 link: {refused}"));
        assert_eq!(
            problem(&place, "read {}/a | write --in-place {}/sub/../a"),
            format!("2 sub/../a: {refused}")
        );
        let a = Stream { is_terminal: false, file: identity(&place.path().join("a")) };
        let onto_itself = Streams { stdin: a.clone(), stdout: a.clone() };
        let problems = look_with(&place, "upper", &onto_itself).expect_err("onto itself").problems;
        assert_eq!(told(&place, &problems[0]), format!("2 standard output: {refused}"));
        let into_input = Streams { stdin: Stream::default(), stdout: a };
        assert!(look_with(&place, "read {}/link", &into_input).is_err());
        assert!(look_with(&place, "read {}/b", &into_input).is_ok());
    }

    #[test]
    fn two_sinks_on_one_file_are_refused_whatever_they_call_it() {
        let place = place();
        symlink("../new", place.path().join("sub/dangling")).expect("a link");
        for (first, second) in [("a", "link"), ("a", "./a"), ("new", "sub/../new"), ("new", "sub/dangling")] {
            let told = problem(&place, &format!("tee {{ write {{}}/{first} }} | write {{}}/{second}"));
            assert!(
                told.starts_with(&format!("2 {second}: is the file that write (stage 2) writes as")),
                "{told}"
            );
        }
        assert_eq!(problem(&place, "tee { stdout }"), "2 standard output: stdout (stage 2) writes it, too");
        let told = problem(&place, "read {}/a | tee {}/a | write {}/./a");
        assert!(told.starts_with("2 ./a: is the file that tee (stage 2) writes as"), "{told}");
        assert!(look(&place, "tee /dev/null | write /dev/null").is_ok());
    }

    #[test]
    fn compressed_bytes_do_not_reach_a_terminal_unasked() {
        let place = place();
        let terminal = Stream { is_terminal: true, file: None };
        let streams = Streams { stdin: terminal.clone(), stdout: terminal };
        let problems = look_with(&place, "read {}/a | gzip", &streams).expect_err("refused").problems;
        assert_eq!(problems[0].exit, Exit::Usage);
        assert_eq!(problems[0].message, "standard output is a terminal, and what `gzip` gives is no text");
        assert!(look_with(&place, "read {}/a | gzip | stdout --force", &streams).is_ok());
        assert!(look_with(&place, "read {}/a | gzip | gunzip", &streams).is_ok());
        let problems =
            look_with(&place, "read {}/a | gzip | encrypt", &streams).expect_err("refused").problems;
        assert_eq!(problems[0].message, "standard output is a terminal, and what `encrypt` gives is no text");
        assert!(look_with(&place, "read {}/a | encrypt --armor", &streams).is_ok());
        let notices = look_with(&place, "upper", &streams).expect("facts").notices;
        assert_eq!(notices, ["reading standard input from the terminal; end it with Ctrl-D"]);
    }

    #[test]
    fn what_becomes_of_each_output_is_known() {
        let place = place();
        let fates = |text: &str| {
            let facts = look(&place, text).expect("facts");
            facts.outputs.iter().map(|output| output.fate).collect::<Vec<_>>()
        };
        assert_eq!(
            fates("tee {}/new { write --append {}/a } { write --in-place {}/b } | stdout"),
            [Fate::Create, Fate::Append { old_bytes: 3 }, Fate::Overwrite, Fate::Direct]
        );
        assert_eq!(fates("write {}/link"), [Fate::Replace { old_bytes: 3 }]);
        assert_eq!(fates("write /dev/null"), [Fate::Direct]);
    }

    #[test]
    fn a_run_whose_output_is_there_is_left_out_even_if_its_input_is_gone() {
        let place = place();
        let facts = look(&place, "read {}/missing | write --skip-existing {}/a").expect("facts");
        assert!(facts.skip.is_some_and(|name| name.ends_with("/a")));
        assert_eq!(look(&place, "read {}/a | write --skip-existing {}/new").expect("facts").skip, None);
    }

    #[test]
    fn a_size_that_is_known_must_fit() {
        let place = place();
        let told = problem(&place, "generate 1024P | write {}/new");
        assert!(told.contains("are needed") && told.starts_with("1 "), "{told}");
        assert_eq!(look(&place, "generate 5 | write {}/new").expect("facts").total_bytes, Some(5));
        assert!(look(&place, "generate 1024P | gzip | write {}/new").is_ok());
    }

    #[test]
    fn every_problem_of_a_run_is_told_at_once() {
        let place = place();
        let problems = look(&place, "read {}/missing | tee { write {}/sub } | write {}/hard")
            .expect_err("three")
            .problems;
        let exits: Vec<u8> = problems.iter().map(|problem| problem.exit.code()).collect();
        assert_eq!(exits, [1, 1, 4]);
    }
}
