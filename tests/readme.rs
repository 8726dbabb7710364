//! The README's examples: every block of shell in it is run, in a directory with the files it names.

use crate::harness::{IS_WHOLE, World, has_tool};
use crate::server::Server;
use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
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
        let shell =
            |lines: &str| world.shell(&format!("set -e\n{lines}")).env("WEIR_SSH", world.ssh_stand_in());
        let (servers, lines) = parts(&with_free_ports(&block));
        if !servers.is_empty() && !has_tool("curl") {
            continue;
        }
        let servers: Vec<Server> =
            servers.iter().map(|line| Server::of(shell(&format!("exec {line}")))).collect();
        let ran = shell(&lines).run();
        assert_eq!(ran.code(), 0, "{block}\nsaid:\n{}", ran.stderr());
        servers.into_iter().for_each(Server::end_quietly);
    }
    assert_eq!(world.bytes("notes.txt"), b"REMEMBER THE MILK\n");
    assert_eq!(world.bytes("page"), world.bytes("access.log"));
    assert_eq!(world.bytes("access.copy"), world.bytes("access.log"));
    assert!(world.path("old/letters.txt.xz").is_file() && !world.path("old/letters.txt").exists());
    for name in ["access.log.gz", "other.log.gz", "old/access.log.gz", "copy.gz", "notes.txt.gz", "upload.gz"]
    {
        let unpacked = world.weir(format!("read {name} | gunzip | discard")).run();
        unpacked.quietly();
    }
}

/// Lines that start a server, without their `&`, and the others, which are for whoever finds all of them listening.
fn parts(block: &str) -> (Vec<String>, String) {
    let server = |line: &&str| line.starts_with("weir 'serve ") && line.ends_with(" &");
    let (servers, others): (Vec<&str>, Vec<&str>) = block.lines().partition(server);
    let servers = servers.iter().map(|line| line.trim_end_matches(" &").to_owned());
    (servers.collect(), others.join("\n"))
}

/// The same block at ports that nobody else has.
fn with_free_ports(block: &str) -> String {
    const HOST: &str = "localhost:";
    let mut ports: HashMap<String, TcpListener> = HashMap::new();
    let mut pieces = block.split(HOST);
    let mut text = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let end = piece.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(piece.len());
        let (port, rest) = piece.split_at(end);
        // Held until all have one, so that they differ.
        let free = ports.entry(port.to_owned()).or_insert_with(|| TcpListener::bind("127.0.0.1:0").unwrap());
        text += &format!("{HOST}{}{rest}", free.local_addr().unwrap().port());
    }
    text
}

#[test]
fn the_main_job_of_the_readme_runs_and_warns() {
    let world = World::new().with("README.md", "text\n".repeat(100));
    let ran = world.weir("read README.md | gzip | upper | write out").run().with_code(0);
    ran.saying("warning").saying("upper");
    assert!(world.path("out").is_file());
}
