//! A conversation that both ways share: its state under a lock, which nobody holds while waiting, and its end.
//! Knows nothing of chunks and lines.

use super::parting::LastWord;
use super::silence::{Patience, QUESTION, Silence};
use super::stream::WireStream;
use crate::flow::Closed;
use crate::stage::contract::Context;
use crate::stage::fault::Fault;
use crate::stage::net::wire::Wire;
use crate::stage::outside::stream::reason;
use bytes::Bytes;
use nix::poll::PollFlags;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
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
    /// The peer is to see a reset.
    is_given_up: AtomicBool,
    /// For a peer that is told of our end only when it is silent.
    silence: OnceLock<Silence>,
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
            is_given_up: AtomicBool::new(false),
            silence: OnceLock::new(),
        }
    }

    pub(super) fn last_word(&self) -> LastWord {
        self.last_word
    }

    /// Has the peer told of our end only when it is silent. Said before either way begins.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(super) fn wait_for_silence(&self, patience: Patience) -> io::Result<()> {
        let silence = Silence::new(patience)?;
        self.silence.get_or_init(|| silence);
        Ok(())
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
        self.has_ended.load(Ordering::Acquire)
    }

    /// Nobody wants what the peer says any more.
    pub(super) fn ignore(&self) {
        self.is_unheard.store(true, Ordering::Release);
        self.ring();
    }

    /// Has the peer see a reset: what it was given, or what was taken of it, is not the whole.
    pub(super) fn give_up(&self) {
        self.wire.give_up();
        self.is_given_up.store(true, Ordering::Release);
        self.ring();
    }

    /// The way back is no more.
    pub(super) fn hears_no_more(&self) {
        if self.silence.get().is_some() && !self.is_over() {
            self.ignore();
        }
    }

    /// Whether the peer need not be waited for.
    fn is_over(&self) -> bool {
        let ends = [&self.has_ended, &self.is_unheard, &self.is_given_up];
        ends.iter().any(|end| end.load(Ordering::Acquire))
    }

    fn ring(&self) {
        if let Some(silence) = self.silence.get() {
            silence.ring();
        }
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

    /// Tells the peer that this was all, when it is time for that.
    ///
    /// # Errors
    /// As [`Talk::give`]; but a peer that has said its last word needs not be told.
    pub(super) fn close(&self, context: &Context) -> anyhow::Result<()> {
        let told = self.hear_out(context).and_then(|()| match self.try_close(CloseCode::Normal) {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => self.flush(context),
            Err(error) => Err(self.fate(&error)),
            Ok(()) => Ok(()),
        });
        if self.has_ended() {
            return Ok(());
        }
        told?;
        if self.is_unheard.load(Ordering::Acquire) {
            // Left at once, what it still says would reset the connection before it has heard all of ours.
            self.leave(context);
        }
        Ok(())
    }

    /// Waits until the peer is silent, if it is to be waited for, or nobody listens to it any more.
    fn hear_out(&self, context: &Context) -> anyhow::Result<()> {
        let Some(silence) = self.silence.get() else { return Ok(()) };
        let is_over = || self.is_over();
        let mut waited = Ok(());
        if !is_over() {
            self.give(Message::Ping(Bytes::from_static(QUESTION)), context)?;
            self.flush(context)?;
            waited = silence.wait(self.wire.as_fd(), context, is_over);
        }
        if waited.as_ref().is_err_and(|error| Closed::cause_of(error).is_some()) {
            // The same bell has rung for the way back, which knows why.
            silence.await_the_way_back(is_over)?;
        }
        if self.is_given_up.load(Ordering::Acquire) {
            return Err(io::Error::from(Closed::Aborted).into());
        }
        if is_over() { Ok(()) } else { Ok(waited?) }
    }

    fn try_close(&self, code: CloseCode) -> tungstenite::Result<()> {
        self.lock().close(Some(CloseFrame { code, reason: "".into() }))
    }

    /// What the peer says next, if it has come.
    pub(super) fn hear(&self) -> tungstenite::Result<Message> {
        let mut socket = self.lock();
        let read_bytes = socket.get_ref().read_bytes();
        let heard = socket.read();
        let is_last = match &heard {
            Ok(message) => message.is_close(),
            Err(Error::Io(error)) => error.kind() != io::ErrorKind::WouldBlock,
            Err(_) => true,
        };
        if is_last {
            self.has_ended.store(true, Ordering::Release);
            self.ring();
        }
        if let Some(silence) = self.silence.get() {
            match &heard {
                Ok(Message::Pong(payload)) => silence.hears_pong(payload),
                Ok(Message::Ping(_)) => {}
                Ok(_) => silence.is_broken(),
                // A part of a message is something, too.
                Err(_) if socket.get_ref().read_bytes() > read_bytes => silence.is_broken(),
                Err(_) => {}
            }
        }
        heard
    }

    /// Waits until the peer may have said more. What it is still owed goes out meanwhile, if it takes it.
    ///
    /// # Errors
    /// A [`Closed`] when the run ends, or nobody wants more.
    pub(super) fn await_more(&self, context: &Context) -> io::Result<()> {
        if let Some(silence) = self.silence.get() {
            silence.goes_on(context.clock().now_nanos());
        }
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
