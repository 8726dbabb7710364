//! `tcp`: a TCP connection as a stage, plain or under TLS, made or awaited.
//! Knows nothing of sockets: `net` connects, and moves the bytes.

use super::contract::{Body, Context, Entry, Opening, Peer, Role, Stage, Touch};
use super::net::address::Address;
use super::net::both_ways;
use super::net::dial::{CONNECT_TIME, dial};
use super::net::listen::{Listener, Reach};
use super::net::meet_one::meet_one;
use super::net::wire::Wire;
use crate::units::parse_duration;
use std::time::Duration;

/// Talk over a TCP connection: what comes in is sent, what the peer sends goes on
///
/// Every address of HOST is tried. When the input has ended, the peer is told so (a half-close) and may go on sending; the stage ends
/// when the peer does. A connection that is reset fails the run. At the beginning of a chain the peer is sent standard input,
/// so that `weir 'tcp HOST:PORT'` is a conversation.
///
/// A peer that ends its side first is still sent what comes in, until that pauses for a second. If a stage before this one fails,
/// the peer sees a reset, and never an end that is none. What was sent cannot be taken back.
#[derive(Debug, clap::Parser)]
pub(super) struct Tcp {
    /// Where the peer is; an empty HOST is this machine
    #[arg(value_name = "HOST:PORT", value_parser = Address::parse)]
    address: Address,

    /// Speak TLS; the peer's certificate must be one that this system trusts (or SSL_CERT_FILE)
    #[cfg(feature = "web")]
    #[arg(long, conflicts_with = "listen")]
    tls: bool,

    /// Wait for one connection to HOST:PORT instead
    #[arg(short, long)]
    listen: bool,

    /// With `--listen`: at an address that other machines can reach, too
    #[arg(long, requires = "listen")]
    allow_remote: bool,

    /// How long each address may take to answer
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "listen")]
    connect_timeout: Option<Duration>,
}

pub(super) const ENTRY: Entry = Entry {
    peer: Peer::Fed,
    parse,
    shown: &[
        "tcp example.org:7",
        #[cfg(feature = "web")]
        "read backup.tar | tcp --tls backup.example.org:7000 | discard",
        "tcp --listen :7000 | write received",
    ],
    ..Entry::of::<Tcp>("tcp", Role::Filter)
};

fn parse(matches: &clap::ArgMatches) -> Result<Box<dyn Stage>, clap::Error> {
    use clap::FromArgMatches;
    let tcp = Tcp::from_arg_matches(matches)?;
    if tcp.address.port == 0 && !tcp.listen {
        let message = "nobody can be reached at port 0; with `--listen`, the system chooses one";
        return Err(clap::Error::raw(clap::error::ErrorKind::InvalidValue, message));
    }
    Ok(Box::new(tcp))
}

impl Tcp {
    #[cfg(feature = "web")]
    fn connect(&self, context: &Context) -> anyhow::Result<Wire> {
        let time = self.connect_timeout.unwrap_or(CONNECT_TIME);
        let wire = dial(&self.address, time, context)?;
        if self.tls { super::net::tls::secure(wire, &self.address.host, time, context) } else { Ok(wire) }
    }

    #[cfg(not(feature = "web"))]
    fn connect(&self, context: &Context) -> anyhow::Result<Wire> {
        dial(&self.address, self.connect_timeout.unwrap_or(CONNECT_TIME), context)
    }
}

impl Stage for Tcp {
    fn label(&self) -> String {
        self.address.to_string()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Send(self.address.to_string())]
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        opening.cannot_be_undone(format!("what {} was sent", self.address));
        opening.take_extents();
        if self.listen {
            let reach = if self.allow_remote { Reach::Remote } else { Reach::Loopback };
            let listener = Listener::tcp(&self.address, reach)?;
            return Ok(both_ways::body(move |context| meet_one(listener, context))?);
        }
        Ok(both_ways::body(move |context| self.connect(context))?)
    }
}
