//! Names looked up, arguments parsed, rules of position applied: a chain to stages that fit together, or all its mistakes.
//! Lays nothing out and knows no links.

use super::Refusal;
use super::arguments::{Parsed, Written, parse};
use super::elsewhere::{Instead, instead_of};
use crate::diagnostic::{Mistake, printable, suggest};
use crate::lang::{Argument, Call, Chain, Group, Span, Word, quote};
use crate::stage::{Entry, Groups, Peer, Role, Stage};

/// A call that is right.
pub(super) struct Checked {
    pub(super) entry: &'static Entry,
    pub(super) stage: Box<dyn Stage>,
    /// `None` for an implied end.
    pub(super) span: Option<Span>,
    /// Whether it counts among the stages of the text; a branch that an argument stands for does not.
    pub(super) is_written: bool,
    pub(super) branches: Vec<Vec<Checked>>,
    /// For a server: the chain that it runs, and its calls.
    pub(super) served: Option<(Chain, Vec<Checked>)>,
}

/// The stages that an implied source and an implied sink are.
const IMPLIED_SOURCE: &str = "stdin";
const IMPLIED_SINK: &str = "stdout";

/// Checks `chain` and everything in its groups.
pub(super) fn check(chain: &Chain, table: &'static [Entry]) -> Result<Vec<Checked>, Refusal> {
    let mut checker = Checker { table, mistakes: Vec::new(), help: None, groups: 0 };
    let checked = checker.top(chain);
    if let Some(help) = checker.help {
        return Err(Refusal::Help(help));
    }
    if checker.mistakes.is_empty() {
        return Ok(checked);
    }
    checker.mistakes.sort_by_key(|mistake| (mistake.span.start, mistake.span.end));
    Err(Refusal::Mistakes(checker.mistakes))
}

/// Every name in `chain`, groups included, that no stage of `table` has.
pub fn unknown_names(chain: &Chain, table: &'static [Entry]) -> Vec<Mistake> {
    let checker = Checker { table, mistakes: Vec::new(), help: None, groups: 0 };
    let mut mistakes = Vec::new();
    let mut chains = vec![chain];
    while let Some(chain) = chains.pop() {
        for call in &chain.calls {
            if checker.entry(&call.name).is_none() {
                mistakes.push(checker.unknown(&call.name));
            }
            chains.extend(call.arguments.iter().filter_map(|argument| match argument {
                Argument::Group(group) => Some(&group.chain),
                Argument::Word(_) => None,
            }));
        }
    }
    mistakes
}

struct Checker {
    table: &'static [Entry],
    mistakes: Vec<Mistake>,
    help: Option<String>,
    /// How many groups what is looked at stands in, as far as a server may not.
    groups: usize,
}

impl Checker {
    fn top(&mut self, chain: &Chain) -> Vec<Checked> {
        if chain.calls.is_empty() {
            self.mistakes.push(
                Mistake::error(chain.span.clone(), "empty chain")
                    .help("name at least one stage, as in `read FILE | gzip | write FILE.gz`"),
            );
            return Vec::new();
        }
        let roles = self.roles(chain);
        if let Some(at) = roles.iter().position(|role| *role == Some(Role::Server)) {
            return self.server(chain, at);
        }
        for at in 0..chain.calls.len() {
            self.position(chain, &roles, at);
        }
        let mut stages = Vec::new();
        let first = self.entry(&chain.calls[0].name);
        let gives_by_itself =
            first.is_some_and(|entry| entry.role == Role::Source || entry.peer == Peer::SelfReliant);
        if !gives_by_itself {
            stages.extend(self.implied(IMPLIED_SOURCE, chain));
        }
        stages.extend(chain.calls.iter().filter_map(|call| self.call(call)));
        if !matches!(roles.last(), Some(Some(Role::Sink))) {
            stages.extend(self.implied(IMPLIED_SINK, chain));
        }
        stages
    }

