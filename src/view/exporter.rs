//! A page over HTTP/1.1 (RFC 9112): `GET /metrics`, one answer for each connection.
//! Knows nothing of what is on the page. One thread for all callers: who is slow, or says too much, or nothing, keeps nobody waiting.

use crate::stage::{Address, Fault, Reach, listen_at};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// One more, and the one that has been there longest is shown the door: who asks at once is answered at once.
const CALLERS_MAX: usize = 16;
/// A longer request is none of Prometheus.
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// So much is thrown away of what is said after the answer, which would get lost if the door was shut on it.
const IGNORED_BYTES_MAX: usize = 64 << 10;
/// All the time that a caller has.
const PATIENCE: Duration = Duration::from_secs(5);
/// When no more descriptors are to be had.
const PAUSE: Duration = Duration::from_millis(100);

/// Makes the page.
pub(super) type Page = Arc<dyn Fn() -> String + Send + Sync>;

/// A page that can be had until the process ends.
#[derive(Debug)]
pub struct Exporter {
    place: SocketAddr,
}

impl Exporter {
    /// Listens at `address`, and answers with `page`, which is called on the exporter's thread. `option` is what the caller's
    /// command line has for an address that other machines can reach.
    ///
    /// # Errors
    /// A fault that names the address.
    pub fn open(address: &Address, reach: Reach, option: &str, page: Page) -> Result<Exporter, Fault> {
        let (listener, place) = listen_at(address, reach, option)?;
        let body = move || House { listener, page, callers: Vec::new() }.run();
        let thread = thread::Builder::new().name("metrics".to_owned()).spawn(body);
        thread.map_err(|error| {
            Fault::failed(format!("cannot start a thread: {error}")).of(address.to_string())
        })?;
        Ok(Exporter { place })
    }

    /// Where the page is: with the port that was chosen.
    pub fn url(&self) -> String {
        format!("http://{}/metrics", self.place)
    }
}

struct House {
    listener: TcpListener,
    page: Page,
    /// In the order in which they came.
    callers: Vec<Caller>,
}

impl House {
    fn run(mut self) {
        loop {
            let (is_called, ready) = self.wait();
            let now = Instant::now();
            let mut ready = ready.into_iter();
            self.callers.retain_mut(|caller| {
                let is_ready = ready.next() == Some(true);
                (!is_ready || caller.go_on(&self.page)) && now < caller.until
            });
            if is_called {
                self.let_in();
            }
        }
    }

