//! Headers that people ask for, and the ones a request has without being asked.
//! Knows nothing of what a request is for.

use super::url::Url;
use data_encoding::BASE64;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

/// `Name: value`, as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stage) struct Header {
    name: HeaderName,
    value: HeaderValue,
}

/// What the stage itself has to say for a transfer to be a whole one.
const OWN: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::IF_RANGE,
    header::RANGE,
    header::TRANSFER_ENCODING,
    header::TE,
    header::UPGRADE,
];

/// What nobody but the server of the URL that was typed is told.
const FOR_ONE_SERVER: [HeaderName; 4] =
    [header::AUTHORIZATION, header::COOKIE, header::HOST, header::PROXY_AUTHORIZATION];

impl Header {
    /// # Errors
    /// A sentence for people.
    pub(in crate::stage) fn parse(text: &str) -> Result<Header, String> {
        let (name, value) =
            text.split_once(':').ok_or("a colon is missing; type it as in `Accept: text/plain`")?;
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("`{name}` cannot be a header's name"))?;
        if name == header::CONTENT_TYPE {
            return Err("the type of what is sent is set by `--type`".to_owned());
        }
        if OWN.contains(&name) || name == "keep-alive" || name == "proxy-connection" {
            return Err(format!("`{name}` is set by the stage itself"));
        }
        let mut value = HeaderValue::from_bytes(value.trim_ascii().as_bytes())
            .map_err(|_| "a header's value is one line".to_owned())?;
        value.set_sensitive(FOR_ONE_SERVER.contains(&name));
        Ok(Header { name, value })
    }
}

/// The headers of a request for `url`, which people asked for with `asked`, or to which another server pointed.
pub(in crate::stage) fn headers(url: &Url, asked: &[Header], is_pointed_to: Pointed) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // Only of characters that a host and base64 have.
    let mut put = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put(header::HOST, &url.host());
    put(header::USER_AGENT, concat!("weir/", env!("CARGO_PKG_VERSION")));
    put(header::ACCEPT, "*/*");
    put(header::ACCEPT_ENCODING, "identity");
    if let Some(credentials) = &url.credentials {
        put(header::AUTHORIZATION, &format!("Basic {}", BASE64.encode(credentials)));
    }
    let told: Vec<&Header> = asked
        .iter()
        .filter(|header| is_pointed_to == Pointed::Nowhere || !FOR_ONE_SERVER.contains(&header.name))
        .collect();
    for header in &told {
        headers.remove(&header.name);
    }
    for header in told {
        headers.append(&header.name, header.value.clone());
    }
    headers
}

/// Whether a request goes where people said, or where another server has pointed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) enum Pointed {
    /// To the server that was named.
    Nowhere,
    /// To another.
    Elsewhere,
}

#[cfg(test)]
mod tests {
    use super::{Header, Pointed, headers};
    use crate::stage::http_engine::url::Url;

    fn shown(url: &str, asked: &[&str], pointed: Pointed) -> Vec<String> {
        let asked: Vec<Header> = asked.iter().map(|text| Header::parse(text).unwrap()).collect();
        let headers = headers(&Url::parse(url).unwrap(), &asked, pointed);
        let mut lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_people_ask_for_takes_the_place_of_what_a_request_has() {
        let agent = format!("user-agent: weir/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            shown("http://a:b@h/", &[], Pointed::Nowhere),
            ["accept-encoding: identity", "accept: */*", "authorization: Basic YTpi", "host: h", &agent]
        );
        assert_eq!(
            shown("http://h:81/", &["Accept: a/b", "ACCEPT:c/d", "X: "], Pointed::Nowhere),
            ["accept-encoding: identity", "accept: a/b", "accept: c/d", "host: h:81", &agent, "x: "]
        );
    }

    #[test]
    fn what_is_for_one_server_is_not_told_to_another() {
        let asked = ["Authorization: Bearer s", "Cookie: c", "Host: x", "Accept: a/b"];
        assert_eq!(shown("http://h/", &asked, Pointed::Nowhere).len(), 6);
        let agent = format!("user-agent: weir/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            shown("http://h/", &asked, Pointed::Elsewhere),
            ["accept-encoding: identity", "accept: a/b", "host: h", &agent]
        );
    }

    #[test]
    fn what_is_no_header_or_is_the_stages_own_is_refused() {
        for text in
            ["", "x", ": v", "a b: c", "x: a\nb", "Range: bytes=0-", "content-length: 1", "Content-Type: a/b"]
        {
            assert!(Header::parse(text).is_err(), "{text:?}");
        }
    }
}
