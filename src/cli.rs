//! The command line of `weir` itself, as clap arguments: what can be asked for, and how it is said.
//! No behaviour, and no stage: those have arguments of their own, inside the chain.

use crate::stage::Address;
use crate::units::{parse_duration, parse_size};
use clap::{Parser, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

const USAGE: &str = "weir [OPTIONS] CHAIN [--] [OPERAND]...\n       weir [OPTIONS] -f FILE [--] [OPERAND]...";

const EXAMPLES: &str = "\
Examples:
  weir 'read access.log | gzip | write access.log.gz'
      compress a file; access.log.gz appears when all has succeeded
  weir gunzip <a.gz >a
      a missing source is standard input, a missing sink standard output
  weir -j 4 'read {} | gzip | write {}.gz' -- *.log
      one run for each operand, four at once
  weir 'read big | tee { gzip | write big.gz } | upper | write BIG'
      read once, write twice
  weir -n 'read a | upper | write a'
      show what would be done
  weir 'gzip --help'
      what a stage takes; `weir --stages` lists them";

/// Run a chain of streaming stages, and see what every buffer between them does
///
/// A chain is a source, filters and a sink, joined by `|` and written as one quoted argument. Either all of it succeeds and every
/// output is put in place, or no output changes and the message names the stage that failed.
#[derive(Debug, Clone, PartialEq, Parser)]
#[command(name = "weir", version, override_usage = USAGE, after_long_help = EXAMPLES, after_help = EXAMPLES)]
pub struct Cli {
    /// The stages to run, as one argument; the first operand when the chain comes from a file
    #[arg(value_name = "CHAIN", required_unless_present_any = ["file", "stages", "generate"])]
    pub chain: Option<OsString>,

    /// What the places `{}` `{/}` `{.}` `{1}` `{@}` in the chain stand for; one that begins with `-` comes after `--`
    #[arg(value_name = "OPERAND")]
    pub operands: Vec<OsString>,

    /// How much each link holds before its writer has to wait [default: 2M]
    #[arg(short = 'B', long, value_name = "SIZE", value_parser = buffer_size)]
    pub buffer: Option<u64>,

    /// How many threads compute for the heavy stages, all of them together; 0 is one for each core
    #[arg(short = 'T', long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub threads: usize,

    /// How many runs of a batch go on at once; 0 is one for each core [default: 1]
    ///
    /// They begin in the order of the operands. Digests, and whatever else stages tell at the end of their run, come in that order,
    /// too; what went wrong, and reports, as each run ends.
    #[arg(short, long, value_name = "N", default_value_t = 1, hide_default_value = true)]
    pub jobs: usize,

    /// Read the chain from FILE; every argument is an operand then
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Read the operands from FILE, each ended by a NUL; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub files0_from: Option<PathBuf>,

    /// The input's size, for percent and time left, when it cannot be known
    #[arg(short, long, value_name = "SIZE", value_parser = parse_size)]
    pub size: Option<u64>,

    /// Show the plan and what would become of each file; open nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Say nothing but errors
    #[arg(short, long, overrides_with = "verbose")]
    pub quiet: bool,

    /// Say more: the report at the end, and what a failure caused in other stages
    #[arg(short, long, overrides_with = "quiet")]
    pub verbose: bool,

    /// How often the view is refreshed
    #[arg(short, long, value_name = "SEC", value_parser = interval)]
    pub interval: Option<Duration>,

    /// When the live view is shown
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,

    /// Inspect the run on the whole screen: the history of every link, and keys that pause the run or a stage, change a throttle's
    /// rate or a link's size, and freeze the picture
    #[arg(long, conflicts_with_all = ["jobs", "progress", "quiet"])]
    pub inspect: bool,

    /// Report at the end what each stage and each link did
    #[arg(
        long,
        value_name = "FORM",
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "text"
    )]
    pub report: Option<ReportForm>,

    /// Show what every stage and link does to Prometheus, over HTTP at ADDR, a PORT or HOST:PORT, while the process runs
    #[arg(long, value_name = "ADDR", value_parser = metrics_address)]
    pub metrics: Option<Address>,

    /// Let other machines see the metrics, too
    #[arg(long, requires = "metrics")]
    pub metrics_allow_remote: bool,

    /// Write to FILE what every stage and link did over time, for ui.perfetto.dev or chrome://tracing
    ///
    /// A reading every 20 ms, as trace events; the file grows by up to 10 KB a second for each stage and each link. All runs of a
    /// batch are in it, each as a process. It is put in place at the end, however the runs ended. If it cannot be written to its
    /// end, a warning says so, and the exit code is that of the runs.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,

    /// Draw the run to FILE: a picture if it ends in `.svg`, a page with the report if in `.html`
    ///
    /// Fill, rate, stalls and what every stage did, over the time of the run; of a server what went in and out. One picture is of
    /// one run: not for a batch. As with `--trace`, a file that cannot be written is told of, and changes no exit code.
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,

    /// Give up, with exit code 124, when no byte moved for TIME
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub stall_timeout: Option<Duration>,

    /// List the stages
    #[arg(long, exclusive = true)]
    pub stages: bool,

    /// Print the man page or a shell's completions
    #[arg(long, value_name = "WHAT", value_enum, exclusive = true)]
    pub generate: Option<Generated>,
}

