//! `get` through the binary: what breaks, what goes on, what is refused, and that nothing half-done is left.
//! Knows nothing of how it is done.

use crate::harness::World;
use crate::http_answers::{Answers, Peer, Script, cutting, gives, gives_rest, header, says};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;

const NOT_FOUND: &str =
    "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 15\r\n\r\nno such bucket\n";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n";

fn bytes(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8).collect()
}

#[test]
fn the_page_of_an_error_is_never_data() {
    let server = Answers::of([says(NOT_FOUND)]);
    let world = World::new().with("out", "old");
    let ran = world.weir(format!("get {} | write out", server.url("/a"))).run().with_code(1);
    ran.saying("/a: 404 Not Found").saying("the server says: no such bucket").giving("");
    assert_eq!(world.bytes("out"), b"old");
    world.assert_names(&["out"]);
    assert_eq!(server.heads().len(), 1, "it is not asked again");
}

#[test]
fn a_request_says_what_people_say_and_who_asks() {
    let server = Answers::of([gives("", 2, "ok")]);
    let world = World::new();
    let url = server.url("/a/../b?c#d").replace("//", "//me:you@");
    world.weir(format!("get -H 'X-One: 1' -H 'accept: a/b' {url}")).run().quietly().giving("ok");
    let port = server.port();
    let head = server.heads().remove(0);
    assert!(head.starts_with("GET /b?c HTTP/1.1\r\n"), "{head}");
    let expected = [
        ("host", &*format!("127.0.0.1:{port}")),
        ("authorization", "Basic bWU6eW91"),
        ("x-one", "1"),
        ("accept", "a/b"),
        ("accept-encoding", "identity"),
        ("user-agent", concat!("weir/", env!("CARGO_PKG_VERSION"))),
    ];
    for (name, value) in expected {
        assert_eq!(header(&head, name), Some(value), "{name}");
    }
}

#[test]
fn a_server_that_fails_for_a_while_is_asked_again() {
    let lost: Script = Box::new(Peer::reset);
    let server = Answers::of([says(format!("{BUSY}Retry-After: 1\r\n\r\n")), lost, gives("", 5, "hello")]);
    let ran = World::new().weir(format!("get {}", server.url("/"))).run().with_code(0).giving("hello");
    let ran = ran.saying("503 Service Unavailable; tried again in 1.0 s (1 of 5)");
    ran.saying("without an answer; tried again in 1.0 s (2 of 5)");
    assert_eq!(server.heads().len(), 3);
}

#[test]
fn it_is_tried_as_often_as_people_say_and_no_server_is_waited_for_too_long() {
    let server = Answers::of([says(""), says(""), says("")]);
    let ran = World::new().weir(format!("get --retry 1 {}", server.url("/"))).run().with_code(1);
    ran.saying("the server closed the connection without an answer (tried 2 times)");
    assert_eq!(server.heads().len(), 2);
    let server = Answers::of([says(format!("{BUSY}Retry-After: 3600\r\n\r\n"))]);
    let ran = World::new().weir(format!("get {}", server.url("/"))).run().with_code(1);
    ran.saying("503 Service Unavailable\n").saying("it asks to be left alone for 1:00:00");
}

#[test]
fn what_is_no_http_is_not_asked_again() {
    let server = Answers::of([says("220 mail ready\r\n\r\n")]);
    let ran = World::new().weir(format!("get {}", server.url("/"))).run().with_code(1);
    ran.saying("what answers does not speak HTTP");
    assert_eq!(server.heads().len(), 1);
}

