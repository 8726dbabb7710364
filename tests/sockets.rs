//! Conversations over TCP: how either side ends them, breaks them off, goes silent or never comes about.
//! The peer at the other end is the test's own.

use crate::harness::{Patience, World, skipped};
use crate::peer::{Peer, numbered, patient, read_all, read_some, reset};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, socket};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const PIPED: fn(&mut Command) -> &mut Command =
    |command| command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());

/// What a child that is about to end has said.
fn said(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

#[test]
fn the_end_of_the_input_is_the_end_for_the_peer_who_may_go_on() {
    let peer = Peer::new();
    let world = World::new();
    let chain = format!("tcp {}", peer.address());
    let heard = peer.does(|mut stream| {
        let heard = read_all(&mut stream);
        stream.write_all(b"an answer, late").unwrap();
        heard
    });
    world.weir(chain).stdin("a question").run().quietly().giving("an answer, late");
    assert_eq!(heard.join().unwrap(), (b"a question".to_vec(), true));
}

#[test]
fn a_peer_that_has_said_all_is_still_given_everything() {
    let peer = Peer::new();
    let world = World::new();
    let chain = format!("stdin | tcp {} | write out", peer.address());
    let heard = peer.does(|mut stream| {
        stream.write_all(b"all I say").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        read_all(&mut stream)
    });
    let all = numbered(9 << 20);
    world.weir(chain).stdin(all.clone()).run().quietly();
    assert!(heard.join().unwrap() == (all, true));
    assert_eq!(world.bytes("out"), b"all I say");
}

#[test]
fn a_peer_that_goes_while_the_input_is_silent_is_the_end() {
    let peer = Peer::new();
    let world = World::new();
    let chain = format!("stdin | tcp {} | write out", peer.address());
    let gone = peer.does(|mut stream| stream.write_all(b"goodbye").unwrap());
    let mut child = world.weir(chain).spawn(PIPED);
    let _guard = Patience::with(&child);
    let held = child.stdin.take();
    assert_eq!(said(&mut child), "");
    assert!(child.wait().unwrap().success());
    drop(held);
    gone.join().unwrap();
    assert_eq!(world.bytes("out"), b"goodbye");
}

#[test]
fn a_peer_that_goes_before_it_has_what_it_was_given_has_reset_it() {
    let peer = Peer::new();
    let world = World::new().with("out", "old");
    let chain = format!("stdin | tcp {} | write out", peer.address());
    let address = peer.address();
    let gone = peer.does(|mut stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        read_some(&mut stream, 1);
        reset(stream);
    });
    let mut child = world.weir(chain).spawn(PIPED);
    let _guard = Patience::with(&child);
    let mut held = child.stdin.take().unwrap();
    held.write_all(b"x").unwrap();
    let said = said(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains(&format!("{address}: the peer has reset the connection")), "{said}");
    gone.join().unwrap();
    assert_eq!(world.bytes("out"), b"old");
    world.assert_names(&["out"]);
}

#[test]
fn a_reset_while_sending_fails_the_run_and_leaves_what_was_there() {
    let peer = Peer::new();
    let world = World::new().with("out", "old");
    let address = peer.address();
    let gone = peer.does(|mut stream| {
        read_some(&mut stream, 1 << 20);
        reset(stream);
    });
    let ran = world.weir(format!("generate zeros 64M | tcp {address} | write out")).run().with_code(1);
    gone.join().unwrap();
    let told = format!("tcp (stage 2): {address}: the peer has reset the connection, after it ");
    let ran = ran.saying(&told).saying("out is as it was");
    assert_eq!(ran.stderr().matches("weir:").count(), 1, "{}", ran.stderr());
    assert_eq!(world.bytes("out"), b"old");
    world.assert_names(&["out"]);
}

