//! A chain to a checked plan, what can be seen of its files before anything is opened, and both as text.
//! Opens nothing and starts nothing; all but `preflight`, `aside`, `source`, `streams`, `destination` and `target`, which look
//! at the file system, is pure.

mod arguments;
mod aside;
mod bytes;
mod check;
mod claims;
mod destination;
mod dry_run;
mod elsewhere;
mod facts;
mod layout;
mod preflight;
mod rules;
mod source;
mod streams;
mod target;
#[cfg(test)]
mod trial;
mod warnings;

use crate::diagnostic::Mistake;
use crate::flow::{Bounds, CHUNK_BYTES, LinkInfo, PAGE_BYTES, Scheme, StageInfo};
use crate::lang::{Chain, Span};
use crate::stage::{Entry, Role, Stage};

pub use arguments::{help, usage};
pub use aside::Aside;
pub use check::unknown_names;
pub use claims::{Claims, Course};
pub use dry_run::dry_run;
pub use facts::{Facts, Fate, Hindered, OutputFact, Problem};
pub use preflight::preflight;
pub use streams::{Stream, Streams};
pub use target::Identity;

/// The checked stages of one run, in the order of the chain's text, and the links between them.
///
/// Every index in it is valid; a stage's writer stands before it; each link has one writer and one reader.
#[derive(Debug)]
pub struct Plan {
    /// A stage with branches comes first, then the stages of its branches, then what follows it.
    pub stages: Vec<Planned>,
    /// What joins them.
    pub links: Vec<LinkPlan>,
    /// The capacity of the chunks of this run, in bytes.
    pub chunk_bytes: usize,
    /// What is legal and surely not meant.
    pub warnings: Vec<Mistake>,
}

/// A stage in its place, not opened.
pub struct Planned {
    /// As typed in a chain.
    pub name: &'static str,
    /// Its arguments as far as they fit a line.
    pub label: String,
    /// Its words in the chain; for a branch that an argument stands for, that argument. `None` for an implied end.
    pub span: Option<Span>,
    /// Its place among the stages that were written, from 1: what messages call `stage 2`.
    pub number: Option<usize>,
    /// How many groups it stands in.
    pub depth: usize,
    /// The stage whose branch it stands in.
    pub parent: Option<usize>,
    /// The link it reads.
    pub input: Option<usize>,
    /// The links it writes: onward first if there is one, then its branches in order.
    pub outputs: Vec<usize>,
    /// For a duplex, which gives its peer what comes in: the row behind it, which brings back what the peer gives.
    pub returns: Option<usize>,
    /// For a row that brings back: the row of the same stage that gives to the peer. Only that one is opened.
    pub outward: Option<usize>,
    /// The stage that compressed or encrypted the bytes it is given, if they still are, and no text.
    pub compressed_by: Option<usize>,
    /// For a server: the chain that it runs.
    pub served: Option<Served>,
    /// Its row of the stage table.
    pub entry: &'static Entry,
    /// What will be opened.
    pub stage: Box<dyn Stage>,
}

/// The chain that a server runs for each connection.
#[derive(Debug)]
pub struct Served {
    /// As it was checked, for whoever looks at it: the runs have plans of their own.
    pub plan: Box<Plan>,
    /// How to make their plans.
    pub recipe: Recipe,
}

/// What it takes to make the plan of a chain that is right, again and again.
#[derive(Debug, Clone)]
pub struct Recipe {
    chain: Chain,
    table: &'static [Entry],
    settings: Settings,
    /// How many stages of the text stand before it.
    written: usize,
}

impl Recipe {
    /// A plan for one run.
    ///
    /// # Errors
    /// None but those that making the first one would have had.
    pub fn plan(&self) -> Result<Plan, Refusal> {
        let checked = check::check(&self.chain, self.table)?;
        Ok(layout::lay_out(checked, self.table, self.settings, self.written))
    }
}

/// A link to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkPlan {
    /// The stage that writes it.
    pub from: usize,
    /// The stage that reads it.
    pub to: usize,
    /// How much it holds.
    pub bounds: Bounds,
}

/// What the command line says about every link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The high mark, in bytes; at least 1.
    pub buffer_bytes: usize,
    /// The capacity of a chunk, in bytes; a multiple of the page.
    pub chunk_bytes: usize,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A stage was asked for its help, which is this text: not an error.
    Help(String),
    /// All that is wrong with the chain, in the order of its text.
    Mistakes(Vec<Mistake>),
}

