//! What is true of the tree as a whole: which way imports go, that every module says what it is for.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the crate, from the top down. A module may use those of lower rows only, and of its own row none but
/// itself. This is the table of `src/lib.rs` and of the contract, as data.
const ROWS: &[&[&str]] = &[
    &["main", "lib"],
    &["session"],
    &["generate", "view"],
    &["cli"],
    &["engine", "verdict"],
    &["plan"],
    &["lang", "stage"],
    &["flow", "units"],
    &["diagnostic", "exit"],
];

/// Exceptions, each with its reason.
const ALLOWED: &[(&str, &str)] = &[];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<PathBuf> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    files.sort();
    assert!(files.len() > 20, "only {} sources found", files.len());
    files
}

/// The top-level module that a source belongs to.
fn module(file: &Path) -> String {
    let within = file.strip_prefix(root().join("src")).unwrap();
    let first = within.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn row(module: &str) -> usize {
    ROWS.iter()
        .position(|row| row.contains(&module))
        .unwrap_or_else(|| panic!("`{module}` is in no row of the table"))
}

/// Every module named behind `crate::` (or `weir::`, in the binary) in code.
fn uses(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for prefix in ["crate::", "weir::"] {
            for (at, _) in line.match_indices(prefix) {
                if line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
                    continue;
                }
                let rest = &line[at + prefix.len()..];
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if name.starts_with(|first: char| first.is_lowercase()) {
                    found.push(name);
                }
            }
        }
    }
    found
}

#[test]
fn imports_go_down_only() {
    let mut wrong = Vec::new();
    for file in sources() {
        let from = module(&file);
        for to in uses(&fs::read_to_string(&file).unwrap()) {
            let goes_down = from == to || row(&from) < row(&to);
            if !goes_down && !ALLOWED.contains(&(from.as_str(), to.as_str())) {
                wrong.push(format!("{}: `{from}` uses `{to}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that go up or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_opens_with_what_it_is_for() {
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//! "), "{} does not open with `//!`", file.display());
        assert!(!text.starts_with("//! To come"), "{} is not written", file.display());
    }
}

#[test]
fn no_stage_names_another() {
    for file in sources().iter().filter(|file| module(file) == "stage" && !file.ends_with("mod.rs")) {
        let text = fs::read_to_string(file).unwrap();
        for above in ["crate::plan", "crate::engine", "crate::view"] {
            assert!(!text.contains(above), "{} names {above}", file.display());
        }
    }
}

/// Whether `line` has `path` where a path can begin.
fn names(line: &str, path: &str) -> bool {
    let mut begins = line.match_indices(path).map(|(at, _)| &line[..at]);
    begins.any(|before| !before.ends_with(|last: char| last.is_alphanumeric() || "_:".contains(last)))
}

#[test]
fn foreign_crates_stay_in_their_places() {
    let places: &[(&str, &[&str])] = &[
        ("indicatif::", &["view"]),
        ("humansize::", &["units"]),
        ("annotate_snippets::", &["diagnostic"]),
        ("clap_mangen::", &["generate"]),
        ("clap_complete::", &["generate"]),
        ("age::", &["stage"]),
        ("blake3::", &["stage"]),
        ("data_encoding::", &["stage"]),
        ("flate2::", &["stage"]),
        ("libdeflater::", &["stage"]),
        ("liblzma::", &["stage"]),
        ("regex::", &["stage"]),
        ("serde::", &["view"]),
        ("serde_json::", &["view"]),
        ("sha2::", &["stage"]),
        ("xxhash_rust::", &["stage"]),
        ("zlib_rs::", &["stage"]),
        ("signal_hook::", &["engine"]),
    ];
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        for (name, modules) in places {
            let is_named = text.lines().any(|line| !line.trim_start().starts_with("//") && names(line, name));
            assert!(
                !is_named || modules.contains(&module(&file).as_str()),
                "{} names {name}",
                file.display()
            );
        }
    }
}

#[test]
fn the_top_level_holds_what_it_should_and_nothing_else() {
    let expected = [
        ".cargo",
        ".ci",
        ".git",
        ".gitignore",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "benches",
        "build.rs",
        "clippy.toml",
        "completions",
        "man",
        "rustfmt.toml",
        "src",
        "target",
        "tests",
    ];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(expected.contains(&name.as_str()), "`{name}` is at the top level");
    }
}
