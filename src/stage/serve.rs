//! `serve`: a chain that is run for every connection, or for every request.
//! Knows nothing of sockets: `server` lets connections in, and runs the chain.

use super::contract::{Body, Entry, Groups, Opening, Role, Stage};
use super::fault::Fault;
use super::net::address::Address;
use super::net::listen::{Listener, Reach};
use super::server::connection::House;
use super::server::door::{Room, let_in, places_allowed, see_out, turn_out};
use super::serving::Orders;
use crate::diagnostic::printable;
use crate::units::parse_duration;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

/// Run a chain for every connection
///
/// URL is `tcp://HOST:PORT` or `unix:PATH`. The standard input and output of CHAIN are the connection: `serve tcp://:7000 { upper }` answers
/// in capitals, `serve tcp://:5433 { tcp db:5432 }` passes everything on. Each connection has a run of its own: one that fails is told in a
/// line, its peer sees a reset, and the others go on. What a run writes to files is there when all of that run has succeeded.
///
/// Only this machine can connect unless `--allow-remote` is given. A connection too many waits outside until another ends. The
/// first INT or TERM closes the door: who is inside has a time to finish; a second one ends everything at once.
#[derive(Debug, clap::Parser)]
pub(super) struct Serve {
    /// What to speak, and where to listen; port 0 takes a free one
    #[arg(value_name = "URL", value_parser = Place::parse)]
    place: Place,

    /// Serve so many at once; the others wait
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_connections: u32,

    /// End a connection whose peer neither gives nor takes for so long; 0 is never
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    timeout: Duration,

    /// When the server is to end, give those inside so long to finish
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    grace: Duration,

    /// Listen at an address that other machines can reach, too
    #[arg(long)]
    allow_remote: bool,
}

pub(super) const ENTRY: Entry = Entry {
    groups: Groups::Served,
    shown: &[
        "serve tcp://localhost:7000 { upper }",
        "serve tcp://localhost:5433 { tcp db.example.org:5432 }",
        "serve unix:/run/user/1000/log.sock { gzip --stream | write --append log.gz }",
    ],
    ..Entry::of::<Serve>("serve", Role::Server)
};

/// What is spoken, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Tcp(Address),
    Unix(PathBuf),
}

impl Place {
    fn parse(text: &str) -> Result<Place, String> {
        const FORMS: &str = "type `tcp://HOST:PORT` or `unix:PATH`";
        if let Some(address) = text.strip_prefix("tcp://") {
            return Ok(Place::Tcp(Address::parse(address.strip_suffix('/').unwrap_or(address))?));
        }
        match text.strip_prefix("unix:").map(|path| path.strip_prefix("//").unwrap_or(path)) {
            Some("") => Err(format!("a path is missing; {FORMS}")),
            Some(path) => Ok(Place::Unix(path.into())),
            None => Err(format!("it is not known what to speak there; {FORMS}")),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => write!(formatter, "tcp://{address}"),
            Place::Unix(path) => write!(formatter, "unix:{}", printable(path.as_os_str().as_bytes())),
        }
    }
}

impl Serve {
    fn listen(&self) -> Result<Listener, Fault> {
        let reach = if self.allow_remote { Reach::Remote } else { Reach::Loopback };
        match &self.place {
            Place::Tcp(address) => Listener::tcp(address, reach),
            Place::Unix(path) => Listener::unix(path),
        }
    }
}

impl Stage for Serve {
    fn label(&self) -> String {
        self.place.to_string()
    }

    fn is_endless(&self) -> bool {
        true
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let template = opening.template.take();
        let template = template.ok_or_else(|| anyhow::anyhow!("internal error: a server has no chain"))?;
        let listener = self.listen()?;
        let (wanted, allowed) = (self.max_connections as usize, places_allowed());
        let room = Room::new(wanted.min(allowed))?;
        let orders = Orders::new()?;
        let patience = Some(self.timeout).filter(|time| !time.is_zero());
        Ok(Body::server(move |context| {
            let context = context.clone();
            context.remark(format!("listening on {}", listening(&self.place, &listener)));
            if allowed < wanted {
                context.remark(format!("only {allowed} at once: the system allows no more open files"));
            }
            let house = House { template, orders: orders.clone(), patience, context: context.clone() };
            let entered = let_in(&listener, &room, &context, |wire, seat| house.run_beside(wire, seat));
            drop(listener);
            match entered {
                Ok(()) => Ok(see_out(&room, &orders, self.grace, &context)?),
                Err(error) => {
                    turn_out(&room, &orders);
                    Err(error)
                }
            }
        }))
    }
}

/// Where a server listens, as a client would write it.
fn listening(place: &Place, listener: &Listener) -> String {
    match place {
        Place::Tcp(_) => format!("tcp://{}", listener.name()),
        Place::Unix(_) => place.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_place_says_what_is_spoken_and_where() {
        let shown = |text| Place::parse(text).map(|place| place.to_string());
        assert_eq!(shown("tcp://:7000").unwrap(), "tcp://localhost:7000");
        assert_eq!(shown("tcp://[::1]:7000/").unwrap(), "tcp://[::1]:7000");
        assert_eq!(shown("unix:///run/a").unwrap(), "unix:/run/a");
        assert_eq!(shown("unix:a b").unwrap(), "unix:\"a b\"");
        for text in ["localhost:7000", "tcp://localhost", "unix:", "ftp://localhost:21"] {
            assert!(shown(text).unwrap_err().contains("type "), "{text}");
        }
    }
}
