//! Servers for the tests of HTTP: one that answers each connection as it is told, one that cuts what another gives, one under TLS.
//! Knows nothing of what is tested.

use crate::harness::{World, has_tool};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// What is done with one connection.
pub type Script = Box<dyn FnOnce(&mut Peer) + Send>;

/// Somebody who has connected and said what he wants.
pub struct Peer {
    pub stream: BufReader<TcpStream>,
    /// The head of the request, its lines in lower case but for their values.
    pub head: String,
}

impl Peer {
    fn meet(stream: TcpStream) -> Peer {
        stream.set_nodelay(true).unwrap();
        let mut peer = Peer { stream: BufReader::new(stream), head: String::new() };
        while !peer.head.ends_with("\r\n\r\n") {
            if peer.stream.read_line(&mut peer.head).unwrap_or(0) == 0 {
                break;
            }
        }
        peer
    }

    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        // Who has hung up hears nothing.
        self.stream.get_mut().write_all(bytes.as_ref()).ok();
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// The next chunk of a request's body; nothing for the last one; an error where the body breaks.
    pub fn chunk(&mut self) -> std::io::Result<Vec<u8>> {
        let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim_end(), 16).map_err(|_| broken())?;
        let mut chunk = vec![0; length + 2];
        self.stream.read_exact(&mut chunk)?;
        chunk.truncate(length);
        Ok(chunk)
    }

    /// The whole of a request's body.
    pub fn body(&mut self) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok(body);
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// Ends the connection with a reset.
    pub fn reset(&mut self) {
        let now = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(self.stream.get_ref(), nix::sys::socket::sockopt::Linger, &now).unwrap();
    }
}

/// The value of a header in the head of a request.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (own, value) = line.split_once(": ")?;
        own.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Answers with just these bytes, and closes.
pub fn says(bytes: impl Into<Vec<u8>>) -> Script {
    let bytes = bytes.into();
    Box::new(move |peer| peer.say(bytes))
}

/// A page of `length` bytes, of which `given` come.
pub fn gives(head: &str, length: usize, given: impl AsRef<[u8]>) -> Script {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{head}\r\n");
    says([head.as_bytes(), given.as_ref()].concat())
}

/// The rest of `whole` from where it is asked for.
pub fn gives_rest(head: &str, whole: &[u8]) -> Script {
    let (head, whole) = (head.to_owned(), whole.to_owned());
    Box::new(move |peer| {
        let range = peer.header("range").expect("a range is asked for");
        let at: usize = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
        let rest = &whole[at..];
        let (last, total, length) = (whole.len() - 1, whole.len(), rest.len());
        peer.say(format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\nContent-Range: bytes {at}-{last}/{total}\r\n{head}\r\n"
        ));
        peer.say(rest);
    })
}

/// A server that plays its scripts, one for each connection in turn.
pub struct Answers {
    port: u16,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Answers {
    pub fn of(scripts: impl IntoIterator<Item = Script>) -> Answers {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_over = Arc::new(AtomicBool::new(false));
        let (seen, scripts) = (Arc::clone(&is_over), scripts.into_iter().collect::<Vec<_>>());
        let thread = thread::spawn(move || {
            let mut heads = Vec::new();
            for script in scripts {
                let (stream, _) = listener.accept().unwrap();
                if seen.load(Ordering::SeqCst) {
                    break;
                }
                let mut peer = Peer::meet(stream);
                heads.push(peer.head.clone());
                script(&mut peer);
            }
            heads
        });
        Answers { port, is_over, thread }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The heads of the requests that came.
    pub fn heads(self) -> Vec<String> {
        self.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        self.thread.join().unwrap()
    }
}

/// Stands before the server at `port`: of what it gives over the first connections, no more than so many bytes arrive.
pub fn cutting(port: u16, cuts: Vec<u64>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own_port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for cut in cuts.into_iter().chain(std::iter::repeat(u64::MAX)) {
            let Ok((mut client, _)) = listener.accept() else { return };
            let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                std::io::copy(&mut from, &mut to).ok();
                to.shutdown(Shutdown::Write).ok();
            });
            std::io::copy(&mut Read::by_ref(&mut server).take(cut), &mut client).ok();
            client.shutdown(Shutdown::Both).ok();
            server.shutdown(Shutdown::Both).ok();
        }
    });
    own_port
}

/// A server of openssl, its certificate for `localhost` and `example.test` by an authority of its own in `authority.pem`.
pub struct Secured {
    server: Child,
    pub port: u16,
}

impl Secured {
    /// Serves the files of `world` as `mode` says: `-WWW` as they are, `-HTTP` as whole answers. `None` without openssl.
    pub fn start(world: &World, mode: &str) -> Option<Secured> {
        if !has_tool("openssl") {
            return None;
        }
        let make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority \
             -keyout authority.key -out authority.pem && \
             openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=leaf -keyout leaf.key -out leaf.csr && \
             printf 'subjectAltName=DNS:localhost,DNS:example.test,IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > leaf.ext && \
             openssl x509 -req -in leaf.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 \
             -extfile leaf.ext -out leaf.pem";
        world.shell(make).run().with_code(0);
        let mut server = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "leaf.pem", "-key", "leaf.key", mode])
            .current_dir(world.directory())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let port =
            lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT ")?.rsplit(':').next()?.parse().ok());
        thread::spawn(move || lines.for_each(drop));
        Some(Secured { server, port: port.expect("it says where it listens") })
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}
