//! The man page, the shells' completions and the list of stages, out of the command line and the stage table.
//! The same text on every machine and at any time: no date, no path, no width of a terminal.

mod formats;

use crate::cli::{Cli, Generated};
use crate::exit::Exit;
use crate::plan::usage;
use crate::stage::{Entry, Role, TABLE};
use clap::CommandFactory;
use clap_complete::Shell;
use std::io;

/// The text that `--generate` prints.
///
/// # Errors
/// None that is known: it is written to memory.
pub fn generate(what: Generated) -> io::Result<Vec<u8>> {
    match what {
        Generated::Man => man(),
        Generated::Bash => Ok(completions(Shell::Bash)),
        Generated::Zsh => Ok(completions(Shell::Zsh)),
        Generated::Fish => Ok(completions(Shell::Fish)),
    }
}

/// The text of `--stages`: name, role, summary, one line each.
pub fn stages_list() -> String {
    let name_width = TABLE.iter().map(|entry| entry.name.len()).max().unwrap_or_default();
    let row = |entry: &Entry| {
        let (name, role) = (entry.name, role(entry.role));
        format!("{name:name_width$}  {role:6}  {}\n", summary(entry))
    };
    TABLE.iter().map(row).collect()
}

fn completions(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "weir", &mut text);
    text
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Source => "source",
        Role::Filter => "filter",
        Role::Sink => "sink",
        Role::Server => "server",
    }
}

fn summary(entry: &Entry) -> String {
    entry.command().get_about().map(ToString::to_string).unwrap_or_default()
}

const LANGUAGE: &[&str] = &[
    "A chain is calls joined by |. A call is the name of a stage and its arguments, in words. White space and line ends separate; # at \
     the start of a word comments out the rest of its line.",
    "Words are quoted as in a shell: in single quotes every byte is itself; in double quotes \\\" and \\\\ are the sign itself; elsewhere \
     a backslash takes the meaning from the next byte. Nothing else is expanded: no variables, no globs.",
    "A stage may take chains in braces: tee { gzip | write a.gz } passes on what it gets and gives a copy to each of them. The braces stand \
     alone as words. A branch ends with a sink.",
    "A missing source is stdin, a missing sink is stdout. A command that begins a chain (exec, ssh) is a source itself, and is given nothing; \
     stdin | exec CMD gives it standard input.",
    "Operands fill places in the chain: {} the operand, {/} its base name, {//} its directory, {.} without its extension, {/.} both; \
     {1} {2} take operands several at a time; {@} as a word of its own is all of them, in one run. Without {@} there is one run for each operand. \
     An operand is data: whatever its bytes, it is never taken for an option, for -, for a place, or for several words.",
    "Sizes: a bare number is bytes; K, M, G, T are powers of 1024. Rates are sizes per second. Times: 500ms, 30s, 5m, 1h.",
];

const FILES: &[&str] = &[
    "A file is written beside its final place, under the name .NAME.weir-XXXXXX and readable by its owner only, and renamed when every stage of \
     the run has succeeded. When a stage fails, or a signal ends the run, it is removed, and what was there before is as it was. A run that \
     replaces a file syncs the new one first.",
    "A run with several outputs makes all of them ready and then renames them back to back, and a failure takes those already \
     renamed back. Only a KILL or a crash of the system between two renames can leave a mix of old and new outputs.",
    "Symbolic links are followed. FIFOs, character devices and open descriptors are written directly, a block device only with --in-place, \
     and nothing is created under /dev. What went to standard output, to a device, or over a file with --in-place cannot be taken back.",
];

const SIGNALS: &[&str] = &[
    "After INT, TERM, HUP or QUIT the run is given up, temporary files are removed, and the signal is raised again, so that the caller sees it: a shell \
     shows 130, 143, 129 or 131. A reader of standard output that goes away ends the run quietly, with the outputs in place, and the process ends as by PIPE (141).",
];

fn man() -> io::Result<Vec<u8>> {
    let command = Cli::command();
    let mut examples = Vec::new();
    let after = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    for line in after.lines().skip(1) {
        examples.push(line.trim_start().to_string());
    }
    // Among the options a chain and an operand would be strangers; they have sections of their own.
    let command =
        command.mut_args(|argument| if argument.is_positional() { argument.hide(true) } else { argument });
    let man = clap_mangen::Man::new(command).source(concat!("weir ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let mut text = Roff(String::new());
    text.section("SYNOPSIS");
    text.line("weir [OPTIONS] CHAIN [--] [OPERAND]...");
    text.request(".br");
    text.line("weir [OPTIONS] -f FILE [--] [OPERAND]...");
    page.append(&mut text.0.into_bytes());
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;

    let mut text = Roff(String::new());
    text.prose("THE CHAIN", LANGUAGE);
    text.section("STAGES");
    for entry in TABLE {
        stage(&mut text, entry);
    }
    text.section("EXIT STATUS");
    for exit in Exit::ALL {
        text.tagged(&exit.code().to_string(), exit.meaning());
    }
    text.prose("SIGNALS", SIGNALS);
    text.prose("FILES", FILES);
    text.prose("JSON", formats::JSON);
    for (names, meaning) in formats::NAMES {
        text.tagged(names, meaning);
    }
    text.prose("METRICS", formats::METRICS);
    text.section("EXAMPLES");
    for pair in examples.chunks(2) {
        text.tagged(&pair[0], pair.get(1).map_or("", String::as_str));
    }
    page.append(&mut text.0.into_bytes());
    Ok(page)
}

/// What the man page says of a stage.
fn stage(text: &mut Roff, entry: &Entry) {
    let mut command = entry.command();
    text.subsection(entry.name);
    text.line(&format!("{} ({}).", summary(entry), role(entry.role)));
    let about = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    for paragraph in about.split("\n\n").skip(1) {
        text.paragraph(paragraph);
    }
    text.literal(&[usage(entry)]);
    // Builds what is implied, so that an option's form is the one its help shows.
    command.build();
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        if argument.get_id() == "help" {
            continue;
        }
        let short = argument.get_short().filter(|_| argument.get_long().is_some());
        let form = short.map_or_else(|| argument.to_string(), |short| format!("-{short}, {argument}"));
        let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string);
        let mut help = help.unwrap_or_default();
        let defaults: Vec<_> =
            argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if argument.get_action().takes_values() && !defaults.is_empty() {
            help.push_str(&format!(" [default: {}]", defaults.join(" ")));
        }
        text.tagged(&form, &help);
    }
    let chains = entry.chains().map(|chain| format!("weir '{}'", chain.replace('\'', r"'\''")));
    let chains: Vec<String> = chains.collect();
    if !chains.is_empty() {
        text.literal(&chains);
    }
}