/// When the live view is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// When standard error is a terminal, and the run lasts over half a second
    Auto,
    /// From the start
    Always,
    /// Not at all
    Never,
    /// As plain lines, one at each interval
    Plain,
    /// As lines of JSON, one at each interval, with the report as the last
    Json,
}

/// How the report is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportForm {
    /// For people
    Text,
    /// As one line of JSON for each run, however it ended
    Json,
}

/// What `--generate` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Generated {
    /// The man page, as roff
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
}

fn buffer_size(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        0 => Err("a link has to hold something; type at least `1`".to_string()),
        bytes => Ok(bytes),
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time.is_zero() { Err("more than 0 is expected, as in `500ms`".to_string()) } else { Ok(time) }
}

fn metrics_address(text: &str) -> Result<Address, String> {
    let is_port = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    Address::parse(&if is_port { format!(":{text}") } else { text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::{Cli, Progress, ReportForm};
    use clap::{CommandFactory, Parser};
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("weir").chain(words.iter().copied()))
    }

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_chain_and_its_operands_are_told_apart() {
        let cli = parse(&["-B", "64K", "read {}", "--", "-a", "b"]).expect("a command line");
        assert_eq!(cli.chain, Some("read {}".into()));
        assert_eq!(cli.operands, ["-a", "b"]);
        assert_eq!(cli.buffer, Some(65_536));
        assert_eq!(
            parse(&["read {}", "a", "-n"]).map(|cli| (cli.operands.len(), cli.dry_run)).ok(),
            Some((1, true))
        );
        assert!(parse(&["read {}", "-a"]).is_err());
    }

    #[test]
    fn an_operand_may_be_any_bytes() {
        let name = OsString::from_vec(b"\xff".to_vec());
        let cli = Cli::try_parse_from([OsString::from("weir"), "read {}".into(), name.clone()]);
        assert_eq!(cli.expect("a command line").operands, [name]);
    }

    #[test]
    fn a_chain_is_needed_unless_something_else_is_asked() {
        assert!(parse(&[]).is_err());
        for words in [["--stages", ""], ["--generate", "man"], ["-f", "script"]] {
            let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
            assert!(parse(&words).is_ok(), "{words:?}");
        }
        assert!(parse(&["--stages", "upper"]).is_err());
    }

    #[test]
    fn one_run_goes_on_at_a_time_unless_more_are_asked_for() {
        let jobs = |words: &[&str]| parse(words).map(|cli| cli.jobs).ok();
        assert_eq!(
            [jobs(&["upper"]), jobs(&["-j", "0", "upper"]), jobs(&["--jobs=3", "upper"])],
            [Some(1), Some(0), Some(3)]
        );
        assert_eq!([jobs(&["-j", "-1", "upper"]), jobs(&["-j", "all", "upper"])], [None, None]);
    }

    #[test]
    fn the_last_word_on_noise_counts_and_values_are_checked() {
        let cli = parse(&["-q", "-v", "upper"]).expect("a command line");
        assert!(cli.verbose && !cli.quiet && cli.progress == Progress::Auto);
        for words in
            [["-B", "0"], ["-i", "0"], ["-s", "1KB"], ["--stall-timeout", "soon"], ["-B", "99999999T"]]
        {
            assert!(parse(&[words[0], words[1], "upper"]).is_err(), "{words:?}");
        }
    }

    #[test]
    fn a_report_takes_its_form_after_an_equals_sign_and_never_the_chain() {
        for (word, form) in [
            ("--report", ReportForm::Text),
            ("--report=text", ReportForm::Text),
            ("--report=json", ReportForm::Json),
        ] {
            let cli = parse(&[word, "upper"]).expect("a command line");
            assert_eq!((cli.report, cli.chain), (Some(form), Some("upper".into())), "{word}");
        }
        assert!(parse(&["--report=xml", "upper"]).is_err());
        assert_eq!(parse(&["upper"]).expect("a command line").report, None);
    }

    #[test]
    fn metrics_are_at_a_port_of_this_machine_or_at_a_host_that_is_named() {
        for (text, shown) in [
            ("9184", "localhost:9184"),
            ("0", "localhost:0"),
            (":80", "localhost:80"),
            ("[::]:80", "[::]:80"),
        ] {
            let address = parse(&["--metrics", text, "upper"]).expect("a command line").metrics;
            assert_eq!(address.map(|address| address.to_string()).as_deref(), Some(shown));
        }
        for text in ["", "host", "99999", "http://h:80", "-1"] {
            assert!(parse(&["--metrics", text, "upper"]).is_err(), "{text}");
        }
        assert!(parse(&["--metrics-allow-remote", "upper"]).is_err());
    }

    #[test]
    fn the_help_ends_with_examples() {
        for help in [Cli::command().render_help(), Cli::command().render_long_help()] {
            assert!(help.to_string().contains("Usage: weir [OPTIONS] CHAIN [--] [OPERAND]...\n       weir"));
            assert!(help.to_string().trim_end().ends_with("`weir --stages` lists them"));
        }
    }
}