    /// A chain in which a server stands, as it may only by itself, and in no group.
    fn server(&mut self, chain: &Chain, at: usize) -> Vec<Checked> {
        let call = &chain.calls[at];
        let name = printable(call.name.bytes());
        if self.groups > 0 {
            self.mistakes.push(
                Mistake::error(call.span.clone(), format!("`{name}` cannot stand in a group"))
                    .label("a server begins on its own"),
            );
        } else if chain.calls.len() > 1 {
            let others = chain.calls.iter().enumerate().filter(|(other, _)| *other != at);
            let others: Vec<String> = others.map(|(_, call)| text_of(call)).collect();
            self.mistakes.push(
                Mistake::error(call.span.clone(), format!("`{name}` stands alone"))
                    .label("it runs a chain of its own for each connection")
                    .help(format!("put the other stages into its braces: `{{ {} }}`", others.join(" | "))),
            );
        }
        chain.calls.iter().filter_map(|call| self.call(call)).collect()
    }

    /// The chain of a server: one at most, and an empty one is none.
    fn served(&mut self, groups: &[&Group]) -> Option<(Chain, Vec<Checked>)> {
        for group in groups.iter().skip(1) {
            self.mistakes.push(
                Mistake::error(group.span.clone(), "a server runs one chain")
                    .label("a second one")
                    .help("to do two things with what comes, copy it: `tee { CHAIN } | …`"),
            );
        }
        let chain = groups.first().map(|group| &group.chain).filter(|chain| !chain.calls.is_empty())?;
        self.groups += 1;
        let checked = self.top(chain);
        self.groups -= 1;
        Some((chain.clone(), checked))
    }

    fn branch(&mut self, of: &Call, group: &Group) -> Vec<Checked> {
        let (chain, name) = (&group.chain, printable(of.name.bytes()));
        let Some(last) = chain.calls.last() else {
            self.mistakes.push(
                Mistake::error(group.span.clone(), "a branch is empty")
                    .label("no stage in it")
                    .help(format!("write a chain into it, as in `{name} {{ gzip | write FILE.gz }}`")),
            );
            return Vec::new();
        };
        let roles = self.roles(chain);
        if let Some(at) = roles.iter().position(|role| *role == Some(Role::Server)) {
            self.groups += 1;
            let checked = self.server(chain, at);
            self.groups -= 1;
            return checked;
        }
        for at in 0..chain.calls.len() {
            if at == 0 && roles[0] == Some(Role::Source) {
                let first = &chain.calls[0];
                self.mistakes.push(
                    Mistake::error(
                        first.span.clone(),
                        format!("`{}` cannot begin a branch", printable(first.name.bytes())),
                    )
                    .label("a source takes no input")
                    .also(of.name.span.clone(), "its branches begin with the copy it gives them")
                    .help("leave it out of the branch"),
                );
            } else {
                self.position(chain, &roles, at);
            }
        }
        if matches!(roles.last(), Some(Some(Role::Filter))) {
            let calls: Vec<String> = chain.calls.iter().map(text_of).collect();
            self.mistakes.push(
                Mistake::error(last.span.clone(), "a branch has no sink")
                    .label("its output goes nowhere")
                    .help(format!("end it with one: `{{ {} | write FILE }}`", calls.join(" | "))),
            );
        }
        chain.calls.iter().filter_map(|call| self.call(call)).collect()
    }

    /// The role of every call, as far as its name is known.
    fn roles(&self, chain: &Chain) -> Vec<Option<Role>> {
        chain.calls.iter().map(|call| self.entry(&call.name).map(|entry| entry.role)).collect()
    }

