//! `post` and `put` through the binary, HTTP under TLS, and proxies.
//! Knows nothing of how it is done.

use crate::harness::World;
use crate::http_answers::{Answers, Peer, Script, Secured, cutting, gives, header, says};
use std::io::{Read, Write};
use std::sync::mpsc;

fn bytes(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8).collect()
}

/// Gives back each chunk as soon as it is there.
fn echo() -> Script {
    Box::new(|peer| {
        peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while let Ok(chunk) = peer.chunk() {
            peer.say([format!("{:x}\r\n", chunk.len()).as_bytes(), &chunk, b"\r\n"].concat());
            if chunk.is_empty() {
                break;
            }
        }
    })
}

#[test]
fn what_is_sent_comes_back_while_it_is_still_sent() {
    let whole = bytes(50_000_000);
    let world = World::new().with("data", &whole);
    let server = Answers::of([echo()]);
    world.weir(format!("read data | post {} | write out", server.url("/e"))).run().quietly();
    assert!(world.bytes("out") == whole);
    let head = server.heads().remove(0);
    assert!(head.starts_with("POST /e HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "content-type"), Some("application/octet-stream"));
    assert_eq!(header(&head, "transfer-encoding"), Some("chunked"));
}

#[test]
fn how_much_a_link_holds_does_not_change_what_is_sent() {
    let whole = bytes(300_000);
    let world = World::new();
    for size in ["1", "4096", "65537", "64M"] {
        let server = Answers::of([echo()]);
        let ran = world.weir(format!("pass | post {} | pass", server.url("/"))).args(["-B", size]);
        ran.stdin(&*whole).run().quietly().giving(&whole);
    }
}

#[test]
fn a_conversation_goes_on_piece_by_piece() {
    let server = Answers::of([echo()]);
    let world = World::new();
    let piped = std::process::Stdio::piped;
    let mut child = world
        .weir(format!("post {}", server.url("/")))
        .spawn(|command| command.stdin(piped()).stdout(piped()));
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for piece in ["one", "two", "three"] {
        stdin.write_all(piece.as_bytes()).unwrap();
        let mut back = vec![0; piece.len()];
        stdout.read_exact(&mut back).unwrap();
        assert_eq!(back, piece.as_bytes());
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_empty_body_and_one_of_a_kind_arrive_as_they_are() {
    for (input, kind) in [("", "text/plain"), ("x", "image/jpeg")] {
        let (told, body) = mpsc::channel();
        let taken: Script = Box::new(move |peer| {
            told.send(peer.body().unwrap()).unwrap();
            peer.say("HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\ndone");
        });
        let server = Answers::of([taken]);
        let call = format!("put --type {kind} -H 'X: y' {}", server.url("/"));
        World::new().weir(call).stdin(input).run().quietly().giving("done");
        assert_eq!(body.recv().unwrap(), input.as_bytes());
        let head = server.heads().remove(0);
        assert!(head.starts_with("PUT / "));
        assert_eq!((header(&head, "content-type"), header(&head, "x")), (Some(kind), Some("y")));
    }
}

#[test]
fn a_server_that_refuses_without_reading_is_heard() {
    let page = "HTTP/1.1 413 Payload Too Large\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\
                Connection: close\r\n\r\nenough!\r\n";
    let server = Answers::of([says(page), says(page)]);
    let world = World::new();
    let ran = world.weir(format!("read /dev/zero | put {}", server.url("/"))).run().with_code(1);
    ran.saying("413 Payload Too Large").saying("the server says: enough!").giving("");
    world.weir(format!("put {}", server.url("/"))).stdin("x").run().with_code(1).saying("413");
}

#[test]
fn a_server_that_has_enough_may_end_well_before_the_input_does() {
    let server = Answers::of([says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")]);
    World::new().weir(format!("read /dev/zero | post {}", server.url("/"))).run().quietly().giving("ok");
}

#[test]
fn a_server_that_answers_at_once_and_reads_on_is_sent_the_whole() {
    let (told, body) = mpsc::channel();
    let eager: Script = Box::new(move |peer| {
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        told.send(peer.body().map(|body| body.len())).unwrap();
    });
    let server = Answers::of([eager]);
    let input = bytes(5_000_000);
    World::new().weir(format!("post {}", server.url("/"))).stdin(input).run().quietly().giving("ok");
    assert_eq!(body.recv().unwrap().unwrap(), 5_000_000);
}

#[test]
fn what_breaks_before_never_ends_well_for_the_server() {
    let world = World::new().with("data", bytes(3_000_000));
    let packed = world.weir("read data | gzip").run().with_code(0).stdout().to_vec();
    let world = world.with("cut.gz", &packed[..packed.len() - 4]);
    let (told, body) = mpsc::channel();
    let taken: Script = Box::new(move |peer| told.send(peer.body().is_ok()).unwrap());
    let server = Answers::of([taken]);
    world.weir(format!("read cut.gz | gunzip | put {}", server.url("/"))).run().with_code(3);
    assert!(!body.recv().unwrap(), "the server took it for the whole");
}

#[test]
fn an_answer_that_breaks_and_one_that_leads_away_are_failures() {
    let world = World::new();
    let taken = |answer: &'static str| -> Script {
        Box::new(move |peer: &mut Peer| {
            peer.body().unwrap();
            peer.say(answer);
        })
    };
    let server = Answers::of([
        taken("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234"),
        taken("HTTP/1.1 307 x\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"),
        taken(""),
        taken("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),
    ]);
    let there = server.url("/there");
    for said in [
        "body ended after 4 of 9 bytes",
        &*format!("307 Temporary Redirect: leads to {there}"),
        "the server closed the connection without an answer",
        "500 Internal Server Error",
    ] {
        let ran = world.weir(format!("post {} | write out", server.url("/"))).stdin("x").run();
        ran.with_code(1).saying(said);
    }
    world.assert_names(&[]);
    assert_eq!(server.heads().len(), 4);
}

#[test]
fn https_is_http_with_somebody_who_is_vouched_for() {
    let world = World::new().with("data", bytes(1_000_000)).with("small", "hello");
    let Some(server) = Secured::start(&world, "-WWW") else { return };
    let url = format!("https://localhost:{}/data", server.port);
    let call = |url: &str| world.weir(format!("get --retry 0 {url}")).env("SSL_CERT_FILE", "authority.pem");
    call(&url).run().quietly().giving(world.bytes("data"));
    let ran =
        world.weir(format!("get {url}")).env("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt").run();
    ran.with_code(1).giving("");
    // Its end is not said by anybody but the connection: a cut must not be one.
    let cut = cutting(server.port, vec![300_000]);
    let ran = call(&format!("https://localhost:{cut}/data")).run().with_code(1);
    ran.saying("body ended after ");
}

#[test]
fn https_never_leads_to_http() {
    let world = World::new().with("away", "HTTP/1.0 302 Found\r\nLocation: http://localhost/x\r\n\r\n");
    let Some(server) = Secured::start(&world, "-HTTP") else { return };
    let call = format!("get https://localhost:{}/away", server.port);
    let ran = world.weir(call).env("SSL_CERT_FILE", "authority.pem").run().with_code(1);
    ran.saying("leads to http://localhost/x, which is not secured");
}

#[test]
fn a_proxy_is_asked_to_pass_on_or_to_connect() {
    let world = World::new().with("small", "hello");
    let proxy = Answers::of([gives("", 2, "ok")]);
    let named = format!("http://me:you@127.0.0.1:{}", proxy.port());
    world.weir("get http://example.test/a?b").env("http_proxy", named).run().quietly().giving("ok");
    let head = proxy.heads().remove(0);
    assert!(head.starts_with("GET http://example.test/a?b HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "host"), Some("example.test"));
    assert_eq!(header(&head, "proxy-authorization"), Some("Basic bWU6eW91"));

    let Some(server) = Secured::start(&world, "-WWW") else { return };
    let port = server.port;
    let tunnel: Script = Box::new(move |peer| {
        peer.say("HTTP/1.1 200 Connection established\r\n\r\n");
        let mut server = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut from, mut to) = (peer.stream.get_ref().try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to).ok());
        std::io::copy(&mut server, peer.stream.get_mut()).ok();
    });
    let refused = says("HTTP/1.1 403 Forbidden\r\n\r\n");
    let proxy = Answers::of([tunnel, refused]);
    let call = || {
        let call =
            world.weir("get --retry 0 https://example.test/small").env("SSL_CERT_FILE", "authority.pem");
        call.env("https_proxy", format!("127.0.0.1:{}", proxy.port()))
    };
    call().run().quietly().giving("hello");
    call().run().with_code(1).saying("does not connect to example.test:443: 403 Forbidden");
    assert!(proxy.heads()[0].starts_with("CONNECT example.test:443 HTTP/1.1\r\n"));
}
