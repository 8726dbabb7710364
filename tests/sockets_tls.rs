//! `tcp --tls`: whom it trusts, how such conversations end, and that a cut one is never taken for a whole.
//! The authority and the peers are the test's own.

use crate::authority::{Authority, say_goodbye};
use crate::harness::{Patience, Ran, World};
use crate::peer::{Peer, numbered, read_all, read_some, reset};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::process::{Command, Stdio};

/// An authority, and a certificate for this machine.
fn authority() -> Option<Authority> {
    let authority = Authority::new()?;
    authority.vouch("leaf", "DNS:localhost,IP:127.0.0.1", 2);
    Some(authority)
}

fn weir(authority: &Authority, chain: &str) -> crate::harness::Call {
    authority.world.weir(chain).env("SSL_CERT_FILE", authority.world.path("ca.pem")).env("SSL_CERT_DIR", "")
}

#[test]
fn a_conversation_under_tls_ends_on_either_side_by_its_word() {
    let Some(authority) = authority() else { return };
    for host in ["localhost", "127.0.0.1"] {
        let peer = Peer::new();
        let chain = format!("tcp --tls {host}:{}", peer.port());
        let heard = authority.serve(peer, "leaf", |mut stream| {
            let heard = read_all(&mut stream);
            stream.write_all(b"an answer, late").unwrap();
            say_goodbye(&mut stream);
            heard
        });
        weir(&authority, &chain).stdin("a question").run().quietly().giving("an answer, late");
        assert_eq!(heard.join().unwrap(), (b"a question".to_vec(), true));
    }
}

#[test]
fn a_peer_that_gives_everything_before_it_takes_anything_blocks_nothing_under_tls() {
    const BYTES: usize = 24 << 20;
    let Some(authority) = authority() else { return };
    let all = numbered(BYTES);
    let world = World::new().with("in", &all);
    let (peer, sent) = (Peer::new(), all.clone());
    let chain = format!("read in | tcp --tls {} | write out", peer.address());
    let heard = authority.serve(peer, "leaf", move |mut stream| {
        stream.write_all(&sent).unwrap();
        let heard = read_all(&mut stream);
        say_goodbye(&mut stream);
        heard
    });
    world
        .weir(chain)
        .env("SSL_CERT_FILE", authority.world.path("ca.pem"))
        .env("SSL_CERT_DIR", "")
        .run()
        .quietly();
    assert!(world.bytes("out") == all);
    assert!(heard.join().unwrap() == (all, true));
}

#[test]
fn who_has_said_all_under_tls_is_still_given_everything() {
    let Some(authority) = authority() else { return };
    let peer = Peer::new();
    let chain = format!("stdin | tcp --tls {}", peer.address());
    let heard = authority.serve(peer, "leaf", |mut stream| {
        stream.write_all(b"all I say").unwrap();
        say_goodbye(&mut stream);
        read_all(&mut stream)
    });
    let all = numbered(5 << 20);
    weir(&authority, &chain).stdin(all.clone()).run().quietly().giving("all I say");
    assert!(heard.join().unwrap() == (all, true));
}

#[test]
fn new_keys_in_the_middle_change_nothing() {
    let Some(authority) = authority() else { return };
    let peer = Peer::new();
    let chain = format!("stdin | tcp --tls {}", peer.address());
    let heard = authority.serve(peer, "leaf", |mut stream| {
        let mut heard = Vec::new();
        for part in numbered(1 << 20).chunks(200_000) {
            stream.conn.refresh_traffic_keys().ok();
            stream.write_all(part).unwrap();
            heard.extend(read_some(&mut stream, 1000));
        }
        let (rest, ended) = read_all(&mut stream);
        // The answer to this one can be given no more: our side has ended.
        stream.conn.refresh_traffic_keys().ok();
        stream.write_all(b"the last").unwrap();
        say_goodbye(&mut stream);
        heard.extend(rest);
        (heard, ended)
    });
    let all = numbered(300_000);
    let expected = [&numbered(1 << 20)[..], b"the last"].concat();
    weir(&authority, &chain).stdin(all.clone()).run().quietly().giving(expected);
    assert!(heard.join().unwrap() == (all, true));
}

#[test]
fn a_connection_that_ends_without_the_peers_word_was_cut() {
    let Some(authority) = authority() else { return };
    let world = World::new().with("out", "old");
    let cut = |breaks: fn(std::net::TcpStream), why: &str| {
        let peer = Peer::new();
        let address = peer.address();
        let gone = authority.serve(peer, "leaf", move |mut stream| {
            stream.write_all(b"not all of it").unwrap();
            read_all(&mut stream);
            breaks(stream.sock);
        });
        let chain = format!("tcp --tls {address} | write out");
        let ran = world
            .weir(chain)
            .env("SSL_CERT_FILE", authority.world.path("ca.pem"))
            .env("SSL_CERT_DIR", "")
            .run()
            .with_code(1);
        gone.join().unwrap();
        ran.saying(&format!("tcp (stage 1): {address}: {why}, after it gave 13 B"));
        assert_eq!(world.bytes("out"), b"old");
        world.assert_names(&["out"]);
    };
    cut(drop, "the connection was cut");
    cut(reset, "the peer has reset the connection");
    // Garbage in place of what it would say.
    cut(|mut socket| socket.write_all(&[0x17, 3, 3, 0, 32, 1, 2, 3]).unwrap(), "the connection was cut");
}