    fn entry(&self, name: &Word) -> Option<&'static Entry> {
        let bytes = name.bytes();
        self.table.iter().find(|entry| entry.name.as_bytes() == bytes && !name.begins_with_data())
    }

    fn implied(&mut self, name: &str, chain: &Chain) -> Option<Checked> {
        let missing = || Mistake::error(chain.span.clone(), format!("there is no stage `{name}`"));
        let entry = self.table.iter().find(|entry| entry.name == name);
        let stage = entry.and_then(|entry| Some((entry, parse(entry, &Written::implied()).ok()?)));
        match stage {
            Some((entry, Parsed::Stage(stage))) => Some(Checked {
                entry,
                stage,
                span: None,
                is_written: false,
                branches: Vec::new(),
                served: None,
            }),
            _ => {
                self.mistakes.push(missing());
                None
            }
        }
    }

    /// A source stands first and a sink stands last.
    fn position(&mut self, chain: &Chain, roles: &[Option<Role>], at: usize) {
        let call = &chain.calls[at];
        let name = printable(call.name.bytes());
        if roles[at] == Some(Role::Source) && at > 0 {
            let before = &chain.calls[at - 1];
            let mut mistake = Mistake::error(
                call.span.clone(),
                format!(
                    "`{name}` begins a chain: it cannot stand after `{}`",
                    printable(before.name.bytes())
                ),
            )
            .label("a source takes no input");
            let first = &chain.calls[0];
            mistake = if roles[0] != Some(Role::Source) {
                let rest = chain.calls.iter().enumerate().filter(|(other, _)| *other != at);
                let rest: Vec<String> = rest.map(|(_, call)| text_of(call)).collect();
                mistake.help(format!("put it first: `{} | {}`", text_of(call), rest.join(" | ")))
            } else if first.name.bytes() == call.name.bytes() {
                let more = arguments_of(call);
                mistake.help(format!("to take one after the other: `{} {more}`", text_of(first)))
            } else {
                mistake.also(first.name.span.clone(), "the source").help("a chain has one source")
            };
            self.mistakes.push(mistake);
        }
        if roles[at] == Some(Role::Sink) && at + 1 < chain.calls.len() {
            let next = &chain.calls[at + 1];
            let mut mistake = Mistake::error(
                call.span.clone(),
                format!("`{name}` ends a chain: `{}` cannot follow it", printable(next.name.bytes())),
            )
            .label("a sink gives nothing to a next stage");
            let copier = self
                .table
                .iter()
                .find(|entry| entry.role == Role::Filter && entry.groups == Groups::Branches);
            if let Some(copier) = copier {
                // A sink that has branches differs from the filter that has them only in that.
                let has_branches =
                    self.entry(&call.name).is_some_and(|entry| entry.groups == Groups::Branches);
                let copy = if has_branches { arguments_of(call) } else { format!("{{ {} }}", text_of(call)) };
                let (copier, next) = (copier.name, text_of(next));
                mistake = mistake.help(format!("to keep a copy and go on: `{copier} {copy} | {next}`"));
            }
            self.mistakes.push(mistake);
        }
    }

    /// One call with its branches; `None` when anything about it is wrong.
    fn call(&mut self, call: &Call) -> Option<Checked> {
        let Some(entry) = self.entry(&call.name) else {
            let mistake = self.unknown(&call.name);
            self.mistakes.push(mistake);
            return None;
        };
        let mut words = Vec::new();
        let mut groups = Vec::new();
        for argument in &call.arguments {
            match argument {
                Argument::Word(word) => words.push(word),
                Argument::Group(group) => groups.push(group),
            }
        }
        if entry.groups == Groups::None {
            for group in &groups {
                self.mistakes.push(stray_group(entry, group));
            }
        }
        let mut branches: Vec<(usize, Vec<Checked>)> = Vec::new();
        if entry.groups == Groups::Branches {
            for group in &groups {
                branches.push((group.span.start, self.branch(call, group)));
            }
        }
        let served = if entry.groups == Groups::Served { self.served(&groups) } else { None };
        let stage = match parse(entry, &Written::of(entry, call, &words)) {
            Ok(Parsed::Stage(stage)) => stage,
            Ok(Parsed::Help(text)) => {
                self.help.get_or_insert(text);
                return None;
            }
            Err(mistake) => {
                self.mistakes.push(*mistake);
                return None;
            }
        };
        for branch in stage.branches() {
            let word = words.iter().find(|word| branch.iter().skip(1).any(|other| is_of(other, word)));
            let span = word.map_or(&call.span, |word| &word.span).clone();
            branches.push((span.start, vec![self.argument_branch(&branch, span)?]));
        }
        if entry.groups == Groups::Branches && branches.is_empty() {
            self.mistakes.push(
                Mistake::error(call.span.clone(), format!("`{}` has no branch", entry.name))
                    .label("nothing takes a copy")
                    .help(format!("give it at least one: `{} {{ gzip | write FILE.gz }}`", entry.name)),
            );
        }
        if entry.groups == Groups::Served && served.is_none() && stage.needs_a_chain() {
            self.mistakes.push(
                Mistake::error(call.span.clone(), format!("`{}` has no chain to run", entry.name))
                    .label("nothing is done for a connection")
                    .help(format!("give it one: `{} {{ upper }}`", text_of(call))),
            );
        }
        branches.sort_by_key(|(start, _)| *start);
        let branches = branches.into_iter().map(|(_, branch)| branch).collect();
        Some(Checked { entry, stage, span: Some(call.span.clone()), is_written: true, branches, served })
    }

    /// A branch that stands for an argument: a single sink.
    fn argument_branch(&mut self, words: &[Vec<u8>], span: Span) -> Option<Checked> {
        let (name, arguments) = words.split_first()?;
        let entry = self.table.iter().find(|entry| entry.name.as_bytes() == name);
        let parsed = entry.map(|entry| (entry, parse(entry, &Written::argument(entry, arguments, &span))));
        match parsed {
            Some((entry, Ok(Parsed::Stage(stage)))) => Some(Checked {
                entry,
                stage,
                span: Some(span),
                is_written: false,
                branches: Vec::new(),
                served: None,
            }),
            Some((_, Err(mistake))) => {
                self.mistakes.push(*mistake);
                None
            }
            Some((_, Ok(Parsed::Help(_)))) | None => {
                let name = printable(name);
                self.mistakes.push(Mistake::error(span, format!("there is no stage `{name}`")));
                None
            }
        }
    }

    fn unknown(&self, word: &Word) -> Mistake {
        let name = String::from_utf8_lossy(&word.bytes()).into_owned();
        if word.begins_with_data() {
            return Mistake::error(
                word.span.clone(),
                format!("an operand cannot name a stage: `{}`", printable(word.bytes())),
            )
            .label("the name of a stage is expected here");
        }
        let mistake =
            Mistake::error(word.span.clone(), format!("unknown stage `{}`", printable(word.bytes())))
                .label("no such stage");
        let is_there = |typed: &str| {
            let stage = typed.split(' ').next();
            self.table.iter().any(|entry| Some(entry.name) == stage)
        };
        match instead_of(&name) {
            Some(Instead::Stage(stage)) if is_there(stage) => {
                return mistake.help(format!("here that is `{stage}`; `weir '{stage} --help'` tells more"));
            }
            Some(Instead::Program(typed)) if is_there(typed) => {
                return mistake.help("`exec` runs programs").patch(word.span.clone(), typed);
            }
            _ => {}
        }
        match suggest(&name, self.table.iter().map(|entry| entry.name)) {
            Some(meant) => mistake.help(format!("did you mean `{meant}`?")).patch(word.span.clone(), meant),
            None => mistake.help("`weir --stages` lists them all"),
        }
    }
}

