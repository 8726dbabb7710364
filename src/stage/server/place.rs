//! What a server speaks, and where: a URL as people type it.
//! Listens to nothing.

use crate::diagnostic::printable;
use crate::stage::net::address::Address;
use crate::stage::net::listen::Listener;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What is spoken with those who ask by HTTP.
#[cfg(feature = "web")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) enum Spoken {
    Http,
    WebSocket,
}

#[cfg(feature = "web")]
impl Spoken {
    fn scheme(self) -> &'static str {
        match self {
            Spoken::Http => "http://",
            Spoken::WebSocket => "ws://",
        }
    }
}

/// What is spoken, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stage) enum Place {
    Tcp(Address),
    Unix(PathBuf),
    #[cfg(feature = "web")]
    Web {
        spoken: Spoken,
        address: Address,
        /// The only path there is, as it comes in a request; `None` when all lead here.
        path: Option<String>,
    },
}

#[cfg(feature = "web")]
const FORMS: &str = "type `tcp://HOST:PORT`, `unix:PATH`, `http://HOST:PORT` or `ws://HOST:PORT`";
#[cfg(not(feature = "web"))]
const FORMS: &str = "type `tcp://HOST:PORT` or `unix:PATH`";

impl Place {
    /// # Errors
    /// A sentence for people, for what is no place or no protocol.
    pub(in crate::stage) fn parse(text: &str) -> Result<Place, String> {
        if let Some(address) = text.strip_prefix("tcp://") {
            return Ok(Place::Tcp(Address::parse(address.strip_suffix('/').unwrap_or(address))?));
        }
        #[cfg(feature = "web")]
        for spoken in [Spoken::Http, Spoken::WebSocket] {
            if let Some(rest) = text.strip_prefix(spoken.scheme()) {
                let (address, path) = address_and_path(rest)?;
                return Ok(Place::Web { spoken, address, path });
            }
        }
        match text.strip_prefix("unix:").map(|path| path.strip_prefix("//").unwrap_or(path)) {
            Some("") => Err(format!("a path is missing; {FORMS}")),
            Some(path) => Ok(Place::Unix(path.into())),
            None => Err(format!("it is not known what to speak there; {FORMS}")),
        }
    }

    /// The place where `listener` listens, as a client would write it.
    pub(in crate::stage) fn at(&self, listener: &Listener) -> String {
        match self {
            Place::Tcp(_) => format!("tcp://{}", listener.name()),
            Place::Unix(_) => self.to_string(),
            #[cfg(feature = "web")]
            Place::Web { spoken, path, .. } => {
                format!("{}{}{}", spoken.scheme(), listener.name(), path.as_deref().unwrap_or(""))
            }
        }
    }
}

/// A path as it comes in a request, where there is one but `/`.
#[cfg(feature = "web")]
fn address_and_path(text: &str) -> Result<(Address, Option<String>), String> {
    let (address, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    let is_plain = |letter: char| letter.is_ascii_graphic() && !"?#\"<>\\^`{|}".contains(letter);
    if !path.chars().all(is_plain) {
        return Err("the path is to stand as in a request, without a query; `%20` is a space".to_owned());
    }
    let path = Some(path.to_owned()).filter(|path| path.len() > 1);
    Ok((Address::parse(address)?, path))
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => write!(formatter, "tcp://{address}"),
            Place::Unix(path) => write!(formatter, "unix:{}", printable(path.as_os_str().as_bytes())),
            #[cfg(feature = "web")]
            Place::Web { spoken, address, path } => {
                write!(formatter, "{}{address}{}", spoken.scheme(), path.as_deref().unwrap_or(""))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    fn shown(text: &str) -> Result<String, String> {
        Place::parse(text).map(|place| place.to_string())
    }

    #[test]
    fn a_place_says_what_is_spoken_and_where() {
        assert_eq!(shown("tcp://:7000").unwrap(), "tcp://localhost:7000");
        assert_eq!(shown("tcp://[::1]:7000/").unwrap(), "tcp://[::1]:7000");
        assert_eq!(shown("unix:///run/a").unwrap(), "unix:/run/a");
        assert_eq!(shown("unix:a b").unwrap(), "unix:\"a b\"");
        for text in ["localhost:7000", "tcp://localhost", "unix:", "ftp://localhost:21"] {
            assert!(shown(text).unwrap_err().contains("type "), "{text}");
        }
    }

    #[cfg(feature = "web")]
    #[test]
    fn a_url_of_http_may_have_a_path() {
        assert_eq!(shown("http://:80").unwrap(), "http://localhost:80");
        assert_eq!(shown("http://:80/").unwrap(), "http://localhost:80");
        assert_eq!(shown("ws://:80/").unwrap(), "ws://localhost:80");
        assert_eq!(shown("http://[::1]:80/a/b%20c").unwrap(), "http://[::1]:80/a/b%20c");
        for text in ["http://:80/a?b", "http://:80/a b", "http://:80/ä", "http://localhost", "http://a@b:80"]
        {
            assert!(shown(text).is_err(), "{text}");
        }
    }
}
