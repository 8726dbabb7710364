//! Clients of a server over HTTP that mean it no good, or do not speak it.
//! Each is a socket of the test's own; what a normal client sees meanwhile counts.

use crate::harness::World;
use crate::peer::{numbered, read_all, read_some};
use crate::server::{Server, allow_many_connections};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

fn ask(server: &Server, request: impl AsRef<[u8]>) -> String {
    let mut stream = server.connect();
    stream.write_all(request.as_ref()).ok();
    String::from_utf8_lossy(&read_all(&mut stream).0).into_owned()
}

/// A normal client is served before those that dawdle have to go, after 10 seconds.
#[track_caller]
fn assert_serves(server: &Server) {
    let begun = Instant::now();
    let told = ask(server, GET);
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    assert!(begun.elapsed() < Duration::from_secs(8), "it took {:?}", begun.elapsed());
}

#[test]
fn what_is_no_request_gets_one_refusal_at_most_and_the_connection_ends() {
    let world = World::new();
    let server = Server::start(&world, "serve http://127.0.0.1:0 { upper }");
    let line = |line: &str| format!("POST / HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\nabcde{GET}");
    let many: String = (0..10_000).map(|number| format!("X-{number}: y\r\n")).collect();
    let refused = [
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(1 << 20)), "414 431"),
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(65_520)), "414 431"),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(1 << 20)), "431"),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), "431"),
        (line("Content-Length: 99999999999999999999"), "400"),
        (line("Content-Length: +5"), "400"),
        (line("Content-Length: -1"), "400"),
        (line("Content-Length: 0x10"), "400"),
        (line("Content-Length: 5, 6"), "400"),
        (line("Content-Length: 5\r\nContent-Length: 6"), "400"),
        (line("Content-Length : 5"), "400"),
        (line("Transfer-Encoding: gzip"), "400"),
        (line("Transfer-Encoding: chunked, gzip"), "400"),
        (line("X: a\r\n b"), "400"),
        (line("X: a\0b"), "400"),
        (line("X y: a"), "400"),
        (line("Host: localhost"), "400"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n".to_owned(), "421"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://example.org\r\n\r\n".to_owned(), "403"),
        ("GET /\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/3.0\r\nHost: localhost\r\n\r\n".to_owned(), "400"),
        ("GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "400"),
        ("get / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "405"),
        ("TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "405"),
        ("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n".to_owned(), "405"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "400 none"),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}".to_owned(), "400 none"),
        ("this is no HTTP at all\r\n\r\n".to_owned(), "400"),
    ];
    for (request, statuses) in refused {
        let told = ask(&server, &request);
        let status = told.split(' ').nth(1).unwrap_or("none");
        let request: String = request.chars().take(80).collect();
        assert!(statuses.split(' ').any(|expected| expected == status), "{request:?}: {told}");
        assert!(told.matches("HTTP/1.").count() <= 1, "{request:?}: {told}");
    }
    assert_serves(&server);
    // Nothing of that was served, so nothing of it failed.
    let (code, said) = server.end();
    assert_eq!((code, said.lines().count()), (0, 1), "{said}");
}

#[test]
fn two_lengths_at_once_are_never_two_requests() {
    let world = World::new();
    let server = Server::start(&world, "serve http://127.0.0.1:0 { upper }");
    let both = [
        "Content-Length: 70\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
    ];
    for lengths in both {
        let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{lengths}\r\n\r\n");
        let told = ask(&server, format!("{head}3\r\nabc\r\n0\r\n\r\n{GET}"));
        assert_eq!(told.matches("HTTP/1.1").count(), 1, "{told}");
        assert!(told.contains("ABC") && told.contains("\r\nconnection: close\r\n"), "{told}");
    }
}

