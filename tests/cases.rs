//! Golden cases: each file in `tests/cases` is one command, what it is given, and what it must answer.
//!
//! A case is sections headed by `--- NAME`: `command` (a line of shell, with `weir` in the path), and, as needed,
//! `stdin`, `file NAME` (there before), `status` (0 if left out), `stdout`, `stderr`, `left NAME` (there after, with this
//! content), `names` (all that is in the directory after), `needs` (stages that a smaller build may lack: it leaves the
//! case out). With `WEIR_BLESS=1` the answers in the file are rewritten to what
//! came; the difference is for a reviewer.

use crate::harness::World;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use weir::stage::find;

#[derive(Debug, Clone, PartialEq)]
struct Section {
    name: String,
    text: String,
}

fn parse(text: &str) -> (String, Vec<Section>) {
    let mut parts = format!("\n{text}");
    parts.push_str("\n--- ");
    let mut pieces = parts.split("\n--- ");
    let title = pieces.next().unwrap_or_default().trim_start().to_owned();
    let section = |piece: &str| {
        let (name, text) = piece.split_once('\n').unwrap_or((piece, ""));
        Section { name: name.to_owned(), text: text.to_owned() }
    };
    let sections = pieces.filter(|piece| !piece.is_empty()).map(section).collect();
    (title, sections)
}

fn render(title: &str, sections: &[Section]) -> String {
    let mut text = format!("{}\n", title.trim_end());
    for section in sections {
        writeln!(text, "--- {}\n{}", section.name, section.text.trim_end_matches('\n')).unwrap();
    }
    text
}

/// Section texts end with one line feed for the reader's sake, and so do most outputs; both are compared without.
fn trimmed(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\n').to_owned()
}

/// What came, in the place of what was expected.
fn play(sections: &[Section]) -> Vec<Section> {
    let mut world = World::new();
    let (mut command, mut stdin) = (String::new(), String::new());
    for section in sections {
        match section.name.split_once(' ').unwrap_or((&section.name, "")) {
            ("command", _) => command = section.text.clone(),
            ("stdin", _) => stdin = format!("{}\n", section.text.trim_end_matches('\n')),
            ("file", name) => world = world.with(name, format!("{}\n", section.text.trim_end_matches('\n'))),
            _ => {}
        }
    }
    let ran = world.shell(&command).stdin(stdin).run();
    let came = |section: &Section| {
        let text = match section.name.split_once(' ').unwrap_or((&section.name, "")) {
            ("status", _) => ran.code().to_string(),
            ("stdout", _) => trimmed(ran.stdout()),
            ("stderr", _) => trimmed(ran.stderr().as_bytes()),
            ("left", name) => trimmed(&world.bytes(name)),
            ("names", _) => {
                world.names().iter().map(|name| name.to_string_lossy()).collect::<Vec<_>>().join("\n")
            }
            ("command" | "stdin" | "file" | "needs", _) => section.text.clone(),
            (other, _) => panic!("a case has no section `{other}`"),
        };
        Section { name: section.name.clone(), text }
    };
    let mut answers: Vec<Section> = sections.iter().map(came).collect();
    for (name, text) in [("status", ran.code().to_string()), ("stderr", trimmed(ran.stderr().as_bytes()))] {
        let expected = if name == "status" { "0" } else { "" };
        // Left out means the usual: success, and nothing said.
        if text != expected && !answers.iter().any(|answer| answer.name == name) {
            answers.push(Section { name: name.to_owned(), text });
        }
    }
    answers
}

fn all() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_case_gives_what_it_says() {
    let bless = std::env::var_os("WEIR_BLESS").is_some();
    let mut wrong = String::new();
    let files = all();
    assert!(files.len() > 5, "only {} cases found", files.len());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let (title, sections) = parse(&text);
        let mut needs = sections.iter().filter(|section| section.name == "needs");
        if needs.any(|section| section.text.split_whitespace().any(|stage| find(stage).is_none())) {
            continue;
        }
        let answers = play(&sections);
        let (expected, came) = (render(&title, &sections), render(&title, &answers));
        if came == expected {
            continue;
        }
        if bless {
            fs::write(&file, came).unwrap();
        } else {
            writeln!(wrong, "=== {} expected\n{expected}\n=== but\n{came}", file.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
