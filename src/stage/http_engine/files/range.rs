//! Which part of a file a request asks for (RFC 9110 §14.2).
//! Knows nothing of whether it may have a part: `conditions` does.

use hyper::header::{HeaderMap, RANGE};

/// What to send of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// From `first` to `last`, both within the file.
    Range {
        first: u64,
        last: u64,
    },
    /// Nothing of the file is what was asked for.
    Unsatisfiable,
}

/// What `Range` asks for of a file of `length_bytes`.
///
/// What is no range of bytes is as if it was not there. Several ranges are answered with the whole, as RFC 9110 §14.2 allows: nobody
/// makes us send a file ten thousand times over.
pub(super) fn part(headers: &HeaderMap, length_bytes: u64) -> Part {
    let mut fields = headers.get_all(RANGE).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return Part::Whole };
    let Some(at) = field.as_bytes().iter().position(|byte| *byte == b'=') else { return Part::Whole };
    let (unit, set) = field.as_bytes().split_at(at);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return Part::Whole;
    }
    let mut ranges = set[1..].split(|byte| *byte == b',').map(trim).filter(|range| !range.is_empty());
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Part::Whole };
    one(range, length_bytes).unwrap_or(Part::Whole)
}

/// `None`: that is no range.
fn one(range: &[u8], length_bytes: u64) -> Option<Part> {
    let at = range.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (&range[..at], &range[at + 1..]);
    if first.is_empty() {
        let wanted_bytes = number(last)?;
        return Some(match (wanted_bytes, length_bytes) {
            (0, _) => Part::Unsatisfiable,
            // The last bytes of nothing are nothing, which `Content-Range` cannot say.
            (_, 0) => Part::Whole,
            _ => Part::Range { first: length_bytes.saturating_sub(wanted_bytes), last: length_bytes - 1 },
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if first > last || first >= length_bytes {
        return Some(Part::Unsatisfiable);
    }
    Some(Part::Range { first, last: last.min(length_bytes - 1) })
}

/// Digits and nothing else; more than there can be bytes is as many as there can be.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0, |sum: u64, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))),
    )
}

fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::{Part, part};
    use hyper::header::{HeaderMap, HeaderValue, RANGE};
    use proptest::prelude::{any, proptest};

    fn asked(range: &str, length_bytes: u64) -> Part {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_bytes(range.as_bytes()).unwrap());
        part(&headers, length_bytes)
    }

    const NONE: Part = Part::Unsatisfiable;
    const WHOLE: Part = Part::Whole;

    fn from_to(first: u64, last: u64) -> Part {
        Part::Range { first, last }
    }

    #[test]
    fn ranges_of_a_file_of_ten_bytes() {
        for (range, expected) in [
            ("bytes=0-", from_to(0, 9)),
            ("bytes=0-0", from_to(0, 0)),
            ("bytes=3-5", from_to(3, 5)),
            ("bytes=9-9", from_to(9, 9)),
            ("bytes=5-100", from_to(5, 9)),
            ("bytes=0-18446744073709551615", from_to(0, 9)),
            ("bytes=0-99999999999999999999999999", from_to(0, 9)),
            ("bytes=-1", from_to(9, 9)),
            ("bytes=-10", from_to(0, 9)),
            ("bytes=-11", from_to(0, 9)),
            ("bytes=-18446744073709551616", from_to(0, 9)),
            ("BYTES=2-3", from_to(2, 3)),
            ("bytes= 2-3 ,", from_to(2, 3)),
            ("bytes=-0", NONE),
            ("bytes=5-4", NONE),
            ("bytes=10-", NONE),
            ("bytes=10-20", NONE),
            ("bytes=18446744073709551615-", NONE),
            ("bytes=18446744073709551616-18446744073709551616", NONE),
            ("bytes=", WHOLE),
            ("bytes=-", WHOLE),
            ("bytes", WHOLE),
            ("", WHOLE),
            ("bytes=a-b", WHOLE),
            ("bytes=+1-2", WHOLE),
            ("bytes=1--2", WHOLE),
            ("bytes=--1", WHOLE),
            ("bytes=0x1-2", WHOLE),
            ("bytes=1", WHOLE),
            ("bytes=1 - 2", WHOLE),
            ("bytes =1-2", WHOLE),
            ("lines=0-1", WHOLE),
            ("bytes=0-1,3-4", WHOLE),
            ("bytes=0-1,90-", WHOLE),
        ] {
            assert_eq!(asked(range, 10), expected, "{range}");
        }
    }

    #[test]
    fn of_an_empty_file_there_is_no_byte_to_have() {
        assert_eq!(asked("bytes=0-", 0), NONE);
        assert_eq!(asked("bytes=0-0", 0), NONE);
        assert_eq!(asked("bytes=-0", 0), NONE);
        assert_eq!(asked("bytes=-5", 0), WHOLE);
    }

    #[test]
    fn the_largest_file_has_a_last_byte() {
        assert_eq!(asked("bytes=-1", u64::MAX), from_to(u64::MAX - 1, u64::MAX - 1));
        assert_eq!(asked("bytes=0-", u64::MAX), from_to(0, u64::MAX - 1));
    }

    #[test]
    fn ten_thousand_ranges_are_one_whole_file() {
        let many = format!("bytes={}", vec!["0-"; 10_000].join(","));
        assert_eq!(asked(&many, 10), WHOLE);
        assert_eq!(asked(&format!("bytes={}5-", ",".repeat(60_000)), 10), from_to(5, 9));
    }

    #[test]
    fn two_fields_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(RANGE, HeaderValue::from_static("bytes=0-1"));
        headers.append(RANGE, HeaderValue::from_static("bytes=0-1"));
        assert_eq!(part(&headers, 10), WHOLE);
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(range in "bytes=[0-9]{0,21}-[0-9]{0,21}", length_bytes in any::<u64>(), short in 0_u64..50) {
            for length_bytes in [length_bytes, short] {
                if let Part::Range { first, last } = asked(&range, length_bytes) {
                    assert!(first <= last && last < length_bytes);
                }
            }
        }
    }
}
