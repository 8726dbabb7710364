//! Servers over TCP and Unix sockets: what each connection is given, how many there may be, and how they end.
//! The peers are the test's own, and the tools that people would use.

use crate::harness::World;
use crate::peer::{numbered, patient, read_all, read_some, reset};
use crate::server::Server;
use nix::sys::signal::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

/// Sends `bytes` and their end, and reads to the end, both at once.
fn converse(server: &Server, bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut stream = server.connect();
    let mut writer = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            // One that reads no more is noticed by what it gives.
            let _ = writer.write_all(bytes).and_then(|()| writer.shutdown(Shutdown::Write));
        });
        read_all(&mut stream)
    })
}

#[test]
fn every_connection_has_a_run_of_its_own() {
    let world = World::new();
    let server = Server::start(&world, "serve tcp://127.0.0.1:0 { upper }");
    let mut early = server.connect();
    early.write_all(b"first ").unwrap();
    assert_eq!(read_some(&mut early, 6), b"FIRST ");
    let text = "over and over ".repeat(100_000).into_bytes();
    let (given, is_end) = converse(&server, &text);
    assert!(is_end && given == text.to_ascii_uppercase());
    early.write_all(b"and still there").unwrap();
    early.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut early), (b"AND STILL THERE".to_vec(), true));
    server.end_quietly();
}

#[test]
fn a_run_that_fails_is_a_line_a_reset_and_nothing_else() {
    let world = World::new().with("out", "OLD");
    let mut server = Server::start(&world, "serve tcp://127.0.0.1:0 { gunzip | tee { write out } }");
    let (_, is_end) = converse(&server, b"this is no gzip data");
    assert!(!is_end, "an end that is none");
    let line = server.hears("gunzip");
    assert!(line.starts_with("weir: serve (stage 1): 127.0.0.1:"), "{line}");
    assert!(line.ends_with(": gunzip (stage 2): not gzip data (starts with `this`)"), "{line}");
    assert_eq!(world.bytes("out"), b"OLD");
    let packed = world.shell("printf better | gzip").run();
    assert_eq!(converse(&server, packed.stdout()), (b"better".to_vec(), true));
    assert_eq!(world.bytes("out"), b"better");
    server.end_quietly();
    world.assert_names(&["out"]);
}

#[test]
fn a_peer_that_breaks_off_leaves_nothing() {
    let world = World::new().with("out", "OLD");
    let mut server = Server::start(&world, "serve tcp://127.0.0.1:0 { write out }");
    let mut stream = server.connect();
    stream.write_all(b"half of").unwrap();
    reset(stream);
    let line = server.hears("stdin");
    assert!(line.ends_with(": stdin: the peer has reset the connection"), "{line}");
    assert_eq!(world.bytes("out"), b"OLD");
    // What is whole is in place when the connection ends.
    assert_eq!(converse(&server, b"all of it"), (Vec::new(), true));
    assert_eq!(world.bytes("out"), b"all of it");
    server.end_quietly();
    world.assert_names(&["out"]);
}

#[test]
fn a_chain_with_ends_of_its_own_leaves_the_connection_alone() {
    let world = World::new().with("page", numbered(3 << 20));
    let server = Server::start(&world, "serve tcp://127.0.0.1:0 { read page }");
    // Nobody reads what is sent, and all that is given arrives.
    let (given, is_end) = converse(&server, &[b'x'; 100_000]);
    assert!(is_end && given == world.bytes("page"));
    server.end_quietly();
    let mut server = Server::start(&world, "serve tcp://127.0.0.1:0 { read - page - | head -c 5 }");
    assert!(!converse(&server, b"abc").1, "an end that is none");
    let line = server.hears("can be read once");
    assert!(line.ends_with(": read (stage 2): standard input: can be read once"), "{line}");
    server.end_quietly();
}

