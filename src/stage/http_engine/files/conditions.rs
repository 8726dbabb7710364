//! What a request's conditions make of a version of a file, in the order of RFC 9110 §13.2.2.
//! Knows nothing of files: only of how one version is told from another.

use super::validators::{Strength, Validators};
use hyper::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
};
use std::time::UNIX_EPOCH;

/// What the conditions of a GET or HEAD say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Say {
    /// The file is to be sent.
    Send,
    /// The client has it: 304.
    NotModified,
    /// It is not the version that the client goes by: 412.
    Failed,
}

/// Judges all conditions but `If-Range`.
pub(super) fn judge(headers: &HeaderMap, current: &Validators) -> Say {
    if headers.contains_key(IF_MATCH) {
        if !names(headers, &IF_MATCH, |tag| tag.is_strongly(current)) {
            return Say::Failed;
        }
    } else if let Some(date) = date(headers, &IF_UNMODIFIED_SINCE)
        && current.modified_seconds.is_some_and(|modified| modified > date)
    {
        return Say::Failed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if names(headers, &IF_NONE_MATCH, |tag| tag.opaque == current.tag.as_bytes()) {
            return Say::NotModified;
        }
    } else if let Some(date) = date(headers, &IF_MODIFIED_SINCE)
        && current.modified_seconds.is_none_or(|modified| modified <= date)
    {
        return Say::NotModified;
    }
    Say::Send
}

/// Whether a `Range` counts: there is no `If-Range`, or it names the current version so that no byte can differ.
pub(super) fn allows_range(headers: &HeaderMap, current: &Validators) -> bool {
    let mut fields = headers.get_all(IF_RANGE).iter();
    let Some(field) = fields.next() else { return true };
    if fields.next().is_some() {
        return false;
    }
    match Tag::split(field.as_bytes()) {
        Some((tag, rest)) => rest.trim_ascii().is_empty() && tag.is_strongly(current),
        None => date(headers, &IF_RANGE).is_some_and(|date| current.is_of_date(date)),
    }
}

/// An entity tag as a client gives it.
struct Tag<'a> {
    strength: Strength,
    /// With its quotes.
    opaque: &'a [u8],
}

impl<'a> Tag<'a> {
    /// The tag at the beginning of `text`, and what follows it.
    fn split(text: &'a [u8]) -> Option<(Tag<'a>, &'a [u8])> {
        let (strength, text) = match text.strip_prefix(b"W/") {
            Some(text) => (Strength::Weak, text),
            None => (Strength::Strong, text),
        };
        let inner = text.strip_prefix(b"\"")?;
        let length = inner.iter().position(|byte| *byte == b'"')? + 2;
        let (opaque, rest) = text.split_at(length);
        Some((Tag { strength, opaque }, rest))
    }

    fn is_strongly(&self, current: &Validators) -> bool {
        self.strength == Strength::Strong
            && current.strength == Strength::Strong
            && self.opaque == current.tag.as_bytes()
    }
}