/// Whether the word of a branch is that word of the chain, marked as data or not.
fn is_of(other: &[u8], word: &Word) -> bool {
    other == word.bytes() || other.strip_prefix(&[crate::stage::DATA_MARK]) == Some(&word.bytes())
}

fn stray_group(entry: &Entry, group: &Group) -> Mistake {
    Mistake::error(group.span.clone(), format!("`{}` takes no `{{ CHAIN }}`", entry.name))
        .label("a chain in braces is no argument of it")
        .help("if the braces are meant as text, quote them: `'{'`")
}

/// A call as it would be typed.
fn text_of(call: &Call) -> String {
    let text = format!("{} {}", text_of_word(&call.name), arguments_of(call));
    text.trim_end().to_string()
}

fn arguments_of(call: &Call) -> String {
    call.arguments.iter().map(text_of_argument).collect::<Vec<_>>().join(" ")
}

fn text_of_argument(argument: &Argument) -> String {
    match argument {
        Argument::Word(word) => text_of_word(word),
        Argument::Group(group) => {
            let calls: Vec<String> = group.chain.calls.iter().map(text_of).collect();
            format!("{{ {} }}", calls.join(" | "))
        }
    }
}

fn text_of_word(word: &Word) -> String {
    String::from_utf8_lossy(&quote(&word.bytes())).into_owned()
}

