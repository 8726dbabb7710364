//! What a request is answered with: a status, headers, and what the body is to be made of.
//! Knows nothing of how an answer is found or sent.

use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, StatusCode};
use std::fs::File;
use std::sync::Arc;

/// An answer that only has to be sent.
///
/// Its headers are whole but for `Date` and those of the connection; `Content-Length` is what the body has, or, for HEAD, would have.
#[derive(Debug)]
pub(in crate::stage) struct Answer {
    pub(in crate::stage) status: StatusCode,
    pub(in crate::stage) headers: HeaderMap,
    pub(in crate::stage) content: Content,
}

/// What the body is made of.
#[derive(Debug)]
pub(in crate::stage) enum Content {
    None,
    Text(String),
    File(Stretch),
}

/// A part of a file, which was that long when it was looked at.
#[derive(Debug, Clone)]
pub(in crate::stage) struct Stretch {
    pub(in crate::stage) file: Arc<File>,
    pub(in crate::stage) offset_bytes: u64,
    pub(in crate::stage) length_bytes: u64,
}

impl Answer {
    /// Without a body, and so far without headers.
    pub(super) fn bare(status: StatusCode) -> Answer {
        Answer { status, headers: HeaderMap::new(), content: Content::None }
    }

    /// The status in words, and nothing that the requester did not know: no path, no reason of the system's.
    pub(super) fn words(status: StatusCode, method: &Method) -> Answer {
        let text = format!("{} {}\n", status.as_str(), status.canonical_reason().unwrap_or_default());
        let mut answer = Answer::bare(status);
        answer.describe(HeaderValue::from_static("text/plain; charset=utf-8"), text.len() as u64);
        if method != Method::HEAD {
            answer.content = Content::Text(text);
        }
        answer
    }

    /// The headers of a body.
    pub(super) fn describe(&mut self, content_type: HeaderValue, length_bytes: u64) {
        self.headers.insert(CONTENT_TYPE, content_type);
        self.headers.insert(CONTENT_LENGTH, length_bytes.into());
        self.headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Content};
    use hyper::{Method, StatusCode};

    #[test]
    fn an_answer_in_words_says_the_status_and_nothing_else() {
        let answer = Answer::words(StatusCode::NOT_FOUND, &Method::GET);
        let Content::Text(text) = &answer.content else { panic!("no text: {answer:?}") };
        assert_eq!(text, "404 Not Found\n");
        assert_eq!(answer.headers["content-length"], "14");
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }

    #[test]
    fn to_head_it_announces_the_words_and_keeps_them() {
        let answer = Answer::words(StatusCode::NOT_FOUND, &Method::HEAD);
        assert!(matches!(answer.content, Content::None));
        assert_eq!(answer.headers["content-length"], "14");
    }
}
