//! `ws` through the binary: how peers end, break off, lie in the handshake and break the protocol.
//! The peer at the other end is the test's own.

use crate::harness::{Patience, Ran, World};
use crate::peer::{Peer, numbered, read_all, read_some, reset};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket, accept};

/// Has `act` talk to the first client, and tells the URL.
fn server<T: Send + 'static>(
    act: impl FnOnce(WebSocket<TcpStream>) -> T + Send + 'static,
) -> (String, JoinHandle<T>) {
    let peer = Peer::new();
    let url = format!("ws://{}/", peer.address());
    (url, peer.does(|stream| act(accept(stream).unwrap())))
}

/// Reads until the connection ends: the messages, and whether it ended by a last word. Pings are answered by the library.
fn hear(socket: &mut WebSocket<TcpStream>) -> (Vec<Message>, bool) {
    let mut all = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Close(_)) => {
                while socket.flush().is_ok() && socket.read().is_ok() {}
                return (all, true);
            }
            Ok(Message::Ping(_)) => {}
            Ok(message) => all.push(message),
            Err(_) => return (all, false),
        }
    }
}

/// The end of a request, and the key in it.
fn key_of(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.extend(read_some(stream, 1));
    }
    let request = String::from_utf8(request).unwrap();
    let line = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    line.to_owned()
}

/// Agrees to speak WebSocket, without the library.
fn answer(stream: &mut TcpStream) {
    let key = derive_accept_key(key_of(stream).as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Good\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {key}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).unwrap();
}