    /// Waits for somebody new, and for each that is here.
    fn wait(&self) -> (bool, Vec<bool>) {
        let mut polled = vec![PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        polled.extend(self.callers.iter().map(|caller| PollFd::new(caller.socket.as_fd(), caller.awaits())));
        let until = self.callers.iter().map(|caller| caller.until).min();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        // Rounded up, so as not to wake before the time.
        let left = left.map(|left| left + Duration::from_millis(1));
        let timeout = left.map_or(PollTimeout::NONE, |left| left.try_into().unwrap_or(PollTimeout::ZERO));
        if poll(&mut polled, timeout).is_err() {
            return (false, Vec::new());
        }
        let mut ready = polled.iter().map(|polled| polled.any().unwrap_or(true));
        (ready.next() == Some(true), ready.collect())
    }

    fn let_in(&mut self) {
        match self.listener.accept().and_then(|(socket, _)| socket.set_nonblocking(true).map(|()| socket)) {
            Ok(socket) => {
                if self.callers.len() == CALLERS_MAX {
                    self.callers.remove(0);
                }
                self.callers.push(Caller::new(socket));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

struct Caller {
    socket: TcpStream,
    until: Instant,
    phase: Phase,
}

/// Whose turn it is.
enum Phase {
    /// Theirs: what they have said.
    Request(Vec<u8>),
    /// Ours: what is left to say.
    Answer(Vec<u8>),
    /// All is said. How much was ignored since.
    Leaving(usize),
}

impl Caller {
    fn new(socket: TcpStream) -> Caller {
        Caller { socket, until: Instant::now() + PATIENCE, phase: Phase::Request(Vec::new()) }
    }

    fn awaits(&self) -> PollFlags {
        match self.phase {
            Phase::Request(_) | Phase::Leaving(_) => PollFlags::POLLIN,
            Phase::Answer(_) => PollFlags::POLLOUT,
        }
    }

    /// One step, which does not block; whether there is another.
    fn go_on(&mut self, page: &Page) -> bool {
        match self.step(page) {
            Ok(is_more) => is_more,
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }

    fn step(&mut self, page: &Page) -> io::Result<bool> {
        let mut said = [0; 4096];
        match &mut self.phase {
            Phase::Request(request) => {
                let count = self.socket.read(&mut said)?;
                request.extend_from_slice(&said[..count]);
                let answer = if is_whole(request) {
                    answer(request, page)
                } else if request.len() > REQUEST_BYTES_MAX {
                    respond("431 Request Header Fields Too Large", "", "the request is too long\n")
                } else {
                    return Ok(count > 0);
                };
                self.phase = Phase::Answer(answer);
            }
            Phase::Answer(left) => {
                let count = self.socket.write(left)?;
                left.drain(..count);
                if left.is_empty() {
                    self.socket.shutdown(Shutdown::Write)?;
                    self.phase = Phase::Leaving(0);
                }
            }
            Phase::Leaving(ignored) => {
                let count = self.socket.read(&mut said)?;
                *ignored += count;
                return Ok(count > 0 && *ignored < IGNORED_BYTES_MAX);
            }
        }
        Ok(true)
    }
}

/// Whether the empty line is there that ends the head. What is typed by hand ends lines without a carriage return.
fn is_whole(request: &[u8]) -> bool {
    [&b"\r\n\r\n"[..], b"\n\n"].iter().any(|end| request.windows(end.len()).any(|part| part == *end))
}

fn answer(request: &[u8], page: &Page) -> Vec<u8> {
    const PLAIN: &str = "Content-Type: text/plain; charset=utf-8\r\n";
    let line = request.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return respond("400 Bad Request", PLAIN, "this is no HTTP\n");
    };
    let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
    match (method, path) {
        _ if !version.starts_with(b"HTTP/1.") => respond("400 Bad Request", PLAIN, "this is no HTTP/1\n"),
        (b"GET" | b"HEAD", b"/metrics") => {
            let format = "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n";
            let mut response = respond("200 OK", format, &page());
            if method == b"HEAD" {
                let head = response.windows(4).position(|part| part == b"\r\n\r\n");
                response.truncate(head.map_or(0, |head| head + 4));
            }
            response
        }
        (_, b"/metrics") => {
            respond("405 Method Not Allowed", &format!("Allow: GET, HEAD\r\n{PLAIN}"), "only GET and HEAD\n")
        }
        (b"HEAD", _) => respond("404 Not Found", "", ""),
        _ => respond("404 Not Found", PLAIN, "only /metrics is here\n"),
    }
}

fn respond(status: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::{CALLERS_MAX, Exporter, REQUEST_BYTES_MAX};
    use crate::stage::{Address, Reach};
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpStream};
    use std::sync::Arc;

    fn open(address: &str) -> Result<Exporter, crate::stage::Fault> {
        let address = Address::parse(address).expect("an address");
        Exporter::open(&address, Reach::Loopback, "--do", Arc::new(|| "weir_runs_open 1\n".to_owned()))
    }

    fn exporter() -> Exporter {
        open("127.0.0.1:0").expect("a place")
    }

    fn call(exporter: &Exporter) -> TcpStream {
        TcpStream::connect(exporter.place).expect("a connection")
    }

    /// The whole answer, to its end.
    fn ask(exporter: &Exporter, request: &str) -> String {
        let mut socket = call(exporter);
        socket.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        answer
    }

    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
                          Content-Length: 17\r\nConnection: close\r\n\r\nweir_runs_open 1\n";

    #[test]
    fn the_page_is_given_to_who_asks_for_it_and_to_nobody_else() {
        let exporter = exporter();
        assert!(exporter.url().starts_with("http://127.0.0.1:") && exporter.url().ends_with("/metrics"));
        assert_eq!(ask(&exporter, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), ANSWER);
        assert_eq!(ask(&exporter, "GET /metrics?a=b HTTP/1.0\n\n"), ANSWER);
        let head = ask(&exporter, "HEAD /metrics HTTP/1.1\r\n\r\n");
        assert_eq!(head, ANSWER.strip_suffix("weir_runs_open 1\n").expect("a body"));
        for (request, status) in [
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            ("POST / HTTP/1.1\r\n\r\n", "404"),
            ("GET /metrics/ HTTP/1.1\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\nab", "405"),
            ("get /metrics HTTP/1.1\r\n\r\n", "405"),
            ("GET /metrics HTTP/2.0\r\n\r\n", "400"),
            ("GET /metrics\r\n\r\n", "400"),
            ("\r\n\r\n", "400"),
        ] {
            let answer = ask(&exporter, request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
            assert_eq!(answer.contains("Allow: GET, HEAD\r\n"), status == "405");
        }
    }

    #[test]
    fn a_request_without_an_end_is_refused() {
        let mut socket = call(&exporter());
        socket.write_all(&[b'x'; REQUEST_BYTES_MAX + 1]).expect("sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }

    #[test]
    fn who_says_nothing_keeps_nobody_waiting_and_goes_when_there_are_too_many() {
        let exporter = exporter();
        let mut silent: Vec<TcpStream> = (0..CALLERS_MAX).map(|_| call(&exporter)).collect();
        silent[1].write_all(b"GET /met").expect("sent");
        assert_eq!(ask(&exporter, "GET /metrics HTTP/1.1\r\n\r\n"), ANSWER);
        // It made room for the one that asked.
        assert_eq!(silent[0].read(&mut [0]).ok(), Some(0));
        silent[1].write_all(b"rics HTTP/1.1\r\n\r\n").expect("sent");
        let mut answer = String::new();
        silent[1].read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer, ANSWER);
    }

    #[test]
    fn who_leaves_early_is_forgotten() {
        let exporter = exporter();
        call(&exporter).shutdown(Shutdown::Both).expect("gone");
        let mut socket = call(&exporter);
        socket.write_all(b"GET /metrics").expect("sent");
        socket.shutdown(Shutdown::Write).expect("gone");
        assert_eq!(socket.read(&mut [0]).ok(), Some(0));
        assert_eq!(ask(&exporter, "GET /metrics HTTP/1.1\r\n\r\n"), ANSWER);
    }

    #[test]
    fn a_place_that_is_taken_or_open_to_others_is_refused() {
        let exporter = exporter();
        let taken = open(&exporter.place.to_string()).expect_err("it is taken");
        assert_eq!(taken.to_string(), format!("{}: cannot listen: address already in use", exporter.place));
        let remote = open("0.0.0.0:0").expect_err("it is open");
        assert_eq!(remote.to_string(), "0.0.0.0:0: 0.0.0.0 can be reached from other machines");
        assert_eq!(remote.help.as_deref(), Some("if that is meant: `--do`"));
    }
}