/// Enough that a stalled writer is woken for every fourth chunk only: a wake-up costs whoever drains the link, and with half
/// as much a copy is a few per cent slower.
const BUFFER_BYTES: usize = 2 * 1024 * 1024;
/// The same for each of the runs of a server.
const CONNECTION_BUFFER_BYTES: usize = 256 * 1024;
/// A size like any other, and larger than any limit.
const ANY_BYTES: u64 = 1 << 60;
/// A link holds at least this many chunks, so that both its ends can work at once.
const CHUNKS_PER_LINK: usize = 4;

impl Settings {
    /// Links with a high mark of `buffer_bytes`, and chunks of a quarter of it: whole pages, at least one, 256 KiB at most.
    pub fn with_buffer(buffer_bytes: u64) -> Settings {
        let buffer_bytes = usize::try_from(buffer_bytes).unwrap_or(usize::MAX).max(1);
        let pages = (buffer_bytes / CHUNKS_PER_LINK / PAGE_BYTES).max(1);
        Settings { buffer_bytes, chunk_bytes: CHUNK_BYTES.min(pages.saturating_mul(PAGE_BYTES)) }
    }
}

impl Settings {
    /// Links for one of many runs at once.
    fn for_a_connection(self) -> Settings {
        Settings::with_buffer(self.buffer_bytes.min(CONNECTION_BUFFER_BYTES) as u64)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings { buffer_bytes: BUFFER_BYTES, chunk_bytes: CHUNK_BYTES }
    }
}

impl Plan {
    /// Looks the stages of `chain` up in `table`, parses their arguments and applies the rules of position.
    ///
    /// # Errors
    /// Every mistake of the chain at once; or the help that one of its stages was asked for.
    pub fn new(chain: &Chain, table: &'static [Entry], settings: Settings) -> Result<Plan, Refusal> {
        let checked = check::check(chain, table)?;
        let mut plan = layout::lay_out(checked, table, settings, 0);
        let mistakes = rules::broken(&plan);
        if !mistakes.is_empty() {
            return Err(Refusal::Mistakes(mistakes));
        }
        warnings::look_for(&mut plan);
        Ok(plan)
    }

    /// Whether somebody is asked something on the terminal before it starts.
    pub fn asks(&self) -> bool {
        self.stages.iter().any(|planned| planned.stage.asks())
    }

    /// Whether its source gives more and more until it is told to end.
    pub fn is_endless(&self) -> bool {
        self.stages.first().is_some_and(|source| source.stage.is_endless())
    }

    /// Whether the files that it reads are removed in the end.
    pub fn removes_its_input(&self) -> bool {
        self.stages.first().is_some_and(|source| source.stage.removes_its_input())
    }

    /// What a run of it consists of, for those who show or judge it; `threads` is how many workers it may have, 0 for as many
    /// as there are cores.
    pub fn scheme(&self, total_bytes: Option<u64>, threads: usize) -> Scheme {
        let stages = self.stages.iter().map(|planned| StageInfo {
            name: planned.name.to_string(),
            label: planned.label.clone(),
            depth: planned.depth,
            input: planned.input,
            outputs: planned.outputs.clone(),
            returns: planned.returns,
            keeps_size: planned.stage.size_after(Some(ANY_BYTES)) == Some(ANY_BYTES),
            holds_back: planned.stage.holds_back(),
            caveat: planned.stage.caveat(),
            advice: planned.stage.advice(),
        });
        let links = self.links.iter().map(|link| LinkInfo {
            from: link.from,
            to: link.to,
            high_bytes: link.bounds.high_bytes as u64,
        });
        Scheme { stages: stages.collect(), links: links.collect(), total_bytes, threads }
    }

    /// How many bytes each stage takes from its link, as far as that is known when the source gives `total_bytes`;
    /// for a source, what it gives.
    pub fn sizes(&self, total_bytes: Option<u64>) -> Vec<Option<u64>> {
        let mut taken: Vec<Option<u64>> = Vec::with_capacity(self.stages.len());
        for planned in &self.stages {
            let size = match planned.input {
                // Of what a peer gives nothing is known.
                None => total_bytes.filter(|_| planned.outward.is_none()),
                Some(link) => {
                    let from = self.links[link].from;
                    let writer = &self.stages[from];
                    if writer.input.is_none() { taken[from] } else { writer.stage.size_after(taken[from]) }
                }
            };
            taken.push(size);
        }
        taken
    }

