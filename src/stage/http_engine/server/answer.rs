//! Answers that the server gives by itself, and what every answer says.
//! Knows nothing of connections and runs.

use super::response::Content;
use bytes::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    SEC_WEBSOCKET_VERSION, SERVER, UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

/// The methods that a chain is run for, and the two that are answered without.
const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

const OURSELVES: HeaderValue = HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION")));

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// An answer in place of one that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// For people, and no secret.
    pub(super) why: &'static str,
}

impl Refusal {
    pub(super) const fn new(status: StatusCode, why: &'static str) -> Refusal {
        Refusal { status, why }
    }

    /// The answer. Nothing is expected from that connection any more.
    pub(super) fn answer(self) -> Response<Content> {
        let mut answer = answer(self.status, Content::text(Bytes::from(format!("{}\n", self.why))));
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, TEXT);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        match self.status {
            StatusCode::METHOD_NOT_ALLOWED => drop(headers.insert(ALLOW, ALLOWED)),
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("close, upgrade"));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("10"));
            }
            _ => {}
        }
        answer
    }
}

/// What may be done here.
pub(super) fn options() -> Response<Content> {
    let mut answer = answer(StatusCode::NO_CONTENT, Content::Over);
    answer.headers_mut().insert(ALLOW, ALLOWED);
    answer
}

/// Any answer.
pub(super) fn answer(status: StatusCode, content: Content) -> Response<Content> {
    let mut answer = Response::new(content);
    *answer.status_mut() = status;
    say(&mut answer);
    answer
}

/// What every answer says.
pub(super) fn say(answer: &mut Response<Content>) {
    let said: [(HeaderName, HeaderValue); 3] = [
        (SERVER, OURSELVES),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    answer.headers_mut().extend(said);
}
