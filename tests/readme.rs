//! The README's examples: every block of shell in it is run, in a directory with the files it names.

use crate::harness::{IS_WHOLE, World};
use std::fs;
use std::path::Path;

fn blocks() -> Vec<String> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let parts = readme.split("\n```sh\n").skip(1);
    parts.map(|part| part.split("\n```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_example_of_the_readme_runs() {
    if !IS_WHOLE {
        // It is written for a build with all stages.
        return;
    }
    let world = World::new()
        .with("access.log", "GET /index.html 200\n".repeat(4000))
        .with("other.log", "one line\n")
        .with("notes.txt", "remember the milk\n");
    fs::create_dir(world.path("old")).unwrap();
    fs::write(world.path("old/letters.txt"), "dear all\n".repeat(300)).unwrap();
    let blocks = blocks();
    assert!(blocks.len() >= 9, "only {} examples found", blocks.len());
    for block in blocks {
        // The other machine of an example is this one.
        let ran = world.shell(&format!("set -e\n{block}")).env("WEIR_SSH", world.ssh_stand_in()).run();
        assert_eq!(ran.code(), 0, "{block}\nsaid:\n{}", ran.stderr());
    }
    assert_eq!(world.bytes("notes.txt"), b"REMEMBER THE MILK\n");
    assert_eq!(world.bytes("access.copy"), world.bytes("access.log"));
    assert!(world.path("old/letters.txt.xz").is_file() && !world.path("old/letters.txt").exists());
    for name in ["access.log.gz", "other.log.gz", "old/access.log.gz", "copy.gz", "notes.txt.gz"] {
        let unpacked = world.weir(format!("read {name} | gunzip | discard")).run();
        unpacked.quietly();
    }
}

#[test]
fn the_main_job_of_the_readme_runs_and_warns() {
    let world = World::new().with("README.md", "text\n".repeat(100));
    let ran = world.weir("read README.md | gzip | upper | write out").run().with_code(0);
    ran.saying("warning").saying("upper");
    assert!(world.path("out").is_file());
}