#[test]
fn clients_that_dawdle_keep_nobody_out_and_go_in_the_end() {
    let world = World::new();
    let server = Server::start(&world, "serve http://127.0.0.1:0 { upper }");
    assert_serves(&server);
    let before = (server.descriptors(), server.status("Threads"));
    let begun = Instant::now();
    let mut slow: Vec<TcpStream> = (0..500).map(|_| server.connect()).collect();
    for byte in b"GET /" {
        slow.iter_mut().for_each(|stream| stream.write_all(&[*byte]).unwrap());
        assert_serves(&server);
    }
    assert!(server.status("Threads") <= before.1 + 1, "{} threads", server.status("Threads"));
    assert!(server.status("VmRSS") < 100 << 10, "{} KiB", server.status("VmRSS"));
    for stream in &mut slow {
        assert_eq!(read_all(stream).0, b"");
    }
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(9) && took < Duration::from_secs(25), "they went after {took:?}");
    assert_serves(&server);
    let until = Instant::now() + Duration::from_secs(5);
    while server.descriptors() > before.0 && Instant::now() < until {
        std::thread::yield_now();
    }
    assert!(server.descriptors() <= before.0, "{} descriptors, {} before", server.descriptors(), before.0);
}

#[test]
fn when_there_is_no_room_who_was_idle_longest_goes() {
    let world = World::new();
    let server = Server::start(&world, "serve http://127.0.0.1:0 { upper }");
    let mut first = server.connect();
    first.write_all(b"G").unwrap();
    allow_many_connections();
    let _others: Vec<TcpStream> = (0..1400).map(|_| server.connect()).collect();
    assert_serves(&server);
    assert_eq!(read_all(&mut first).0, b"");
}

#[test]
fn a_client_that_sends_and_does_not_read_is_held_back() {
    let world = World::new();
    let mut server = Server::start(&world, "serve http://127.0.0.1:0 --timeout 2s { upper }");
    let mut stream = server.connect();
    let length = 200 << 20;
    let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let piece = numbered(1 << 20);
    let sent = (0..200).take_while(|_| stream.write_all(&piece).is_ok()).count();
    assert!(sent < 100, "{sent} MiB were taken");
    server.hears("the peer took nothing for 2 s");
    assert!(server.status("VmHWM") < 64 << 10, "{} KiB", server.status("VmHWM"));
    assert_serves(&server);
    // And one that neither sends what it has promised.
    let mut stream = server.connect();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n").unwrap();
    server.hears("the peer gave nothing for 2 s");
    assert_eq!(read_all(&mut stream).0, b"");
    let (_, said) = server.end();
    assert_eq!(said.lines().count(), 3, "one line for each:\n{said}");
}

#[test]
fn a_client_that_goes_ends_its_run_even_a_silent_one() {
    let world = World::new().with("log", "a line\n");
    let chain = "serve http://127.0.0.1:0 --max-connections 1 { read --follow log }";
    let server = Server::start(&world, chain);
    for is_reset in [true, false] {
        let mut stream = server.connect();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut told = Vec::new();
        while !told.ends_with(b"a line\n\r\n") {
            told.extend(read_some(&mut stream, 1));
        }
        if is_reset {
            crate::peer::reset(stream);
        } else {
            drop(stream);
        }
        // Its place is free again, or the next would wait for a minute.
    }
    let mut stream = server.connect();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!(read_some(&mut stream, 12), b"HTTP/1.1 200");
    // The end of an endless run is the end of the server.
    server.signal(nix::sys::signal::Signal::SIGINT);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"a line\n\r\n0\r\n\r\n"));
    let (code, said) = server.ended();
    assert_eq!((code, said.lines().count()), (0, 1), "{said}");
}

#[test]
fn who_has_said_all_may_still_listen() {
    let world = World::new();
    let server = Server::start(&world, "serve http://127.0.0.1:0 { stdin | exec sh -c 'sleep 1; cat' }");
    let mut stream = server.connect();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let told = String::from_utf8(read_all(&mut stream).0).unwrap();
    assert!(told.starts_with("HTTP/1.1 200") && told.contains("hello"), "{told}");
}

#[test]
fn a_child_that_dies_is_the_end_of_that_request_only() {
    let world = World::new();
    let mut server =
        Server::start(&world, "serve http://127.0.0.1:0 { stdin | exec sh -c 'cat; kill -9 $$' }");
    for _ in 0..2 {
        let told = ask(&server, GET);
        assert!(told.starts_with("HTTP/1.1 500"), "{told}");
        server.hears("sh: was killed by signal 9");
    }
}
