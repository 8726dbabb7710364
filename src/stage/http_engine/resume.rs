//! How a transfer that broke goes on where it was: with the same object, or not at all (RFC 9110 §§13, 14).
//! Pure: asks nobody anything, and passes nothing on.

use hyper::header::{
    ACCEPT_RANGES, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE, LAST_MODIFIED,
    RANGE,
};
use std::time::Duration;

/// A date tells two states of an object apart only if so much time has passed since (RFC 9110 §8.8.2.2).
const STRONG_AFTER: Duration = Duration::from_secs(1);

/// What the first answer said about the object that is transferred.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::stage) struct Object {
    /// How long it is.
    pub(in crate::stage) total_bytes: Option<u64>,
    /// What tells it from every other state of the same resource.
    validator: Option<HeaderValue>,
    entity_tag: Option<HeaderValue>,
    gives_parts: bool,
}

impl Object {
    /// Of an answer with `headers` that has announced `total_bytes`.
    pub(in crate::stage) fn of(headers: &HeaderMap, total_bytes: Option<u64>) -> Object {
        let entity_tag = headers.get(ETAG).cloned();
        let validator = match &entity_tag {
            Some(tag) => Some(tag.clone()).filter(is_strong),
            None => strong_date(headers),
        };
        let gives_parts = !headers
            .get_all(ACCEPT_RANGES)
            .iter()
            .any(|value| value.as_bytes().eq_ignore_ascii_case(b"none"));
        Object { total_bytes, validator, entity_tag, gives_parts }
    }

    /// Why a transfer of it cannot go on in the middle, if it cannot.
    pub(in crate::stage) fn objection(&self) -> Option<&'static str> {
        if !self.gives_parts {
            Some("it cannot go on from there: the server gives no parts of it")
        } else if self.validator.is_none() {
            Some("it cannot go on from there: the server gives no validator, such as a strong ETag")
        } else {
            None
        }
    }

    /// The headers that ask for the rest of it, from byte `at` on.
    pub(in crate::stage) fn ask_for_rest(&self, headers: &mut HeaderMap, at: u64) {
        if let Some(validator) = &self.validator
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={at}-"))
        {
            headers.insert(RANGE, range);
            headers.insert(IF_RANGE, validator.clone());
        }
    }

    /// Takes an answer 206 with `headers`, whose body has announced `announced_bytes`, for its rest from byte `at` on.
    ///
    /// # Errors
    /// A sentence about what else it is.
    pub(in crate::stage) fn take_rest(
        &mut self,
        headers: &HeaderMap,
        announced_bytes: Option<u64>,
        at: u64,
    ) -> Result<(), String> {
        if self.is_another(headers) {
            return Err("the object has changed meanwhile".to_owned());
        }
        let range = headers.get(CONTENT_RANGE).and_then(|value| Range::parse(value.as_bytes()));
        let Some(range) = range else {
            return Err("the server gave a part of it without saying which".to_owned());
        };
        if range.first != at {
            return Err(format!(
                "asked for the bytes from {at} on, the server gave those from {} on",
                range.first
            ));
        }
        match (self.total_bytes, range.total_bytes) {
            (Some(total), Some(new)) if total != new => {
                return Err(format!("the object has changed meanwhile: it had {total} bytes, and has {new}"));
            }
            (None, None) => return Err("the server does not say how long it is".to_owned()),
            (None, new) => self.total_bytes = new,
            (Some(_), _) => {}
        }
        let length = range.last - range.first + 1;
        if self.total_bytes.is_some_and(|total| range.last >= total)
            || announced_bytes.is_some_and(|announced| announced != length)
        {
            return Err("the server contradicts itself about how long it is".to_owned());
        }
        Ok(())
    }

    /// Whether an answer 416 with `headers` says that there is nothing behind byte `at`: it was whole.
    pub(in crate::stage) fn ends_at(&self, headers: &HeaderMap, at: u64) -> bool {
        let end = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let end = end.and_then(|end| end.trim().strip_prefix("bytes */")?.parse::<u64>().ok());
        self.total_bytes.is_none() && end == Some(at) && !self.is_another(headers)
    }

    /// What an answer 200 with `headers` to the question for its rest means.
    pub(in crate::stage) fn why_not_in_part(&self, headers: &HeaderMap) -> &'static str {
        if self.entity_tag.is_some() && headers.get(ETAG) == self.entity_tag.as_ref() {
            "the server cannot go on in the middle of it"
        } else {
            "the object has changed meanwhile"
        }
    }

    fn is_another(&self, headers: &HeaderMap) -> bool {
        let is_other = |name: HeaderName, own: Option<&HeaderValue>| {
            headers.get(name).zip(own).is_some_and(|(new, own)| new != own)
        };
        is_other(ETAG, self.entity_tag.as_ref())
            || (self.entity_tag.is_none() && is_other(LAST_MODIFIED, self.validator.as_ref()))
    }
}

