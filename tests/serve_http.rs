//! Chains over HTTP: what a request is answered, how answers break off, and how many are served at once.
//! Clients are curl, and sockets of the test's own.

use crate::harness::{World, has_tool};
use crate::peer::{numbered, read_all, read_some};
use crate::server::Server;
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Sends `request`, and reads all that is answered until the connection ends.
fn ask(server: &Server, request: impl AsRef<[u8]>) -> String {
    let mut stream = server.connect();
    // A server that has heard enough may close before it has all.
    stream.write_all(request.as_ref()).ok();
    String::from_utf8_lossy(&read_all(&mut stream).0).into_owned()
}

/// Reads the head of an answer.
fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(read_some(stream, 1));
    }
    String::from_utf8(head).unwrap()
}

fn post(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n")
}

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const GET_AND_CLOSE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn a_request_is_the_input_of_a_run_and_its_output_the_answer() {
    let world = World::new();
    let server = Server::start(&world, "serve http://127.0.0.1:0 --type text/plain { upper }");
    let mut stream = server.connect();
    // One connection, several requests, the last two at once.
    for _ in 0..3 {
        stream.write_all(format!("{}hello", post(5)).as_bytes()).unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        for line in ["content-type: text/plain", "x-content-type-options: nosniff", "cache-control: no-store"]
        {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{head}");
        }
        assert!(head.contains("\r\nserver: weir/") && head.contains("\r\ndate: "), "{head}");
        assert_eq!(read_some(&mut stream, 15), b"5\r\nHELLO\r\n0\r\n\r\n");
    }
    stream.write_all(format!("{}ab{}cd", post(2), post(2)).as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let told = String::from_utf8(read_all(&mut stream).0).unwrap();
    assert_eq!(told.matches("HTTP/1.1 200").count(), 2, "{told}");
    assert!(told.find("AB").unwrap() < told.find("CD").unwrap(), "{told}");
    let (code, said) = server.end();
    assert_eq!((code, said.lines().count()), (0, 1), "{said}");
}

#[test]
fn an_answer_begins_before_its_request_has_ended() {
    let world = World::new();
    let server = Server::start(&world, "serve http://127.0.0.1:0 { upper }");
    let mut stream = server.connect();
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(b"3\r\none\r\n").unwrap();
    assert!(read_head(&mut stream).contains("\r\ntransfer-encoding: chunked\r\n"));
    assert_eq!(read_some(&mut stream, 8), b"3\r\nONE\r\n");
    stream.write_all(b"3\r\ntwo\r\n").unwrap();
    assert_eq!(read_some(&mut stream, 8), b"3\r\nTWO\r\n");
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(read_some(&mut stream, 5), b"0\r\n\r\n");
}

#[test]
fn a_large_body_goes_both_ways_at_once() {
    let world = World::new();
    let server = Server::start(&world, "serve http://127.0.0.1:0 { pass }");
    let all = numbered(50 << 20);
    let mut stream = server.connect();
    let mut writer = stream.try_clone().unwrap();
    let sent = all.clone();
    let giver = thread::spawn(move || {
        let head = post(sent.len()).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        writer.write_all(head.as_bytes()).unwrap();
        writer.write_all(&sent).unwrap();
    });
    // Nothing is changed: what is known of the input is known of the output.
    let head = read_head(&mut stream);
    assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", all.len())), "{head}");
    assert!(read_all(&mut stream) == (all, true));
    giver.join().unwrap();
}

#[test]
fn what_is_known_beforehand_is_announced_and_an_old_client_is_understood() {
    let world = World::new().with("file", "content").with("empty", "");
    let server = Server::start(&world, "serve http://127.0.0.1:0 { read file }");
    let told = ask(&server, GET_AND_CLOSE);
    assert!(told.contains("\r\ncontent-length: 7\r\n") && told.ends_with("\r\n\r\ncontent"), "{told}");
    let told = ask(&server, GET_AND_CLOSE.replace("GET", "HEAD"));
    assert!(told.starts_with("HTTP/1.1 200") && told.ends_with("\r\n\r\n"), "{told}");
    assert!(!told.contains("content-length"), "{told}");
    let told = ask(&server, GET_AND_CLOSE.replace("GET", "OPTIONS"));
    assert!(told.starts_with("HTTP/1.1 204") && told.contains("\r\nallow: GET, HEAD, "), "{told}");
    let old = "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab";
    let told = ask(&server, old);
    assert!(told.starts_with("HTTP/1.0 200") && told.ends_with("\r\n\r\ncontent"), "{told}");
    let server = Server::start(&world, "serve http://127.0.0.1:0 { upper }");
    let told = ask(&server, old);
    // Its end is that of the connection.
    assert!(told.starts_with("HTTP/1.0 200") && told.ends_with("\r\n\r\nAB"), "{told}");
    assert!(!told.contains("chunked") && !told.contains("content-length"), "{told}");
    let server = Server::start(&world, "serve http://127.0.0.1:0 { read empty }");
    let told = ask(&server, GET_AND_CLOSE);
    assert!(told.starts_with("HTTP/1.1 200") && told.contains("\r\ncontent-length: 0\r\n"), "{told}");
}

#[test]
fn an_upload_is_in_place_before_its_answer_ends_and_only_when_it_is_whole() {
    let world = World::new().with("upload", "old");
    let mut server = Server::start(&world, "serve http://127.0.0.1:0 { write upload }");
    let told = ask(&server, post(5).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\nfirst"));
    assert!(told.starts_with("HTTP/1.1 200") && told.contains("content-length: 0"), "{told}");
    assert_eq!(world.bytes("upload"), b"first");
    // Cut in the middle: by an end, by a reset, within a chunk, with no sense in it.
    let mut stream = server.connect();
    stream.write_all(format!("{}half", post(9)).as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let told = String::from_utf8(read_all(&mut stream).0).unwrap();
    assert!(!told.contains(" 200 "), "{told}");
    server.hears("the body of the request ended after 4 bytes");
    let mut stream = server.connect();
    stream.write_all(format!("{}half", post(9)).as_bytes()).unwrap();
    crate::peer::reset(stream);
    server.hears("POST / for 127.0.0.1:");
    let chunked = "PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut stream = server.connect();
    stream.write_all(format!("{chunked}5\r\nhal").as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    read_all(&mut stream);
    server.hears("the body of the request ended after 3 bytes");
    let mut stream = server.connect();
    stream.write_all(format!("{chunked}FFFFFFFFFFFFFFFF\r\nhalf\r\n0\r\n\r\n").as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let told = String::from_utf8(read_all(&mut stream).0).unwrap();
    assert!(told.starts_with("HTTP/1.1 400"), "{told}");
    server.hears("the body of the request ended after ");
    for size in ["10000000000000000\r\n", "x\r\n", "-1\r\n", "+5\r\n", "0x10\r\n"] {
        let told = ask(&server, format!("{chunked}3\r\nabc\r\n{size}abc\r\n0\r\n\r\n"));
        assert!(told.starts_with("HTTP/1.1 400"), "{size}: {told}");
        assert_eq!(told.matches("HTTP/1.1").count(), 1, "{told}");
        server.hears("the body of the request is no HTTP");
    }
    assert_eq!(world.bytes("upload"), b"first");
    let (_, said) = server.end();
    assert_eq!(said.lines().count(), 10, "one line for each:\n{said}");
    world.assert_names(&["upload"]);
}

#[test]
fn a_run_that_fails_is_answered_so_and_told_in_a_line() {
    let world = World::new();
    let mut server = Server::start(&world, "serve http://127.0.0.1:0 { gunzip | write out }");
    let told = ask(&server, format!("{}no gzip", post(7)).replace("POST /", "POST /%1b?secret=\u{1}x"));
    assert!(told.starts_with("HTTP/1.1 400"), "{told}");
    let told = ask(&server, format!("{}no gzip{GET_AND_CLOSE}", post(7)).replace("POST / ", "POST /a%1b "));
    assert!(told.starts_with("HTTP/1.1 500") && told.contains("could not be served\n"), "{told}");
    assert!(!told.contains("gunzip"), "{told}");
    let line = server.hears("gunzip (stage 2): ");
    assert!(line.contains("POST /a%1b for 127.0.0.1:"), "{line}");
    world.assert_names(&[]);
}

#[test]
fn an_answer_that_fails_later_breaks_off() {
    let world = World::new();
    world.weir("generate text 4M | gzip | write whole.gz").run().quietly();
    let whole = world.bytes("whole.gz");
    std::fs::write(world.path("cut.gz"), &whole[..whole.len() - 9]).unwrap();
    let mut server = Server::start(&world, "serve http://127.0.0.1:0 { read cut.gz | gunzip }");
    let told = ask(&server, GET_AND_CLOSE);
    assert!(told.starts_with("HTTP/1.1 200") && !told.ends_with("0\r\n\r\n"), "{} bytes", told.len());
    server.hears("GET / for 127.0.0.1:");
    // Where the end of the connection is that of the answer, it is a reset.
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(!read_all(&mut stream).1, "the client saw an end");
    server.hears("GET / for 127.0.0.1:");
    if has_tool("curl") {
        let line = format!("curl -s {} >/dev/null", server.place());
        world.shell(&line).run().with_code(18);
    }
}

#[test]
fn a_chain_that_has_enough_answers_and_the_rest_is_not_read() {
    let world = World::new();
    let server = Server::start(&world, "serve http://127.0.0.1:0 { head -c 10 }");
    let mut stream = server.connect();
    let mut writer = stream.try_clone().unwrap();
    let giver = thread::spawn(move || {
        writer.write_all(post(1 << 30).as_bytes()).unwrap();
        let piece = [b'x'; 1 << 16];
        (0..1 << 14).take_while(|_| writer.write_all(&piece).is_ok()).count()
    });
    let mut told = [0; 1024];
    let count = stream.read(&mut told).unwrap();
    assert!(told[..count].starts_with(b"HTTP/1.1 200"));
    drop(stream);
    assert!(giver.join().unwrap() < 1 << 14, "all of it was taken");
    let (_, said) = server.end();
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn who_waits_to_be_told_to_go_on_is_told_when_the_body_is_wanted() {
    let world = World::new().with("file", "content");
    let expecting = post(5).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    let server = Server::start(&world, "serve http://127.0.0.1:0 { upper }");
    let mut stream = server.connect();
    stream.write_all(expecting.as_bytes()).unwrap();
    assert_eq!(read_head(&mut stream), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 200"));
    let server = Server::start(&world, "serve http://127.0.0.1:0 { read file }");
    let mut stream = server.connect();
    stream.write_all(expecting.as_bytes()).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_request_too_many_waits_for_its_turn() {
    let world = World::new();
    let server = Server::start(&world, "serve http://127.0.0.1:0 --max-connections 64 { upper }");
    let chunked = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
    let mut streams: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(chunked.as_bytes()).unwrap();
            read_head(&mut stream);
            stream
        })
        .collect();
    let mut late = server.connect();
    late.write_all(format!("{}late", post(4)).as_bytes()).unwrap();
    late.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    late.read(&mut [0]).unwrap_err();
    streams[17].write_all(b"0\r\n\r\n").unwrap();
    late.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert!(read_head(&mut late).starts_with("HTTP/1.1 200"));
    // And not for ever.
    let server =
        Server::start(&world, "serve http://127.0.0.1:0 --max-connections 1 --timeout 500ms { upper }");
    let mut first = server.connect();
    first.write_all(chunked.as_bytes()).unwrap();
    read_head(&mut first);
    let mut late = server.connect();
    late.write_all(GET.as_bytes()).unwrap();
    for _ in 0..8 {
        thread::sleep(Duration::from_millis(100));
        first.write_all(b"1\r\na\r\n").unwrap();
    }
    let head = read_head(&mut late);
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("\r\nretry-after: "), "{head}");
}

#[test]
fn the_first_signal_lets_a_download_finish_and_closes_the_rest() {
    let world = World::new();
    let chain = "serve http://127.0.0.1:0 --grace 20s { generate zeros 64M }";
    let server = Server::start(&world, chain);
    let mut idle = server.connect();
    idle.write_all(GET.replace("GET", "HEAD").as_bytes()).unwrap();
    read_head(&mut idle);
    let silent = server.connect();
    let mut busy = server.connect();
    busy.write_all(GET.as_bytes()).unwrap();
    let head = read_head(&mut busy);
    assert!(head.contains("content-length: 67108864"), "{head}");
    server.signal(Signal::SIGINT);
    assert_eq!(read_all(&mut idle), (Vec::new(), true));
    assert_eq!(read_all(&mut { silent }), (Vec::new(), true));
    assert!(TcpStream::connect(server.address()).is_err(), "the door is open");
    let (body, is_end) = read_all(&mut busy);
    assert_eq!((body.len(), is_end), (64 << 20, true));
    assert_eq!(server.ended().0, 0);
}

#[test]
fn what_is_not_finished_after_its_time_or_at_the_second_signal_breaks_off() {
    for (chain, signals) in [
        ("serve http://127.0.0.1:0 --grace 200ms { generate zeros 64M }", 1),
        ("serve http://127.0.0.1:0 --grace 60s { generate zeros 64M }", 2),
    ] {
        let world = World::new();
        let server = Server::start(&world, chain);
        let address = server.address().to_owned();
        let mut busy = server.connect();
        busy.write_all(GET.as_bytes()).unwrap();
        read_head(&mut busy);
        let told = Instant::now();
        (0..signals).for_each(|_| {
            server.signal(Signal::SIGINT);
            while TcpStream::connect(&address).is_ok() {}
        });
        let (code, said) = server.ended();
        assert!(code == if signals == 1 { 0 } else { 130 }, "{code}: {said}");
        assert!(told.elapsed() < Duration::from_secs(5), "it took {:?}", told.elapsed());
        let (body, is_end) = read_all(&mut busy);
        assert!(body.len() < 64 << 20, "{} bytes, {is_end}", body.len());
        // The port is free at once.
        Server::start(&world, &format!("serve http://{address} {{ upper }}"));
    }
}

#[test]
fn a_path_in_the_url_is_the_only_one_and_usage_is_checked() {
    let world = World::new();
    let server = Server::start(&world, "serve http://127.0.0.1:0/a { upper }");
    assert!(ask(&server, GET_AND_CLOSE.replace("/ H", "/a?b=c H")).starts_with("HTTP/1.1 200"));
    assert!(ask(&server, GET_AND_CLOSE).starts_with("HTTP/1.1 404"));
    let usage = world.weir("serve tcp://127.0.0.1:0 --type text/plain { upper }").run().with_code(2);
    usage.saying("for http:// only");
    world.weir("serve http://127.0.0.1:0 --type text { upper }").run().with_code(2);
    world.weir("serve http://127.0.0.1:0/a?b { upper }").run().with_code(2);
    world.weir("serve http://0.0.0.0:0 { upper }").run().with_code(1).saying("--allow-remote");
    let taken = server.place().replace("/a", "");
    world.weir(format!("serve {taken} {{ upper }}")).run().with_code(1).saying("address already in use");
}
