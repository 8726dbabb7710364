//! `exec`: a child process as a stage, its standard input and output being the links.
//! Knows nothing of processes: `child` starts it and sees it to its end.

use super::arguments::TextArgument;
use super::child::command::{Given, name_of, plain, start};
use super::child::peer::{BadEnd, Terms, body};
use super::contract::{Body, Entry, Example, Opening, Peer, Role, Stage, Touch};
use super::fault::Fault;
use clap::FromArgMatches;
use clap::error::ErrorKind;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Run a command: it is given what comes in, and gives what goes on
///
/// There is no shell: CMD is looked up as a shell would, and the words behind it are its arguments, options included.
/// For a line of shell: `exec sh -c '…'`. At the beginning of a chain the command is given nothing; write `stdin | exec CMD`
/// to give it standard input.
///
/// The stage ends when the command has closed its output and ended. Any exit status but 0 fails the run, and so does a
/// signal. A command that stops reading early has enough, which is no failure. One that nobody wants more of (`exec yes |
/// head -n 1`) may end as it likes; if it does not, it is told to (TERM), and killed a second later. If a stage before it
/// fails, the command is ended, too, and never finds an end of its input that is none. What a command has done is not
/// undone when the run fails.
///
/// What it says on standard error is passed on by line. It runs in the process group of weir, so that Ctrl-C reaches both, and
/// it may use the terminal.
#[derive(Debug, clap::Parser)]
#[command(override_usage = "exec [OPTIONS] <CMD> [ARG]...")]
pub(super) struct Exec {
    /// Take these exit statuses for a success, too, with commas between them
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    ok: Vec<u8>,

    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    words: Vec<TextArgument>,
}

pub(super) const ENTRY: Entry = Entry {
    peer: Peer::SelfReliant,
    examples: &[
        Example { chain: "stdin | exec tr a-z A-Z", input: b"to the child\n", output: b"TO THE CHILD\n" },
        Example { chain: "exec printf '%s\\n' b a | exec sort | upper", input: b"", output: b"A\nB\n" },
        Example { chain: "stdin | exec --ok 1 grep -c x", input: b"none\n", output: b"0\n" },
    ],
    parse,
    ..Entry::of::<Exec>("exec", Role::Filter)
};

fn parse(matches: &clap::ArgMatches) -> Result<Box<dyn Stage>, clap::Error> {
    let exec = Exec::from_arg_matches(matches)?;
    match exec.words.first() {
        Some(command) if !command.0.is_empty() => Ok(Box::new(exec)),
        _ => Err(clap::Error::raw(ErrorKind::InvalidValue, "<CMD> is empty")),
    }
}

impl Exec {
    fn name(&self) -> String {
        name_of(plain(&self.words).first().map_or(OsStr::new(""), OsString::as_os_str))
    }

    /// For a command that looks as if a shell was expected to read it.
    fn shell_hint(&self) -> Option<String> {
        let is_for_a_shell = |byte: &u8| byte.is_ascii_whitespace() || b"|&;<>()$`*?=\"'".contains(byte);
        let is_one =
            self.words.first().is_some_and(|command| command.0.as_bytes().iter().any(is_for_a_shell));
        is_one.then(|| {
            "this is one word, and no shell reads it: write `exec CMD ARG…`, or `exec sh -c '…'`".to_owned()
        })
    }
}

/// A bad end in words.
fn fault(end: BadEnd) -> Fault {
    let fault = Fault::failed(end.how).of(end.name);
    match end.code {
        Some(code) => fault.help(format!("if that is no failure: `exec --ok {code} …`")),
        None => fault,
    }
}

impl Stage for Exec {
    fn label(&self) -> String {
        plain(&self.words).iter().map(|word| name_of(word)).collect::<Vec<_>>().join(" ")
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Child(self.name())]
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let given = if opening.has_input { Given::Pipe } else { Given::Nothing };
        let started = start(&plain(&self.words), given, self.shell_hint())?;
        if opening.has_input {
            opening.cannot_be_undone(format!("what {} was given", self.name()));
        }
        Ok(body(started, Terms { accepted: self.ok, fault: Box::new(fault) }))
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTRY, Exec};
    use crate::stage::testing::{Ending, Trial, assert_gives, cut, stage};
    use clap::FromArgMatches;

    #[test]
    fn the_bytes_come_back_as_they_are_however_they_are_cut() {
        let bytes: Vec<u8> = (0..40_000_u32).map(|number| (number % 251) as u8).collect();
        assert_gives("exec cat", &bytes, &bytes);
        assert_gives("exec cat", b"", b"");
    }

    #[test]
    fn more_than_all_pipes_hold_goes_both_ways_at_once() {
        let bytes = vec![b'x'; 8 << 20];
        let outcome = Trial::of("exec cat").run(&cut(&bytes, 100_003));
        assert_eq!(outcome.failure(), None);
        assert!(outcome.output == bytes);
    }

    #[test]
    fn the_words_behind_the_command_are_its_own() {
        assert_gives("exec grep -v -x a", b"a\nb\n", b"b\n");
        assert_gives("exec --ok 1,7 grep --count c", b"a\nb\n", b"0\n");
        assert_eq!(stage("exec --ok 1 grep -q --help x").unwrap().label(), "grep -q --help x");
    }

    #[test]
    fn how_the_child_ended_decides() {
        let failure = |call| Trial::of(call).run(&[b"a\n"]).failure();
        assert_eq!(failure("exec true"), None);
        assert_eq!(failure("exec false").unwrap(), "false: ended with exit status 1");
        assert_eq!(failure("exec --ok 1 false"), None);
        assert!(stage("exec --ok 256 false").is_err() && stage("exec --ok x false").is_err());
    }

    #[test]
    fn a_child_that_has_enough_hangs_up_and_all_is_well() {
        let lines = [b"line\n".as_slice(); 100_000];
        let outcome = Trial::of("exec head -n 1").ending(Ending::Open).run(&lines);
        assert_eq!((outcome.failure(), outcome.output), (None, b"line\n".to_vec()));
    }

    #[test]
    fn a_child_is_not_told_an_end_that_is_none() {
        let outcome = Trial::of("exec sort").ending(Ending::Aborted).run(&[b"b\na\n"]);
        assert!(outcome.result.is_err() && outcome.output.is_empty());
    }

    #[test]
    fn a_whole_line_of_shell_is_told_to_need_one() {
        let hint = |words: &[&str]| {
            let matches = ENTRY.command().get_matches_from(words);
            Exec::from_arg_matches(&matches).unwrap().shell_hint()
        };
        assert!(hint(&["grep a | sort"]).unwrap().contains("exec sh -c"));
        assert_eq!(hint(&["grep", "a | sort"]), None);
    }

    #[test]
    fn a_call_without_a_command_is_refused() {
        assert!(stage("exec").is_err() && stage("exec --ok 1").is_err());
    }
}