fn is_strong(tag: &HeaderValue) -> bool {
    tag.as_bytes().starts_with(b"\"")
}

fn strong_date(headers: &HeaderMap) -> Option<HeaderValue> {
    let date = |name: HeaderName| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
    let age = date(DATE)?.duration_since(date(LAST_MODIFIED)?).ok()?;
    headers.get(LAST_MODIFIED).filter(|_| age >= STRONG_AFTER).cloned()
}

/// `bytes FIRST-LAST/TOTAL`.
struct Range {
    first: u64,
    last: u64,
    total_bytes: Option<u64>,
}

impl Range {
    fn parse(text: &[u8]) -> Option<Range> {
        let text = str::from_utf8(text).ok()?.trim();
        let (unit, rest) = text.split_once(' ')?;
        let (span, total) = rest.trim().split_once('/')?;
        let (first, last) = span.split_once('-')?;
        let total_bytes = if total == "*" { None } else { Some(total.parse().ok()?) };
        let range = Range { first: first.parse().ok()?, last: last.parse().ok()?, total_bytes };
        (unit.eq_ignore_ascii_case("bytes") && range.first <= range.last && range.last < u64::MAX)
            .then_some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::Object;
    use hyper::header::{HeaderMap, HeaderName, HeaderValue};

    const OLD: &str = "Tue, 24 Nov 2026 10:00:00 GMT";
    const NEW: &str = "Tue, 24 Nov 2026 10:00:01 GMT";

    fn headers(lines: &[&str]) -> HeaderMap {
        let pair = |line: &&str| {
            let (name, value) = line.split_once(": ").unwrap();
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(pair).collect()
    }

    fn object(lines: &[&str], total: Option<u64>) -> Object {
        Object::of(&headers(lines), total)
    }

    #[test]
    fn only_what_a_strong_validator_names_goes_on() {
        let modified = format!("Last-Modified: {OLD}");
        let (same, later) = (format!("Date: {OLD}"), format!("Date: {NEW}"));
        for (lines, goes_on) in [
            (&["ETag: \"a\""][..], true),
            (&["ETag: W/\"a\""], false),
            (&["ETag: W/\"a\"", &modified, &later], false),
            (&[&modified, &later], true),
            (&[&modified, &same], false),
            (&[&modified], false),
            (&[], false),
            (&["ETag: \"a\"", "Accept-Ranges: none"], false),
            (&["ETag: \"a\"", "Accept-Ranges: bytes"], true),
        ] {
            assert_eq!(object(lines, None).objection().is_none(), goes_on, "{lines:?}");
        }
    }

    #[test]
    fn the_rest_is_asked_for_on_condition_that_it_is_the_same_object() {
        let mut asked = HeaderMap::new();
        object(&["ETag: \"a\""], Some(9)).ask_for_rest(&mut asked, 5);
        assert_eq!(asked, headers(&["range: bytes=5-", "if-range: \"a\""]));
        let mut asked = HeaderMap::new();
        object(&[&format!("Last-Modified: {OLD}"), &format!("Date: {NEW}")], None)
            .ask_for_rest(&mut asked, 1);
        assert_eq!(asked, headers(&["range: bytes=1-", &format!("if-range: {OLD}")]));
    }

    #[test]
    fn a_rest_that_fits_is_taken() {
        for (total, range, announced) in [
            (Some(9), "Content-Range: bytes 5-8/9", Some(4)),
            (Some(9), "Content-Range: bytes 5-6/9", Some(2)),
            (Some(9), "Content-Range: Bytes 5-8/*", None),
            (None, "Content-Range: bytes 5-8/9", None),
        ] {
            let mut object = object(&["ETag: \"a\""], total);
            assert_eq!(object.take_rest(&headers(&[range, "ETag: \"a\""]), announced, 5), Ok(()), "{range}");
            assert_eq!(object.total_bytes, Some(9));
        }
    }

    #[test]
    fn a_rest_of_anything_else_is_refused() {
        for (lines, announced, why) in [
            (&["Content-Range: bytes 5-8/9", "ETag: \"b\""][..], Some(4), "has changed"),
            (&["Content-Range: bytes 5-9/10"], Some(5), "it had 9 bytes, and has 10"),
            (&["Content-Range: bytes 4-8/9"], Some(5), "gave those from 4 on"),
            (&["Content-Range: bytes 0-8/9"], Some(9), "gave those from 0 on"),
            (&["Content-Range: bytes 5-9/9"], Some(5), "contradicts itself"),
            (&["Content-Range: bytes 5-8/9"], Some(3), "contradicts itself"),
            (&["Content-Range: bytes 8-5/9"], None, "without saying which"),
            (&["Content-Range: bytes 5-18446744073709551615/*"], None, "without saying which"),
            (&["Content-Range: lines 5-8/9"], None, "without saying which"),
            (&[], None, "without saying which"),
        ] {
            let told =
                object(&["ETag: \"a\""], Some(9)).take_rest(&headers(lines), announced, 5).unwrap_err();
            assert!(told.contains(why), "{lines:?}: {told}");
        }
        let told =
            object(&["ETag: \"a\""], None).take_rest(&headers(&["Content-Range: bytes 5-8/*"]), None, 5);
        assert_eq!(told.unwrap_err(), "the server does not say how long it is");
        let dated = |date| format!("Last-Modified: {date}");
        let mut object = object(&[&dated(OLD), &format!("Date: {NEW}")], Some(9));
        let told = object.take_rest(&headers(&["Content-Range: bytes 5-8/9", &dated(NEW)]), None, 5);
        assert_eq!(told.unwrap_err(), "the object has changed meanwhile");
    }

    #[test]
    fn nothing_behind_the_end_is_the_end() {
        let end = |at: u64| headers(&[&format!("Content-Range: bytes */{at}")]);
        assert!(object(&["ETag: \"a\""], None).ends_at(&end(5), 5));
        assert!(!object(&["ETag: \"a\""], None).ends_at(&end(6), 5));
        assert!(!object(&["ETag: \"a\""], Some(9)).ends_at(&end(5), 5));
        assert!(!object(&["ETag: \"a\""], None).ends_at(&HeaderMap::new(), 5));
    }

    #[test]
    fn a_whole_answer_is_another_object_or_a_server_without_parts() {
        let object = object(&["ETag: \"a\""], None);
        assert_eq!(
            object.why_not_in_part(&headers(&["ETag: \"a\""])),
            "the server cannot go on in the middle of it"
        );
        assert_eq!(object.why_not_in_part(&headers(&["ETag: \"b\""])), "the object has changed meanwhile");
        assert_eq!(object.why_not_in_part(&HeaderMap::new()), "the object has changed meanwhile");
    }
}