#[test]
fn a_transfer_that_is_reset_goes_on_where_it_was() {
    let whole = bytes(3_000_000);
    let (gate, is_read) = mpsc::channel::<()>();
    let first = whole[..1_000_000].to_vec();
    let begun: Script = Box::new(move |peer| {
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\nETag: \"a\"\r\n\r\n");
        peer.say(first);
        is_read.recv().unwrap();
        peer.reset();
    });
    let server = Answers::of([begun, says(""), gives_rest("ETag: \"a\"\r\n", &whole)]);
    let world = World::new();
    let mut child = world
        .weir(format!("get {}", server.url("/")))
        .spawn(|command| command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdout = child.stdout.take().unwrap();
    let mut got = vec![0; 300_000];
    stdout.read_exact(&mut got).unwrap();
    gate.send(()).unwrap();
    stdout.read_to_end(&mut got).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(got == whole, "{} bytes came", got.len());
    assert!(told.contains(" of 3000000 bytes; goes on from there in 500 ms (1 of 5)"), "{told}");
    assert!(told.contains("goes on from there in 1.0 s (2 of 5)"), "{told}");
    assert_eq!(header(&server.heads()[2], "if-range"), Some("\"a\""));
}

/// What is said when a transfer of ten bytes broke after five and went on as `second` says.
fn broken(head: &str, second: Script, said: &str) -> usize {
    let server = Answers::of([gives(head, 10, "01234"), second]);
    let world = World::new().with("out", "old");
    let ran = world.weir(format!("get {} | write out", server.url("/"))).run().with_code(1);
    ran.saying(said);
    assert_eq!(world.bytes("out"), b"old");
    world.assert_names(&["out"]);
    server.heads().len()
}

#[test]
fn what_has_changed_is_no_rest() {
    let changed = "the object has changed meanwhile, and 5 bytes of it are passed on already";
    assert_eq!(broken("ETag: \"a\"\r\n", gives("ETag: \"b\"\r\n", 10, "0123456789"), changed), 2);
    broken("ETag: \"a\"\r\n", gives_rest("ETag: \"b\"\r\n", b"0123456789"), changed);
    broken("ETag: \"a\"\r\n", gives_rest("", b"0123456789a"), "it had 10 bytes, and has 11");
    let cannot = "the server cannot go on in the middle of it";
    broken("ETag: \"a\"\r\n", gives("ETag: \"a\"\r\n", 10, "0123456789"), cannot);
}

#[test]
fn what_nobody_vouches_for_does_not_go_on() {
    let told = "body ended after 5 of 10 bytes";
    for head in ["", "ETag: W/\"a\"\r\n", "Last-Modified: Tue, 24 Nov 2026 10:00:00 GMT\r\n"] {
        assert_eq!(broken(head, says(""), told), 1);
        broken(head, says(""), "the server gives no validator");
    }
    broken("ETag: \"a\"\r\nAccept-Ranges: none\r\n", says(""), "the server gives no parts of it");
}

#[test]
fn a_body_in_chunks_ends_with_its_last_chunk_only() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
    let server = Answers::of([says(format!("{head}\r\n5\r\n01234\r\n"))]);
    let world = World::new();
    let ran = world.weir(format!("get {} | write out", server.url("/"))).run().with_code(1);
    ran.saying("body ended after 5 bytes, without the mark of its end");
    world.assert_names(&[]);
    // All of it came but the mark: the server says that nothing is behind it.
    let end = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */5\r\nContent-Length: 0\r\n\r\n";
    let server = Answers::of([says(format!("{head}ETag: \"a\"\r\n\r\n5\r\n01234\r\n")), says(end)]);
    world.weir(format!("get {}", server.url("/"))).run().with_code(0).giving("01234");
}

#[test]
fn bytes_that_come_one_by_one_are_the_same_bytes() {
    let whole = bytes(2000);
    let sent = whole.clone();
    let slowly: Script = Box::new(move |peer| {
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n".iter().chain(&sent) {
            peer.say([*byte]);
        }
    });
    let server = Answers::of([slowly]);
    World::new().weir(format!("get {}", server.url("/"))).run().quietly().giving(whole);
}

fn leads_to(status: &str, place: &str) -> Script {
    says(format!("HTTP/1.1 {status}\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n"))
}

