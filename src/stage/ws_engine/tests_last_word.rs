//! When a client says its last word: peers that answer late, in parts, never, and those that nobody listens to any more.
//! The peers read frames by themselves, since the library would answer pings at once.

use super::silence::QUESTION;
use super::{Messages, Patience, WireStream, config, talk};
use crate::flow::{Closed, Inlet};
use crate::stage::net::wire::Wire;
use crate::stage::testing_ends::{Bench, bench};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tungstenite::WebSocket;
use tungstenite::protocol::Role;

const NEVER: Duration = Duration::from_secs(3600);

/// What the next stage does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    TakesAll,
    /// Hangs up as soon as anything comes.
    TakesOne,
    /// The same, but it is the run that is given up.
    IsGivenUp,
}

/// A client that has `hi` to say: what each of its ways returns, and a report of all that its stage gives.
struct Client {
    out: JoinHandle<anyhow::Result<()>>,
    back: JoinHandle<anyhow::Result<()>>,
    given: Receiver<Vec<u8>>,
}

/// Such a client, and its peer.
fn client(pause: Duration, pong_time: Duration, next: Next) -> (Client, UnixStream) {
    let (here, there) = UnixStream::pair().unwrap();
    there.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    here.set_nonblocking(true).unwrap();
    let stream = WireStream::new(Wire::plain(here.into(), "the server"));
    let socket = WebSocket::from_raw_socket(stream, Role::Client, Some(config()));
    let (out, way_back) = talk(socket, Messages::Binary);
    let out = out.hearing_out(Patience { pause, pong_time }).unwrap();
    let Bench { mut outlet, reader, context, alarm } = bench(64);
    // Both ways of a stage have one bell.
    let out_context = context.clone();
    let back = thread::spawn(move || {
        way_back.run(&mut outlet, &context)?;
        outlet.finish();
        Ok(())
    });
    let (tell, given) = channel();
    thread::spawn(move || {
        let mut inlet = Inlet::new(reader);
        while let Ok(Some(chunk)) = inlet.next_chunk() {
            tell.send(chunk.to_vec()).unwrap();
            match next {
                Next::TakesAll => {}
                Next::TakesOne => break,
                Next::IsGivenUp => alarm.ring(),
            }
        }
    });
    let Bench { outlet: mut feed, reader, context: _context, .. } = bench(64);
    feed.write_all(b"hi").unwrap();
    feed.finish();
    let out = thread::spawn(move || out.run(&mut Inlet::new(reader), &out_context));
    (Client { out, back, given }, there)
}

impl Client {
    /// Both ways ended well.
    fn ends_well(self) -> Vec<u8> {
        self.out.join().unwrap().unwrap();
        self.back.join().unwrap().unwrap();
        self.given.iter().flatten().collect()
    }
}

/// The next frame, which is a short one: its opcode, and what it carries.
fn frame(stream: &mut UnixStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 6];
    stream.read_exact(&mut head)?;
    let mut payload = vec![0; usize::from(head[1] & 0x7f)];
    stream.read_exact(&mut payload)?;
    payload.iter_mut().zip(head[2..].iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok((head[0] & 0x0f, payload))
}

/// All that the client has to say, and its question.
fn hear_the_question(stream: &mut UnixStream) {
    assert_eq!(frame(stream).unwrap(), (2, b"hi".to_vec()));
    assert_eq!(frame(stream).unwrap(), (9, QUESTION.to_vec()));
}

fn say(stream: &mut UnixStream, head: u8, payload: &[u8]) {
    stream.write_all(&[&[head, u8::try_from(payload.len()).unwrap()], payload].concat()).unwrap();
}

/// The client's last word is next, and answered.
fn hear_the_end(mut stream: UnixStream) {
    assert_eq!(frame(&mut stream).unwrap(), (8, 1000_u16.to_be_bytes().to_vec()));
    say(&mut stream, 0x88, &[]);
}

fn assert_silent(stream: &mut UnixStream) {
    stream.set_nonblocking(true).unwrap();
    assert_eq!(frame(stream).unwrap_err().kind(), io::ErrorKind::WouldBlock, "the client is waiting");
    stream.set_nonblocking(false).unwrap();
}