#[test]
fn a_changed_byte_is_refused_and_a_failure_here_is_no_end_there() {
    let Some(authority) = authority() else { return };
    let peer = Peer::new();
    let address = peer.address();
    let gone = authority.serve(peer, "leaf", |mut stream| {
        stream.write_all(b"good").unwrap();
        // A record that is none of the session.
        let forged = [&[0x17, 3, 3, 0, 32][..], &[7; 32]].concat();
        stream.sock.write_all(&forged).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).map_err(|error| error.kind())
    });
    let chain = format!("stdin | tcp --tls {address} | write out");
    let mut child =
        weir(&authority, &chain).spawn(|command| command.stdin(Stdio::piped()).stderr(Stdio::piped()));
    let _guard = Patience::with(&child);
    let (held, mut said) = (child.stdin.take(), String::new());
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
    let told = format!("tcp (stage 2): {address}: cannot decrypt peer's message, after it gave 4 B");
    assert!(said.contains(&told), "{said}");
    gone.join().unwrap().unwrap_err();
    drop(held);
    assert!(!authority.world.path("out").exists());

    let world = World::new();
    world.weir("generate text 1M | gzip | write whole.gz").run().quietly();
    let whole = world.bytes("whole.gz");
    std::fs::write(authority.world.path("cut.gz"), &whole[..whole.len() - 9]).unwrap();
    let peer = Peer::new();
    let chain = format!("read cut.gz | gunzip | tcp --tls {} | discard", peer.address());
    let heard = authority
        .serve(peer, "leaf", |mut stream| stream.read_to_end(&mut Vec::new()).map_err(|error| error.kind()));
    weir(&authority, &chain).run().with_code(3).saying("gunzip (stage 2)");
    assert_eq!(heard.join().unwrap(), Err(ErrorKind::ConnectionReset));
}

/// What is said to a peer under the certificate `name`; it never hears a byte of the input.
fn refused(authority: &Authority, name: &str, trusted: &str) -> Ran {
    let peer = Peer::new();
    let chain = format!("stdin | tcp --tls {} | write out", peer.address());
    let heard = authority.serve(peer, name, |mut stream| {
        let mut heard = Vec::new();
        let told = stream.read_to_end(&mut heard);
        (heard, told.is_ok())
    });
    let ran = authority
        .world
        .weir(chain)
        .env("SSL_CERT_FILE", authority.world.path(trusted))
        .env("SSL_CERT_DIR", "");
    let ran = ran.stdin("secret").run().with_code(1).saying("weir: tcp (stage 2): 127.0.0.1:");
    assert_eq!(heard.join().unwrap(), (Vec::new(), false));
    assert!(!authority.world.path("out").exists());
    ran
}

#[test]
fn who_is_not_vouched_for_hears_nothing() {
    let Some(authority) = authority() else { return };
    authority.vouch("other", "DNS:elsewhere.example", 2);
    refused(&authority, "other", "ca.pem").saying("its certificate is for another name");
    authority.vouch("expired", "IP:127.0.0.1", -1);
    refused(&authority, "expired", "ca.pem").saying("its certificate has expired");
    authority.openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout self.key -out self.pem -days 2 \
         -subj /CN=self -addext subjectAltName=IP:127.0.0.1",
    );
    refused(&authority, "self", "self.pem")
        .saying("its certificate is that of an authority")
        .saying("CA:FALSE");
    refused(&authority, "leaf", "self.pem")
        .saying("nobody this system trusts vouches for its certificate")
        .saying("SSL_CERT_FILE");
    std::fs::write(authority.world.path("none.pem"), "").unwrap();
    let peer = Peer::new();
    let chain = format!("tcp --tls {}", peer.address());
    let gone = peer.does(|mut stream| read_all(&mut stream));
    let ran = authority
        .world
        .weir(chain)
        .env("SSL_CERT_FILE", authority.world.path("none.pem"))
        .env("SSL_CERT_DIR", "")
        .run();
    ran.with_code(1).saying("no certificates to check a peer against");
    assert_eq!(gone.join().unwrap().0, b"");
}

#[test]
fn who_speaks_no_tls_is_told() {
    let Some(authority) = authority() else { return };
    let told = |act: fn(std::net::TcpStream), why: &str| {
        let peer = Peer::new();
        let address = peer.address();
        let gone = peer.does(act);
        let chain = format!("tcp --tls --connect-timeout 2s {address}");
        let ran = weir(&authority, &chain).run().with_code(1);
        ran.saying(&format!("tcp (stage 1): {address}: {why}"));
        gone.join().unwrap();
    };
    told(
        |mut stream| {
            stream.write_all(b"220 mail.example ready\r\n").unwrap();
            read_all(&mut stream);
        },
        "does not speak TLS",
    );
    told(
        |mut stream| {
            read_some(&mut stream, 5);
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            read_all(&mut stream);
        },
        "closed the connection instead of answering TLS",
    );
    told(
        |mut stream| {
            read_some(&mut stream, 5);
            reset(stream);
        },
        "TLS: connection reset by peer",
    );
    told(
        |mut stream| {
            read_all(&mut stream);
        },
        "TLS: no answer within 2.0 s",
    );
    authority.world.weir("tcp --tls --listen :0").run().with_code(2).saying("cannot be used with");
}

#[test]
fn openssl_is_talked_to() {
    let Some(authority) = authority() else { return };
    for version in ["-tls1_2", "-tls1_3"] {
        let mut server = Command::new("openssl");
        let words =
            ["s_server", "-accept", "127.0.0.1:0", "-cert", "leaf.pem", "-key", "leaf.key", "-rev", version];
        let command = server.args(words).current_dir(authority.world.directory());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let _guard = Patience::with(&child);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.map_while(Result::ok).find(|line| line.starts_with("ACCEPT")).unwrap();
        let port = line.rsplit(':').next().unwrap().to_owned();
        let chain = format!("tcp --tls localhost:{port} | head -n 2");
        let ran = weir(&authority, &chain).stdin("one\ntwo\n").run().quietly();
        ran.giving("eno\nowt\n");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