#[test]
fn a_reset_while_receiving_fails_the_run_and_leaves_what_was_there() {
    for given in [0, 300_000] {
        let peer = Peer::new();
        let world = World::new().with("out", "old");
        let address = peer.address();
        let gone = peer.does(move |mut stream| {
            stream.write_all(&numbered(given)).unwrap();
            // It has all of it, when that much has come back.
            read_all(&mut stream);
            reset(stream);
        });
        let ran = world.weir(format!("tcp {address} | write out")).stdin("a question").run().with_code(1);
        gone.join().unwrap();
        ran.saying(&format!("tcp (stage 1): {address}: the peer has reset the connection, after it gave "));
        assert_eq!(world.bytes("out"), b"old");
        world.assert_names(&["out"]);
    }
}

#[test]
fn a_peer_that_reads_no_more_is_a_stall_that_names_it() {
    let peer = Peer::new();
    let world = World::new().with("out", "old");
    let address = peer.address();
    let chain = format!("generate zeros 64M | tcp {address} | write out");
    let (over, is_over) = mpsc::channel::<()>();
    let gone = peer.does(move |mut stream| {
        read_some(&mut stream, 1);
        is_over.recv().unwrap_err();
        read_all(&mut stream).1
    });
    let ran = world.weir(chain).args(["--stall-timeout", "1s"]).run().with_code(124);
    drop(over);
    ran.saying(&format!("tcp {address}"));
    assert!(!gone.join().unwrap(), "the peer saw an end");
    assert_eq!(world.bytes("out"), b"old");
    world.assert_names(&["out"]);
}

#[test]
fn a_silent_peer_is_a_stall_that_names_it() {
    let peer = Peer::new();
    let world = World::new();
    let address = peer.address();
    let heard = peer.does(|mut stream| read_all(&mut stream));
    let ran =
        world.weir(format!("stdin | tcp {address} | write out")).arg("--stall-timeout=1s").stdin("x").run();
    // The peer sees our end, then ends itself.
    ran.with_code(0);
    assert_eq!(heard.join().unwrap(), (b"x".to_vec(), true));
    let peer = Peer::new();
    let address = peer.address();
    let (over, is_over) = mpsc::channel::<()>();
    let silent = peer.does(move |stream| {
        is_over.recv().unwrap_err();
        drop(stream);
    });
    let ran =
        world.weir(format!("stdin | tcp {address} | write out")).arg("--stall-timeout=1s").stdin("x").run();
    ran.with_code(124).saying(&format!("tcp {address}"));
    drop(over);
    silent.join().unwrap();
}

#[test]
fn a_signal_is_a_reset_for_the_peer_and_never_an_end() {
    for how in [Signal::SIGINT, Signal::SIGTERM] {
        // Busy, stuck, and idle: the last gives nothing but its first line.
        for source in ["generate zeros 1T", "generate zeros 64M", "stdin"] {
            let peer = Peer::new();
            let world = World::new();
            let chain = format!("{source} | tcp {} | write out", peer.address());
            let (begun, has_begun) = mpsc::channel();
            let (over, is_over) = mpsc::channel::<()>();
            let reads_on = source.ends_with("1T");
            let heard = peer.does(move |mut stream| {
                read_some(&mut stream, 1);
                begun.send(()).unwrap();
                if !reads_on {
                    is_over.recv().unwrap_err();
                }
                let mut sink = vec![0; 1 << 20];
                loop {
                    match stream.read(&mut sink) {
                        Ok(0) => return true,
                        Ok(_) => {}
                        Err(_) => return false,
                    }
                }
            });
            let mut child = world.weir(chain).spawn(PIPED);
            let _guard = Patience::with(&child);
            let mut held = child.stdin.take().unwrap();
            held.write_all(b"x").ok();
            has_begun.recv().unwrap();
            let told = Instant::now();
            signal(&child, how);
            let said = said(&mut child);
            assert_eq!(child.wait().unwrap().signal(), Some(how as i32), "{said}");
            assert!(told.elapsed() < Duration::from_secs(5), "it took {:?}", told.elapsed());
            drop(over);
            assert!(!heard.join().unwrap(), "{source}: the peer saw an end");
            world.assert_names(&[]);
        }
    }
}