/// Reads the ping that comes when the input has ended, and answers it, without the library.
fn answer_the_question(stream: &mut TcpStream) {
    let head = read_some(stream, 6);
    assert_eq!(head[0], 0x89);
    let length = head[1] & 0x7f;
    let mut payload = read_some(stream, usize::from(length));
    payload.iter_mut().zip(head[2..].iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    stream.write_all(&[&[0x8a, length], &payload[..]].concat()).unwrap();
}

/// A chain whose peer answers the handshake well, then sends `frames`, and hears out what comes.
fn after_frames(options: &str, frames: &[u8], ends: fn(TcpStream)) -> (World, Ran) {
    let peer = Peer::new();
    let world = World::new().with("out", "old");
    let chain = format!("stdin | ws {options} ws://{} | write out", peer.address());
    let frames = frames.to_vec();
    let serving = peer.does(move |mut stream| {
        let key = derive_accept_key(key_of(&mut stream).as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Good\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {key}\r\n\r\n"
        );
        // Together, so that the first frames come with the answer.
        stream.write_all(&[answer.as_bytes(), &frames].concat()).unwrap();
        ends(stream);
    });
    let ran = world.weir(chain).stdin("x").run();
    serving.join().unwrap();
    (world, ran)
}

fn hears_out(mut stream: TcpStream) {
    read_all(&mut stream);
}

#[test]
fn what_is_said_after_our_last_word_still_goes_on() {
    let peer = Peer::new();
    let (world, chain) = (World::new(), format!("ws ws://{}", peer.address()));
    let serving = peer.does(|mut stream| {
        answer(&mut stream);
        // A message of five bytes, and the last word, with their heads and masks.
        let heard = read_some(&mut stream, 6 + 5);
        answer_the_question(&mut stream);
        let last_word = read_some(&mut stream, 6 + 2);
        stream.write_all(b"\x82\x04late\x88\x02\x03\xe8").unwrap();
        (heard[..2].to_vec(), last_word[..2].to_vec(), read_all(&mut stream).0)
    });
    world.weir(chain).stdin("hello").run().quietly().giving("late");
    assert_eq!(serving.join().unwrap(), (vec![0x82, 0x85], vec![0x88, 0x82], Vec::new()));
}

#[test]
fn a_peer_that_has_read_all_is_given_time_to_answer_before_the_last_word() {
    let (url, serving) = server(|mut socket| {
        let question = socket.read().unwrap();
        // All that follows is put off, to when the client has been told that it was read.
        assert!(socket.read().unwrap().is_ping());
        socket.flush().unwrap();
        socket.send(question).unwrap();
        socket.send(Message::binary(" and more")).unwrap();
        // Like the servers that give nothing more then.
        assert!(socket.read().unwrap().is_close());
        hear(&mut socket)
    });
    World::new().weir(format!("ws {url}")).stdin("hi").run().quietly().giving("hi and more");
    serving.join().unwrap();
}

#[test]
fn both_ways_at_once_do_not_wait_for_each_other() {
    const MESSAGES: usize = 100;
    let (url, serving) = server(|mut socket| {
        for part in numbered(MESSAGES * 250_000).chunks(250_000) {
            socket.send(Message::binary(part.to_vec())).unwrap();
        }
        let (heard, ended) = hear(&mut socket);
        assert!(ended && heard.iter().all(Message::is_binary));
        heard.iter().map(Message::len).sum::<usize>()
    });
    let world = World::new();
    world.weir(format!("generate zeros 24M | ws {url} | write out")).run().quietly();
    assert_eq!(serving.join().unwrap(), 24 << 20);
    assert!(world.bytes("out") == numbered(MESSAGES * 250_000));
}

#[test]
fn a_peers_last_word_is_the_end_and_its_code_is_looked_at() {
    for (code, reason, told) in [
        (None, "", None),
        (Some(CloseCode::Normal), "done", None),
        (Some(CloseCode::Away), "", None),
        (Some(CloseCode::Error), "out of tea", Some("ended with code 1011: out of tea")),
        (Some(CloseCode::Policy), "", Some("ended with code 1008")),
        (Some(CloseCode::Library(4321)), "mine", Some("ended with code 4321: mine")),
    ] {
        let (url, serving) = server(move |mut socket| {
            socket.send(Message::binary("some")).unwrap();
            socket.close(code.map(|code| CloseFrame { code, reason: reason.into() })).unwrap();
            hear(&mut socket)
        });
        let world = World::new().with("out", "old");
        // The input is silent, and is not waited for.
        let mut child = world
            .weir(format!("stdin | ws {url} | write out"))
            .spawn(|command| command.stdin(Stdio::piped()).stderr(Stdio::piped()));
        let _guard = Patience::with(&child);
        let (held, mut said) = (child.stdin.take(), String::new());
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let status = child.wait().unwrap();
        drop(held);
        assert_eq!(status.code(), Some(i32::from(told.is_some())), "{said}");
        assert!(said.contains(told.unwrap_or("")), "{said}");
        assert_eq!(world.bytes("out"), if told.is_some() { &b"old"[..] } else { b"some" });
        assert!(serving.join().unwrap().1, "it was answered");
    }
}

#[test]
fn a_connection_that_ends_without_a_last_word_was_cut() {
    for (ends, why) in [
        (drop as fn(TcpStream), "the connection was cut"),
        (
            (|stream| {
                stream.shutdown(Shutdown::Write).unwrap();
                hears_out(stream);
            }) as fn(TcpStream),
            "the connection was cut",
        ),
        (
            (|mut stream| {
                // One message of a byte, and the ping behind it: none is left, which would make any end a reset.
                read_some(&mut stream, 7 + 6 + 13);
                reset(stream);
            }) as fn(TcpStream),
            "the peer has reset the connection",
        ),
    ] {
        let (world, ran) = after_frames("", b"\x82\x04some\x82\x7e\x01", ends);
        let ran = ran.with_code(1);
        // A peer that goes at once may reset what it is sent.
        assert!(
            ran.stderr().contains(why) || ran.stderr().contains("has reset the connection"),
            "{}",
            ran.stderr()
        );
        assert_eq!(world.bytes("out"), b"old");
        world.assert_names(&["out"]);
    }
}

#[test]
fn who_breaks_the_protocol_is_told_and_nothing_is_written() {
    let broke = "broke the WebSocket protocol: ";
    for (options, frames, code, why) in [
        ("", &b"\xc2\x01x"[..], 1, "reserved bits are non-zero"),
        ("", b"\x83\x01x", 1, "encountered invalid opcode: 3"),
        ("", b"\x8b\x00", 1, "encountered invalid opcode: 11"),
        ("", b"\x82\x81\x00\x00\x00\x00x", 1, "received a masked frame from server"),
        ("", b"\x80\x01x", 1, "continue frame but nothing to continue"),
        ("", b"\x02\x01x\x82\x01y", 1, "while waiting for more fragments received: BINARY"),
        ("", b"\x09\x00", 1, "fragmented control frame"),
        ("", b"\x89\x7e\x00\x7e", 1, ""),
        ("--text", b"\x81\x02\xc3(", 1, "a text message is no UTF-8"),
        ("", b"\x81\x01\xff", 1, "a text message is no UTF-8"),
        ("", b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 3, "longer than 64 MiB"),
        ("", b"\x82\x7f\x00\x00\x00\x00\x04\x00\x00\x01", 3, "longer than 64 MiB"),
    ] {
        let mut padded = frames.to_vec();
        if frames.starts_with(b"\x89\x7e") {
            padded.extend([0; 126]);
        }
        let (world, ran) = after_frames(options, &padded, hears_out);
        let ran = ran.with_code(code).saying("ws (stage 2): 127.0.0.1:").saying(why);
        if code == 1 {
            ran.saying(broke);
        }
        assert_eq!(world.bytes("out"), b"old", "{why}");
        world.assert_names(&["out"]);
    }
}

#[test]
fn fragments_and_single_bytes_and_pings_between_them_are_one_message() {
    let frames = b"\x01\x02on\x89\x03you\x00\x00\x80\x03e\xc3\xa9\x81\x00\x82\x03two\x88\x00";
    for (options, expected) in [("--text", "one\u{e9}\n\ntwo"), ("", "one\u{e9}two")] {
        let (world, ran) = after_frames(options, frames, hears_out);
        ran.quietly();
        assert_eq!(String::from_utf8(world.bytes("out")).unwrap(), expected);
    }
    let peer = Peer::new();
    let world = World::new();
    let chain = format!("ws ws://{}/", peer.address());
    let serving = peer.does(move |mut stream| {
        let key = derive_accept_key(key_of(&mut stream).as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Good\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {key}\r\n\r\n"
        );
        for byte in answer.as_bytes().iter().chain(frames) {
            stream.write_all(&[*byte]).unwrap();
        }
        read_all(&mut stream)
    });
    world.weir(chain).stdin("").run().quietly().giving("one\u{e9}two");
    serving.join().unwrap();
}

#[test]
fn pings_are_answered_while_nothing_is_given_and_while_nothing_is_taken() {
    let (url, serving) = server(|mut socket| {
        for number in 0..10_u8 {
            socket.send(Message::Ping(vec![number].into())).unwrap();
            assert_eq!(socket.read().unwrap(), Message::Pong(vec![number].into()));
        }
        socket.close(None).unwrap();
        hear(&mut socket)
    });
    let world = World::new();
    let mut child = world
        .weir(format!("stdin | ws {url}"))
        .spawn(|command| command.stdin(Stdio::piped()).stdout(Stdio::null()));
    let _guard = Patience::with(&child);
    let held = child.stdin.take();
    assert!(child.wait().unwrap().success());
    drop(held);
    serving.join().unwrap();
    // A peer that asks and asks, and takes none of the answers before it has asked enough, is no burden.
    let (url, serving) = server(|mut socket| {
        for _ in 0..100_000 {
            socket.write(Message::Ping(vec![b'x'; 125].into())).unwrap();
        }
        socket.close(None).unwrap();
        hear(&mut socket).0.iter().filter(|message| message.is_pong()).count()
    });
    world.weir(format!("generate zeros 16M | ws {url} | discard")).run().quietly();
    assert!(serving.join().unwrap() > 0);
}

#[test]
fn lines_that_cannot_be_messages_are_refused_at_their_byte() {
    let (url, serving) = server(|mut socket| hear(&mut socket));
    let world = World::new();
    let ran = world.weir(format!("ws --text {url} | write out")).stdin(b"good\nbad \xff\n".to_vec()).run();
    ran.with_code(3).saying("no UTF-8 at input byte 9").saying("--text");
    // It may have been sent what came before, and never an end.
    let (heard, ended) = serving.join().unwrap();
    assert!(!ended && heard.len() <= 1);
    world.assert_names(&[]);
}

#[test]
fn a_failure_or_a_signal_here_is_no_last_word_there() {
    let world = World::new();
    world.weir("generate text 1M | gzip | write whole.gz").run().quietly();
    let whole = world.bytes("whole.gz");
    std::fs::write(world.path("cut.gz"), &whole[..whole.len() - 9]).unwrap();
    let (url, serving) = server(|mut socket| hear(&mut socket).1);
    world
        .weir(format!("read cut.gz | gunzip | ws {url} | discard"))
        .run()
        .with_code(3)
        .saying("gunzip (stage 2)");
    assert!(!serving.join().unwrap());

    let (begun, has_begun) = mpsc::channel();
    let (url, serving) = server(move |mut socket| {
        socket.read().unwrap();
        begun.send(()).unwrap();
        hear(&mut socket).1
    });
    let mut child = world
        .weir(format!("stdin | ws {url}"))
        .spawn(|command| command.stdin(Stdio::piped()).stdout(Stdio::null()));
    let _guard = Patience::with(&child);
    let mut held = child.stdin.take().unwrap();
    held.write_all(b"x").unwrap();
    has_begun.recv().unwrap();
    let told = Instant::now();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
    assert!(told.elapsed() < Duration::from_secs(5), "it took {:?}", told.elapsed());
    assert!(!serving.join().unwrap());

    let (url, serving) = server(|mut socket| while socket.send(Message::text("a line\n")).is_ok() {});
    let mut child = world
        .weir(format!("stdin | ws {url} | head -n 2 | discard"))
        .spawn(|command| command.stdin(Stdio::piped()));
    let _guard = Patience::with(&child);
    let held = child.stdin.take();
    assert!(child.wait().unwrap().success());
    serving.join().unwrap();
    drop(held);
}

#[test]
fn a_peer_that_reads_no_more_is_a_stall_that_names_it() {
    let (over, is_over) = mpsc::channel::<()>();
    let (url, serving) = server(move |mut socket| {
        socket.read().unwrap();
        is_over.recv().unwrap_err();
        hear(&mut socket).1
    });
    let world = World::new();
    let ran =
        world.weir(format!("generate zeros 64M | ws {url} | write out")).arg("--stall-timeout=1s").run();
    ran.with_code(124).saying("the others wait for ws");
    drop(over);
    assert!(!serving.join().unwrap());
    // One that says its last word in this state is not waited for.
    let (over, is_over) = mpsc::channel::<()>();
    let (url, serving) = server(move |mut socket| {
        socket.read().unwrap();
        socket.close(None).unwrap();
        is_over.recv().unwrap_err();
    });
    world.weir(format!("generate zeros 64M | ws {url} | write out")).run().with_code(0);
    drop(over);
    serving.join().unwrap();
}

#[test]
fn a_handshake_that_does_not_come_about_is_told() {
    let told = |answer: &'static str, whys: &[&str]| {
        let peer = Peer::new();
        let world = World::new().with("out", "old");
        let address = peer.address();
        let serving = peer.does(move |mut stream| {
            key_of(&mut stream);
            stream.write_all(answer.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            read_all(&mut stream)
        });
        let mut ran =
            world.weir(format!("ws ws://{address}/chat | write out")).stdin("secret").run().with_code(1);
        ran = ran.saying(&format!("weir: ws (stage 1): {address}: {}", whys[0]));
        whys[1..].iter().fold(ran, |ran, why| ran.saying(why));
        assert_eq!(serving.join().unwrap().0, b"", "it heard nothing");
        assert_eq!(world.bytes("out"), b"old");
    };
    told(
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        &["answered 404 Not Found instead of switching to WebSocket"],
    );
    told(
        "HTTP/1.0 301 Moved\r\nLocation: https://elsewhere.example/\r\n\r\n",
        &["answered 301 Moved instead of", "it points to https://elsewhere.example/; that is not followed"],
    );
    told(
        "HTTP/1.1 101 Good\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm9wZQ==\r\n\r\n",
        &["broke the WebSocket handshake: its key does not answer ours"],
    );
    told("HTTP/1.1 200 OK\r\n\r\n<html>", &["answered 200 OK instead of switching"]);
    told("SSH-2.0-OpenSSH_9.9\r\n", &["does not answer in HTTP"]);
    told("HTTP/1.1 101 Go", &["closed the connection during the handshake"]);
    told("", &["closed the connection during the handshake"]);
    let peer = Peer::new();
    let address = peer.address();
    let serving = peer.does(|mut stream| read_all(&mut stream));
    let world = World::new();
    let ran = world.weir(format!("ws --connect-timeout 500ms ws://{address}")).run().with_code(1);
    ran.saying("no answer to the handshake within 500 ms");
    serving.join().unwrap();
}

#[test]
fn the_handshake_says_what_it_is_told_to_say_and_no_more() {
    let peer = Peer::new();
    let (address, world) = (peer.address(), World::new());
    let serving = peer.does(|mut stream| {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.extend(read_some(&mut stream, 1));
        }
        String::from_utf8(request).unwrap()
    });
    let chain = format!("ws -H 'Authorization: Bearer secret' -H 'X-More: a: b' 'ws://{address}/a%20b?c=d'");
    let ran = world.weir(chain).run().with_code(1);
    assert!(!ran.stderr().contains("c=d\n"), "{}", ran.stderr());
    let request = serving.join().unwrap();
    assert!(request.starts_with("GET /a%20b?c=d HTTP/1.1\r\n"), "{request}");
    let host = format!("Host: {address}\r\n");
    for line in [&*host, "Upgrade: websocket\r\n", "authorization: Bearer secret\r\n", "x-more: a: b\r\n"] {
        assert_eq!(request.matches(line).count(), 1, "{request}");
    }
    for (call, why) in [
        ("ws http://host/", "is no WebSocket"),
        ("ws ws:///path", "type ws://HOST"),
        ("ws ws://user:secret@host/", "names and passwords"),
        ("ws ws://host/#a", "no fragment"),
        ("ws -H 'Host: other' ws://host/", "the handshake sets `host` itself"),
        ("ws -H nothing ws://host/", "NAME: VALUE"),
        ("ws", "URL"),
    ] {
        world.weir(call).run().with_code(2).saying(why);
    }
}
