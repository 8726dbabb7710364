//! What two runs of a batch may not share: an output, and if they go on at once, a stream, or what one makes for the other.
//! Pure data: looks at nothing itself.

use super::Plan;
use super::facts::{Facts, Fate, OutputFact, Problem};
use super::target::Identity;
use crate::exit::Exit;
use crate::stage::Touch;
use std::collections::HashMap;

/// How the runs of a batch follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// One begins when the one before it has ended.
    InTurn,
    /// Several go on at once.
    AtOnce,
}

/// The files of all runs of a batch: no two runs may write one, and if they go on at once, none may read what another writes.
#[derive(Debug)]
pub struct Claims {
    course: Course,
    written: HashMap<Identity, Written>,
    /// The first run that reads it; of runs that go on at once.
    read: HashMap<Identity, String>,
}

/// The first run that writes a file.
#[derive(Debug)]
struct Written {
    run: String,
    name: String,
    fate: Fate,
}

impl Claims {
    /// None yet, for runs that follow each other so.
    pub fn new(course: Course) -> Claims {
        Claims { course, written: HashMap::new(), read: HashMap::new() }
    }

    /// Claims the files of a run, which messages call `run`. What goes to a stream, and what every run appends to, is shared by
    /// runs that take turns.
    ///
    /// # Errors
    /// The file that an earlier run has claimed; a standard stream, in runs that go on at once.
    pub fn add(&mut self, run: &str, plan: &Plan, facts: &Facts) -> Result<(), Problem> {
        if self.course == Course::AtOnce {
            own_streams(plan)?;
            self.read_by(run, facts)?;
        }
        for output in &facts.outputs {
            self.write_by(run, output)?;
        }
        Ok(())
    }

    /// Claims what a run reads, and compares it and what the run writes with the files of others. A run may well replace what it reads itself.
    fn read_by(&mut self, run: &str, facts: &Facts) -> Result<(), Problem> {
        for input in &facts.inputs {
            if let Some(written) = self.written.get(input).filter(|written| !written.fate.is_passing()) {
                return Err(meeting(&written.name, &written.run, run));
            }
        }
        for output in facts.outputs.iter().filter(|output| !output.fate.is_passing()) {
            if let Some(reader) = output.identity.as_ref().and_then(|identity| self.read.get(identity)) {
                return Err(meeting(&output.name, run, reader));
            }
        }
        for input in &facts.inputs {
            self.read.entry(input.clone()).or_insert_with(|| run.to_string());
        }
        Ok(())
    }

    fn write_by(&mut self, run: &str, output: &OutputFact) -> Result<(), Problem> {
        let fate = output.fate;
        let is_claimed = !fate.is_passing() || self.course == Course::AtOnce;
        let Some(identity) = output.identity.clone().filter(|_| is_claimed) else { return Ok(()) };
        let Some(other) = self.written.get(&identity) else {
            let written = Written { run: run.to_string(), name: output.name.clone(), fate };
            self.written.insert(identity, written);
            return Ok(());
        };
        let appends = |fate: Fate| matches!(fate, Fate::Append { .. });
        let may_take_turns = fate.is_passing() || (appends(other.fate) && appends(fate));
        let help = match self.course {
            Course::InTurn if may_take_turns => return Ok(()),
            Course::AtOnce if may_take_turns => "leave `-j` out: then they write in turn",
            _ => "give each run an output of its own, as in `write {}.gz`",
        };
        let message = format!("{}: is written by two runs, `{}` and `{run}`", output.name, other.run);
        Err(problem(Some(output.stage), message, help))
    }
}

fn problem(stage: Option<usize>, message: String, help: &str) -> Problem {
    Problem { stage, message, help: Some(help.to_string()), exit: Exit::Usage }
}

/// One run writes what another reads: which of the two is first must not depend on the moment.
fn meeting(name: &str, writer: &str, reader: &str) -> Problem {
    let message = format!("{name}: is written by the run `{writer}` and read by the run `{reader}`");
    problem(None, message, "leave `-j` out: then one ends before the other begins")
}

