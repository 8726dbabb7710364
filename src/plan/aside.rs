//! A file about the runs of a call, such as a trace: whether it can be written, and that it is none of theirs.
//! Only looks; what happens between the look and the opening is for whoever opens it to see.

use super::destination::look;
use super::facts::Problem;
use super::streams::Streams;
use super::target::{Identity, Target};
use super::{Plan, Planned};
use crate::diagnostic::printable;
use crate::exit::Exit;
use crate::stage::{Destination, Existing, How, Touch};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What stands for descriptor 1.
const STDOUT_NAMES: [&str; 3] = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// A file that is to be written beside the runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// The option that names it: `--trace`.
    option: &'static str,
    path: PathBuf,
    /// `None` for a character device, which any number may write.
    identity: Option<Identity>,
}

impl Aside {
    /// Looks at `path`, as `option` names it.
    ///
    /// # Errors
    /// Why nothing can be written there.
    pub fn look(option: &'static str, path: &Path) -> Result<Aside, Problem> {
        let destination = Destination { path: path.to_owned(), how: How::Replace, existing: Existing::Write };
        let looked = look(&destination, 0).map_err(|problem| Problem {
            stage: None,
            message: format!("{option}: {}", problem.message),
            // Those of `write` have no meaning here.
            help: problem.help.filter(|help| !help.contains("--in-place")),
            ..problem
        })?;
        Ok(Aside { option, path: path.to_owned(), identity: looked.identity })
    }

    /// Whether `path` is another name of it.
    pub fn is_at(&self, path: &Path) -> bool {
        let target = Target::of(path).ok();
        target.is_some_and(|target| self.identity.as_ref() == Some(&target.identity))
    }

    /// Looks whether a run reads it or writes it.
    ///
    /// # Errors
    /// The stage that does.
    pub fn is_apart_from(&self, plan: &Plan, streams: &Streams) -> Result<(), Problem> {
        for (stage, planned) in plan.stages.iter().enumerate() {
            if self.is_touched(planned, streams) {
                return Err(self.taken(&plan.place(stage)));
            }
            if let Some(served) = &planned.served {
                self.is_apart_from(&served.plan, &Streams::default())?;
            }
        }
        Ok(())
    }

    /// Looks whether it is one of `files`, each with what it is.
    ///
    /// # Errors
    /// Which one it is.
    pub fn is_none_of(&self, files: &[(&str, Option<&Path>)]) -> Result<(), Problem> {
        let is_it = |(_, path): &&(&str, Option<&Path>)| path.is_some_and(|path| self.is_at(path));
        files.iter().find(is_it).map_or(Ok(()), |(what, _)| Err(self.taken(what)))
    }

    fn is_touched(&self, planned: &Planned, streams: &Streams) -> bool {
        planned.stage.touches().into_iter().any(|touch| match touch {
            Touch::Read(path) => self.is_at(&path),
            Touch::Write(destination) => self.is_at(&destination.path),
            Touch::Stdin => self.identity.is_some() && self.identity == streams.stdin.file,
            Touch::Stdout { .. } => {
                let is_named = STDOUT_NAMES.iter().any(|name| self.path.as_os_str() == *name);
                is_named || (self.identity.is_some() && self.identity == streams.stdout.file)
            }
            Touch::Child(_) | Touch::Receive(_) | Touch::Send(_) => false,
        })
    }

    fn taken(&self, by: &str) -> Problem {
        let Aside { option, path, .. } = self;
        let name = printable(path.as_os_str().as_bytes());
        let message = format!("{option}: {name}: is a file of {by}");
        let help = Some(format!("name a file of its own after `{option}`"));
        Problem { stage: None, message, help, exit: Exit::Usage }
    }
}

#[cfg(test)]
mod tests {
    use super::Aside;
    use crate::plan::{Streams, trial};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use tempfile::TempDir;

    /// A directory with a file `a` and a link to it.
    fn place() -> TempDir {
        let place = tempfile::tempdir().expect("a directory");
        fs::write(place.path().join("a"), "abc").expect("a file");
        symlink("a", place.path().join("link")).expect("a link");
        place
    }

    fn refusal(path: &Path, chain: &str) -> Option<String> {
        let plan = trial::plan(chain).expect("a plan");
        let aside = Aside::look("--trace", path).expect("a place");
        let problem = aside.is_apart_from(&plan, &Streams::default()).err()?;
        assert_eq!((problem.exit.code(), problem.stage), (2, None));
        Some(problem.message)
    }

    #[test]
    fn a_file_of_the_run_is_refused_whatever_it_is_called() {
        let place = place();
        let [a, link, new] = ["a", "link", "new"].map(|name| place.path().join(name));
        let named = |path: &Path| path.display().to_string();
        let reads = format!("read {}", named(&a));
        let told = format!("--trace: {}: is a file of read (stage 1)", named(&link));
        assert_eq!(refusal(&link, &reads), Some(told));
        assert_eq!(refusal(&new, &reads), None);
        let writes = format!("tee {{ write {} }} | write /dev/null", named(&new));
        assert!(refusal(&place.path().join("./new"), &writes).expect("taken").ends_with("write (stage 2)"));
        assert_eq!(refusal(&a, &writes), None);
    }

    #[test]
    fn standard_output_is_taken_when_the_chain_writes_it() {
        assert!(refusal(Path::new("/dev/stdout"), "upper").expect("taken").ends_with("a file of stdout"));
        assert_eq!(refusal(Path::new("/dev/stdout"), "upper | write /dev/null"), None);
        assert_eq!(refusal(Path::new("/dev/null"), "write /dev/null"), None);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told() {
        let place = place();
        let told = |name: &str| Aside::look("--plot", &place.path().join(name)).expect_err(name);
        let problem = told("gone/plot.svg");
        assert!(problem.message.contains("plot.svg: there is no directory"), "{}", problem.message);
        assert!(problem.message.starts_with("--plot: ") && problem.exit.code() == 1);
        assert!(problem.help.is_some_and(|help| help.starts_with("create it first")));
        assert!(Aside::look("--plot", place.path()).is_err());
        fs::hard_link(place.path().join("a"), place.path().join("b")).expect("a link");
        assert_eq!(told("b").help, None);
    }

    #[test]
    fn the_chain_itself_is_no_place_either() {
        let place = place();
        let aside = Aside::look("--trace", &place.path().join("a")).expect("a place");
        let script = place.path().join("link");
        let problem = aside.is_none_of(&[("nobody", None), ("the chain", Some(&script))]).expect_err("taken");
        assert!(problem.message.ends_with("a: is a file of the chain"));
        assert!(aside.is_none_of(&[("the chain", Some(&place.path().join("other")))]).is_ok());
    }
}
