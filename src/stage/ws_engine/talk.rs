//! A conversation that both ways share: its state under a lock, which nobody holds while waiting, and its end.
//! Knows nothing of chunks and lines.

use super::parting::LastWord;
use super::stream::WireStream;
use crate::flow::Closed;
use crate::stage::contract::Context;
use crate::stage::fault::Fault;
use crate::stage::net::wire::Wire;
use crate::stage::outside::stream::reason;
use nix::poll::PollFlags;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, WebSocket};
use tungstenite::{Error, Message};

/// A peer that has said its last word has so long to take our answer, and to end the connection.
const LEAVE_TIME: Duration = Duration::from_secs(1);

/// What is a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) enum Messages {
    /// Any bytes; where one ends and the next begins means nothing.
    Binary,
    /// A line, without its line feed.
    Lines,
}

/// A conversation.
#[derive(Debug)]
pub(super) struct Talk {
    socket: Mutex<WebSocket<WireStream>>,
    /// Who wants the socket waits here first, so that a way that is always busy lets the other one in.
    turn: Mutex<()>,
    wire: Arc<Wire>,
    last_word: LastWord,
    /// The peer has said its last word, or broken off: what is still to be given has nowhere to go.
    has_ended: AtomicBool,
    /// Nobody wants what the peer says any more.
    is_unheard: AtomicBool,
}

impl Talk {
    pub(super) fn new(socket: WebSocket<WireStream>, last_word: LastWord) -> Talk {
        let wire = Arc::clone(socket.get_ref().wire());
        Talk {
            socket: Mutex::new(socket),
            turn: Mutex::default(),
            wire,
            last_word,
            has_ended: AtomicBool::new(false),
            is_unheard: AtomicBool::new(false),
        }
    }

    pub(super) fn last_word(&self) -> LastWord {
        self.last_word
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    fn lock(&self) -> MutexGuard<'_, WebSocket<WireStream>> {
        // After a panic in either the run is over in any case.
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        drop(turn);
        socket
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// Nobody wants what the peer says any more.
    pub(super) fn ignore(&self) {
        self.is_unheard.store(true, Ordering::Relaxed);
    }

    /// Gives the peer a message, or at least gathers it with others: [`Talk::flush`] sends them.
    ///
    /// # Errors
    /// A [`Closed`] when the peer has said its last word, or the run ends while it waits; what broke the connection.
    pub(super) fn give(&self, message: Message, context: &Context) -> anyhow::Result<()> {
        let mut message = message;
        loop {
            let mut socket = self.lock();
            let length = message.len();
            socket.set_config(|config| {
                config.max_write_buffer_size = super::SENT_BYTES_MAX.max(length) + super::ANSWERS_BYTES_MAX;
            });
            let given = socket.write(message);
            drop(socket);
            match given {
                Ok(()) => return Ok(()),
                // It is kept, and goes when it can.
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.flush(context);
                }
                Err(Error::WriteBufferFull(refused)) => message = *refused,
                Err(error) => return Err(self.fate(&error)),
            }
            self.flush(context)?;
        }
    }

