//! What Prometheus is told while the process runs, over the loopback.

use crate::harness::{PATIENCE, Patience, World, has_tool};
use crate::peer::patient;
use crate::server::Server;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Instant;

/// A process with metrics, ended and reaped with the test.
struct Metered {
    child: Child,
    stderr: BufReader<ChildStderr>,
    address: String,
    _patience: Patience,
}

impl Metered {
    /// Starts it, and waits until it has said where they are.
    #[track_caller]
    fn start(world: &World, chain: &str, operands: &[&str]) -> Metered {
        let call = world.weir(chain).args(["--metrics", "0", "--"]).args(operands);
        let mut child = call.spawn(|command| command.stdin(Stdio::piped()).stderr(Stdio::piped()));
        let patience = Patience::with(&child);
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        Metered { child, stderr, address: address(&line), _patience: patience }
    }

    fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

/// Of `weir: metrics at http://127.0.0.1:4711/metrics`.
#[track_caller]
fn address(line: &str) -> String {
    let place =
        line.split_once("weir: metrics at http://").and_then(|(_, place)| place.split_once("/metrics"));
    place.unwrap_or_else(|| panic!("not told: {line}")).0.to_owned()
}

fn fetch(address: &str) -> String {
    let mut socket = patient(TcpStream::connect(address).unwrap());
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    body.to_owned()
}

/// Asks until all of these lines are there.
#[track_caller]
fn fetch_until(address: &str, lines: &[&str]) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let page = fetch(address);
        let missing = lines.iter().find(|line| !page.lines().any(|other| other == **line));
        let Some(missing) = missing else { return page };
        assert!(Instant::now() < until, "not told: {missing}\nbut:\n{page}");
    }
}

#[track_caller]
fn check(page: &str) {
    if !has_tool("promtool") {
        return;
    }
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}\n{page}");
}

#[test]
fn a_run_is_told_while_it_lasts() {
    let world = World::new();
    let mut run = Metered::start(&world, "stdin | upper | exec cat | write out", &[]);
    let mut stdin = run.child.stdin.take().unwrap();
    stdin.write_all(&[b'a'; 100_000]).unwrap();
    let page = fetch_until(
        &run.address,
        &[
            "weir_runs_open 1",
            r#"weir_stage_bytes_total{stage="stdin",index="0",direction="out"} 100000"#,
            r#"weir_stage_bytes_total{stage="write",index="4",direction="out"} 100000"#,
            r#"weir_link_fill_bytes{link="0",from="stdin",to="upper"} 0"#,
            r#"weir_link_high_bytes{link="0",from="stdin",to="upper"} 2097152"#,
        ],
    );
    check(&page);
    drop(stdin);
    assert_eq!(run.ended(), (Some(0), String::new()));
}

#[test]
fn runs_of_a_batch_add_up() {
    let world = World::new().with("a", "12345\n");
    mkfifo(&world.path("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    let run = Metered::start(&world, "read {} | gzip | discard", &["a", "missing", "fifo"]);
    let mut fifo = fs::OpenOptions::new().write(true).open(world.path("fifo")).unwrap();
    fifo.write_all(b"123\n").unwrap();
    let page = fetch_until(
        &run.address,
        &[
            r#"weir_runs_total{outcome="done"} 1"#,
            r#"weir_runs_total{outcome="failed"} 1"#,
            "weir_runs_open 1",
            r#"weir_stage_bytes_total{stage="gzip",index="1",direction="in"} 10"#,
        ],
    );
    check(&page);
    drop(fifo);
    let (code, said) = run.ended();
    assert_eq!(code, Some(5), "{said}");
}

#[test]
fn a_server_tells_whom_it_serves() {
    let world = World::new();
    let server = Server::with(&world, "serve tcp://127.0.0.1:0 { upper }", &["--metrics", "127.0.0.1:0"]);
    let address = address(server.said());
    fetch_until(&address, &["weir_server_connections_total 0", "weir_server_runs_failed_total 0"]);
    let mut peer = server.connect();
    peer.write_all(b"hello").unwrap();
    fetch_until(&address, &["weir_server_connections_open 1", "weir_server_runs_open 1"]);
    peer.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "HELLO");
    let page = fetch_until(
        &address,
        &[
            "weir_server_connections_total 1",
            "weir_server_connections_open 0",
            "weir_server_runs_total 1",
            r#"weir_server_bytes_total{direction="in"} 5"#,
            r#"weir_server_bytes_total{direction="out"} 5"#,
        ],
    );
    check(&page);
    server.end_quietly();
}

#[test]
fn an_address_that_cannot_be_had_is_told_and_nothing_is_opened() {
    let world = World::new().with("a", "new\n").with("b", "old\n");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap().to_string();
    for (address, said) in [
        (&*place, &*format!("weir: --metrics: {place}: cannot listen: address already in use\n")),
        ("0.0.0.0:0", "  if that is meant: `--metrics-allow-remote`\n"),
        ("nowhere", "type HOST:PORT"),
    ] {
        let ran = world.weir("read a | write b").args(["--metrics", address]).run();
        ran.with_code(2).saying(said);
        assert_eq!(world.bytes("b"), b"old\n");
    }
    let alone = world.weir("read a | write b").arg("--metrics-allow-remote").run().with_code(2);
    alone.saying("--metrics <ADDR>");
    // What only looks opens nothing.
    world.weir("read a | write b").args(["--metrics", &place, "--dry-run"]).run().quietly();
    let remote = world.weir("read a | write b").args(["--metrics", "0.0.0.0:0", "--metrics-allow-remote"]);
    remote.run().with_code(0).saying("weir: metrics at http://0.0.0.0:");
    assert_eq!(world.bytes("b"), b"new\n");
}

#[test]
fn callers_who_hang_hold_neither_others_nor_the_end() {
    let world = World::new();
    let mut run = Metered::start(&world, "stdin | discard", &[]);
    let silent: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(&run.address).unwrap()).collect();
    fetch(&run.address);
    drop(run.child.stdin.take());
    assert_eq!(run.ended(), (Some(0), String::new()));
    drop(silent);
}