#[test]
fn a_failure_before_it_is_a_reset_for_the_peer_and_never_an_end() {
    let world = World::new();
    world.weir("generate text 4M | gzip | write whole.gz").run().quietly();
    let whole = world.bytes("whole.gz");
    std::fs::write(world.path("cut.gz"), &whole[..whole.len() - 9]).unwrap();
    let peer = Peer::new();
    let chain = format!("read cut.gz | gunzip | tcp {} | discard", peer.address());
    let heard = peer.does(|mut stream| read_all(&mut stream).1);
    world.weir(chain).run().with_code(3).saying("gunzip (stage 2)");
    assert!(!heard.join().unwrap(), "the peer saw an end");
    // And one behind it.
    let peer = Peer::new();
    let chain = format!("stdin | tcp {} | gunzip | write out", peer.address());
    let heard = peer.does(|mut stream| {
        stream.write_all(b"this is no gzip").unwrap();
        read_all(&mut stream).1
    });
    let mut child = world.weir(chain).spawn(PIPED);
    let _guard = Patience::with(&child);
    let held = child.stdin.take();
    let said = said(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(3), "{said}");
    assert!(!heard.join().unwrap(), "the peer saw an end");
    drop(held);
    world.assert_names(&["cut.gz", "whole.gz"]);
}

#[test]
fn who_has_enough_of_the_peer_ends_the_connection() {
    let peer = Peer::new();
    let world = World::new();
    let chain = format!("stdin | tcp {} | head -n 2", peer.address());
    let gone = peer.does(|mut stream| while stream.write_all(b"a line\n").is_ok() {});
    let mut child = world.weir(chain).spawn(PIPED);
    let _guard = Patience::with(&child);
    let held = child.stdin.take();
    assert_eq!(said(&mut child), "");
    assert!(child.wait().unwrap().success());
    gone.join().unwrap();
    drop(held);
}

