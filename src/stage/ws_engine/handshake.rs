//! The client's handshake: an HTTP request to switch protocols, and the answer to it (RFC 6455 §4.1).
//! Knows nothing of what is said afterwards.

use super::config;
use super::stream::WireStream;
use super::url::Url;
use crate::flow::Closed;
use crate::stage::contract::Context;
use crate::stage::fault::Fault;
use crate::stage::net::wire::Wire;
use crate::stage::outside::stream::reason;
use crate::units;
use nix::poll::PollFlags;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use tungstenite::WebSocket;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::protocol::Role;

/// An answer may be so long, up to the end of its headers.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The headers that the handshake itself sets, or that would change what is spoken.
const OWN_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-version",
    "transfer-encoding",
    "upgrade",
];

/// The header by which a client offers protocols to choose from.
const PROTOCOLS: &str = "sec-websocket-protocol";

/// One more line of the request.
#[derive(Debug, Clone)]
pub(in crate::stage) struct Header {
    name: HeaderName,
    value: HeaderValue,
}

impl Header {
    /// `NAME: VALUE`.
    ///
    /// # Errors
    /// A sentence for people, for anything else, and for a header that is not theirs to set.
    pub(in crate::stage) fn parse(text: &str) -> Result<Header, String> {
        let (name, value) = text.split_once(':').ok_or("a header is NAME: VALUE")?;
        let name: HeaderName = name.parse().map_err(|_| format!("`{name}` is no name of a header"))?;
        if OWN_HEADERS.contains(&name.as_str()) {
            return Err(format!("the handshake sets `{name}` itself"));
        }
        let value =
            value.trim().parse().map_err(|_| format!("what `{name}` is set to is no value of a header"))?;
        Ok(Header { name, value })
    }
}

/// Asks the peer to speak WebSocket, and makes sure that it does.
///
/// # Errors
/// A [`Fault`] that says what it answered instead, or that it took longer than `time`; a [`Closed`] when the run is given
/// up meanwhile.
pub(in crate::stage) fn shake_hands(
    wire: Wire,
    url: &Url,
    headers: &[Header],
    time: Duration,
    context: &Context,
) -> anyhow::Result<WebSocket<WireStream>> {
    let name = wire.name().to_owned();
    let until = Instant::now() + time;
    let key = generate_key();
    let lost = |error: io::Error| -> anyhow::Error {
        if Closed::cause_of(&error).is_some() {
            return error.into();
        }
        let why = match error.kind() {
            io::ErrorKind::TimedOut => format!("no answer to the handshake within {}", units::duration(time)),
            io::ErrorKind::UnexpectedEof => "closed the connection during the handshake".to_owned(),
            _ => format!("handshake: {}", reason(&error)),
        };
        Fault::failed(why).of(&name).into()
    };
    send(&wire, &request(url, headers, &key), until, context).map_err(lost)?;
    let (answer, rest) = receive(&wire, until, context).map_err(lost)?;
    let offered = headers.iter().filter(|header| header.name == PROTOCOLS).map(|header| &header.value);
    let offered: Vec<&str> = offered.filter_map(|value| value.to_str().ok()).collect();
    Answer::parse(&answer)
        .and_then(|answer| answer.check(&derive_accept_key(key.as_bytes()), &offered.join(",")))
        .map_err(|fault| fault.of(&name))?;
    Ok(WebSocket::from_partially_read(WireStream::new(wire), rest, Role::Client, Some(config())))
}

fn request(url: &Url, headers: &[Header], key: &str) -> Vec<u8> {
    let mut request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\n",
        url.target(),
        url.authority,
    )
    .into_bytes();
    for Header { name, value } in headers {
        request.extend_from_slice(name.as_str().as_bytes());
        request.extend_from_slice(b": ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

fn send(wire: &Wire, mut bytes: &[u8], until: Instant, context: &Context) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = in_time(wire, PollFlags::POLLOUT, until, context, || wire.try_write(bytes))?;
        bytes = &bytes[count..];
    }
    in_time(wire, PollFlags::POLLOUT, until, context, || wire.try_flush())
}

/// The answer up to the end of its headers, and what came behind it.
fn receive(wire: &Wire, until: Instant, context: &Context) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = in_time(wire, PollFlags::POLLIN, until, context, || wire.try_read(&mut buffer))?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let seen = answer.len().saturating_sub(3);
        answer.extend_from_slice(&buffer[..count]);
        if let Some(at) = answer[seen..].windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = answer.split_off(seen + at + 4);
            return Ok((answer, rest));
        }
        // What is no HTTP need not be waited for.
        if answer.len() > ANSWER_BYTES_MAX || !answer.starts_with(&b"HTTP/"[..answer.len().min(5)]) {
            return Ok((answer, Vec::new()));
        }
    }
}

/// Repeats `attempt` until it does not block.
fn in_time<T>(
    wire: &Wire,
    interest: PollFlags,
    until: Instant,
    context: &Context,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || !context.ready_within(wire.as_fd(), interest, left)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// What the peer answers.
struct Answer<'a> {
    /// `101 Switching Protocols`.
    status: &'a str,
    headers: Vec<(&'a str, &'a str)>,
}