#[test]
fn a_reader_who_has_enough_ends_the_run_and_not_the_server() {
    let world = World::new();
    let server = Server::start(&world, "serve tcp://127.0.0.1:0 { generate zeros 1T }");
    let mut stream = server.connect();
    read_some(&mut stream, 1 << 20);
    drop(stream);
    let mut next = server.connect();
    read_some(&mut next, 10);
    drop(next);
    server.end_quietly();
}

#[test]
fn a_peer_that_does_not_read_stalls_its_own_run_in_bounded_memory() {
    let world = World::new();
    let server = Server::start(&world, "serve tcp://127.0.0.1:0 { pass }");
    let mut stream = server.connect();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let chunk = vec![7; 1 << 20];
    let mut sent = 0;
    let error = loop {
        match stream.write(&chunk) {
            Ok(count) => sent += count,
            Err(error) => break error,
        }
        assert!(sent < 200 << 20, "nothing holds it back");
    };
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    assert!(server.status("VmHWM") < 100 << 10, "{} KiB", server.status("VmHWM"));
    // Others are served meanwhile, and what was sent comes back when it is read.
    assert_eq!(converse(&server, b"me too"), (b"me too".to_vec(), true));
    stream.shutdown(Shutdown::Write).unwrap();
    let (back, is_end) = read_all(&mut stream);
    assert!(is_end && back.len() == sent && back.iter().all(|&byte| byte == 7));
    server.end_quietly();
}

#[test]
fn a_connection_too_many_waits_for_another_to_end() {
    let world = World::new();
    let server = Server::start(&world, "serve tcp://127.0.0.1:0 --max-connections 2 { upper }");
    let mut inside: Vec<TcpStream> = (0..2).map(|_| server.connect()).collect();
    for stream in &mut inside {
        stream.write_all(b"a").unwrap();
        assert_eq!(read_some(stream, 1), b"A");
    }
    let mut outside = server.connect();
    outside.write_all(b"b").unwrap();
    outside.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(outside.read(&mut [0]).is_err(), "served though the house is full");
    drop(inside.pop());
    assert_eq!(read_some(&mut patient(outside), 1), b"B");
    drop(inside);
    server.end_quietly();
}

#[test]
fn a_silent_peer_is_ended_and_one_that_stirs_either_way_is_not() {
    let world = World::new();
    let mut server = Server::start(&world, "serve tcp://127.0.0.1:0 --timeout 600ms { upper }");
    let mut stream = server.connect();
    for _ in 0..8 {
        stream.write_all(b"a").unwrap();
        read_some(&mut stream, 1);
        thread::sleep(Duration::from_millis(120));
    }
    assert!(!read_all(&mut stream).1, "an end that is none");
    assert!(server.hears("stdin").ends_with("stdin: the peer was silent for 600 ms"));
    server.end_quietly();
}

#[test]
fn a_run_that_stalls_is_given_up_and_the_server_is_not() {
    let world = World::new();
    let chain = "serve tcp://127.0.0.1:0 { upper }";
    let mut server = Server::with(&world, chain, &["--stall-timeout=400ms"]);
    let mut stream = server.connect();
    assert!(!read_all(&mut stream).1, "an end that is none");
    assert!(server.hears("--stall-timeout").contains(": no byte moved for the time of"));
    assert_eq!(converse(&server, b"and on"), (b"AND ON".to_vec(), true));
    server.end_quietly();
}

#[test]
fn the_first_signal_closes_the_door_and_lets_those_inside_finish() {
    let world = World::new();
    let server = Server::start(&world, "serve tcp://127.0.0.1:0 { upper }");
    let address = server.address().to_owned();
    let mut stream = server.connect();
    stream.write_all(b"a").unwrap();
    assert_eq!(read_some(&mut stream, 1), b"A");
    server.signal(Signal::SIGTERM);
    while TcpStream::connect(&address).is_ok() {
        thread::yield_now();
    }
    stream.write_all(b"still").unwrap();
    assert_eq!(read_some(&mut stream, 5), b"STILL");
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut stream), (Vec::new(), true));
    server.ended_quietly(0);
}