    /// Sends all that was given, and the answers to the peer.
    ///
    /// # Errors
    /// As [`Talk::give`].
    pub(super) fn flush(&self, context: &Context) -> anyhow::Result<()> {
        loop {
            let flushed = self.lock().flush();
            match flushed {
                Ok(()) => return Ok(()),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    context.ready(self.wire.as_fd(), PollFlags::POLLOUT)?;
                }
                Err(error) => return Err(self.fate(&error)),
            }
        }
    }

    /// Tells the peer that this was all.
    ///
    /// # Errors
    /// As [`Talk::give`]; but a peer that has said its last word needs not be told.
    pub(super) fn close(&self, context: &Context) -> anyhow::Result<()> {
        let told = self.try_close(CloseCode::Normal);
        let told = match told {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => self.flush(context),
            Err(error) => Err(self.fate(&error)),
            Ok(()) => Ok(()),
        };
        if self.has_ended() {
            return Ok(());
        }
        told?;
        if self.is_unheard.load(Ordering::Relaxed) {
            // Left at once, what it still says would reset the connection before it has heard all of ours.
            self.leave(context);
        }
        Ok(())
    }

    fn try_close(&self, code: CloseCode) -> tungstenite::Result<()> {
        self.lock().close(Some(CloseFrame { code, reason: "".into() }))
    }

    /// What the peer says next, if it has come.
    pub(super) fn hear(&self) -> tungstenite::Result<Message> {
        let mut socket = self.lock();
        let heard = socket.read();
        let is_last = match &heard {
            Ok(message) => message.is_close(),
            Err(Error::Io(error)) => error.kind() != io::ErrorKind::WouldBlock,
            Err(_) => true,
        };
        if is_last {
            self.has_ended.store(true, Ordering::Relaxed);
        }
        heard
    }

    /// Waits until the peer may have said more. What it is still owed goes out meanwhile, if it takes it.
    ///
    /// # Errors
    /// A [`Closed`] when the run ends, or nobody wants more.
    pub(super) fn await_more(&self, context: &Context) -> io::Result<()> {
        // What breaks here is found when it is read.
        let is_owed =
            matches!(self.lock().flush(), Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock);
        let interest = if is_owed { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        context.ready(self.wire.as_fd(), interest)
    }

    /// The peer is told what it did wrong, as far as it listens.
    pub(super) fn reproach(&self, breach: &Error, context: &Context) {
        let code = match breach {
            Error::Capacity(_) => CloseCode::Size,
            Error::Utf8(_) => CloseCode::Invalid,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) | Error::Io(_) => return,
            _ => CloseCode::Protocol,
        };
        let _ = self.try_close(code);
        self.leave(context);
    }

    /// Sees our last word out, and waits for the peer to end the connection, but not for long: what matters has been said.
    pub(super) fn leave(&self, context: &Context) {
        self.see_off(context);
        // Whoever still waits to give something need not wait any more.
        self.wire.shut();
    }

    fn see_off(&self, context: &Context) {
        let until = Instant::now() + LEAVE_TIME;
        let wait = |interest| {
            let left = until.saturating_duration_since(Instant::now());
            !left.is_zero() && context.ready_within(self.wire.as_fd(), interest, left).unwrap_or(false)
        };
        let is_blocked = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        while matches!(self.lock().flush(), Err(Error::Io(error)) if is_blocked(&error)) {
            if !wait(PollFlags::POLLOUT) {
                return;
            }
        }
        while self.wire.try_finish().is_err_and(|error| is_blocked(&error)) {
            if !wait(PollFlags::POLLOUT) {
                return;
            }
        }
        let mut ignored = [0; 4096];
        loop {
            match self.wire.try_read(&mut ignored) {
                Ok(0) => return,
                Ok(_) if Instant::now() < until => {}
                Err(error) if is_blocked(&error) && wait(PollFlags::POLLIN) => {}
                _ => return,
            }
        }
    }

    /// What an error of the way out is to the run.
    fn fate(&self, error: &Error) -> anyhow::Error {
        if self.has_ended() {
            return io::Error::from(Closed::HungUp).into();
        }
        blame(error).of(self.wire.name()).into()
    }
}

/// What is told of a conversation that broke.
pub(super) fn blame(error: &Error) -> Fault {
    match error {
        Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Fault::failed("the peer has reset the connection")
            }
            io::ErrorKind::UnexpectedEof => Fault::failed("the connection was cut"),
            _ => Fault::failed(reason(error)),
        },
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | Error::ConnectionClosed
        | Error::AlreadyClosed => Fault::failed("the connection was cut"),
        Error::Protocol(breach) => {
            let breach = reason(&io::Error::other(breach.to_string()));
            Fault::failed(format!("broke the WebSocket protocol: {breach}"))
        }
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            Fault::refused("gives a message that is longer than 64 MiB")
        }
        Error::Utf8(_) => Fault::failed("broke the WebSocket protocol: a text message is no UTF-8"),
        error => Fault::failed(reason(&io::Error::other(error.to_string()))),
    }
}

/// What a peer means that ends with `frame`.
///
/// # Errors
/// A [`Fault`] with its code and its reason, unless it says that all is well, or nothing (RFC 6455 §7.4).
pub(super) fn verdict(frame: Option<&CloseFrame>) -> Result<(), Fault> {
    let Some(frame) = frame else { return Ok(()) };
    if matches!(frame.code, CloseCode::Normal | CloseCode::Away | CloseCode::Status) {
        return Ok(());
    }
    let code = u16::from(frame.code);
    let why: String = frame.reason.chars().filter(|letter| !letter.is_control()).collect();
    Err(Fault::failed(if why.is_empty() {
        format!("ended with code {code}")
    } else {
        format!("ended with code {code}: {why}")
    }))
}
