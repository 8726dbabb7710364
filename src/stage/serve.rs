//! `serve`: a chain that is run for every connection, or for every request.
//! Knows nothing of sockets: `server` lets connections in, and runs the chain.

#[cfg(feature = "web")]
use super::arguments::PathArgument;
use super::contract::{Body, Entry, Groups, Opening, Role, Stage};
use super::fault::Fault;
#[cfg(feature = "web")]
use super::http_engine::files::directory::Directory;
#[cfg(feature = "web")]
use super::http_engine::sending::{Kind, kind};
#[cfg(feature = "web")]
use super::http_engine::server::{Lobby, Site, Work, connections_max, screen::Rules};
use super::net::listen::{Listener, Reach};
use super::net::wire::Wire;
use super::server::connection::House;
use super::server::door::{Room, Seat, let_in, places_allowed, see_out, turn_out};
use super::server::place::Place;
#[cfg(feature = "web")]
use super::server::place::Spoken;
use super::serving::Orders;
#[cfg(feature = "web")]
use super::ws_engine::Messages;
use crate::units::parse_duration;
use clap::FromArgMatches;
#[cfg(feature = "web")]
use clap::error::ErrorKind;
use std::io;
use std::time::Duration;

/// Run a chain for every connection
///
/// URL is `tcp://HOST:PORT`, `unix:PATH`, `http://HOST:PORT` or `ws://HOST:PORT`. The standard input and output of CHAIN are the connection: `serve tcp://:7000 { upper }` answers
/// in capitals, `serve tcp://:5433 { tcp db:5432 }` passes everything on. Each connection has a run of its own: one that fails is told in a
/// line, its peer sees a reset, and the others go on. What a run writes to files is there when all of that run has succeeded.
///
/// For `http` there is a run for each request: its standard input is what the request brings, its standard output the answer. The chain is
/// told neither path nor query; a URL with a path serves that path only. GET, POST, PUT, PATCH and DELETE run the chain, HEAD does not. A run
/// that fails before it has given anything is answered with status 500; after that, the answer breaks off. No answer is whole before
/// the outputs of its run are in place. Pages that a browser shows from other places are turned away: by `Origin`, and by a `Host` that is
/// neither a number, `localhost` nor that of URL. For `ws` there is a run for each conversation over a WebSocket: its streams are the bytes
/// of the messages. A client that has said its last word is given no more.
///
/// With `--files`, GET and HEAD get the files in DIR, with ranges, types and conditions; names that begin with a dot are private, and nothing
/// outside DIR can be reached. With a chain, each file goes through it: `serve --files logs http://:8080 { gzip }`.
///
/// Only this machine can connect unless `--allow-remote` is given. A connection too many waits outside until another ends. The
/// first INT or TERM closes the door: who is inside has a time to finish; a second one ends everything at once.
#[derive(Debug, clap::Parser)]
pub(super) struct Serve {
    /// What to speak, and where to listen; port 0 takes a free one
    #[arg(value_name = "URL", value_parser = Place::parse)]
    place: Place,

    /// Serve so many at once; the others wait, a request for as long as `--timeout`
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

    /// For http: what is asked for are files in DIR; they go through CHAIN, or, without one, out as they are
    #[cfg(feature = "web")]
    #[arg(long, value_name = "DIR")]
    files: Option<PathArgument>,

    /// For http: what kind of bytes CHAIN gives [default: application/octet-stream]
    #[cfg(feature = "web")]
    #[arg(long = "type", value_name = "MIME", value_parser = kind)]
    kind: Option<Kind>,

    /// For ws: one text message for each line, and one line for each text message
    #[cfg(feature = "web")]
    #[arg(long)]
    text: bool,
}

pub(super) const ENTRY: Entry = Entry {
    groups: Groups::Served,
    shown: &[
        "serve tcp://localhost:7000 { upper }",
        "serve tcp://localhost:5433 { tcp db.example.org:5432 }",
        #[cfg(feature = "web")]
        "serve http://localhost:8080 --type video/mp4 { read video.mp4 }",
        #[cfg(feature = "web")]
        "serve --files site http://localhost:8080",
        "serve unix:/run/user/1000/log.sock { gzip --stream | write --append log.gz }",
    ],
    parse: |matches| Ok(Box::new(Serve::from_arg_matches(matches)?.checked()?)),
    ..Entry::of::<Serve>("serve", Role::Server)
};

