//! The proxy that the environment names for a URL, and the tunnel through it.
//! Knows nothing of what goes through.

use super::url::{Scheme, Url};
use crate::flow::Closed;
use crate::stage::contract::Context;
use crate::stage::fault::Fault;
use crate::stage::net::address::Address;
use crate::stage::net::wire::Wire;
use crate::stage::outside::stream::reason;
use crate::units;
use data_encoding::BASE64;
use hyper::header::HeaderValue;
use nix::poll::PollFlags;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

/// How long a proxy may take to reach a server, between one byte of its answer and the next.
const TUNNEL_TIME: Duration = Duration::from_secs(60);
/// The head of its answer is no longer.
const HEAD_BYTES: usize = 16 * 1024;

/// A proxy of HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) address: Address,
    credentials: Option<Vec<u8>>,
}

/// The proxy that `variable`, which looks into the environment, names for `url`. This machine is always asked directly.
///
/// # Errors
/// When what is named is no proxy of HTTP.
pub(super) fn proxy_for(
    url: &Url,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, Fault> {
    // In capitals, `http_proxy` would be what a client of a CGI script sends as a header.
    let names: &[&str] = match url.scheme {
        Scheme::Http => &["http_proxy", "all_proxy", "ALL_PROXY"],
        Scheme::Https => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
    };
    let Some((name, named)) = names.iter().find_map(|name| Some((name, variable(name)?))) else {
        return Ok(None);
    };
    let except = variable("no_proxy").or_else(|| variable("NO_PROXY")).unwrap_or_default();
    if is_this_machine(&url.address.host) || is_excepted(&url.address, &except) {
        return Ok(None);
    }
    let typed = if named.contains("://") { named } else { format!("http://{named}") };
    match Url::parse(&typed) {
        Ok(Url { scheme: Scheme::Http, address, credentials, .. }) => {
            Ok(Some(Proxy { address, credentials }))
        }
        Ok(_) => Err(Fault::failed(format!("`{name}` names a proxy under TLS, which is not spoken here"))),
        Err(why) => Err(Fault::failed(format!("`{name}` names no proxy of HTTP: {why}"))),
    }
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|number| number.is_loopback())
}

/// `no_proxy`: names, which stand for all below them too, with a port or without, or `*`.
fn is_excepted(address: &Address, except: &str) -> bool {
    let host = address.host.to_ascii_lowercase();
    except.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port.parse().ok()),
            _ => (&*entry, None),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']').trim_start_matches("*.");
        let name = name.trim_start_matches('.');
        let is_named = name == "*"
            || host == name
            || host.strip_suffix(name).is_some_and(|front| !name.is_empty() && front.ends_with('.'));
        is_named && port.is_none_or(|port: u16| port == address.port)
    })
}

impl Proxy {
    /// What it wants to know of who asks.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let credentials = self.credentials.as_ref()?;
        HeaderValue::from_str(&format!("Basic {}", BASE64.encode(credentials))).ok()
    }

    /// Has the proxy at the other end of `wire` pass everything on to `server`.
    ///
    /// # Errors
    /// A [`Fault`] that names the proxy; a [`Closed`] when the run is given up meanwhile.
    pub(super) fn tunnel(&self, wire: Wire, server: &Address, context: &Context) -> anyhow::Result<Wire> {
        let authorization = self.authorization();
        let authorization = authorization.as_ref().and_then(|value| value.to_str().ok());
        let authorization =
            authorization.map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
        let request = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n{authorization}\r\n");
        let fault = |why: String| Fault::failed(why).of(format!("proxy {}", self.address));
        let head = converse(&wire, request.as_bytes(), context).map_err(|error| match error.kind() {
            _ if Closed::cause_of(&error).is_some() => anyhow::Error::from(error),
            io::ErrorKind::TimedOut => {
                fault(format!("no answer within {}", units::duration(TUNNEL_TIME))).into()
            }
            _ => fault(reason(&error)).into(),
        })?;
        let mut words = head.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some(version), Some(status)) if version.starts_with("HTTP/1.") => match status.as_bytes() {
                [b'2', _, _] => Ok(wire),
                _ => Err(fault(format!(
                    "does not connect to {server}: {status} {}",
                    words.collect::<Vec<_>>().join(" ")
                ))
                .into()),
            },
            _ => Err(fault("does not speak HTTP".to_owned()).into()),
        }
    }
}

/// The first line of what is answered to `request`; no byte behind the answer's head is taken.
fn converse(wire: &Wire, request: &[u8], context: &Context) -> io::Result<String> {
    let mut left = request;
    while !left.is_empty() {
        left = &left[wire.write(left, context)?..];
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match wire.try_read(&mut byte) {
            Ok(0) => return Err(io::Error::other("it closed the connection without an answer")),
            Ok(_) if head.len() == HEAD_BYTES => return Err(io::Error::other("its answer has no end")),
            Ok(_) => head.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !context.ready_within(wire.as_fd(), PollFlags::POLLIN, TUNNEL_TIME)? {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            Err(error) => return Err(error),
        }
    }
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    Ok(line.iter().map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '?' }).collect())
}

#[cfg(test)]
mod tests {
    use super::{Address, Proxy, proxy_for};
    use crate::stage::http_engine::url::Url;

    fn chosen(url: &str, environment: &[(&str, &str)]) -> Option<Proxy> {
        let variable = |name: &str| {
            environment.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
        };
        proxy_for(&Url::parse(url).unwrap(), variable).unwrap()
    }

    #[test]
    fn each_scheme_has_its_variable() {
        let environment = [
            ("http_proxy", "http://me:you@p:3128/"),
            ("HTTPS_PROXY", "q:81"),
            ("HTTP_PROXY", "http://wrong"),
        ];
        let plain = chosen("http://h/", &environment).unwrap();
        assert_eq!(plain.address, Address::new("p", 3128));
        assert_eq!(plain.authorization().unwrap(), "Basic bWU6eW91");
        assert_eq!(chosen("https://h/", &environment).unwrap().address, Address::new("q", 81));
        assert_eq!(chosen("https://h/", &environment[..1]), None);
        assert!(chosen("https://h/", &[("all_proxy", "q")]).is_some());
    }

    #[test]
    fn who_is_excepted_is_asked_directly() {
        for (except, host, is_excepted) in [
            ("*", "h", true),
            ("h", "h", true),
            ("a, H", "h", true),
            (".b", "a.b", true),
            ("*.b", "a.b", true),
            ("b", "a.b", true),
            ("b", "ab", false),
            ("h:80", "h", true),
            ("h:81", "h", false),
            ("", "h", false),
            ("", "localhost", true),
            ("", "127.0.0.2", true),
            ("", "[::1]", true),
            ("2001:db8::1", "[2001:db8::1]", true),
            ("[2001:db8::1]:80", "[2001:db8::1]", true),
        ] {
            let environment = [("http_proxy", "p"), ("no_proxy", except)];
            let proxy = chosen(&format!("http://{host}/"), &environment);
            assert_eq!(proxy.is_none(), is_excepted, "{except:?} {host}");
        }
    }

    #[test]
    fn what_is_no_proxy_of_http_is_named_by_its_variable() {
        for named in ["socks5://p", "https://p", "http://"] {
            let variable = |name: &str| (name == "http_proxy").then(|| named.to_owned());
            let fault = proxy_for(&Url::parse("http://h/").unwrap(), variable).unwrap_err();
            assert!(fault.message.starts_with("`http_proxy` names "), "{fault}");
        }
    }
}