/// Text of a man page, escaped as it is added.
struct Roff(String);

impl Roff {
    fn request(&mut self, request: &str) {
        self.0.push_str(request);
        self.0.push('\n');
    }

    fn section(&mut self, title: &str) {
        self.request(&format!(".SH \"{title}\""));
    }

    fn subsection(&mut self, title: &str) {
        self.request(&format!(".SS \"{title}\""));
    }

    fn prose(&mut self, title: &str, paragraphs: &[&str]) {
        self.section(title);
        for paragraph in paragraphs {
            self.paragraph(paragraph);
        }
    }

    fn paragraph(&mut self, words: &str) {
        self.request(".PP");
        self.line(words);
    }

    fn line(&mut self, words: &str) {
        for line in words.lines() {
            let escaped = line.replace('\\', "\\e").replace('-', "\\-");
            // As typed: bare, both would become the quotes of a book.
            let escaped = escaped.replace('\'', "\\(aq").replace('`', "\\(ga");
            // A dot at the start of a line would be a request.
            if escaped.starts_with('.') {
                self.0.push_str("\\&");
            }
            for character in escaped.chars() {
                match character.is_ascii() {
                    true => self.0.push(character),
                    false => self.0.push_str(&format!("\\[u{:04X}]", u32::from(character))),
                }
            }
            self.0.push('\n');
        }
    }

    fn tagged(&mut self, tag: &str, words: &str) {
        self.request(".TP");
        self.line(tag);
        // Without a line of its own the tag would take the next one.
        if words.is_empty() { self.request("\\&") } else { self.line(words) }
    }

    fn literal(&mut self, lines: &[String]) {
        self.request(".PP\n.nf\n.RS 4");
        for line in lines {
            self.line(line);
        }
        self.request(".RE\n.fi");
    }
}

#[cfg(test)]
mod tests {
    use super::{Roff, generate, stages_list};
    use crate::cli::Generated;
    use crate::exit::Exit;
    use crate::stage::TABLE;

    fn text(what: Generated) -> String {
        String::from_utf8(generate(what).expect("a text")).expect("UTF-8")
    }

    #[test]
    fn the_man_page_names_every_stage_option_and_exit_code() {
        let page = text(Generated::Man);
        for entry in TABLE {
            assert!(page.contains(&format!("\n.SS \"{}\"\n", entry.name)), "{}", entry.name);
        }
        for exit in Exit::ALL {
            assert!(page.contains(&format!("\n.TP\n{}\n", exit.code())), "{exit:?}");
        }
        for option in ["dry\\-run", "stall\\-timeout", "files0\\-from"] {
            assert!(page.contains(option), "{option}");
        }
        assert!(page.contains("KILL or a crash"));
    }

    #[test]
    fn what_is_generated_is_the_same_every_time() {
        for what in [Generated::Man, Generated::Bash, Generated::Zsh, Generated::Fish] {
            let first = text(what);
            assert!(first.contains("weir") && first.ends_with('\n'), "{what:?}");
            assert_eq!(first, text(what), "{what:?}");
        }
    }

    #[test]
    fn the_list_of_stages_is_aligned() {
        let list = stages_list();
        assert_eq!(list.lines().count(), TABLE.len());
        let pass = list.lines().find(|line| line.starts_with("pass ")).expect("pass");
        assert!(pass.ends_with("filter  Pass the bytes on unchanged"), "{pass}");
        let role_at = pass.find("filter");
        assert!(
            list.lines().all(|line| line
                .find(" source  ")
                .or(line.find(" filter  "))
                .or(line.find(" sink    "))
                .or(line.find(" server  "))
                .map(|at| at + 1)
                == role_at),
            "{list}"
        );
    }

    #[test]
    fn text_is_never_taken_for_a_request() {
        let mut roff = Roff(String::new());
        roff.line(".so x\n'y\n\\n -a ß");
        assert_eq!(roff.0, "\\&.so x\n\\(aqy\n\\en \\-a \\[u00DF]\n");
    }
}