impl<'a> Answer<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Answer<'a>, Fault> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.ends_with("\r\n\r\n"));
        let mut lines = text.unwrap_or_default().split("\r\n");
        let status =
            lines.next().and_then(|line| line.strip_prefix("HTTP/1.")).and_then(|line| line.get(2..));
        let Some(status) = status else { return Err(Fault::failed("does not answer in HTTP")) };
        let headers = lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim()));
        Ok(Answer { status, headers: headers.collect() })
    }

    /// What is said in every header called `name`.
    fn values(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let named = self.headers.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name));
        named.flat_map(|(_, values)| values.split(',')).map(str::trim)
    }

    fn says(&self, name: &'static str, value: &str) -> bool {
        self.values(name).any(|found| found.eq_ignore_ascii_case(value))
    }

    fn check(&self, accept_key: &str, offered: &str) -> Result<(), Fault> {
        if self.status.split(' ').next() != Some("101") {
            let status = shown(self.status);
            let fault = Fault::failed(format!("answered {status} instead of switching to WebSocket"));
            let place = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("location"));
            return Err(match place.filter(|_| self.status.starts_with('3')) {
                Some((_, place)) => {
                    fault.help(format!("it points to {}; that is not followed", shown(place)))
                }
                None => fault,
            });
        }
        let breach = |why: &str| Err(Fault::failed(format!("broke the WebSocket handshake: {why}")));
        if !self.says("upgrade", "websocket") || !self.says("connection", "upgrade") {
            return breach("it switches to another protocol");
        }
        if self.values("sec-websocket-accept").ne([accept_key]) {
            return breach("its key does not answer ours");
        }
        if self.values("sec-websocket-extensions").any(|found| !found.is_empty()) {
            return breach("it uses an extension that it was not offered");
        }
        let mut chosen = self.values(PROTOCOLS).filter(|found| !found.is_empty());
        let is_offered = |found: &str| offered.split(',').any(|offer| offer.trim() == found);
        match chosen.next() {
            Some(found) if !is_offered(found) => breach("it chose a protocol that it was not offered"),
            None if !offered.is_empty() => breach("it chose none of the protocols that it was offered"),
            _ => Ok(()),
        }
    }
}

/// What a peer says, fit to be shown.
fn shown(words: &str) -> String {
    const LETTERS_MAX: usize = 200;
    words.chars().filter(|letter| !letter.is_control()).take(LETTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::{Answer, Header};

    fn checked(answer: &str, offered: &str) -> String {
        let checked = Answer::parse(answer.as_bytes()).and_then(|answer| answer.check("key", offered));
        checked.map_or_else(|fault| fault.to_string(), |()| "good".to_owned())
    }

    #[test]
    fn an_answer_is_good_only_if_it_says_all_it_must() {
        let good = "HTTP/1.1 101 Switching Protocols\r\nUPGRADE: WebSocket\r\nconnection: keep-alive, Upgrade\r\n\
                    Sec-WebSocket-Accept: key\r\n";
        let with = |line: &str| format!("{good}{line}\r\n");
        let without = |name: &str| {
            let lines: Vec<&str> =
                good.lines().filter(|line| !line.to_lowercase().starts_with(name)).collect();
            lines.join("\r\n") + "\r\n\r\n"
        };
        assert_eq!(checked(&with(""), ""), "good");
        assert_eq!(checked(&with("Sec-WebSocket-Protocol: b\r\n"), "a, b"), "good");
        let broke = "broke the WebSocket handshake: it";
        for (answer, offered, why) in [
            (without("upgrade"), "", " switches to another protocol"),
            (without("connection"), "", " switches to another protocol"),
            (without("sec-websocket-accept"), "", "s key does not answer ours"),
            (with("Sec-WebSocket-Accept: other\r\n"), "", "s key does not answer ours"),
            (
                with("Sec-WebSocket-Extensions: permessage-deflate\r\n"),
                "",
                " uses an extension that it was not offered",
            ),
            (with("Sec-WebSocket-Protocol: c\r\n"), "a, b", " chose a protocol that it was not offered"),
            (with("Sec-WebSocket-Protocol: c\r\n"), "", " chose a protocol that it was not offered"),
            (with(""), "a", " chose none of the protocols that it was offered"),
        ] {
            assert_eq!(checked(&answer, offered), format!("{broke}{why}"), "{answer}");
        }
        for other in
            ["", "\r\n\r\n", "220 ready\r\n\r\n", "HTTP/1.1\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 101"]
        {
            assert_eq!(checked(other, ""), "does not answer in HTTP", "{other:?}");
        }
        let told = checked("HTTP/1.0 404 Not Found\r\n\r\n", "");
        assert_eq!(told, "answered 404 Not Found instead of switching to WebSocket");
    }

    #[test]
    fn a_header_that_is_not_theirs_to_set_is_refused() {
        Header::parse("Authorization: Bearer x").unwrap();
        Header::parse("X-Empty:").unwrap();
        for (text, why) in [
            ("none", "NAME: VALUE"),
            ("a b: c", "no name of a header"),
            (": c", "no name of a header"),
            ("a: b\r\nc: d", "no value of a header"),
            ("Host: other", "sets `host` itself"),
            ("Sec-WebSocket-Key: x", "itself"),
            ("sec-websocket-extensions: x", "itself"),
            ("Connection: close", "itself"),
        ] {
            let refusal = Header::parse(text).unwrap_err();
            assert!(refusal.contains(why), "{text}: {refusal}");
        }
    }
}
