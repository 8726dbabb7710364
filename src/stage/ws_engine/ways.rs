//! The two ways of a conversation over a WebSocket: out to the peer, and back from it to its last word.
//! The same from either side: a client has both in one stage, a server one in its source and one in its sink.
//!
//! | what happens | what follows |
//! |---|---|
//! | the input ends | the peer is told so, and what it still says is passed on until its last word |
//! | the same, and it is to be heard out first | it is told so when it has been silent for a pause: see [`WayOut::hearing_out`] |
//! | the peer says its last word | it is answered; what would still be given has nowhere to go |
//! | its last word is that something is wrong | the run fails |
//! | the connection ends without a last word | the run fails |
//! | the stage before fails, or the run is given up | the peer sees a reset: never an end that is none |
//! | the next stage wants no more | the same, unless the peer was given the whole input |

use super::parting::{LastWord, Parting};
use super::silence::Patience;
use super::talk::{Messages, Talk, blame, verdict};
use super::{SENT_BYTES_MAX, WireStream};
use crate::exit::Exit;
use crate::flow::{Closed, Inlet, Medium, Outlet};
use crate::stage::contract::Context;
use crate::stage::fault::Fault;
use crate::stage::lines::Carry;
use crate::units;
use bytes::Bytes;
use std::cell::Cell;
use std::io::{self, Write};
use std::sync::Arc;
use tungstenite::protocol::{CloseFrame, WebSocket};
use tungstenite::{Error, Message};

/// The way to the peer.
#[derive(Debug)]
pub(in crate::stage) struct WayOut {
    talk: Arc<Talk>,
    messages: Messages,
    given_bytes: Cell<u64>,
}

/// The way back from it.
#[derive(Debug)]
pub(in crate::stage) struct WayBack {
    talk: Arc<Talk>,
    messages: Messages,
}

/// Both ways of a conversation that has been agreed upon; `socket` is set as [`super::config`] says.
pub(in crate::stage) fn talk(socket: WebSocket<WireStream>, messages: Messages) -> (WayOut, WayBack) {
    both_ways(Talk::new(socket, LastWord::AtOnce), messages)
}

/// The same for a server, which says its last word itself.
pub(in crate::stage) fn talk_as_server(
    socket: WebSocket<WireStream>,
    messages: Messages,
) -> (WayOut, WayBack, Parting) {
    let (out, back) = both_ways(Talk::new(socket, LastWord::Later), messages);
    let parting = Parting(Arc::clone(&out.talk));
    (out, back, parting)
}

fn both_ways(talk: Talk, messages: Messages) -> (WayOut, WayBack) {
    let talk = Arc::new(talk);
    (WayOut { talk: Arc::clone(&talk), messages, given_bytes: Cell::new(0) }, WayBack { talk, messages })
}

impl WayOut {
    /// For a peer that drops what it has not yet said when it is told that this was all, as most servers do: it is told so
    /// only when it has answered a ping, and then been silent for a pause. Said before the way back begins.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(in crate::stage) fn hearing_out(self, patience: Patience) -> io::Result<WayOut> {
        self.talk.wait_for_silence(patience)?;
        Ok(self)
    }

    /// Gives the peer all that comes in, and tells it of the end.
    ///
    /// # Errors
    /// A [`Fault`] for a connection that broke, and for a line that cannot be a message; a [`Closed`] when the peer has said its
    /// last word before the input ended, and for what ends stages.
    pub(in crate::stage) fn run(self, inlet: &mut Inlet, context: &Context) -> anyhow::Result<()> {
        context.waits_for(Medium::Socket);
        let poured = match self.messages {
            Messages::Binary => self.pour_bytes(inlet, context),
            Messages::Lines => self.pour_lines(inlet, context),
        };
        let closed = poured.and_then(|()| match self.talk.last_word() {
            LastWord::AtOnce => self.talk.close(context),
            LastWord::Later => Ok(()),
        });
        let Err(error) = closed else { return Ok(()) };
        if !self.talk.has_ended() {
            self.talk.give_up();
        }
        Err(match error.downcast::<Fault>() {
            Ok(fault) if fault.exit == Exit::Failed => {
                let given_bytes = self.given_bytes.get();
                let message = format!("{}, after it was sent {}", fault.message, units::size(given_bytes));
                Fault { message, ..fault }.into()
            }
            Ok(fault) => fault.into(),
            Err(error) => error,
        })
    }

    fn give(&self, message: Message, context: &Context) -> anyhow::Result<()> {
        let length = message.len() as u64;
        self.talk.give(message, context)?;
        context.gauge().wrote(length);
        self.given_bytes.set(self.given_bytes.get() + length);
        Ok(())
    }

    fn pour_bytes(&self, inlet: &mut Inlet, context: &Context) -> anyhow::Result<()> {
        while let Some(chunk) = inlet.next_chunk()? {
            for piece in chunk.chunks(SENT_BYTES_MAX) {
                self.give(Message::Binary(Bytes::copy_from_slice(piece)), context)?;
            }
            self.talk.flush(context)?;
        }
        Ok(())
    }

    fn pour_lines(&self, inlet: &mut Inlet, context: &Context) -> anyhow::Result<()> {
        let mut carry = Carry::default();
        let mut offset = 0;
        while let Some(chunk) = inlet.next_chunk()? {
            for piece in chunk.chunks(SENT_BYTES_MAX) {
                carry.push(piece, |block| {
                    for line in block.split_inclusive(|byte| *byte == b'\n') {
                        self.give(message(line, offset)?, context)?;
                        offset += line.len() as u64;
                    }
                    anyhow::Ok(())
                })?;
            }
            self.talk.flush(context)?;
        }
        if !carry.rest().is_empty() {
            self.give(message(carry.rest(), offset)?, context)?;
        }
        Ok(())
    }
}

