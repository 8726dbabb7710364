//! Where a WebSocket is: `ws://` and `wss://` as people type them.
//! Connects to nothing.

use crate::stage::net::address::Address;
use std::fmt;
use tungstenite::http::Uri;

/// `ws://HOST[:PORT][/PATH][?QUERY]`, or `wss://` under TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stage) struct Url {
    /// Whom to connect to.
    pub(in crate::stage) address: Address,
    /// Whether under TLS.
    pub(in crate::stage) is_secure: bool,
    /// As the peer is told it.
    pub(super) authority: String,
    path: String,
    query: Option<String>,
}

impl Url {
    /// # Errors
    /// A sentence for people, for anything else.
    pub(in crate::stage) fn parse(text: &str) -> Result<Url, String> {
        const FORM: &str = "type ws://HOST[:PORT][/PATH] or wss://HOST[:PORT][/PATH]";
        if text.contains('#') {
            return Err("a WebSocket has no fragment; a `#` in a path is written `%23`".to_owned());
        }
        let uri: Uri = text.parse().map_err(|error| format!("{error}; {FORM}"))?;
        let (is_secure, usual_port) = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("ws") => (false, 80),
            Some("wss") => (true, 443),
            Some(scheme) => return Err(format!("`{scheme}://` is no WebSocket; {FORM}")),
            None => return Err(FORM.to_owned()),
        };
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(
                "names and passwords are no part of it; `-H 'Authorization: …'` sends them".to_owned()
            );
        }
        let named = uri.host().unwrap_or("");
        let host = named.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(named);
        if host.is_empty() || host.starts_with('-') {
            return Err(format!("the host is missing; {FORM}"));
        }
        let port = match authority[named.len()..].strip_prefix(':') {
            None => usual_port,
            Some(digits) => match digits.parse() {
                Ok(port) if port != 0 && digits.bytes().all(|byte| byte.is_ascii_digit()) => port,
                _ => return Err("the port is a number from 1 to 65535".to_owned()),
            },
        };
        Ok(Url {
            address: Address::new(host, port),
            is_secure,
            authority: authority.to_owned(),
            path: uri.path().to_owned(),
            query: uri.query().map(ToOwned::to_owned),
        })
    }

    /// The path and the query, as the peer is asked for them.
    pub(super) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

/// Without the query: that may hold what is nobody's business.
impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        write!(formatter, "{scheme}://{}{}", self.authority, self.path)?;
        if self.query.is_some() { formatter.write_str("?…") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn a_url_is_whom_to_connect_to_and_what_to_ask_for() {
        for (text, address, is_secure, target, shown) in [
            ("ws://host", "host:80", false, "/", "ws://host/"),
            ("wss://host", "host:443", true, "/", "wss://host/"),
            ("ws://host:8080/a/b", "host:8080", false, "/a/b", "ws://host:8080/a/b"),
            ("ws://[::1]:7/?token=x", "[::1]:7", false, "/?token=x", "ws://[::1]:7/?…"),
            ("wss://[::1]", "[::1]:443", true, "/", "wss://[::1]/"),
            ("ws://host?a=b", "host:80", false, "/?a=b", "ws://host/?…"),
            ("WS://host/", "host:80", false, "/", "ws://host/"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.address.to_string().as_str(), url.is_secure), (address, is_secure), "{text}");
            assert_eq!((url.target().as_str(), url.to_string().as_str()), (target, shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_what_is_wrong() {
        for (text, why) in [
            ("", "type ws://HOST"),
            ("host", "type ws://HOST"),
            ("/path", "type ws://HOST"),
            ("http://host/", "`http://` is no WebSocket"),
            ("ws://", "type ws://HOST"),
            ("ws:///path", "type ws://HOST"),
            ("ws://:80/", "the host is missing"),
            ("ws://host:0/", "the port is a number"),
            ("ws://host:/", "the port is a number"),
            ("ws://host:65536/", "the port is a number"),
            ("ws://host:x/", "the port is a number"),
            ("ws://user:secret@host/", "names and passwords"),
            ("ws://host/#top", "no fragment"),
            ("ws://ho st/", "type ws://HOST"),
        ] {
            let refusal = Url::parse(text).unwrap_err();
            assert!(refusal.contains(why), "{text}: {refusal}");
        }
    }
}