#[test]
fn a_peer_that_answers_only_after_the_ping_is_heard_to_its_pong() {
    // Without a pause, so that the pong is all that is waited for.
    let (client, mut peer) = client(Duration::ZERO, NEVER, Next::TakesAll);
    hear_the_question(&mut peer);
    for answer in [b"one", b"two"] {
        say(&mut peer, 0x82, answer);
        assert_eq!(client.given.recv().unwrap(), answer);
        // Neither a ping nor another pong is the one.
        say(&mut peer, 0x89, b"you?");
        assert_eq!(frame(&mut peer).unwrap(), (10, b"you?".to_vec()));
        say(&mut peer, 0x8a, b"");
        assert_silent(&mut peer);
    }
    say(&mut peer, 0x82, b"end");
    say(&mut peer, 0x8a, QUESTION);
    hear_the_end(peer);
    assert_eq!(client.ends_well(), b"end");
}

#[test]
fn a_peer_that_answers_late_and_in_parts_is_given_a_pause_after_each() {
    const PAUSE: Duration = Duration::from_millis(300);
    let (client, mut peer) = client(PAUSE, NEVER, Next::TakesAll);
    hear_the_question(&mut peer);
    say(&mut peer, 0x8a, QUESTION);
    say(&mut peer, 0x82, b"one");
    assert_eq!(client.given.recv().unwrap(), b"one");
    // The second is one message in two frames, and a ping between them.
    say(&mut peer, 0x02, b"tw");
    say(&mut peer, 0x89, b"");
    assert_eq!(frame(&mut peer).unwrap(), (10, Vec::new()));
    let begun = Instant::now();
    say(&mut peer, 0x80, b"o");
    assert_eq!(client.given.recv().unwrap(), b"two");
    hear_the_end(peer);
    assert!(begun.elapsed() >= PAUSE, "{:?}", begun.elapsed());
    assert_eq!(client.ends_well(), b"");
}

#[test]
fn a_peer_that_never_answers_the_ping_is_told_all_the_same() {
    let (pause, pong_time) = (Duration::from_millis(100), Duration::from_millis(200));
    let begun = Instant::now();
    let (client, mut peer) = client(pause, pong_time, Next::TakesAll);
    hear_the_question(&mut peer);
    say(&mut peer, 0x82, b"hi");
    hear_the_end(peer);
    assert!(begun.elapsed() >= pause + pong_time, "{:?}", begun.elapsed());
    assert_eq!(client.ends_well(), b"hi");
}

#[test]
fn a_peer_that_ends_first_is_waited_for_no_more() {
    let (client, mut peer) = client(NEVER, NEVER, Next::TakesAll);
    hear_the_question(&mut peer);
    say(&mut peer, 0x82, b"bye");
    say(&mut peer, 0x88, &[]);
    assert_eq!(frame(&mut peer).unwrap().0, 8);
    drop(peer);
    assert_eq!(client.ends_well(), b"bye");
}

#[test]
fn a_peer_that_nobody_listens_to_is_told_of_the_end_at_once() {
    let (client, mut peer) = client(NEVER, NEVER, Next::TakesOne);
    hear_the_question(&mut peer);
    say(&mut peer, 0x82, b"enough");
    assert_eq!(frame(&mut peer).unwrap(), (8, 1000_u16.to_be_bytes().to_vec()));
    client.out.join().unwrap().unwrap();
    let error = client.back.join().unwrap().unwrap_err();
    assert_eq!(Closed::cause_of(error.as_ref()), Some(Closed::HungUp));
}

#[test]
fn a_run_that_is_given_up_while_it_waits_says_no_last_word() {
    let (client, mut peer) = client(NEVER, NEVER, Next::IsGivenUp);
    hear_the_question(&mut peer);
    say(&mut peer, 0x82, b"ring");
    // A socket that is none of TCP has no reset.
    assert_eq!(frame(&mut peer).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    for way in [client.out, client.back] {
        let error = way.join().unwrap().unwrap_err();
        assert!(Closed::cause_of(error.as_ref()).is_some(), "{error}");
    }
}