/// A line that begins at input byte `offset`, as a message.
fn message(line: &[u8], offset: u64) -> Result<Message, Fault> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|error| {
        let at = offset + error.valid_up_to() as u64;
        Fault::refused(format!("no UTF-8 at input byte {at}: that cannot be a text message"))
            .help("without `--text`, bytes are sent as they are")
    })?;
    Ok(Message::text(text))
}

/// Whether or not it has begun: who waits for the peer's silence need not wait any more.
impl Drop for WayBack {
    fn drop(&mut self) {
        self.talk.hears_no_more();
    }
}

impl WayBack {
    /// Passes on what the peer says, to its last word.
    ///
    /// # Errors
    /// A [`Fault`] for a peer that breaks the protocol, ends without a last word, or with one that tells of a failure; a [`Closed`]
    /// for what ends stages.
    pub(in crate::stage) fn run(self, outlet: &mut Outlet, context: &Context) -> anyhow::Result<()> {
        context.waits_for(Medium::Socket);
        let mut taken_bytes = 0;
        let when = |fault: Fault, taken_bytes| {
            let message = format!("{}, after it gave {}", fault.message, units::size(taken_bytes));
            anyhow::Error::from(Fault { message, ..fault }.of(self.talk.wire().name()))
        };
        match self.pass_on(outlet, context, &mut taken_bytes) {
            Ok(last_word) => {
                if self.talk.last_word() == LastWord::AtOnce {
                    self.talk.leave(context);
                }
                verdict(last_word.as_ref()).map_err(|fault| when(fault, taken_bytes))
            }
            Err(Broken::ByPeer(error)) => {
                self.talk.reproach(&error, context);
                Err(when(blame(&error), taken_bytes))
            }
            // The way out knows whether the peer has the whole, and how it is to see this end.
            Err(Broken::ByUs) if outlet.refusal() == Some(Closed::HungUp) => {
                self.talk.ignore();
                Err(io::Error::from(Closed::HungUp).into())
            }
            Err(Broken::ByUs) => {
                self.talk.give_up();
                Err(io::Error::from(Closed::Aborted).into())
            }
        }
    }

    /// Passes on one message after another; what the peer ends with.
    fn pass_on(
        &self,
        outlet: &mut Outlet,
        context: &Context,
        taken_bytes: &mut u64,
    ) -> Result<Option<CloseFrame>, Broken> {
        loop {
            match self.talk.hear() {
                Ok(Message::Binary(bytes)) => {
                    context.gauge().read(bytes.len() as u64);
                    *taken_bytes += bytes.len() as u64;
                    outlet.write_all(&bytes)?;
                }
                Ok(Message::Text(text)) => {
                    context.gauge().read(text.len() as u64);
                    *taken_bytes += text.len() as u64;
                    outlet.write_all(text.as_bytes())?;
                    if self.messages == Messages::Lines {
                        outlet.write_all(b"\n")?;
                    }
                }
                Ok(Message::Close(frame)) => {
                    outlet.flush()?;
                    return Ok(frame);
                }
                // Answered by the library. A peer that says nothing else must not keep us from noticing an end.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {
                    if outlet.is_hung_up() {
                        return Err(Broken::ByUs);
                    }
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    outlet.flush()?;
                    self.talk.await_more(context)?;
                }
                Err(error) => {
                    // What came before it goes on first.
                    outlet.flush()?;
                    return Err(Broken::ByPeer(error));
                }
            }
        }
    }
}

/// Why no more can be passed on.
enum Broken {
    /// The run ends, or nobody wants more.
    ByUs,
    ByPeer(Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        if Closed::cause_of(&error).is_some() { Broken::ByUs } else { Broken::ByPeer(error.into()) }
    }
}
