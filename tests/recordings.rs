//! Files about a run, through the binary: that they are what other tools open, that they tell the truth, and that they never cost
//! the run anything.

use crate::harness::{World, has_tool, weir};
use crate::peer::read_all;
use crate::server::Server;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use serde_json::Value;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::ffi::OsStringExt;
use std::process::Stdio;

/// The events of a trace: a list that any reader of JSON takes.
#[track_caller]
fn events(world: &World, name: &str) -> Vec<Value> {
    let events: Vec<Value> = serde_json::from_slice(&world.bytes(name)).unwrap();
    assert_slices_nest(&events);
    events
}

/// Every slice ends, in its own thread, in the order in which they began; time never runs backwards.
#[track_caller]
fn assert_slices_nest(events: &[Value]) {
    let mut open: HashMap<u64, (u64, Vec<&str>)> = HashMap::new();
    for event in events.iter().filter(|event| event["ph"] == "B" || event["ph"] == "E") {
        let (before, slices) = open.entry(event["tid"].as_u64().unwrap()).or_default();
        let at = event["ts"].as_u64().unwrap();
        assert!(at >= *before, "{event} is before {before}");
        *before = at;
        let name = event["name"].as_str().unwrap();
        if event["ph"] == "B" {
            slices.push(name);
        } else {
            assert_eq!(slices.pop(), Some(name), "{event}");
        }
    }
    assert!(open.values().all(|(_, slices)| slices.is_empty()), "not ended: {open:?}");
}

/// The average of a counter over its time.
fn average(events: &[Value], name: &str, series: &str) -> f64 {
    let is_it = |event: &&Value| event["ph"] == "C" && event["name"].as_str().unwrap().contains(name);
    let points: Vec<(f64, f64)> = events
        .iter()
        .filter(is_it)
        .map(|event| (event["ts"].as_f64().unwrap(), event["args"][series].as_f64().unwrap()))
        .collect();
    let (first, last) = (points.first().unwrap().0, points.last().unwrap().0);
    points.windows(2).map(|pair| pair[0].1 * (pair[1].0 - pair[0].0)).sum::<f64>() / (last - first)
}

fn instants(events: &[Value]) -> String {
    let names = events.iter().filter(|event| event["ph"] == "i").map(|event| event["name"].as_str().unwrap());
    names.collect::<Vec<_>>().join("\n")
}

/// An XML parser that is not ours takes it.
#[track_caller]
fn assert_xml(world: &World, name: &str) {
    if has_tool("python3") {
        let parse = "import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])";
        world.tool("python3").unwrap().args(["-c", parse, name]).run().quietly();
    }
}

#[test]
fn a_trace_shows_the_link_before_the_bottleneck_full_and_the_one_behind_it_empty() {
    let world = World::new();
    let chain = "generate zeros 8M | throttle 10M | discard";
    world.weir(chain).args(["--trace", "run.json", "--plot", "run.svg"]).run().quietly();
    world.assert_names(&["run.json", "run.svg"]);
    let events = events(&world, "run.json");
    let high = f64::from(1 << 20);
    assert!(average(&events, "01→02 generate → throttle: fill", "bytes") > high * 0.5);
    assert!(average(&events, "02→03 throttle → discard: fill", "bytes") < high * 0.2);
    assert!(average(&events, "02 throttle 10M: time", "waiting") > 50.0);
    assert!(average(&events, "03 discard: time", "starved") > 50.0);
    assert!(instants(&events).starts_with("limited by throttle 10M, as asked"));
    let picture = String::from_utf8(world.bytes("run.svg")).unwrap();
    assert!(picture.contains("class=\"title\">limited by throttle 10M, as asked"));
    assert_xml(&world, "run.svg");
}

#[test]
fn a_run_that_fails_leaves_whole_files_that_say_why() {
    let world = World::new().with("a<b>&\".gz", "this is no gzip data");
    let chain = "read 'a<b>&\".gz' | gunzip | write out";
    for plot in ["run.svg", "run.html"] {
        world.weir(chain).args(["--trace", "run.json", "--plot", plot]).run().with_code(3);
        let told = "a&lt;b&gt;&amp;\\&quot;.gz";
        assert!(String::from_utf8(world.bytes(plot)).unwrap().contains(told), "{plot}");
    }
    world.assert_names(&["a<b>&\".gz", "run.html", "run.json", "run.svg"]);
    assert_xml(&world, "run.svg");
    let told = instants(&events(&world, "run.json"));
    assert!(told.contains("failure: ") && told.contains("failed: gunzip: "), "{told}");
}

#[test]
fn a_run_that_cannot_start_has_files_that_say_why() {
    let world = World::new();
    let chain = "generate text 1 | exec ./no-such-program | discard";
    world.weir(chain).args(["--trace", "run.json", "--plot", "run.svg"]).run().with_code(1);
    assert!(instants(&events(&world, "run.json")).contains("failed: exec: "));
    assert_xml(&world, "run.svg");
}

#[test]
fn a_run_that_is_cancelled_leaves_whole_files_too() {
    let world = World::new();
    nix::unistd::mkfifo(&world.path("fifo"), Mode::S_IRWXU).unwrap();
    let call = world.weir("read fifo | write out").args(["--trace", "run.json", "--plot", "run.html"]);
    let child = call.spawn(|command| command.stdin(Stdio::null()).stderr(Stdio::piped()));
    // Opening it returns when the run has opened the other end.
    let mut fifo = OpenOptions::new().write(true).open(world.path("fifo")).unwrap();
    fifo.write_all(b"some").unwrap();
    kill(nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(Signal::SIGINT as i32));
    world.assert_names(&["fifo", "run.html", "run.json"]);
    assert_eq!(instants(&events(&world, "run.json")), "ended by SIGINT");
    assert!(String::from_utf8(world.bytes("run.html")).unwrap().contains(">ended by SIGINT<"));
}

