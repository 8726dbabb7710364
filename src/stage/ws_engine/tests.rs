//! Both sides of a conversation, with the protocol's library as the other one.

use super::{Messages, WireStream, config, talk};
use crate::flow::{Closed, Inlet};
use crate::stage::net::wire::Wire;
use crate::stage::testing::{Ending, Trial, cut, run};
use crate::stage::testing_ends::{Bench, bench};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket, accept};

/// A server that does `act` with its only client, and its URL.
fn server<T: Send + 'static>(
    act: impl FnOnce(WebSocket<TcpStream>) -> T + Send + 'static,
) -> (String, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let serving = thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        drop(listener);
        act(accept(stream).unwrap())
    });
    (url, serving)
}

/// Gives every message back, and pings nobody; all of them, at the client's last word.
fn echo(mut socket: WebSocket<TcpStream>) -> Vec<Message> {
    let mut all = Vec::new();
    while let Ok(message) = socket.read() {
        if message.is_close() {
            socket.flush().ok();
            break;
        }
        if message.is_ping() {
            continue;
        }
        socket.send(message.clone()).unwrap();
        all.push(message);
    }
    all
}

/// Tries all `cases` at the same time: a client's last word is a second after all that it was said.
fn at_once<T: Send>(cases: impl IntoIterator<Item = T>, attempt: impl Fn(T) + Sync) {
    let attempt = &attempt;
    thread::scope(|scope| {
        let attempts: Vec<_> = cases.into_iter().map(|case| scope.spawn(move || attempt(case))).collect();
        for attempt in attempts {
            attempt.join().unwrap();
        }
    });
}

#[test]
fn bytes_come_back_as_they_went_however_they_are_cut() {
    let all: Vec<u8> = (0..600_000_u32).map(|number| (number / 3) as u8).collect();
    at_once([1009, 4096, 262_144, 262_145, all.len()], |size| {
        let (url, serving) = server(echo);
        let outcome = run(&format!("ws {url}"), &cut(&all, size));
        assert_eq!(outcome.failure(), None, "pieces of {size}");
        assert!(outcome.output == all, "pieces of {size}");
        let messages = serving.join().unwrap();
        assert!(messages.iter().all(|message| message.is_binary() && message.len() <= 262_144), "{size}");
    });
    at_once([&b""[..], b"x"], |few| {
        let (url, serving) = server(echo);
        assert_eq!(run(&format!("ws {url}"), &cut(few, 1)).output, few);
        assert_eq!(serving.join().unwrap().len(), few.len());
    });
}

#[test]
fn lines_are_messages_and_messages_are_lines_however_they_are_cut() {
    let text = "one\n\nthree \u{e9}\u{1f600}\r\nno end".as_bytes();
    let expected = ["one", "", "three \u{e9}\u{1f600}\r", "no end"].map(Message::text);
    at_once(1..=text.len(), |size| {
        let (url, serving) = server(echo);
        let outcome = run(&format!("ws --text {url}"), &cut(text, size));
        assert_eq!(outcome.failure(), None, "pieces of {size}");
        assert_eq!(outcome.output, [text, b"\n"].concat(), "pieces of {size}");
        assert_eq!(serving.join().unwrap(), expected, "pieces of {size}");
    });
    let long = [vec![b'x'; 700_000], b"\ny\n".to_vec()].concat();
    let (url, serving) = server(echo);
    assert!(run(&format!("ws --text {url}"), &cut(&long, 65_536)).output == long);
    assert_eq!(serving.join().unwrap().iter().map(Message::len).collect::<Vec<_>>(), [700_000, 1]);
}

#[test]
fn a_line_is_sent_when_it_is_whole_and_not_at_the_end() {
    let (url, serving) = server(echo);
    let outcome = Trial::of(&format!("ws --text {url}")).ending(Ending::Awaited).taking(5).run(&[b"line\nl"]);
    assert_eq!(outcome.output, b"line\n", "it ends when the bench has waited for more");
    serving.join().unwrap();
}

/// A client of the library, and the engine's server: what it hears, and both ways.
fn served(messages: Messages) -> (WebSocket<UnixStream>, super::ways::WayOut, super::WayBack) {
    let (here, there) = UnixStream::pair().unwrap();
    there.set_nonblocking(true).unwrap();
    let stream = WireStream::new(Wire::plain(there.into(), "the client"));
    let socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config()));
    let (out, back) = talk(socket, messages);
    (WebSocket::from_raw_socket(here, Role::Client, Some(config())), out, back)
}

#[test]
fn a_server_gives_and_takes_with_the_same_ways() {
    let (mut client, out, back) = served(Messages::Lines);
    let taking = thread::spawn(move || {
        let Bench { mut outlet, reader, context, .. } = bench(64);
        back.run(&mut outlet, &context).unwrap();
        outlet.finish();
        let (mut inlet, mut all) = (Inlet::new(reader), Vec::new());
        while let Some(chunk) = inlet.next_chunk().unwrap() {
            all.extend_from_slice(&chunk);
        }
        all
    });
    let giving = thread::spawn(move || {
        let Bench { mut outlet, reader, context, .. } = bench(64);
        outlet.write_all(b"one\ntwo").unwrap();
        outlet.finish();
        out.run(&mut Inlet::new(reader), &context)
    });
    assert_eq!(client.read().unwrap(), Message::text("one"));
    client.send(Message::text("mine")).unwrap();
    assert_eq!(client.read().unwrap(), Message::text("two"));
    assert!(client.read().unwrap().is_close());
    client.flush().ok();
    drop(client);
    giving.join().unwrap().unwrap();
    assert_eq!(taking.join().unwrap(), b"mine\n");
}

#[test]
fn a_server_whose_client_has_said_its_last_word_has_nobody_to_give_to() {
    let (mut client, out, back) = served(Messages::Binary);
    client.send(Message::binary("all I say")).unwrap();
    client.close(None).unwrap();
    let leaving = thread::spawn(move || while client.read().is_ok() {});
    let Bench { mut outlet, reader: _reader, context, .. } = bench(64);
    back.run(&mut outlet, &context).unwrap();
    leaving.join().unwrap();
    let Bench { mut outlet, reader, context, .. } = bench(64);
    outlet.write_all(b"too late").unwrap();
    outlet.finish();
    let error = out.run(&mut Inlet::new(reader), &context).unwrap_err();
    assert_eq!(Closed::cause_of(error.as_ref()), Some(Closed::HungUp));
}
