//! WebSocket (RFC 6455) for the stages that speak it, from either side: the client's handshake, and the two ways of a
//! conversation. Knows nothing of how a connection came about, and of no stage.

pub(in crate::stage) mod handshake;
mod parting;
mod silence;
mod stream;
mod talk;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_last_word;
pub(in crate::stage) mod url;
mod ways;

pub(in crate::stage) use silence::Patience;
pub(in crate::stage) use stream::WireStream;
pub(in crate::stage) use talk::Messages;
pub(in crate::stage) use ways::{WayBack, talk, talk_as_server};

/// The longest message that is sent, but for a line.
pub(in crate::stage) const SENT_BYTES_MAX: usize = 256 * 1024;

/// The longest message that is taken, in one frame or many.
const TAKEN_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What is sent as answers to the peer's pings while it reads nothing.
const ANSWERS_BYTES_MAX: usize = 256 * 1024;

/// So much is gathered before it goes out, unless there is nothing more to gather.
const GATHERED_BYTES: usize = 128 * 1024;

/// How the protocol's library is to be set for both sides.
pub(in crate::stage) fn config() -> tungstenite::protocol::WebSocketConfig {
    tungstenite::protocol::WebSocketConfig::default()
        .write_buffer_size(GATHERED_BYTES)
        .max_write_buffer_size(SENT_BYTES_MAX + ANSWERS_BYTES_MAX)
        .max_message_size(Some(TAKEN_BYTES_MAX))
        .max_frame_size(Some(TAKEN_BYTES_MAX))
}
