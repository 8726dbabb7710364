//! A URL of HTTP, as people type it and as servers point to one (RFC 3986).
//! Asks nobody anything. A password in it is never shown.

use crate::stage::net::address::Address;
use hyper::Uri;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use std::fmt;

/// How a connection is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) enum Scheme {
    /// Plain.
    Http,
    /// Under TLS.
    Https,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    fn parse(name: &str) -> Option<Scheme> {
        [Scheme::Http, Scheme::Https].into_iter().find(|scheme| name.eq_ignore_ascii_case(scheme.name()))
    }
}

/// `https://user:password@example.org:8443/path?query`. Its fragment is left out: no server is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stage) struct Url {
    pub(in crate::stage) scheme: Scheme,
    pub(in crate::stage) address: Address,
    /// `user:password`, decoded.
    pub(in crate::stage) credentials: Option<Vec<u8>>,
    /// Path and query as they stand in a request; begins with `/`.
    target: String,
}

/// What may not stand in a request's target, and is written `%XX`. What is written so already stays.
const NOT_IN_TARGET: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

impl Url {
    /// One that people typed.
    ///
    /// # Errors
    /// A sentence for them.
    pub(in crate::stage) fn parse(text: &str) -> Result<Url, String> {
        const FORM: &str = "type it as in `https://example.org/path`";
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("`http://` or `https://` is missing; {FORM}"));
        };
        let Some(scheme) = Scheme::parse(scheme) else {
            return Err(format!("only http and https are spoken here; {FORM}"));
        };
        Url::of(scheme, rest.as_bytes())
    }

    /// Of what stands behind `http://`.
    fn of(scheme: Scheme, rest: &[u8]) -> Result<Url, String> {
        let rest = rest.split(|&byte| byte == b'#').next().unwrap_or_default();
        let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let authority = std::str::from_utf8(authority).map_err(|_| "the host is no text".to_owned())?;
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(percent_decode_str(credentials).collect()), place),
            None => (None, authority),
        };
        Ok(Url { scheme, address: address(place, scheme.port())?, credentials, target: target_of(target)? })
    }

    /// Where a `Location` points that stood in the answer for this URL. It has no credentials.
    ///
    /// # Errors
    /// A sentence about what it is.
    pub(in crate::stage) fn join(&self, reference: &[u8]) -> Result<Url, String> {
        let reference = reference.trim_ascii();
        let reference = reference.split(|&byte| byte == b'#').next().unwrap_or_default();
        let is_scheme = |name: &[u8]| {
            name.first().is_some_and(u8::is_ascii_alphabetic)
                && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
        };
        let colon = reference.iter().position(|&byte| byte == b':').filter(|&at| is_scheme(&reference[..at]));
        let url = match (colon, reference) {
            (Some(at), _) => {
                let scheme = std::str::from_utf8(&reference[..at]).ok().and_then(Scheme::parse);
                match (scheme, reference[at + 1..].strip_prefix(b"//")) {
                    (Some(scheme), Some(rest)) => Url::of(scheme, rest)?,
                    _ => return Err("it is neither http nor https".to_owned()),
                }
            }
            (None, [b'/', b'/', rest @ ..]) => Url::of(self.scheme, rest)?,
            (None, _) => Url { target: target_of(&self.beside(reference))?, ..self.clone() },
        };
        Ok(Url { credentials: None, ..url })
    }

    /// The target that a reference without a host stands for (RFC 3986 §5.2.2).
    fn beside(&self, reference: &[u8]) -> Vec<u8> {
        let own = self.target.as_bytes();
        let path = own.split(|&byte| byte == b'?').next().unwrap_or_default();
        match reference {
            [] => own.to_vec(),
            [b'/', ..] => reference.to_vec(),
            [b'?', ..] => [path, reference].concat(),
            _ => {
                let directory = path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
                [&path[..directory], reference].concat()
            }
        }
    }

    /// Whether both are answered by the same server, asked in the same way.
    pub(in crate::stage) fn is_of_same_origin(&self, other: &Url) -> bool {
        self.scheme == other.scheme
            && self.address.port == other.address.port
            && self.address.host.eq_ignore_ascii_case(&other.address.host)
    }

    /// The server as a `Host` header names it.
    pub(in crate::stage) fn host(&self) -> String {
        let shown = self.address.to_string();
        match shown.rsplit_once(':') {
            Some((host, _)) if self.address.port == self.scheme.port() => host.to_owned(),
            _ => shown,
        }
    }

    /// What a request to the server asks for.
    pub(in crate::stage) fn target(&self) -> &str {
        &self.target
    }
}

/// As messages show it.
impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials = if self.credentials.is_some() { "***@" } else { "" };
        write!(formatter, "{}://{credentials}{}{}", self.scheme.name(), self.host(), self.target)
    }
}