/// What goes in and out by the standard streams has no name that could differ from run to run.
fn own_streams(plan: &Plan) -> Result<(), Problem> {
    let stage_with = |is_one: fn(&Touch) -> bool| {
        plan.stages.iter().position(|planned| planned.stage.touches().iter().any(is_one))
    };
    if let Some(stage) = stage_with(|touch| *touch == Touch::Stdin) {
        let message = "standard input is one, and several runs at once would take it from each other";
        let help = "give each run an input of its own, as in `read {}`, or leave `-j` out";
        return Err(problem(Some(stage), message.to_string(), help));
    }
    if let Some(stage) = stage_with(|touch| matches!(touch, Touch::Stdout { .. })) {
        let message = "standard output is one, and what several runs give at once would be mixed";
        let help = "give each run an output of its own, as in `write {}.out`, or leave `-j` out";
        return Err(problem(Some(stage), message.to_string(), help));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Claims, Course};
    use crate::exit::Exit;
    use crate::plan::trial::plan;
    use crate::plan::{Facts, Fate, Identity, OutputFact};

    const APPEND: Fate = Fate::Append { old_bytes: 0 };

    fn facts(fate: Fate, inode: u64) -> Facts {
        let identity = Some(Identity::File(1, inode));
        Facts {
            outputs: vec![OutputFact { stage: 0, name: "out".to_string(), fate, identity }],
            ..Facts::default()
        }
    }

    #[test]
    fn two_runs_with_one_output_are_refused() {
        let plan = plan("read a | write b").expect("a plan");
        for course in [Course::InTurn, Course::AtOnce] {
            let mut claims = Claims::new(course);
            claims.add("a", &plan, &facts(Fate::Create, 1)).expect("the first");
            claims.add("b", &plan, &facts(Fate::Create, 2)).expect("another file");
            let replaces = facts(Fate::Replace { old_bytes: 1 }, 1);
            let problem = claims.add("c", &plan, &replaces).expect_err("taken");
            assert_eq!(problem.message, "out: is written by two runs, `a` and `c`");
            assert_eq!(problem.exit, Exit::Usage);
        }
    }

    #[test]
    fn runs_that_take_turns_may_append_to_one_file_and_share_a_stream() {
        let plan = plan("read a").expect("a plan");
        let mut claims = Claims::new(Course::InTurn);
        for run in ["a", "b"] {
            claims.add(run, &plan, &facts(APPEND, 1)).expect("appended in turn");
            claims.add(run, &plan, &facts(Fate::Direct, 2)).expect("a stream");
        }
        assert!(claims.add("c", &plan, &facts(Fate::Overwrite, 1)).is_err());
    }

    #[test]
    fn at_once_no_run_reads_what_another_writes() {
        let plan = plan("read a | write b").expect("a plan");
        let facts = |read, written| Facts {
            inputs: vec![Identity::File(1, read)],
            ..facts(Fate::Replace { old_bytes: 1 }, written)
        };
        let added = |course, runs: [(u64, u64); 2]| {
            let mut claims = Claims::new(course);
            claims.add("a", &plan, &facts(runs[0].0, runs[0].1)).expect("the first");
            claims.add("b", &plan, &facts(runs[1].0, runs[1].1)).map_err(|problem| problem.message)
        };
        for runs in [[(1, 2), (2, 3)], [(2, 3), (1, 2)]] {
            assert_eq!(added(Course::InTurn, runs), Ok(()));
            let (writer, reader) = if runs[0] == (1, 2) { ("a", "b") } else { ("b", "a") };
            let message = format!("out: is written by the run `{writer}` and read by the run `{reader}`");
            assert_eq!(added(Course::AtOnce, runs), Err(message));
        }
        // Each replaces its own, and all may read one.
        assert_eq!(added(Course::AtOnce, [(1, 1), (2, 2)]), Ok(()));
        assert_eq!(added(Course::AtOnce, [(1, 2), (1, 3)]), Ok(()));
    }

    #[test]
    fn runs_at_once_share_no_stream() {
        let named = plan("read a | write b").expect("a plan");
        for fate in [APPEND, Fate::Direct] {
            let mut claims = Claims::new(Course::AtOnce);
            claims.add("a", &named, &facts(fate, 1)).expect("the first");
            let problem = claims.add("b", &named, &facts(fate, 1)).expect_err("mixed");
            assert_eq!(problem.help.as_deref(), Some("leave `-j` out: then they write in turn"));
        }
        for (chain, stream) in [("read a", "standard output"), ("write b", "standard input")] {
            let mut claims = Claims::new(Course::AtOnce);
            let problem = claims.add("a", &plan(chain).expect("a plan"), &Facts::default()).expect_err(chain);
            assert!(problem.message.starts_with(stream), "{}", problem.message);
        }
    }
}
