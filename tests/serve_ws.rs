//! Chains over WebSockets: a run for every conversation, how either side ends it, and who is turned away.
//! Clients are the `ws` stage, the protocol's library, and sockets of the test's own.

use crate::harness::{Patience, World};
use crate::peer::{numbered, patient, read_all};
use crate::server::Server;
use nix::sys::signal::Signal;
use std::io::Write;
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tungstenite::protocol::{CloseFrame, WebSocket, frame::coding::CloseCode};
use tungstenite::{Error, Message};

fn talk(server: &Server) -> WebSocket<TcpStream> {
    let stream = patient(server.connect());
    tungstenite::client(server.place(), stream).unwrap().0
}

/// All that comes until the other side has closed, and whether it did so as agreed.
fn hear_all(socket: &mut WebSocket<TcpStream>) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Binary(bytes)) => all.extend_from_slice(&bytes),
            Ok(Message::Text(text)) => all.extend_from_slice(text.as_bytes()),
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return (all, true),
            Err(_) => return (all, false),
        }
    }
}

#[test]
fn every_conversation_is_a_run() {
    let world = World::new();
    let server = Server::start(&world, "serve ws://127.0.0.1:0 { upper }");
    let mut one = talk(&server);
    let mut other = talk(&server);
    for word in ["one", "two"] {
        for socket in [&mut one, &mut other] {
            socket.send(Message::text(word)).unwrap();
            assert_eq!(socket.read().unwrap(), Message::binary(word.to_uppercase().into_bytes()));
        }
    }
    one.close(None).unwrap();
    assert_eq!(hear_all(&mut one), (Vec::new(), true));
    other.close(None).unwrap();
    assert_eq!(hear_all(&mut other), (Vec::new(), true));
    let (code, said) = server.end();
    assert_eq!((code, said.lines().count()), (0, 1), "{said}");
}

#[test]
fn much_goes_both_ways_at_once_and_lines_are_messages() {
    let world = World::new();
    let server = Server::start(&world, "serve ws://127.0.0.1:0 { pass }");
    let all = numbered(20 << 20);
    let chain = format!("stdin | ws {} | head -c {} | write out", server.place(), all.len());
    let mut client = world.weir(chain).spawn(|command| command.stdin(Stdio::piped()));
    let _guard = Patience::with(&client);
    // Its last word would be the end of what comes back.
    let mut held = client.stdin.take().unwrap();
    held.write_all(&all).unwrap();
    assert!(client.wait().unwrap().success());
    assert!(world.bytes("out") == all);
    let server = Server::start(&world, "serve ws://127.0.0.1:0/talk --text { upper }");
    let mut socket = talk(&server);
    for word in ["one", "", "zwölf"] {
        socket.send(Message::text(word)).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text(word.to_uppercase()));
    }
    socket.close(None).unwrap();
    assert_eq!(hear_all(&mut socket), (Vec::new(), true));
}