fn address(place: &str, port: u16) -> Result<Address, String> {
    let (host, own_port) = match place.rfind([':', ']']) {
        Some(at) if place[at..].starts_with(':') => (&place[..at], &place[at + 1..]),
        _ => (place, ""),
    };
    let port = match own_port {
        "" => port,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|&port| port != 0).ok_or("the port is a number from 1 to 65535")?
        }
        _ => return Err("the port is a number from 1 to 65535".to_owned()),
    };
    if let Some(number) = host.strip_prefix('[') {
        let number = number.strip_suffix(']').unwrap_or_default();
        let number = number.parse::<std::net::Ipv6Addr>();
        return match number {
            Ok(number) => Ok(Address::new(&number.to_string(), port)),
            Err(_) => Err("what stands in brackets is an IPv6 address".to_owned()),
        };
    }
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    if !host.is_ascii() {
        return Err("a host in other letters is written as `xn--…`".to_owned());
    }
    if host.starts_with('-')
        || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    {
        return Err("the host is no name".to_owned());
    }
    Ok(Address::new(host, port))
}

/// Path and query, without `.` and `..`, as a request may have them.
fn target_of(text: &[u8]) -> Result<String, String> {
    if text.iter().any(u8::is_ascii_control) {
        return Err("control characters have no place in it".to_owned());
    }
    let (path, query) = match text.iter().position(|&byte| byte == b'?') {
        Some(at) => text.split_at(at),
        None => (text, &b""[..]),
    };
    let target = [&without_dots(path), query].concat();
    let target = percent_encode(&target, NOT_IN_TARGET).to_string();
    target.parse::<Uri>().map_err(|error| error.to_string())?;
    Ok(target)
}

/// RFC 3986 §5.2.4. The result begins with `/`.
fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_in_directory = false;
    for part in path.strip_prefix(b"/").unwrap_or(path).split(|&byte| byte == b'/') {
        ends_in_directory = matches!(part, b"." | b"..");
        match part {
            b"." => {}
            b".." => drop(kept.pop()),
            part => kept.push(part),
        }
    }
    if ends_in_directory {
        kept.push(b"");
    }
    [&b"/"[..], &kept.join(&b'/')].concat()
}

#[cfg(test)]
mod tests {
    use super::{Scheme, Url};

    #[test]
    fn a_url_is_a_server_and_what_it_is_asked_for() {
        for (text, host, port, target, shown) in [
            ("http://example.org", "example.org", 80, "/", "http://example.org/"),
            (
                "HTTPS://example.org:8443/a/b?c=d#e",
                "example.org",
                8443,
                "/a/b?c=d",
                "https://example.org:8443/a/b?c=d",
            ),
            ("https://[::1]/x", "::1", 443, "/x", "https://[::1]/x"),
            ("http://[::1]:81?x", "::1", 81, "/?x", "http://[::1]:81/?x"),
            ("http://h:80/a/../b/./c", "h", 80, "/b/c", "http://h/b/c"),
            ("http://h/a b/ü?\"", "h", 80, "/a%20b/%C3%BC?%22", "http://h/a%20b/%C3%BC?%22"),
            ("http://h/%2e%41/..//", "h", 80, "//", "http://h//"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((&*url.address.host, url.address.port, url.target()), (host, port, target), "{text}");
            assert_eq!(url.to_string(), shown);
        }
    }

    #[test]
    fn a_password_is_decoded_and_never_shown() {
        let url = Url::parse("http://me:p%40ss@h/").unwrap();
        assert_eq!(url.credentials.as_deref(), Some(&b"me:p@ss"[..]));
        assert_eq!(url.to_string(), "http://***@h/");
        assert_eq!(url.host(), "h");
        assert_eq!(url.join(b"/x").unwrap().credentials, None);
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "",
            "h",
            "h/p",
            "ftp://h/",
            "http://",
            "http:///p",
            "http://:80/",
            "http://h:x/",
            "http://h:0/",
            "http://h:65536/",
            "http://[::1/",
            "http://[h]/",
            "http://a b/",
            "http://h/\n",
            "http://-h/",
            "http://ü/",
        ] {
            assert!(Url::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_reference_is_found_from_where_it_stood() {
        let base = Url::parse("http://me@h:81/b/c/d;p?q").unwrap();
        for (reference, expected) in [
            ("g", "http://h:81/b/c/g"),
            ("./g/", "http://h:81/b/c/g/"),
            ("/g", "http://h:81/g"),
            ("?y", "http://h:81/b/c/d;p?y"),
            ("", "http://h:81/b/c/d;p?q"),
            ("#s", "http://h:81/b/c/d;p?q"),
            ("..", "http://h:81/b/"),
            ("../../../g", "http://h:81/g"),
            ("g?y=a:b/../c", "http://h:81/b/c/g?y=a:b/../c"),
            ("//other/x", "http://other/x"),
            (" https://other/x ", "https://other/x"),
        ] {
            assert_eq!(base.join(reference.as_bytes()).unwrap().to_string(), expected, "{reference:?}");
        }
        assert_eq!(base.join(b"/\xff").unwrap().target(), "/%FF");
        for reference in [&b"mailto:me"[..], b"ftp://h/", b"http:x", b"//a b/", b"/\r\nx"] {
            assert!(base.join(reference).is_err(), "{reference:?}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let url = |text: &str| Url::parse(text).unwrap();
        assert!(url("http://h/a").is_of_same_origin(&url("http://H:80/b")));
        for other in ["https://h/", "http://h:81/", "http://g/"] {
            assert!(!url("http://h/").is_of_same_origin(&url(other)), "{other}");
        }
        assert_eq!(url("https://h/").scheme, Scheme::Https);
    }
}
