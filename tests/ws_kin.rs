//! `ws` with the servers that people have: those of Node and of Python, plain and under TLS.
//! How conversations break is tried elsewhere.

use crate::authority::{Authority, say_goodbye};
use crate::harness::{Patience, World, skipped};
use crate::peer::{Peer, numbered};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const NODE: &str = "const { WebSocketServer } = require('ws');
const server = new WebSocketServer({ host: '127.0.0.1', port: 0 }, () => console.log(server.address().port));
server.on('connection', socket => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on('close', () => process.exit(0));
});";

const PYTHON: &str = "import asyncio, websockets
over = None
async def echo(socket):
    try:
        async for message in socket:
            await socket.send(message)
    except websockets.ConnectionClosed:
        pass
    over.set_result(None)
async def main():
    global over
    over = asyncio.get_running_loop().create_future()
    async with websockets.serve(echo, '127.0.0.1', 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await over
asyncio.run(main())";

/// A server that gives back each message, and its port.
fn server(program: &str, option: &str, script: &str) -> Option<(Child, Patience, u16)> {
    let mut command = Command::new(program);
    let command =
        command.args([option, script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let guard = Patience::with(&child);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let Ok(port) = line.trim().parse() else {
        child.wait().unwrap();
        return None;
    };
    Some((child, guard, port))
}

#[test]
fn what_real_servers_give_back_is_what_they_were_given() {
    for (program, option, script) in [("node", "-e", NODE), ("/usr/bin/python3", "-c", PYTHON)] {
        for options in ["", "--text"] {
            let Some((mut child, _guard, port)) = server(program, option, script) else {
                skipped(&format!("{program} has no WebSocket server"));
                continue;
            };
            let all = if options.is_empty() {
                numbered(3_000_001)
            } else {
                "a line \u{e9}\n\n".repeat(2000).into_bytes()
            };
            // Their servers say nothing more once we have said our last word.
            let world = World::new().with("in", &all);
            world.weir(format!("read in | ws {options} ws://127.0.0.1:{port}/ | write out")).run().quietly();
            assert!(world.bytes("out") == all, "{program} {options}");
            assert!(child.wait().unwrap().success(), "{program} {options}");
        }
    }
}

#[test]
fn real_servers_take_our_last_word() {
    for (program, option, script) in [("node", "-e", NODE), ("/usr/bin/python3", "-c", PYTHON)] {
        let Some((mut child, _guard, port)) = server(program, option, script) else {
            skipped(&format!("{program} has no WebSocket server"));
            continue;
        };
        let world = World::new();
        world.weir(format!("ws ws://127.0.0.1:{port}/ | discard")).stdin("hello").run().quietly();
        assert!(child.wait().unwrap().success(), "{program}");
    }
}

#[test]
fn a_conversation_under_tls_ends_well_or_was_cut() {
    let Some(authority) = Authority::new() else { return };
    authority.vouch("leaf", "DNS:localhost,IP:127.0.0.1", 2);
    for is_cut in [false, true] {
        let peer = Peer::new();
        let chain = format!("ws --text wss://localhost:{}/ | write out", peer.port());
        let serving = authority.serve(peer, "leaf", move |stream| {
            let mut socket = tungstenite::accept(stream).unwrap();
            let message = socket.read().unwrap();
            socket.send(message).unwrap();
            if is_cut {
                return;
            }
            assert!(socket.read().unwrap().is_ping());
            assert!(socket.read().unwrap().is_close());
            while socket.flush().is_ok() && socket.read().is_ok() {}
            say_goodbye(socket.get_mut());
        });
        let ran = authority.world.weir(chain).env("SSL_CERT_FILE", authority.world.path("ca.pem"));
        let ran = ran.env("SSL_CERT_DIR", "").stdin("hello").run();
        if is_cut {
            // The end that it does not announce, or the reset of what it does not read.
            assert!(ran.stderr().contains("the connection"), "{}", ran.stderr());
            ran.with_code(1);
        } else {
            ran.quietly();
            assert_eq!(authority.world.bytes("out"), b"hello\n");
        }
        serving.join().unwrap();
    }
}
