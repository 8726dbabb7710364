//! All lasting outputs of a run, put in place together or not at all.
//! Knows nothing of files: each commit knows its own.

use super::report::{Output, OutputState};
use crate::diagnostic::printable;
use crate::stage::{Became, Commit, Published};

/// The commits of a run, or of a part of it.
pub(super) type Commits = Vec<Box<dyn Commit>>;

/// Takes every commit through its steps; on a failure all are as before.
///
/// The caller holds signals back meanwhile: only a kill or a crash between two publishes can leave a mix.
///
/// # Errors
/// The first failure; what could not be put back or removed is added to it.
pub(super) fn publish(commits: &mut [Box<dyn Commit>], run: Published) -> anyhow::Result<()> {
    let result = prepare_and_publish(commits, run);
    if let Err(error) = result {
        return Err(discard(commits)
            .into_iter()
            .fold(error, |error, left| anyhow::anyhow!("{error:#}; {left:#}")));
    }
    let mut settled = Ok(());
    for commit in commits {
        // The outputs stand whatever happens here; the first failure is told.
        settled = settled.and(commit.settle());
    }
    settled
}

fn prepare_and_publish(commits: &mut [Box<dyn Commit>], run: Published) -> anyhow::Result<()> {
    for commit in &mut *commits {
        commit.prepare(run)?;
    }
    for index in 0..commits.len() {
        if let Err(mut error) = commits[index].publish(run) {
            for published in commits[..index].iter_mut().rev() {
                if let Err(left) = published.revoke() {
                    error = anyhow::anyhow!("{error:#}; {left:#}");
                }
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Removes what was written; returns what could not be, unless the state of the output tells it.
pub(super) fn discard(commits: &mut [Box<dyn Commit>]) -> Vec<anyhow::Error> {
    let discard = |commit: &mut Box<dyn Commit>| {
        let result = commit.discard();
        result.err().filter(|_| !matches!(commit.became(), Became::Changed(_)))
    };
    commits.iter_mut().filter_map(discard).collect()
}

/// What has become of each of them, for the report. Looks at the files: called when all is published or discarded.
pub(super) fn outputs(commits: &[Box<dyn Commit>]) -> Vec<Output> {
    let output = |commit: &dyn Commit| {
        let destination = commit.destination();
        let name = printable(destination.as_os_str().as_encoded_bytes());
        let state = match commit.became() {
            Became::Placed => OutputState::Published,
            Became::Changed(how) => OutputState::Changed(how),
            Became::Untouched if destination.exists() => OutputState::AsItWas,
            Became::Untouched => OutputState::NotCreated,
        };
        Output { name, state }
    };
    commits.iter().map(|commit| output(commit.as_ref())).collect()
}

#[cfg(test)]
mod tests {
    use super::{discard, publish};
    use crate::stage::{Became, Commit, Published};
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    /// Notes its steps; fails at the one that is told.
    struct Scripted {
        name: &'static str,
        fails_at: &'static str,
        log: Arc<Mutex<Vec<String>>>,
    }

    impl Scripted {
        fn step(&self, step: &str) -> anyhow::Result<()> {
            self.log.lock().unwrap().push(format!("{step} {}", self.name));
            anyhow::ensure!(self.fails_at != step, "{step} {} failed", self.name);
            Ok(())
        }
    }

    impl Commit for Scripted {
        fn destination(&self) -> PathBuf {
            self.name.into()
        }
        fn prepare(&mut self, _run: Published) -> anyhow::Result<()> {
            self.step("prepare")
        }
        fn publish(&mut self, _run: Published) -> anyhow::Result<()> {
            self.step("publish")
        }
        fn revoke(&mut self) -> anyhow::Result<()> {
            self.step("revoke")
        }
        fn settle(&mut self) -> anyhow::Result<()> {
            self.step("settle")
        }
        fn discard(&mut self) -> anyhow::Result<()> {
            self.step("discard")
        }
        fn became(&self) -> Became {
            Became::Untouched
        }
    }

    fn run(steps: [(&'static str, &'static str); 3]) -> (Result<(), String>, String) {
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut commits = steps.map(|(name, fails_at)| {
            Box::new(Scripted { name, fails_at, log: Arc::clone(&log) }) as Box<dyn Commit>
        });
        let result = publish(&mut commits, Published { outputs: 3, removes_input: false })
            .map_err(|error| error.to_string());
        (result, log.lock().unwrap().join(", "))
    }

    #[test]
    fn all_are_prepared_before_one_is_published() {
        let (result, log) = run([("a", ""), ("b", ""), ("c", "")]);
        assert_eq!(result, Ok(()));
        assert_eq!(
            log,
            "prepare a, prepare b, prepare c, publish a, publish b, publish c, settle a, settle b, settle c"
        );
    }

    #[test]
    fn a_failure_to_prepare_publishes_none() {
        let (result, log) = run([("a", ""), ("b", "prepare"), ("c", "")]);
        assert_eq!(result, Err("prepare b failed".to_owned()));
        assert_eq!(log, "prepare a, prepare b, discard a, discard b, discard c");
    }

    #[test]
    fn a_failure_to_publish_revokes_the_ones_before_it_in_reverse() {
        let (result, log) = run([("a", ""), ("b", ""), ("c", "publish")]);
        assert_eq!(result, Err("publish c failed".to_owned()));
        assert!(log.ends_with("publish c, revoke b, revoke a, discard a, discard b, discard c"), "{log}");
    }

    #[test]
    fn what_could_not_be_put_back_is_told() {
        let (result, _) = run([("a", "revoke"), ("b", "publish"), ("c", "")]);
        assert_eq!(result, Err("publish b failed; revoke a failed".to_owned()));
    }

    #[test]
    fn what_could_not_be_removed_is_told() {
        let log = Arc::default();
        let mut commits = [Box::new(Scripted { name: "a", fails_at: "discard", log }) as Box<dyn Commit>];
        assert_eq!(discard(&mut commits).len(), 1);
    }
}