#[cfg(test)]
mod tests {
    use crate::plan::Refusal;
    use crate::plan::trial::{plan, report};

    #[test]
    fn an_unknown_stage_gets_the_name_that_was_meant() {
        let expected = "\
weir: unknown stage `gzpi`
 |
 | read a | gzpi | write b
 |          ^^^^ no such stage
 |
 = help: did you mean `gzip`?

type:
  read a | gzip | write b
";
        assert_eq!(report("read a | gzpi | write b"), expected);
    }

    #[test]
    fn a_source_in_the_middle_is_put_first() {
        let expected = "\
weir: `read` begins a chain: it cannot stand after `gzip`
 |
 | gzip | read a
 |        ^^^^^^ a source takes no input
 |
 = help: put it first: `read a | gzip`
";
        assert_eq!(report("gzip | read a"), expected);
        assert!(report("read a | read b c").contains("help: to take one after the other: `read a b c`"));
    }

    #[test]
    fn a_sink_in_the_middle_becomes_a_branch() {
        let expected = "\
weir: `write` ends a chain: `gzip` cannot follow it
 |
 | write a | gzip
 | ^^^^^^^ a sink gives nothing to a next stage
 |
 = help: to keep a copy and go on: `tee { write a } | gzip`
";
        assert_eq!(report("write a | gzip"), expected);
        assert!(report("branch { write a } | gzip").contains("go on: `tee { write a } | gzip`"));
    }

    #[test]
    fn every_mistake_of_a_chain_is_told_at_once_in_the_order_of_its_text() {
        let report = report("gzpi | read a | tee { } { upper } | upper { write x } | branch");
        let messages: Vec<&str> = report.lines().filter(|line| line.starts_with("weir: ")).collect();
        assert_eq!(
            messages,
            [
                "weir: unknown stage `gzpi`",
                "weir: `read` begins a chain: it cannot stand after `gzpi`",
                "weir: a branch is empty",
                "weir: a branch has no sink",
                "weir: `upper` takes no `{ CHAIN }`",
                "weir: `branch` has no branch",
            ]
        );
    }

    #[test]
    fn a_branch_needs_a_sink_and_no_source() {
        let expected = "\
weir: a branch has no sink
 |
 | tee { gzip }
 |       ^^^^ its output goes nowhere
 |
 = help: end it with one: `{ gzip | write FILE }`
";
        assert_eq!(report("tee { gzip }"), expected);
        assert!(report("tee { read a | write b }").contains("`read` cannot begin a branch"));
    }

    #[test]
    fn a_stage_that_is_asked_for_help_gives_it_whatever_else_is_wrong() {
        let Err(Refusal::Help(help)) = plan("read a | gzip --help | nonsense") else { panic!("no help") };
        assert!(help.starts_with("Compress\n\nUsage: gzip [OPTIONS]"), "{help}");
    }
}