#[test]
fn the_second_signal_ends_everything_at_once() {
    let world = World::new().with("out", "OLD");
    let mut server = Server::start(&world, "serve tcp://127.0.0.1:0 --grace 1h { tee { write out } }");
    let mut stream = server.connect();
    stream.write_all(b"a").unwrap();
    assert_eq!(read_some(&mut stream, 1), b"a");
    server.signal(Signal::SIGTERM);
    server.hears("1 connection may finish within ");
    server.signal(Signal::SIGTERM);
    assert!(!read_all(&mut stream).1, "an end that is none");
    let (code, said) = server.ended();
    assert!(code == 143 && said.ends_with("weir: ended by SIGTERM\n"), "{code}: {said}");
    assert_eq!(world.bytes("out"), b"OLD");
    world.assert_names(&["out"]);
}

#[test]
fn when_the_grace_is_over_those_inside_are_given_up() {
    let world = World::new();
    let mut server = Server::start(&world, "serve tcp://127.0.0.1:0 --grace 1500ms { upper }");
    let mut stream = server.connect();
    stream.write_all(b"a").unwrap();
    assert_eq!(read_some(&mut stream, 1), b"A");
    server.signal(Signal::SIGTERM);
    server.hears("1 connection may finish within ");
    assert!(!read_all(&mut stream).1, "an end that is none");
    server.ended_quietly(0);
}

#[test]
fn an_endless_source_is_ended_for_everybody_with_the_server() {
    let world = World::new().with("log", "one\n");
    let server = Server::start(&world, "serve tcp://127.0.0.1:0 { read --follow log }");
    let mut streams: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
    streams.iter_mut().for_each(|stream| assert_eq!(read_some(stream, 4), b"one\n"));
    let mut log = std::fs::OpenOptions::new().append(true).open(world.path("log")).unwrap();
    log.write_all(b"two\n").unwrap();
    streams.iter_mut().for_each(|stream| assert_eq!(read_some(stream, 4), b"two\n"));
    server.signal(Signal::SIGTERM);
    streams.iter_mut().for_each(|stream| assert_eq!(read_all(stream), (Vec::new(), true)));
    server.ended_quietly(0);
}

#[test]
fn a_proxy_passes_half_closes_and_pressure_both_ways() {
    let world = World::new();
    let mut echo = Server::start(&world, "serve tcp://127.0.0.1:0 { pass }");
    let chain = format!("serve tcp://127.0.0.1:0 {{ tcp {} }}", echo.address());
    let mut proxy = Server::start(&world, &chain);
    let bytes = numbered(40 << 20);
    let (back, is_end) = converse(&proxy, &bytes);
    assert!(is_end && back == bytes);
    assert!(proxy.status("VmHWM") < 100 << 10, "{} KiB", proxy.status("VmHWM"));
    // One that leaves in the middle takes the other side with it.
    let mut stream = proxy.connect();
    stream.write_all(b"a").unwrap();
    read_some(&mut stream, 1);
    reset(stream);
    proxy.hears("the peer has reset the connection");
    echo.hears("the peer has reset the connection");
    proxy.end_quietly();
    echo.end_quietly();
}

#[test]
fn a_child_that_dies_takes_its_own_connection_only() {
    let world = World::new();
    let mut server = Server::start(
        &world,
        "serve tcp://127.0.0.1:0 { stdin | exec sh -c 'read x; echo $x >&2; echo got $x; exit ${#x}' }",
    );
    let (given, is_end) = converse(&server, b"abc\n");
    assert!(!is_end && (given.is_empty() || given == b"got abc\n"));
    server.hears("abc");
    let line = server.hears("exec");
    assert!(line.ends_with("exec (stage 3): sh: ended with exit status 3"), "{line}");
    assert_eq!(converse(&server, b"\n"), (b"got\n".to_vec(), true));
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ended().0, 0);
}