#[test]
fn a_redirect_is_followed_and_nobody_else_hears_the_credentials() {
    let other = Answers::of([leads_to("308 x", "../c"), gives("", 2, "ok")]);
    let server = Answers::of([leads_to("301 x", "b?c"), leads_to("303 x", &other.url("/a/b"))]);
    let url = server.url("/a/").replace("//", "//me:you@");
    World::new().weir(format!("get -H 'Cookie: c' -H 'X: y' {url}")).run().quietly().giving("ok");
    let (heads, others) = (server.heads(), other.heads());
    assert!(heads[1].starts_with("GET /a/b?c HTTP/1.1\r\n"), "{}", heads[1]);
    assert!(
        heads.iter().all(|head| header(head, "authorization").is_some() && header(head, "cookie").is_some())
    );
    assert!(others[1].starts_with("GET /c HTTP/1.1\r\n"), "{}", others[1]);
    for head in others {
        assert_eq!((header(&head, "authorization"), header(&head, "cookie")), (None, None));
        assert_eq!(header(&head, "x"), Some("y"));
    }
}

#[test]
fn a_redirect_that_goes_in_circles_or_nowhere_is_a_failure() {
    let server = Answers::of((0..20).map(|_| leads_to("302 x", "/again")));
    let ran = World::new().weir(format!("get {}", server.url("/"))).run().with_code(1);
    ran.saying("leads on more than 10 times");
    assert_eq!(server.heads().len(), 11);
    let server = Answers::of([leads_to("302 x", "ftp://h/"), says("HTTP/1.1 302 Found\r\n\r\n")]);
    let world = World::new();
    world.weir(format!("get {}", server.url("/"))).run().with_code(1).saying("leads nowhere");
    world.weir(format!("get {}", server.url("/"))).run().with_code(1).saying("302 Found");
}

#[test]
fn who_interrupts_does_not_wait_for_a_silent_server() {
    for head in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234"] {
        let (told, is_asked) = mpsc::channel::<()>();
        let (gate, is_over) = mpsc::channel::<()>();
        let silent: Script = Box::new(move |peer| {
            peer.say(head);
            told.send(()).unwrap();
            is_over.recv().ok();
        });
        let server = Answers::of([silent]);
        let world = World::new();
        let child = world.weir(format!("get {} | write out", server.url("/"))).spawn(|command| command);
        is_asked.recv().unwrap();
        interrupt(child);
        world.assert_names(&[]);
        drop(gate);
        server.heads();
    }
}

#[test]
fn who_interrupts_does_not_wait_for_a_connection() {
    use nix::sys::socket::{Backlog, listen};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // A queue that is full answers nobody.
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let _queued = std::net::TcpStream::connect(address).unwrap();
    let world = World::new();
    let child = world.weir(format!("get http://{address}/ | write out")).spawn(|command| command);
    let waiting = format!("{:04X} 02 ", address.port());
    while !std::fs::read_to_string("/proc/net/tcp").unwrap().contains(&waiting) {
        std::thread::yield_now();
    }
    interrupt(child);
    world.assert_names(&[]);
}