#[test]
fn what_is_no_handshake_is_told_what_is_spoken_here() {
    let world = World::new();
    let server = Server::start(&world, "serve ws://127.0.0.1:0/talk { upper }");
    let ask = |request: &str| {
        let mut stream = server.connect();
        stream.write_all(request.as_bytes()).unwrap();
        String::from_utf8_lossy(&read_all(&mut stream).0).into_owned()
    };
    let told = ask("GET /talk HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(told.starts_with("HTTP/1.1 426") && told.contains("\r\nupgrade: websocket\r\n"), "{told}");
    let handshake = "GET /talk HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let with = |line: &str| handshake.replace("Host: localhost", &format!("Host: localhost\r\n{line}"));
    assert!(ask(&with("Origin: http://example.org")).starts_with("HTTP/1.1 403"));
    assert!(ask(&handshake.replace("localhost", "example.org")).starts_with("HTTP/1.1 421"));
    assert!(ask(&handshake.replace("/talk", "/")).starts_with("HTTP/1.1 404"));
    assert!(ask(&handshake.replace("13", "8")).starts_with("HTTP/1.1 426"));
    assert!(ask(&handshake.replace("GET", "POST")).starts_with("HTTP/1.1 426"));
    // Bytes that come along with the handshake belong to the conversation: here a last word.
    let told = ask(&format!("{}\u{8}\0", with("Origin: http://localhost")));
    assert!(told.starts_with("HTTP/1.1 101"), "{told}");
    assert!(told.contains("\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{told}");
    world.weir("serve http://127.0.0.1:0 --text { upper }").run().with_code(2).saying("for ws:// only");
}

#[test]
fn what_was_said_is_in_place_when_the_conversation_has_ended_well() {
    let world = World::new().with("said", "old");
    let mut server = Server::start(&world, "serve ws://127.0.0.1:0 { tee said | discard }");
    let mut socket = talk(&server);
    socket.send(Message::binary(&b"half"[..])).unwrap();
    drop(socket);
    server.hears("GET / for 127.0.0.1:");
    let mut socket = talk(&server);
    socket.send(Message::binary(&b"half"[..])).unwrap();
    socket.close(Some(CloseFrame { code: CloseCode::Error, reason: "broken".into() })).unwrap();
    server.hears("ended with code 1011: broken");
    assert_eq!(world.bytes("said"), b"old");
    let chain = format!("stdin | ws {} | discard", server.place());
    world.weir(chain).stdin("whole").run().quietly();
    assert_eq!(world.bytes("said"), b"whole");
    world.assert_names(&["said"]);
}

#[test]
fn a_run_that_fails_is_no_end_for_the_peer() {
    let world = World::new();
    let mut server = Server::start(&world, "serve ws://127.0.0.1:0 { gunzip }");
    let mut socket = talk(&server);
    socket.send(Message::binary(&b"this is no gzip"[..])).unwrap();
    assert_eq!(hear_all(&mut socket), (Vec::new(), false));
    server.hears("gunzip (stage 2): ");
    let chain = format!("stdin | ws {} | write out", server.place());
    world.weir(chain).stdin("no gzip").run().with_code(1);
    world.assert_names(&[]);
}

#[test]
fn a_peer_that_is_silent_or_gone_ends_its_conversation() {
    let world = World::new().with("log", "a line\n");
    let mut server = Server::start(&world, "serve ws://127.0.0.1:0 --timeout 1s { upper }");
    let mut silent = talk(&server);
    server.hears("the peer gave nothing for 1 s");
    assert!(!hear_all(&mut silent).1);
    let (_, said) = server.end();
    assert_eq!(said.lines().count(), 2, "{said}");
    // The second is served when the first is gone, which only its connection tells.
    let chain = "serve ws://127.0.0.1:0 --max-connections 1 { read --follow log }";
    let server = Server::start(&world, chain);
    let mut first = talk(&server);
    assert_eq!(first.read().unwrap(), Message::binary(&b"a line\n"[..]));
    drop(first);
    let mut second = talk(&server);
    assert_eq!(second.read().unwrap(), Message::binary(&b"a line\n"[..]));
    // The end of the server is that of an endless run.
    server.signal(Signal::SIGINT);
    assert_eq!(hear_all(&mut second), (Vec::new(), true));
    assert_eq!(server.ended().0, 0);
}

#[test]
fn who_does_not_end_in_time_is_cut_off() {
    let world = World::new();
    let server = Server::start(&world, "serve ws://127.0.0.1:0 --grace 200ms { upper }");
    let mut socket = talk(&server);
    let told = Instant::now();
    server.signal(Signal::SIGINT);
    assert_eq!(hear_all(&mut socket), (Vec::new(), false));
    assert_eq!(server.ended().0, 0);
    assert!(told.elapsed() < Duration::from_secs(5), "it took {:?}", told.elapsed());
}
