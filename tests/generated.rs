//! The committed man page and completions are those that the binary gives, and the programs they are for take them.
//! With `WEIR_BLESS=1` the committed files are rewritten.

use crate::harness::{IS_WHOLE, World, has_tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use weir::stage::TABLE;

/// What `--generate` is given, and the file that holds the answer.
const FILES: [(&str, &str); 4] = [
    ("bash", "completions/weir.bash"),
    ("fish", "completions/weir.fish"),
    ("man", "man/weir.1"),
    ("zsh", "completions/_weir"),
];

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn generated(what: &str) -> String {
    let ran = World::new().weir("--generate").arg(what).run().quietly();
    String::from_utf8(ran.stdout().to_vec()).unwrap()
}

#[test]
fn the_committed_files_are_those_that_are_generated() {
    if !IS_WHOLE {
        // They are those of a build with all stages.
        return;
    }
    for (what, file) in FILES {
        let (generated, path) = (generated(what), path(file));
        if std::env::var_os("WEIR_BLESS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &generated).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        let differs = committed.lines().zip(generated.lines()).position(|(left, right)| left != right);
        assert!(
            committed == generated,
            "{file} is not what `weir --generate {what}` gives (line {}); \
             WEIR_BLESS=1 cargo test --test behaviour generated",
            differs.unwrap_or_else(|| committed.lines().count().min(generated.lines().count())) + 1
        );
    }
}

/// A tool's answer to a generated file.
fn ask(tool: &str, arguments: &[&str], world: &World) -> Output {
    Command::new(tool).args(arguments).current_dir(world.directory()).output().unwrap()
}

#[track_caller]
fn assert_silent(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
}

#[test]
fn the_man_page_is_clean_and_names_every_stage() {
    if !has_tool("groff") {
        return;
    }
    let world = World::new().with("weir.1", generated("man"));
    assert_silent(&ask("groff", &["-man", "-ww", "-z", "weir.1"], &world));
    let page = ask("groff", &["-man", "-Tascii", "-P-cbou", "weir.1"], &world);
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    for entry in TABLE {
        assert!(page.lines().any(|line| line.trim() == entry.name), "no section for {}", entry.name);
    }
    for words in
        ["SYNOPSIS", "EXIT STATUS", "--dry-run", "weir 'read access.log | gzip | write access.log.gz'"]
    {
        assert!(page.contains(words), "`{words}` is not in the page");
    }
}

#[test]
fn bash_takes_its_completions() {
    if !has_tool("bash") {
        return;
    }
    let world = World::new().with("weir.bash", generated("bash"));
    let ask_for = "source ./weir.bash && complete -p weir && COMP_WORDS=(weir --dry) COMP_CWORD=1 && \
                   _weir weir --dry weir && printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = ask("bash", &["--norc", "--noprofile", "-c", ask_for], &world);
    assert_silent(&output);
    assert!(String::from_utf8_lossy(&output.stdout).lines().any(|line| line == "--dry-run"), "{output:?}");
}

#[test]
fn zsh_takes_its_completions() {
    if !has_tool("zsh") {
        return;
    }
    let world = World::new().with("_weir", generated("zsh"));
    assert_silent(&ask("zsh", &["-f", "-n", "_weir"], &world));
    let ask_for = "fpath=($PWD $fpath); autoload -Uz compinit; compinit -D -u; print -- $_comps[weir]";
    let output = ask("zsh", &["-f", "-c", ask_for], &world);
    assert_silent(&output);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "_weir");
}

#[test]
fn fish_takes_its_completions() {
    if !has_tool("fish") {
        return;
    }
    let world = World::new().with("weir.fish", generated("fish"));
    let ask_for = "source weir.fish; complete -C 'weir --dry'";
    let home = world.directory().to_owned();
    let output = Command::new("fish")
        .args(["--no-config", "-c", ask_for])
        .current_dir(&home)
        .env("HOME", &home)
        .env_remove("XDG_CONFIG_HOME")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("--dry-run"), "{output:?}");
}
