//! Which requests are turned away before anything is done for them.
//! Looks at the head of a request and nothing else.
//!
//! A server on the loopback is reached by every page that a browser on the same machine shows: by its address, or by a name of the page's
//! own that leads there. The one shows in `Origin`, the other in `Host`.

use super::answer::Refusal;
use hyper::header::{HOST, ORIGIN};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, StatusCode, Version};
use std::net::IpAddr;

/// What is served, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stage) struct Rules {
    /// The only path that is served; `None` is all of them.
    pub(in crate::stage) path: Option<String>,
    /// The host that people have named; `None` when any name may lead here.
    pub(in crate::stage) host: Option<String>,
}

const BAD_HOST: Refusal = Refusal::new(StatusCode::BAD_REQUEST, "one Host is needed");

impl Rules {
    /// # Errors
    /// The answer to a request that is turned away.
    pub(super) fn screen(&self, head: &Parts) -> Result<(), Refusal> {
        let host = host(head)?;
        if let (Some(own), Some(host)) = (&self.host, &host)
            && !is_of_this_machine(host.host(), own)
        {
            return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "no such host is served here"));
        }
        if !is_served(&head.method) {
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "that method is not served here"));
        }
        if is_of_another_page(head, host.as_ref()) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "pages of other places are not served"));
        }
        match (head.uri.path(), &self.path) {
            // That is about the server as a whole.
            ("*", _) if head.method == Method::OPTIONS => Ok(()),
            ("*", _) => Err(Refusal::new(StatusCode::BAD_REQUEST, "a path is needed")),
            (asked, Some(path)) if asked != path => {
                Err(Refusal::new(StatusCode::NOT_FOUND, "nothing is served at that path"))
            }
            _ => Ok(()),
        }
    }
}

fn is_served(method: &Method) -> bool {
    let served = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    served.contains(method)
}

/// Which host is asked for. Only HTTP/1.0 may leave that open.
fn host(head: &Parts) -> Result<Option<Authority>, Refusal> {
    let mut values = head.headers.get_all(HOST).iter();
    let named = match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        (None, None) if head.version == Version::HTTP_10 => None,
        _ => return Err(BAD_HOST),
    };
    // What stands in the request line counts (RFC 9112 §3.2.2).
    if let Some(authority) = head.uri.authority() {
        return Ok(Some(authority.clone()));
    }
    let authority = named.map(Authority::try_from).transpose();
    authority.map_err(|_| BAD_HOST)
}

/// Whether a host can only mean this machine, or is the one that people have named.
fn is_of_this_machine(host: &str, own: &str) -> bool {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_number = host.parse::<IpAddr>().is_ok();
    is_number || host == "localhost" || host.ends_with(".localhost") || host.eq_ignore_ascii_case(own)
}

/// Whether a browser asks on behalf of a page that did not come from here.
fn is_of_another_page(head: &Parts, host: Option<&Authority>) -> bool {
    head.headers.get_all(ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let Some((scheme, place)) = origin else { return true };
        let port = if scheme == "https" { 443 } else { 80 };
        let same = |place: Authority, host: &Authority| {
            place.host().eq_ignore_ascii_case(host.host())
                && place.port_u16().unwrap_or(port) == host.port_u16().unwrap_or(port)
        };
        !place.parse().is_ok_and(|place| host.is_some_and(|host| same(place, host)))
    })
}

#[cfg(test)]
mod tests {
    use super::Rules;
    use hyper::Request;
    use hyper::http::request::Parts;

    fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn status(rules: &Rules, head: &Parts) -> u16 {
        rules.screen(head).map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    fn any() -> Rules {
        Rules { path: None, host: Some("my-name".to_owned()) }
    }

    #[test]
    fn a_name_that_a_page_has_made_up_does_not_lead_here() {
        let asked = |host| status(&any(), &head("GET", "/", &[("host", host)]));
        for host in ["localhost", "LocalHost:80", "127.0.0.1:8080", "[::1]:7", "a.localhost", "my-name:1"] {
            assert_eq!(asked(host), 200, "{host}");
        }
        for host in ["example.org", "localhost.example.org", "127.0.0.1.example.org", "my-name2"] {
            assert_eq!(asked(host), 421, "{host}");
        }
        for host in ["", "a b", "a/b"] {
            assert_eq!(asked(host), 400, "{host}");
        }
        let open = Rules { path: None, host: None };
        assert_eq!(status(&open, &head("GET", "/", &[("host", "example.org")])), 200);
        let absolute = head("GET", "http://example.org/", &[("host", "localhost")]);
        assert_eq!(status(&any(), &absolute), 421);
    }

    #[test]
    fn one_host_is_needed() {
        assert_eq!(status(&any(), &head("GET", "/", &[])), 400);
        assert_eq!(status(&any(), &head("GET", "/", &[("host", "localhost"), ("host", "localhost")])), 400);
        let mut old = head("GET", "/", &[]);
        old.version = hyper::Version::HTTP_10;
        assert_eq!(status(&any(), &old), 200);
    }

    #[test]
    fn a_page_of_another_place_is_turned_away() {
        let asked =
            |origin| status(&any(), &head("POST", "/", &[("host", "localhost:8080"), ("origin", origin)]));
        assert_eq!(asked("http://localhost:8080"), 200);
        for origin in ["http://localhost:8081", "http://localhost", "http://example.org", "null", "", "x://"]
        {
            assert_eq!(asked(origin), 403, "{origin}");
        }
        let plain = head("POST", "/", &[("host", "localhost"), ("origin", "http://localhost:80")]);
        assert_eq!(status(&any(), &plain), 200);
    }

    #[test]
    fn only_known_methods_and_one_path_are_served() {
        let local = [("host", "localhost")];
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            assert_eq!(status(&any(), &head(method, "/", &local)), 200, "{method}");
        }
        for method in ["TRACE", "CONNECT", "get", "PROPFIND"] {
            assert_eq!(status(&any(), &head(method, "/", &local)), 405, "{method}");
        }
        let one = Rules { path: Some("/a".to_owned()), ..any() };
        assert_eq!(status(&one, &head("GET", "/a?b=c", &local)), 200);
        assert_eq!(status(&one, &head("GET", "/a/", &local)), 404);
        assert_eq!(status(&one, &head("OPTIONS", "*", &local)), 200);
        assert_eq!(status(&any(), &head("GET", "*", &local)), 400);
    }
}
