//! Conversations with the tools that people have, over TCP and over Unix sockets.
//! How connections break is tried elsewhere.

use crate::harness::{Patience, World, has_tool};
use crate::peer::{at_name, numbered, read_all};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

/// A tool that listens at a port of its own choice, and tells it on standard error in a line with `mark` before it.
fn listening(command: &mut Command, mark: &str) -> Option<(Child, Patience, u16)> {
    let tool = command.get_program().to_owned().into_string().unwrap();
    if !has_tool(&tool) {
        return None;
    }
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let guard = Patience::with(&child);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find_map(|line| line.ok().filter(|line| line.contains(mark))).unwrap();
    // What it says later is nobody's concern, but it may say it.
    std::thread::spawn(move || lines.count());
    let digits: String = line.chars().rev().skip_while(|letter| !letter.is_ascii_digit()).collect();
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    let port = digits.chars().rev().collect::<String>().parse().unwrap();
    Some((child, guard, port))
}

#[test]
fn what_socat_gives_back_is_what_it_was_given() {
    let mut echo = Command::new("socat");
    echo.args(["-d", "-d", "TCP-LISTEN:0,bind=127.0.0.1", "EXEC:cat"]);
    let Some((mut child, _guard, port)) = listening(&mut echo, "listening on") else { return };
    let all = numbered(3_000_001);
    let world = World::new().with("in", &all);
    world.weir(format!("read in | tcp 127.0.0.1:{port} | write out")).run().quietly();
    assert!(world.bytes("out") == all);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_proxy_in_between_changes_nothing() {
    if !has_tool("socat") {
        return;
    }
    let world = World::new();
    let name = world.path("socket");
    let heard = at_name(&name, |mut stream| {
        let heard = read_all(&mut stream);
        stream.write_all(b"the answer").unwrap();
        heard
    });
    let mut proxy = Command::new("socat");
    let to = format!("UNIX-CONNECT:{}", name.display());
    proxy.args(["-d", "-d", "-t", "60", "TCP-LISTEN:0,bind=127.0.0.1", &to]);
    let Some((mut child, _guard, port)) = listening(&mut proxy, "listening on") else { return };
    world.weir(format!("tcp 127.0.0.1:{port}")).stdin("a question").run().quietly().giving("the answer");
    assert_eq!(heard.join().unwrap(), (b"a question".to_vec(), true));
    assert!(child.wait().unwrap().success());
}

#[test]
fn nc_is_talked_to_from_either_side() {
    let mut server = Command::new("nc");
    server.args(["-l", "-v", "-N", "127.0.0.1", "0"]).stdin(Stdio::null()).stdout(Stdio::piped());
    if let Some((child, _guard, port)) = listening(&mut server, "istening on") {
        let world = World::new();
        world.weir(format!("tcp 127.0.0.1:{port}")).stdin("to nc").run().quietly().giving("");
        assert_eq!(child.wait_with_output().unwrap().stdout, b"to nc");
    }
    let world = World::new();
    let Some(nc) = world.tool("nc") else { return };
    let name = world.path("socket");
    let mut child = world
        .weir("unix --listen socket")
        .spawn(|command| command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let _guard = Patience::with(&child);
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "weir: unix (stage 1): waiting for a connection to socket\n");
    child.stdin.take().unwrap().write_all(b"from weir").unwrap();
    nc.args(["-N", "-U", "socket"]).stdin("from nc").run().quietly().giving("from weir");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, b"from nc");
    assert!(!name.exists());
}

#[test]
fn a_unix_socket_is_a_conversation_under_any_name() {
    let world = World::new();
    let name = "a 'b\n\"c";
    let heard = at_name(&world.path(name), |mut stream| {
        stream.write_all(b"the answer").unwrap();
        read_all(&mut stream)
    });
    world.weir("unix {}").arg("--").arg(name).stdin("a question").run().quietly().giving("the answer");
    assert_eq!(heard.join().unwrap(), (b"a question".to_vec(), true));
    // Nobody listens there now.
    let ran = world.weir("unix {}").arg("--").arg(name).run().with_code(1);
    ran.saying("cannot connect: connection refused");
    world.weir("unix none").run().with_code(1).saying("none: cannot connect: no such file or directory");
    let long = "x".repeat(200);
    world.weir(format!("unix {long}")).run().with_code(1).saying("cannot connect");
}

#[test]
fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
    let world = World::new().with("file", "mine");
    drop(UnixListener::bind(world.path("dead")).unwrap());
    let live = UnixListener::bind(world.path("live")).unwrap();
    world.weir("unix --listen live").run().with_code(1).saying("somebody listens there already");
    world.weir("unix --listen file").run().with_code(1).saying("it is there already, and is no socket");
    drop(live);
    let mut child = world
        .weir("unix --listen dead")
        .spawn(|command| command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let _guard = Patience::with(&child);
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut String::new()).unwrap();
    let mut peer = UnixStream::connect(world.path("dead")).unwrap();
    peer.write_all(b"alive").unwrap();
    drop(peer);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, b"alive");
    assert_eq!(world.bytes("file"), b"mine");
    world.assert_names(&["file", "live"]);
}