impl Serve {
    /// What arguments that are right one by one may do wrong together.
    fn checked(self) -> Result<Serve, clap::Error> {
        #[cfg(feature = "web")]
        {
            let refusal = |why: &str| Err(clap::Error::raw(ErrorKind::ValueValidation, why));
            let spoken = match &self.place {
                Place::Web { spoken, path, .. } => Some((*spoken, path)),
                Place::Tcp(_) | Place::Unix(_) => None,
            };
            match spoken {
                Some((Spoken::Http, Some(_))) if self.files.is_some() => {
                    return refusal("with `--files` every path is one of a file: leave that of the URL out");
                }
                Some((Spoken::Http, _)) => {}
                _ if self.files.is_some() => return refusal("`--files` is for http:// only"),
                _ if self.kind.is_some() => return refusal("`--type` is for http:// only"),
                _ => {}
            }
        }
        #[cfg(feature = "web")]
        if self.text && !matches!(self.place, Place::Web { spoken: Spoken::WebSocket, .. }) {
            return Err(clap::Error::raw(ErrorKind::ValueValidation, "`--text` is for ws:// only"));
        }
        Ok(self)
    }

    fn listen(&self) -> Result<Listener, Fault> {
        let reach = if self.allow_remote { Reach::Remote } else { Reach::Loopback };
        match &self.place {
            Place::Tcp(address) => Listener::tcp(address, reach),
            #[cfg(feature = "web")]
            Place::Web { address, .. } => Listener::tcp(address, reach),
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

    #[cfg(feature = "web")]
    fn needs_a_chain(&self) -> bool {
        self.files.is_none()
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let template = opening.template.take();
        let template = template.ok_or_else(|| anyhow::anyhow!("internal error: a server has no chain"))?;
        #[cfg(feature = "web")]
        let work = self.work(template.has_chain())?;
        let listener = self.listen()?;
        let places = places_allowed();
        // Connections that live together are mostly idle, and take a descriptor each; those of their requests are counted already.
        let allowed = if matches!(self.place, Place::Tcp(_) | Place::Unix(_)) { places } else { usize::MAX };
        let wanted = self.connections_max();
        let room = Room::new(wanted.min(allowed))?;
        let orders = Orders::new()?;
        let patience = Some(self.timeout).filter(|time| !time.is_zero());
        Ok(Body::server(move |context| {
            let context = context.clone();
            let house = House { template, orders: orders.clone(), patience, context: context.clone() };
            #[cfg(feature = "web")]
            let floor = self.floor(house, work)?;
            #[cfg(not(feature = "web"))]
            let floor = Floor::Apart(house);
            context.remark(format!("listening on {}", self.place.at(&listener)));
            if allowed < wanted {
                context.remark(format!("only {allowed} at once: the system allows no more open files"));
            }
            let entered = let_in(&listener, &room, &context, |wire, seat| floor.enter(wire, seat));
            drop(listener);
            let ended = match entered {
                Ok(()) => see_out(&room, &orders, self.grace, &context).map_err(Into::into),
                Err(error) => {
                    turn_out(&room, &orders);
                    Err(error)
                }
            };
            floor.close();
            ended
        }))
    }
}

/// Where connections are served, behind the door.
enum Floor {
    /// Each by itself.
    Apart(House),
    /// All in one runtime.
    #[cfg(feature = "web")]
    Together(Lobby),
}

impl Floor {
    fn enter(&self, wire: Wire, seat: Seat) -> io::Result<()> {
        match self {
            Floor::Apart(house) => house.run_beside(wire, seat),
            #[cfg(feature = "web")]
            Floor::Together(lobby) => lobby.enter(wire, seat),
        }
    }

    fn close(self) {
        match self {
            Floor::Apart(_) => {}
            #[cfg(feature = "web")]
            Floor::Together(lobby) => lobby.close(),
        }
    }
}

impl Serve {
    /// How many connections there may be at once.
    fn connections_max(&self) -> usize {
        let served_max = self.max_connections as usize;
        match &self.place {
            // Most of them are silent: what is bounded is the requests.
            #[cfg(feature = "web")]
            Place::Web { .. } => connections_max(served_max),
            Place::Tcp(_) | Place::Unix(_) => served_max,
        }
    }

    /// What a request gets.
    #[cfg(feature = "web")]
    fn work(&self, has_chain: bool) -> Result<Work, Fault> {
        let is_socket = matches!(self.place, Place::Web { spoken: Spoken::WebSocket, .. });
        Ok(match &self.files {
            None if is_socket => Work::Socket(if self.text { Messages::Lines } else { Messages::Binary }),
            None => Work::Chain,
            Some(files) if has_chain => Work::FilesThrough(Directory::open(&files.path)?),
            Some(files) => Work::Files(Directory::open(&files.path)?),
        })
    }

    #[cfg(feature = "web")]
    fn floor(&self, house: House, work: Work) -> io::Result<Floor> {
        match &self.place {
            Place::Tcp(_) | Place::Unix(_) => Ok(Floor::Apart(house)),
            Place::Web { address, path, .. } => {
                let host = (!self.allow_remote).then(|| address.host.clone());
                let kind = self.kind.clone().unwrap_or_else(|| Kind::from_static("application/octet-stream"));
                let rules = Rules { path: path.clone(), host };
                let served_max = self.max_connections as usize;
                let site = Site::new(house, rules, work, kind, served_max, self.connections_max());
                Ok(Floor::Together(Lobby::open(site)?))
            }
        }
    }
}