#[test]
fn a_unix_socket_is_served_and_its_name_goes_with_the_server() {
    let world = World::new();
    let name = "a socket's \"name\"";
    let server = Server::start(&world, r#"serve "unix:a socket's \"name\"" { upper }"#);
    let mut stream = UnixStream::connect(world.path(name)).unwrap();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut stream), (b"HELLO".to_vec(), true));
    server.end_quietly();
    world.assert_names(&[]);
}

#[test]
fn netcat_and_socat_are_served() {
    let world = World::new();
    let server = Server::start(&world, "serve tcp://localhost:0 { upper }");
    let (host, port) = server.address().rsplit_once(':').unwrap();
    if let Some(nc) = world.tool("nc") {
        nc.args(["-N", host.trim_matches(['[', ']']), port]).stdin("by nc").run().quietly().giving("BY NC");
    }
    if let Some(socat) = world.tool("socat") {
        socat
            .args(["-t", "60", "-", &format!("TCP:{}", server.address())])
            .stdin("by socat")
            .run()
            .quietly()
            .giving("BY SOCAT");
    }
    server.end_quietly();
}

#[test]
fn descriptors_and_threads_are_given_back() {
    let world = World::new();
    let server = Server::start(&world, "serve tcp://127.0.0.1:0 { upper }");
    converse(&server, b"once");
    let (descriptors, threads) = (server.descriptors(), server.status("Threads"));
    for _ in 0..100 {
        converse(&server, b"again and again");
    }
    // What the last one had may still be on its way out.
    let is_back = || server.descriptors() <= descriptors && server.status("Threads") <= threads;
    let begin = std::time::Instant::now();
    while !is_back() && begin.elapsed() < crate::harness::PATIENCE {
        thread::yield_now();
    }
    assert!(
        is_back(),
        "{} of {descriptors}, {} of {threads}",
        server.descriptors(),
        server.status("Threads")
    );
    server.end_quietly();
}

#[test]
fn with_few_descriptors_fewer_are_inside_and_nobody_is_lost() {
    let world = World::new();
    let line = "ulimit -n 48; exec weir --progress=never -- 'serve tcp://127.0.0.1:0 { upper }'";
    let mut server = Server::of(world.shell(line));
    server.hears("only 1 at once: the system allows no more open files");
    let streams: Vec<TcpStream> = (0..40).map(|_| server.connect()).collect();
    for mut stream in streams {
        stream.write_all(b"a").unwrap();
        assert_eq!(read_some(&mut stream, 1), b"A");
    }
    server.end_quietly();
}

#[test]
fn what_cannot_be_listened_at_is_said_before_anything_runs() {
    let world = World::new();
    let server = Server::start(&world, "serve tcp://127.0.0.1:0 { upper }");
    let chain = format!("serve tcp://{} {{ upper }}", server.address());
    world.weir(chain).run().with_code(1).saying("cannot listen: address already in use");
    world
        .weir("serve tcp://0.0.0.0:0 { upper }")
        .run()
        .with_code(1)
        .saying("can be reached from other machines")
        .saying("--allow-remote");
    world
        .weir("serve ftp://localhost { upper }")
        .run()
        .with_code(2)
        .saying("it is not known what to speak there");
    world.weir("serve tcp://:7 { upper } | gzip").run().with_code(2).saying("`serve` stands alone");
    world
        .weir("read a | tee { serve tcp://:7 { upper } }")
        .run()
        .with_code(2)
        .saying("cannot stand in a group");
    world
        .weir("serve tcp://:7 { serve tcp://:8 { upper } }")
        .run()
        .with_code(2)
        .saying("cannot stand in a group");
    world.weir("serve tcp://:7 { upper } { lower }").run().with_code(2).saying("a server runs one chain");
    world.weir("serve tcp://:7 { read no-such-file }").run().with_code(1).saying("no such file or directory");
    server.end_quietly();
}
