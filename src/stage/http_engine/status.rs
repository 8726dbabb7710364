//! What a server says about a request, in its status and in the page that comes with it.
//! Knows nothing of what was asked for.

use super::exchange::Exchange;
use crate::diagnostic::printable;
use crate::stage::fault::Fault;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use hyper::{Response, StatusCode};
use std::time::{Duration, SystemTime};

/// No more of a page is read for its first line.
const PAGE_BYTES: usize = 4096;
/// Nor is it waited for longer.
const PAGE_TIME: Duration = Duration::from_secs(5);
/// No more of its first line is shown.
const LINE_LETTERS: usize = 200;

/// Whether it may be another one in a while.
pub(in crate::stage) fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// `404 Not Found`.
pub(in crate::stage) fn told(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(words) => format!("{} {words}", status.as_str()),
        None => format!("status {}", status.as_str()),
    }
}

/// The failure that an answer is, with what its page says; the exchange is over.
pub(in crate::stage) fn refusal(answer: &Response<()>, mut exchange: Exchange<'_>, url: &str) -> Fault {
    let message = told(answer.status());
    let fault = match answer.status() {
        StatusCode::UNAUTHORIZED => Fault::failed(format!("{message}: it wants credentials")),
        _ => Fault::failed(message),
    }
    .of(url);
    let line = first_line(answer.headers(), &mut exchange);
    exchange.give_up();
    match line {
        Some(line) => fault.help(format!("the server says: {line}")),
        None => fault,
    }
}

/// The first line of a short page of text.
fn first_line(headers: &HeaderMap, exchange: &mut Exchange<'_>) -> Option<String> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
    if !matches!(&*kind, "text/plain" | "application/json" | "application/problem+json")
        || exchange.announced_bytes().is_some_and(|bytes| bytes > PAGE_BYTES as u64)
    {
        return None;
    }
    let mut page = Vec::new();
    while let Ok(Some(bytes)) = exchange.next_bytes(Some(PAGE_TIME)) {
        page.extend_from_slice(&bytes);
        if page.len() > PAGE_BYTES {
            return None;
        }
    }
    line_of(&page)
}

fn line_of(page: &[u8]) -> Option<String> {
    let line = str::from_utf8(page).ok()?.lines().map(str::trim).find(|line| !line.is_empty())?;
    let is_fit = line.split(' ').all(|word| word.is_empty() || is_shown_as_it_is(word));
    (is_fit && line.chars().count() <= LINE_LETTERS).then(|| line.to_owned())
}

/// Quotes and backslashes are nothing to hide in a sentence.
fn is_shown_as_it_is(word: &str) -> bool {
    let bare: String = word.chars().filter(|letter| !matches!(letter, '"' | '\'' | '`' | '\\')).collect();
    bare.is_empty() || printable(&bare) == bare
}

/// Where an answer points, if it does.
pub(in crate::stage) fn pointer(answer: &Response<()>) -> Option<&[u8]> {
    let points = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    answer.headers().get(LOCATION).filter(|_| points).map(HeaderValue::as_bytes)
}

/// How long the server asks to be left alone (RFC 9110 §10.2.3).
pub(in crate::stage) fn asked_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(asked).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{asked_wait, line_of, told};
    use hyper::StatusCode;
    use hyper::header::{HeaderMap, HeaderValue, RETRY_AFTER};
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_status_is_told_with_its_name() {
        assert_eq!(told(StatusCode::NOT_FOUND), "404 Not Found");
        assert_eq!(told(StatusCode::from_u16(599).unwrap()), "status 599");
    }

    #[test]
    fn only_a_line_that_can_be_shown_is_shown() {
        assert_eq!(line_of(b"\r\n  no such \"bucket\"  \nmore"), Some("no such \"bucket\"".to_owned()));
        assert_eq!(line_of("größer als 5 MB".as_bytes()), Some("größer als 5 MB".to_owned()));
        for page in [&b""[..], b"\n\n", b"a\x1b[2Jb", b"\xff", &[b'a'; 300]] {
            assert_eq!(line_of(page), None, "{page:?}");
        }
    }

    #[test]
    fn a_server_asks_for_seconds_or_until_a_date() {
        let asked = |value: &'static str, now: u64| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            asked_wait(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(now))
        };
        assert_eq!(asked("7", 0), Some(Duration::from_secs(7)));
        assert_eq!(asked("Thu, 01 Jan 1970 00:01:00 GMT", 20), Some(Duration::from_secs(40)));
        assert_eq!(asked("Thu, 01 Jan 1970 00:01:00 GMT", 90), Some(Duration::ZERO));
        assert_eq!(asked("soon", 0), None);
        assert_eq!(asked_wait(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
    }
}