fn interrupt(mut child: std::process::Child) {
    use std::os::unix::process::ExitStatusExt;
    let process = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    let asked = std::time::Instant::now();
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(2));
    assert!(asked.elapsed() < std::time::Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[test]
fn mistakes_in_a_call_are_told_before_anything_is_opened() {
    let world = World::new();
    for (call, said) in [
        ("get localhost/x", "`http://` or `https://` is missing"),
        ("get ftp://h/x", "only http and https"),
        ("get http://h:99999/", "the port is a number"),
        ("get -H nonsense http://h/", "a colon is missing"),
        ("get -H 'Range: bytes=1-' http://h/", "is set by the stage itself"),
        ("put --type text http://h/", "type it as in `text/plain`"),
        ("post -H 'Content-Type: a/b' http://h/", "is set by `--type`"),
    ] {
        world.weir(format!("{call} | write out")).run().with_code(2).saying(said);
    }
    world.assert_names(&[]);
}

#[test]
fn an_expected_digest_decides_what_becomes_of_a_download() {
    let world = World::new().with("data", bytes(100_000));
    let Some(gzip) = world.tool("gzip") else { return };
    let packed = gzip.arg("-c").arg("data").run().with_code(0).stdout().to_vec();
    let digest = world.weir("hash sha256 | discard").stdin(packed.clone()).run().with_code(0).stderr();
    let digest = digest.split_whitespace().find(|word| word.len() == 64).unwrap().to_owned();
    let wrong = digest.replace(|letter: char| letter.is_ascii_digit(), "f");
    for (expected, code, names) in [(&wrong, 3, &["data"][..]), (&digest, 0, &["data", "tool"])] {
        let server = Answers::of([gives("", packed.len(), &packed)]);
        let chain =
            format!("get {} | hash sha256 --expect {expected} | gunzip | write tool", server.url("/"));
        world.weir(chain).run().with_code(code);
        world.assert_names(names);
    }
    assert_eq!(world.bytes("tool"), world.bytes("data"));
}

#[test]
fn a_spooled_download_unpacks_in_whole_or_not_at_all() {
    let world = World::new().with("data", bytes(100_000));
    let Some(tar) = world.tool("tar") else { return };
    let packed = tar.args(["-c", "data"]).run().with_code(0).stdout().to_vec();
    std::fs::create_dir(world.path("to")).unwrap();
    for (given, code) in [(50_000, 1), (packed.len(), 0)] {
        let server = Answers::of([gives("", packed.len(), &packed[..given])]);
        let chain = format!("get {} | spool | exec tar -x -C to", server.url("/"));
        world.weir(chain).run().with_code(code);
        assert_eq!(world.path("to/data").exists(), code == 0);
    }
    assert_eq!(world.bytes("to/data"), world.bytes("data"));
}

#[test]
fn a_download_from_nginx_goes_on_where_it_was_cut() {
    if !crate::harness::has_tool("nginx") {
        return;
    }
    let whole = bytes(2_000_000);
    let world = World::new().with("whole", &whole);
    // A port that is free now is very likely free in a moment.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let root = world.directory().display().to_string();
    let config = format!(
        "daemon off; master_process off; pid {root}/pid; error_log stderr; events {{}} \
         http {{ access_log off; client_body_temp_path {root}/t; proxy_temp_path {root}/t; \
         fastcgi_temp_path {root}/t; uwsgi_temp_path {root}/t; scgi_temp_path {root}/t; \
         server {{ listen 127.0.0.1:{port}; root {root}; }} }}"
    );
    let world = world.with("config", config);
    let mut nginx = Command::new("nginx")
        .args(["-p", &root, "-c", "config"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(nginx.try_wait().unwrap().is_none(), "it has ended");
        std::thread::yield_now();
    }
    let cut = cutting(port, vec![600_000, 700_000]);
    let ran = world.weir(format!("get http://127.0.0.1:{cut}/whole | write out")).run();
    let missing = world.weir(format!("get http://127.0.0.1:{port}/missing")).run();
    nginx.kill().unwrap();
    nginx.wait().unwrap();
    let told = ran.with_code(0).stderr();
    assert_eq!(told.matches("of 2000000 bytes; goes on from there in 500 ms (1 of 5)").count(), 2, "{told}");
    assert_eq!(world.bytes("out"), whole);
    missing.with_code(1).saying("404 Not Found");
}

#[test]
fn a_reader_that_has_enough_ends_a_download_that_has_no_end() {
    let (told, has_left) = mpsc::channel();
    let endless: Script = Box::new(move |peer| {
        peer.say("HTTP/1.1 200 OK\r\n\r\n");
        while peer.stream.get_mut().write_all(&[b'x'; 10_000]).is_ok() {}
        told.send(()).unwrap();
    });
    let server = Answers::of([endless]);
    World::new().weir(format!("get {} | head -c 5", server.url("/"))).run().quietly().giving("xxxxx");
    has_left.recv().unwrap();
}