#[test]
fn bytes_that_come_one_by_one_are_the_same_bytes() {
    let peer = Peer::new();
    let world = World::new();
    let chain = format!("tcp {}", peer.address());
    let all = numbered(3001);
    let sent = all.clone();
    let heard = peer.does(move |mut stream| {
        for byte in sent.chunks(1) {
            stream.write_all(byte).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        read_all(&mut stream)
    });
    world.weir(chain).stdin(all.clone()).run().quietly().giving(&all);
    assert!(heard.join().unwrap() == (all, true));
}

#[test]
fn a_peer_that_gives_everything_before_it_takes_anything_blocks_nothing() {
    const BYTES: usize = 48 << 20;
    let peer = Peer::new();
    let world = World::new();
    let chain = format!("generate zeros 48M | tcp {} | write out", peer.address());
    let all = numbered(BYTES);
    let sent = all.clone();
    let heard = peer.does(move |mut stream| {
        stream.write_all(&sent).unwrap();
        read_all(&mut stream)
    });
    world.weir(chain).run().quietly();
    assert!(world.bytes("out") == all);
    let (heard, ended) = heard.join().unwrap();
    assert!(ended && heard == vec![0; BYTES]);
}

#[test]
fn a_file_is_sent_as_it_is() {
    let peer = Peer::new();
    let all = numbered((5 << 20) + 1);
    let world = World::new().with("in", &all);
    let chain = format!("read in | tcp {} | write out", peer.address());
    let heard = peer.does(|mut stream| {
        stream.write_all(b"thanks").unwrap();
        read_all(&mut stream)
    });
    world.weir(chain).run().quietly();
    assert!(heard.join().unwrap() == (all, true));
    assert_eq!(world.bytes("out"), b"thanks");
}

#[test]
fn who_cannot_be_reached_is_told_and_nothing_is_written() {
    let world = World::new().with("out", "old");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let refused = format!("tcp (stage 1): {gone}: cannot connect: connection refused");
    let begin = Instant::now();
    world.weir(format!("tcp {gone} | write out")).run().with_code(1).saying(&refused);
    let unknown = "no-such-host.invalid:80: cannot find no-such-host.invalid: ";
    world.weir("tcp no-such-host.invalid:80 | write out").run().with_code(1).saying(unknown);
    assert!(begin.elapsed() < Duration::from_secs(30), "it took {:?}", begin.elapsed());
    assert_eq!(world.bytes("out"), b"old");
    world.assert_names(&["out"]);
    for (call, why) in [
        ("tcp host", "a port is missing"),
        ("tcp host:0", "port 0"),
        ("tcp http://host:80", "the host is no name"),
        ("tcp ::1:80", "an IPv6 address stands in brackets"),
        ("tcp -l --connect-timeout 1s :1", "cannot be used with"),
    ] {
        world.weir(call).run().with_code(2).saying(why);
    }
}

#[test]
fn who_does_not_answer_is_waited_for_no_longer_than_told() {
    // A queue that nobody takes from, and that is full.
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    listen(&socket, Backlog::new(0).unwrap()).unwrap();
    let address: SocketAddr = TcpListener::from(socket.try_clone().unwrap()).local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(stream);
        if waiting.len() > 50 {
            return skipped("a queue does not get full here");
        }
    }
    let world = World::new();
    let ran = world.weir(format!("tcp --connect-timeout 300ms {address} | write out")).run().with_code(1);
    assert!(ran.took < Duration::from_secs(20), "it took {:?}", ran.took);
    ran.saying(&format!("{address}: cannot connect: no answer within 300 ms"));
    let mut child = world.weir(format!("tcp {address} | write out")).spawn(PIPED);
    let _guard = Patience::with(&child);
    signal(&child, Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
    world.assert_names(&[]);
}

#[test]
fn one_connection_is_awaited_and_nobody_else_is_let_in() {
    let world = World::new();
    let mut child = world.weir("stdin | tcp --listen 127.0.0.1:0 | write out").spawn(PIPED);
    let _guard = Patience::with(&child);
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let told = "tcp (stage 2): waiting for a connection to ";
    let address = line.trim_end().split_once(told).unwrap_or_else(|| panic!("{line}")).1.to_owned();
    let mut first = patient(TcpStream::connect(&address).unwrap());
    child.stdin.take().unwrap().write_all(b"welcome").unwrap();
    let heard = read_all(&mut first);
    assert_eq!(heard, (b"welcome".to_vec(), true));
    TcpStream::connect(&address).unwrap_err();
    first.write_all(b"and thanks").unwrap();
    drop(first);
    assert!(child.wait().unwrap().success());
    assert_eq!(world.bytes("out"), b"and thanks");
}

#[test]
fn one_listens_to_other_machines_only_if_that_is_said() {
    let world = World::new();
    world
        .weir("tcp --listen 0.0.0.0:0 | write out")
        .run()
        .with_code(1)
        .saying("0.0.0.0 can be reached from other machines")
        .saying("--allow-remote");
    world.weir("tcp --allow-remote localhost:80").run().with_code(2).saying("--listen");
    let mut child = world.weir("tcp --listen --allow-remote 0.0.0.0:0").spawn(PIPED);
    let _guard = Patience::with(&child);
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim_end().rsplit(':').next().unwrap().parse().unwrap();
    drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    world.assert_names(&[]);
}

#[test]
fn nobody_who_comes_is_waited_for_until_a_signal() {
    let world = World::new();
    let mut child = world.weir("tcp --listen localhost:0 | write out").spawn(PIPED);
    let _guard = Patience::with(&child);
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    signal(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGINT as i32));
    world.assert_names(&[]);
}