#[test]
fn a_batch_is_one_trace_with_a_process_for_each_run() {
    let world = World::new().with("a", "one").with("b", "two");
    let missing = OsString::from_vec(b"\xff\n\"".to_vec());
    for jobs in ["1", "3"] {
        let call = world.weir("read {} | upper | discard").args(["-j", jobs, "--trace", "run.json", "--"]);
        call.args([OsString::from("a"), missing.clone(), "b".into()]).run().with_code(5);
        let events = events(&world, "run.json");
        let is_name = |event: &&Value| event["name"] == "process_name";
        let names = events.iter().filter(is_name).map(|event| event["args"]["name"].as_str().unwrap());
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        // What is not there is found before its run begins.
        assert_eq!(names, ["weir: read a | upper | discard", "weir: read b | upper | discard"]);
        assert_eq!(instants(&events).lines().count(), 2);
    }
}

#[test]
fn a_server_shows_what_goes_in_and_out() {
    let world = World::new();
    let words = ["--trace", "run.json", "--plot", "run.svg"];
    let server = Server::with(&world, "serve tcp://127.0.0.1:0 { upper }", &words);
    let mut stream = server.connect();
    stream.write_all(&[b'a'; 4096]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut stream).0, [b'A'; 4096]);
    server.end_quietly();
    world.assert_names(&["run.json", "run.svg"]);
    let events = events(&world, "run.json");
    assert_eq!(instants(&events), "served 1 run");
    assert!(average(&events, "rate, bytes/s", "out") > 0.0);
    assert!(String::from_utf8(world.bytes("run.svg")).unwrap().contains(">from peers<"));
}

#[test]
fn what_can_be_known_before_is_refused_before() {
    let world = World::new().with("a", "abc").with("script", "read a | discard");
    fs::create_dir(world.path("sub")).unwrap();
    let refusals: [(&[&str], i32, &str); 12] = [
        (&["read a | discard", "--trace", "./a"], 2, "--trace: ./a: is a file of read (stage 1)"),
        (&["read a | write new", "--trace", "sub/../new"], 2, "is a file of write (stage 2)"),
        (&["-f", "script", "--trace", "script"], 2, "--trace: script: is a file of the chain"),
        (
            &["read a | discard", "--trace", "x.svg", "--plot", "x.svg"],
            2,
            "--plot: x.svg: is a file of `--trace`",
        ),
        (&["read a", "--trace", "/dev/stdout"], 2, "is a file of stdout"),
        (&["read a | discard", "--plot", "x.png"], 2, "--plot: x.png: ends neither in `.svg` nor in `.html`"),
        (
            &["read {} | discard", "--plot", "x.svg", "a", "a"],
            2,
            "one picture shows one run, and this batch has 2",
        ),
        (&["read a | discard", "--trace", "gone/x"], 1, "--trace: gone/x: there is no directory `gone`"),
        (&["read a | discard", "--trace", "sub"], 1, "--trace: sub: is a directory"),
        (
            &["read a | write {}", "--trace", "a", "gone/x", "gone/y"],
            2,
            "--trace: a: is a file of read (stage 1)",
        ),
        (&["read a | discard", "--plot", "gone/x.svg", "-n"], 1, "there is no directory `gone`"),
        (&["serve tcp://127.0.0.1:0 { write up }", "--trace", "up"], 2, "is a file of write (stage 2)"),
    ];
    for (words, code, message) in refusals {
        let ran = world.weir(words[0]).args(&words[1..]).run();
        assert_eq!(ran.code(), code, "{words:?}: {}", ran.stderr());
        ran.saying(message).giving("");
    }
    world.assert_names(&["a", "script", "sub"]);
    assert_eq!(world.bytes("a"), b"abc");
}

#[test]
fn a_full_disk_loses_the_trace_with_a_warning_and_no_data() {
    let world = World::new();
    let ran = world.weir("generate text 1M | write out").args(["-q", "--trace", "/dev/full"]).run();
    ran.with_code(0).saying("weir: warning: --trace: /dev/full: not written: no space left on device");
    world.assert_names(&["out"]);
    assert_eq!(world.bytes("out").len(), 1 << 20);
}

#[test]
fn no_run_is_no_file() {
    let world = World::new().with("a", "abc").with("old", "old").with("run.json", "before");
    let words = ["--trace", "run.json", "--plot", "run.svg"];
    world.weir("read a | write new").args(words).arg("-n").run().with_code(0);
    world.weir("read {} | write {}.new").args(["--trace", "gone", "-n", "a", "old"]).run().with_code(0);
    world.weir("read a | write --skip-existing old").args(words).run().with_code(0);
    world.assert_names(&["a", "old", "run.json"]);
    assert_eq!(world.bytes("run.json"), b"before");
}

#[test]
fn a_trace_may_go_to_a_program() {
    let world = World::new();
    // Whoever stands at the other end of the pipe gets it while the run lasts.
    let line =
        format!("{} --trace /dev/fd/3 'generate text 100 | discard' 3>&1 | cat >copy", weir().display());
    world.shell(&line).run().quietly();
    assert!(!events(&world, "copy").is_empty());
}