/// Whether `*`, or one of the tags in the list that the fields called `name` make up, is `meant`. A list ends where it is none.
fn names(headers: &HeaderMap, name: &HeaderName, meant: impl Fn(&Tag<'_>) -> bool) -> bool {
    for field in headers.get_all(name) {
        let mut rest = field.as_bytes().trim_ascii();
        if rest == b"*" {
            return true;
        }
        loop {
            rest = rest.trim_ascii_start();
            if let Some(after) = rest.strip_prefix(b",") {
                rest = after;
                continue;
            }
            let Some((tag, after)) = Tag::split(rest) else { break };
            let after = after.trim_ascii_start();
            if !after.is_empty() && !after.starts_with(b",") {
                break;
            }
            if meant(&tag) {
                return true;
            }
            rest = after;
        }
    }
    false
}

/// The date in the one field called `name`, in seconds since 1970; what is no date does not count.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let mut fields = headers.get_all(name).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let date = httpdate::parse_http_date(field.to_str().ok()?.trim_ascii()).ok()?;
    date.duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::{Say, allows_range, judge};
    use crate::stage::http_engine::files::validators::Validators;
    use hyper::header::{HeaderMap, HeaderName, HeaderValue};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    const BEFORE: &str = "Tue, 14 Nov 2023 22:13:19 GMT";
    const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    const AFTER: &str = "Tue, 14 Nov 2023 22:13:21 GMT";
    const OLD_FORM: &str = "Tuesday, 14-Nov-23 22:13:20 GMT";
    const OLDEST_FORM: &str = "Tue Nov 14 22:13:20 2023";

    /// A file of [`DATE`], as seen when its tag is strong, and when it is weak.
    fn versions() -> (Validators, Validators) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_modified(UNIX_EPOCH + Duration::from_millis(1_700_000_000_500)).unwrap();
        let metadata = file.path().metadata().unwrap();
        let later = SystemTime::now() + Duration::from_secs(10);
        (
            Validators::of(&metadata, later),
            Validators::of(&metadata, UNIX_EPOCH + Duration::from_secs(1_700_000_100)),
        )
    }

    /// `Name: value` a line; `TAG` is the file's.
    fn headers(text: &str, current: &Validators) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in text.lines() {
            let (name, value) = line.split_once(':').unwrap();
            let value = value.trim().replace("TAG", &current.tag);
            headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
        }
        headers
    }

    #[test]
    fn conditions_in_their_order() {
        let (strong, weak) = versions();
        let table = [
            ("", Say::Send),
            ("If-None-Match: TAG", Say::NotModified),
            ("If-None-Match: W/TAG", Say::NotModified),
            ("If-None-Match: *", Say::NotModified),
            ("If-None-Match: \"a,b\", \"c\" ,TAG", Say::NotModified),
            ("If-None-Match: ,, TAG", Say::NotModified),
            ("If-None-Match: \"a\"\nIf-None-Match: TAG", Say::NotModified),
            ("If-None-Match: \"a\"", Say::Send),
            ("If-None-Match: \"\"", Say::Send),
            ("If-None-Match: garbage, TAG", Say::Send),
            ("If-None-Match: \"a\" TAG", Say::Send),
            ("If-None-Match: \"unclosed", Say::Send),
            ("If-None-Match: w/TAG", Say::Send),
            (&format!("If-Modified-Since: {DATE}"), Say::NotModified),
            (&format!("If-Modified-Since: {AFTER}"), Say::NotModified),
            (&format!("If-Modified-Since: {OLD_FORM}"), Say::NotModified),
            (&format!("If-Modified-Since: {OLDEST_FORM}"), Say::NotModified),
            (&format!("If-Modified-Since: {BEFORE}"), Say::Send),
            ("If-Modified-Since: yesterday", Say::Send),
            ("If-Modified-Since: Tue, 14 Nov 99999 22:13:20 GMT", Say::Send),
            (&format!("If-Modified-Since: {DATE}\nIf-Modified-Since: {DATE}"), Say::Send),
            (&format!("If-None-Match: \"a\"\nIf-Modified-Since: {DATE}"), Say::Send),
            (&format!("If-None-Match: TAG\nIf-Modified-Since: {BEFORE}"), Say::NotModified),
            ("If-Match: *", Say::Send),
            ("If-Match: \"a\"", Say::Failed),
            ("If-Match: W/TAG", Say::Failed),
            ("If-Match: nothing", Say::Failed),
            (&format!("If-Unmodified-Since: {DATE}"), Say::Send),
            (&format!("If-Unmodified-Since: {AFTER}"), Say::Send),
            (&format!("If-Unmodified-Since: {BEFORE}"), Say::Failed),
            ("If-Unmodified-Since: ever", Say::Send),
            ("If-Match: \"a\"\nIf-None-Match: TAG", Say::Failed),
            (&format!("If-Match: *\nIf-Unmodified-Since: {BEFORE}"), Say::Send),
            (&format!("If-Unmodified-Since: {BEFORE}\nIf-None-Match: TAG"), Say::Failed),
            (&format!("If-Unmodified-Since: {DATE}\nIf-None-Match: TAG"), Say::NotModified),
        ];
        for (text, say) in table {
            assert_eq!(judge(&headers(text, &strong), &strong), say, "strong: {text}");
            assert_eq!(judge(&headers(text, &weak), &weak), say, "weak: {text}");
        }
        let matching = "If-Match: \"a\", TAG";
        assert_eq!(judge(&headers(matching, &strong), &strong), Say::Send);
        assert_eq!(judge(&headers(matching, &weak), &weak), Say::Failed);
    }

    #[test]
    fn a_range_counts_only_for_the_very_same_bytes() {
        let (strong, weak) = versions();
        for (text, is_allowed) in [
            ("", true),
            ("If-Range: TAG", true),
            ("If-Range: W/TAG", false),
            ("If-Range: \"a\"", false),
            ("If-Range: TAG, \"a\"", false),
            ("If-Range: *", false),
            ("If-Range: TAG\nIf-Range: TAG", false),
            (&format!("If-Range: {DATE}"), true),
            (&format!("If-Range: {AFTER}"), false),
            (&format!("If-Range: {BEFORE}"), false),
            ("If-Range: yesterday", false),
        ] {
            assert_eq!(allows_range(&headers(text, &strong), &strong), is_allowed, "{text}");
        }
        assert!(!allows_range(&headers("If-Range: TAG", &weak), &weak));
    }
}
