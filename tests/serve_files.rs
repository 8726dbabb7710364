//! A directory over HTTP, asked for by the tools that people use, and a file larger than any memory.
//! What each kind of request is answered with is tested where the answers are made.

use crate::harness::{World, has_tool};
use crate::peer::{numbered, read_all, read_some};
use crate::server::{Server, allow_many_connections};
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;

const GET_BIG: &[u8] = b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn site() -> World {
    let world = World::new().with("secret", "canary");
    fs::create_dir(world.path("site")).unwrap();
    fs::write(world.path("site/data.bin"), numbered(3_000_001)).unwrap();
    fs::write(world.path("site/a name & more.txt"), "found\n").unwrap();
    fs::write(world.path("site/.private"), "canary").unwrap();
    world
}

#[test]
fn curl_gets_files_parts_of_them_and_what_has_changed() {
    let world = site();
    if !has_tool("curl") {
        return;
    }
    let server = Server::start(&world, "serve --files site http://127.0.0.1:0");
    let curl = |options: &[&str], path: &str| {
        let url = format!("http://{}/{path}", server.address());
        world.tool("curl").unwrap().args(["-sf"]).args(options).arg(url).run()
    };
    let all = world.bytes("site/data.bin");
    curl(&[], "data.bin").quietly().giving(&all);
    curl(&["-r", "1000000-1000099"], "data.bin").quietly().giving(&all[1_000_000..1_000_100]);
    curl(&["-r", "-1"], "data.bin").quietly().giving(&all[3_000_000..]);
    curl(&[], "a%20name%20&%20more.txt").quietly().giving("found\n");
    let head = String::from_utf8(curl(&["-I"], "data.bin").quietly().stdout().to_vec()).unwrap();
    assert!(
        head.contains("content-length: 3000001\r\n") && head.contains("accept-ranges: bytes\r\n"),
        "{head}"
    );
    // A download that was cut goes on.
    fs::write(world.path("part"), &all[..2_000_000]).unwrap();
    curl(&["-C", "-", "-o", "part"], "data.bin").quietly();
    assert!(world.bytes("part") == all);
    // What has not changed is not sent again.
    curl(&["--etag-save", "tag", "-o", "copy"], "data.bin").quietly();
    let again = ["--etag-compare", "tag", "-o", "again", "-w", "%{http_code}"];
    curl(&again, "data.bin").quietly().giving("304");
    for path in ["no-such-file", ".private", "../secret", "%2e%2e/secret", "..%2fsecret", "/etc/passwd", ""] {
        let ran = curl(&["--path-as-is"], path);
        assert_eq!((ran.code(), ran.stdout()), (22, &b""[..]), "{path}");
    }
    server.end_quietly();
}

#[test]
fn a_file_goes_through_a_chain() {
    let world = site();
    if !has_tool("curl") || !has_tool("gzip") {
        return;
    }
    let server =
        Server::start(&world, "serve --files site --type application/gzip http://127.0.0.1:0 { gzip }");
    let url = format!("http://{}/data.bin", server.address());
    world.shell(&format!("curl -sf {url} | gzip -d")).run().quietly().giving(world.bytes("site/data.bin"));
    world.shell(&format!("curl -sf {url}.not")).run().with_code(22);
    server.end_quietly();
}

#[test]
fn a_browser_fetches_parts() {
    let world = site();
    if !has_tool("chromium") {
        return;
    }
    let page = "<body><script>
      const part = async range => {
        const answer = await fetch('data.bin', {headers: {Range: range}});
        const bytes = new Uint8Array(await answer.arrayBuffer());
        return [answer.status, answer.headers.get('Content-Range'), bytes.length, bytes[0], bytes.at(-1)].join(' ');
      };
      (async () => {
        const told = [];
        for (const range of ['bytes=1000000-1000099', 'bytes=-1', 'bytes=2999990-', 'bytes=0-'])
          told.push(await part(range));
        document.body.textContent = 'told: ' + told.join('; ') + '.';
      })();
    </script></body>";
    fs::write(world.path("site/index.html"), page).unwrap();
    let server = Server::start(&world, "serve --files site http://127.0.0.1:0");
    let profile = format!("--user-data-dir={}", world.path("profile").display());
    let options =
        ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
    let url = format!("http://{}/", server.address());
    let chromium = world.tool("chromium").unwrap().args(options).arg(profile);
    let ran = chromium.args(["--virtual-time-budget=60000", "--dump-dom", &url]).run();
    let told = String::from_utf8_lossy(ran.stdout()).into_owned();
    let byte = |at: usize| world.bytes("site/data.bin")[at];
    let expected = format!(
        "told: 206 bytes 1000000-1000099/3000001 100 {} {}; 206 bytes 3000000-3000000/3000001 1 {} {}; \
         206 bytes 2999990-3000000/3000001 11 {} {}; 206 bytes 0-3000000/3000001 3000001 {} {}.",
        byte(1_000_000),
        byte(1_000_099),
        byte(3_000_000),
        byte(3_000_000),
        byte(2_999_990),
        byte(3_000_000),
        byte(0),
        byte(3_000_000)
    );
    assert!(told.contains(&expected), "{told}\n{}", ran.stderr());
    server.end_quietly();
}

#[test]
fn many_idle_and_many_slow_clients_of_a_file_of_10_gb_cost_little_memory() {
    let world = site();
    let big = File::create(world.path("site/big")).unwrap();
    // All of it is a hole: the file takes no room.
    big.set_len(10_000_000_000).unwrap();
    allow_many_connections();
    let server = Server::start(&world, "serve --files site http://127.0.0.1:0");
    let idle: Vec<TcpStream> = (0..1000).map(|_| server.connect()).collect();
    let mut active: Vec<TcpStream> = (0..64).map(|_| server.connect()).collect();
    for stream in &mut active {
        stream.write_all(GET_BIG).unwrap();
        // It has come this far, and is not read any further.
        let head = read_some(stream, 2_000_000);
        assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    let peak_kib = server.status("VmHWM");
    assert!(peak_kib < 150 << 10, "{peak_kib} KiB with 1064 connections");
    // One more than are served at once waits for one that leaves.
    let mut late = server.connect();
    late.write_all(GET_BIG).unwrap();
    drop(active.pop());
    assert!(read_some(&mut late, 100_000).starts_with(b"HTTP/1.1 200 OK\r\n"));
    drop((idle, active, late));
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(server.ended().0, 0);
}

#[test]
fn a_file_that_becomes_shorter_on_its_way_breaks_the_answer_off() {
    let world = site();
    let big = File::create(world.path("site/big")).unwrap();
    big.set_len(1_000_000_000).unwrap();
    let mut server = Server::start(&world, "serve --files site http://127.0.0.1:0");
    let mut stream = server.connect();
    stream.write_all(GET_BIG).unwrap();
    read_some(&mut stream, 100_000);
    big.set_len(500_000).unwrap();
    let (rest, _) = read_all(&mut stream);
    assert!(rest.len() < 900_000_000, "{} bytes", rest.len());
    let line = server.hears("shorter");
    assert!(line.contains("GET /big for 127.0.0.1:"), "{line}");
    server.end_quietly();
}
