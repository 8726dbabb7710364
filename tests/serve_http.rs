//! Chains over HTTP: what a request is answered, how answers break off, and how many are served at once.
//! Clients are curl, and sockets of the test's own.

use crate::harness::World;
use crate::peer::{read_all, read_some};
use crate::server::Server;
use std::io::Write;
use std::net::{Shutdown, TcpStream};

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