    /// What messages call `stage`: `gzip (stage 2)`. A branch that an argument stands for is called by the stage that was written.
    pub fn place(&self, stage: usize) -> String {
        let planned = &self.stages[stage];
        match (planned.number, planned.parent) {
            (Some(number), _) => format!("{} (stage {number})", planned.name),
            (None, Some(parent)) => self.place(parent),
            (None, None) => planned.name.to_string(),
        }
    }

    /// The stage that writes what `stage` reads.
    pub fn writer_of(&self, stage: usize) -> Option<usize> {
        self.stages[stage].input.map(|link| self.links[link].from)
    }
}

impl Planned {
    /// Whether it was not written: an end of the chain that goes without saying.
    pub fn is_implied(&self) -> bool {
        self.span.is_none()
    }

    /// Where it may stand.
    pub fn role(&self) -> Role {
        self.entry.role
    }
}

impl std::fmt::Debug for Planned {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Planned")
            .field("name", &self.name)
            .field("label", &self.label)
            .field("number", &self.number)
            .field("depth", &self.depth)
            .field("parent", &self.parent)
            .field("input", &self.input)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Plan, Refusal, Settings, trial};
    use crate::diagnostic::{Colour, render};
    use crate::lang::parse;
    use proptest::prelude::{prop_assert, proptest};
    use proptest::sample::select;

    const WORDS: &[&str] = &[
        "read",
        "write",
        "tee",
        "branch",
        "talk",
        "gzip",
        "gunzip",
        "upper",
        "buffer",
        "stdin",
        "stdout",
        "|",
        "|",
        "|",
        "{",
        "}",
        "a",
        "-l",
        "9",
        "--level=12",
        "-1",
        "--",
        "-",
        "''",
        "--apend",
        "gzpi",
        "--help",
    ];

    proptest! {
        #[test]
        fn any_chain_gives_a_plan_that_fits_together_or_mistakes_inside_its_text(
            words in proptest::collection::vec(select(WORDS), 1..14),
        ) {
            let text = words.join(" ");
            let Ok(chain) = parse(text.as_bytes()) else { return Ok(()) };
            match Plan::new(&chain, trial::TABLE, Settings::default()) {
                Ok(plan) => {
                    for (at, link) in plan.links.iter().enumerate() {
                        prop_assert!(link.from < link.to && plan.stages[link.to].input == Some(at));
                        prop_assert!(plan.stages[link.from].outputs.contains(&at));
                    }
                    for (at, stage) in plan.stages.iter().enumerate() {
                        prop_assert!(at == 0 || stage.input.is_some() != stage.outward.is_some());
                        prop_assert!(stage.returns.is_none_or(|row| plan.stages[row].outward == Some(at)));
                        prop_assert!(stage.outward.is_none_or(|row| row + 1 == at && plan.stages[row].returns == Some(at)));
                        prop_assert!(stage.returns.is_none() || stage.outputs.is_empty() && stage.input.is_some());
                    }
                    for span in plan.stages.iter().filter_map(|stage| stage.span.clone()) {
                        prop_assert!(text.get(span).is_some_and(|words| !words.is_empty()));
                    }
                }
                Err(Refusal::Mistakes(mistakes)) => {
                    prop_assert!(!mistakes.is_empty());
                    prop_assert!(mistakes.iter().all(|mistake| mistake.span.end <= text.len()));
                    prop_assert!(!render(text.as_bytes(), &mistakes, Colour::Never).is_empty());
                }
                Err(Refusal::Help(help)) => prop_assert!(help.contains("Usage: ")),
            }
        }
    }

    #[test]
    fn a_small_buffer_makes_small_chunks_of_whole_pages() {
        let chunk = |bytes| Settings::with_buffer(bytes).chunk_bytes;
        assert_eq!(chunk(1 << 20), 256 * 1024);
        assert_eq!(chunk(1 << 40), 256 * 1024);
        assert_eq!(chunk(100_000), 24_576);
        assert_eq!(chunk(1), 4096);
        assert_eq!(Settings::with_buffer(0).buffer_bytes, 1);
        assert_eq!(Settings::with_buffer(2 << 20), Settings::default());
    }
}
