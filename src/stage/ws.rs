//! `ws`: a conversation over a WebSocket as a stage.
//! Knows nothing of the protocol: `ws_engine` speaks it.

use super::contract::{Body, Context, Entry, Opening, Peer, Role, Stage, Touch};
use super::net::dial::{CONNECT_TIME, dial};
use super::net::meeting::meeting;
use super::net::tls::secure;
use super::ws_engine::handshake::{Header, shake_hands};
use super::ws_engine::url::Url;
use super::ws_engine::{Messages, Patience, WayBack, WireStream, talk};
use crate::units::parse_duration;
use std::time::Duration;
use tungstenite::WebSocket;

/// Talk over a WebSocket: what comes in is sent, the peer's messages go on
///
/// Bytes are sent as binary messages, cut anywhere; of the messages that come, the bytes go on. With `--text` a line is a
/// message, and a text message that comes is a line. No message may be longer than 64 MiB. Pings are answered.
///
/// When the input has ended, the peer is asked for a sign that it has read all, and told of the end when it has then said
/// nothing for a second, or has not given that sign in 10 seconds: many servers drop what they have not answered by then.
/// What it still says goes on until its last word, with which the stage ends. A connection that ends without one fails the
/// run, and so does a last word with a code other than 1000 or 1001.
///
/// At the beginning of a chain the peer is sent standard input. What was sent cannot be taken back.
#[derive(Debug, clap::Parser)]
pub(super) struct Ws {
    /// ws://HOST[:PORT][/PATH], or wss:// under TLS; redirects are not followed
    #[arg(value_name = "URL", value_parser = Url::parse)]
    url: Url,

    /// One text message for each line, and one line for each text message
    #[arg(long)]
    text: bool,

    /// Say this in the handshake, too; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = Header::parse)]
    headers: Vec<Header>,

    /// How long each address, and then the handshake, may take to answer
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    connect_timeout: Option<Duration>,
}

pub(super) const ENTRY: Entry = Entry {
    peer: Peer::Fed,
    shown: &[
        "ws --text wss://echo.example.org",
        "ws --text -H 'Authorization: Bearer TOKEN' wss://example.org/events | grep error | write errors.log",
    ],
    ..Entry::of::<Ws>("ws", Role::Filter)
};

impl Ws {
    fn connect(&self, context: &Context) -> anyhow::Result<WebSocket<WireStream>> {
        let time = self.connect_timeout.unwrap_or(CONNECT_TIME);
        let wire = dial(&self.url.address, time, context)?;
        let wire =
            if self.url.is_secure { secure(wire, &self.url.address.host, time, context)? } else { wire };
        shake_hands(wire, &self.url, &self.headers, time, context)
    }
}

impl Stage for Ws {
    fn label(&self) -> String {
        self.url.to_string()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Send(self.url.to_string())]
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        opening.cannot_be_undone(format!("what {} was sent", self.url));
        let messages = if self.text { Messages::Lines } else { Messages::Binary };
        let (promise, awaited) = meeting::<WayBack>()?;
        Ok(Body::duplex(
            move |inlet, context| {
                let (out, back) = talk(self.connect(context)?, messages);
                let out = out.hearing_out(Patience::OF_A_CLIENT)?;
                promise.keep(back);
                out.run(inlet, context)
            },
            move |outlet, context| awaited.get(context)?.run(outlet, context),
        ))
    }
}
