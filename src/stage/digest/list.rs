//! Lists of digests as tools write and read them: `HEX  NAME`, or the tagged `SHA256 (NAME) = HEX`.
//! Looks into no file; which algorithm and which name are asked for is the caller's.
//!
//! The forms are those of coreutils (`sha256sum`, `cksum`), b3sum, xxhsum, `md5 -r` of BSD and `openssl dgst`. A line that
//! begins with a backslash has a name in which a backslash, a line feed and a carriage return stand escaped.

use super::{Algorithm, Digest};
use crate::diagnostic::printable;

/// Before the digits of XXH3, where xxhsum writes no tag: XXH64 has as many.
const XXH3_MARK: &[u8] = b"XXH3_";
/// So many names are told when the right one is not there.
const NAMES_TOLD_MAX: usize = 5;

/// The lines for the digests of one file, each with a line feed.
///
/// One digest stands as the tool of its algorithm writes it; several, and those of tools that read nothing else, tagged.
pub(in crate::stage) fn digest_list(digests: &[Digest], name: &[u8]) -> Vec<u8> {
    let tagless = [Algorithm::Blake3, Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];
    let is_tagged = digests.len() != 1 || digests.iter().any(|digest| !tagless.contains(&digest.algorithm));
    let (name, is_escaped) = escaped(name);
    let mut list = Vec::new();
    for Digest { algorithm, digits } in digests {
        if is_escaped {
            list.push(b'\\');
        }
        if is_tagged {
            let tag = algorithm.name().to_uppercase();
            list.extend_from_slice(&[tag.as_bytes(), b" (", &name, b") = ", digits.as_bytes()].concat());
        } else {
            list.extend_from_slice(&[digits.as_bytes(), b"  ", &name].concat());
        }
        list.push(b'\n');
    }
    list
}

/// A digest for people: `sha256 2c26…  data`.
pub(in crate::stage) fn line(digest: &Digest, name: &[u8]) -> String {
    format!("{} {}  {}", digest.algorithm.name(), digest.digits, printable(name))
}

fn escaped(name: &[u8]) -> (Vec<u8>, bool) {
    let mut escaped = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'\\' => escaped.extend_from_slice(br"\\"),
            b'\n' => escaped.extend_from_slice(br"\n"),
            b'\r' => escaped.extend_from_slice(br"\r"),
            other => escaped.push(other),
        }
    }
    let is_escaped = escaped.len() != name.len();
    (escaped, is_escaped)
}

/// The name that was escaped; `None` for what never was one.
fn unescaped(escaped: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(&byte) = bytes.next() {
        name.push(match (byte, byte == b'\\') {
            (other, false) => other,
            (_, true) => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
        });
    }
    Some(name)
}

/// Why a list does not say which digest is the right one.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::stage) enum Missing {
    /// It holds none of that algorithm.
    All,
    /// It holds some, for other names: these, as far as they are few.
    Name(String),
    /// It holds several for that name, and they differ.
    Doubtful,
}

/// What a list says of one algorithm.
#[derive(Debug)]
pub(in crate::stage) struct Expected {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// `None` for a digest that stands alone.
    name: Option<Vec<u8>>,
    digits: String,
}

impl Expected {
    /// The lines of `list` that hold a digest of `algorithm`; what is no such line is left out.
    pub(in crate::stage) fn of(list: &[u8], algorithm: Algorithm, untagged: Untagged) -> Expected {
        let entries = list.split(|&byte| byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start();
            let (line, is_escaped) = match line {
                [b'\\', rest @ ..] => (rest, true),
                line => (line, false),
            };
            let (name, digits) = tagged(line, algorithm)
                .or_else(|| (untagged == Untagged::Count).then(|| plain(line, algorithm)).flatten())?;
            let name = match name {
                Some(name) if is_escaped => Some(unescaped(name)?),
                name => name.map(<[u8]>::to_vec),
            };
            Some(Entry { name, digits })
        });
        Expected { entries: entries.collect() }
    }

    /// The digits for the file called `name`: of the line with that very name, else with that base name. A line that is
    /// the only one counts whatever its name.
    pub(in crate::stage) fn digits_of(&self, name: Option<&[u8]>) -> Result<&str, Missing> {
        if let [only] = &self.entries[..] {
            return Ok(&only.digits);
        }
        let Some(first) = self.entries.first() else { return Err(Missing::All) };
        let Some(name) = name else {
            // Lines that agree need no name.
            let agree = self.entries.iter().all(|entry| entry.digits == first.digits);
            return if agree { Ok(&first.digits) } else { Err(Missing::Name(self.names())) };
        };
        let of_name = |is_meant: &dyn Fn(&[u8]) -> bool| {
            let has_name = |entry: &&Entry| entry.name.as_deref().is_some_and(is_meant);
            self.entries.iter().filter(has_name).collect::<Vec<_>>()
        };
        let mut meant = of_name(&|own| own == name);
        if meant.is_empty() {
            meant = of_name(&|own| base(own) == base(name));
        }
        match meant.split_first() {
            None => Err(Missing::Name(self.names())),
            Some((first, more)) if more.iter().all(|entry| entry.digits == first.digits) => Ok(&first.digits),
            Some(_) => Err(Missing::Doubtful),
        }
    }

    /// Its names for a message, the first few.
    fn names(&self) -> String {
        let names: Vec<String> =
            self.entries.iter().filter_map(|entry| entry.name.as_ref()).map(printable).collect();
        let told = names[..names.len().min(NAMES_TOLD_MAX)].join(", ");
        match names.len().saturating_sub(NAMES_TOLD_MAX) {
            0 => told,
            more => format!("{told} and {more} more"),
        }
    }
}

/// What a line without a tag is worth: its digits may be those of any algorithm with as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) enum Untagged {
    /// Only one algorithm is asked for, so it is that one.
    Count,
    /// It could be taken for the wrong one.
    AreLeftOut,
}

fn base(name: &[u8]) -> &[u8] {
    name.rsplit(|&byte| byte == b'/').next().unwrap_or(name)
}

type Parts<'a> = (Option<&'a [u8]>, String);

/// `SHA256 (NAME) = HEX`, or `SHA2-256(NAME)= HEX` as openssl has it.
fn tagged(line: &[u8], algorithm: Algorithm) -> Option<Parts<'_>> {
    let open = line.iter().position(|&byte| byte == b'(')?;
    let close = line.iter().rposition(|&byte| byte == b')').filter(|&close| close > open)?;
    let tag = line[..open].trim_ascii();
    let is_tag = tag.eq_ignore_ascii_case(algorithm.name().as_bytes())
        || match algorithm {
            Algorithm::Sha256 => tag.eq_ignore_ascii_case(b"SHA2-256"),
            Algorithm::Sha512 => tag.eq_ignore_ascii_case(b"SHA2-512"),
            _ => false,
        };
    let rest = line[close + 1..].trim_ascii().strip_prefix(b"=")?;
    let digits = digits(rest.trim_ascii(), algorithm).filter(|_| is_tag)?;
    Some((Some(&line[open + 1..close]), digits))
}

/// `HEX  NAME`, `HEX *NAME`, `HEX NAME`, or `HEX` alone.
fn plain(line: &[u8], algorithm: Algorithm) -> Option<Parts<'_>> {
    let line = match algorithm {
        Algorithm::Xxh3 => line.strip_prefix(XXH3_MARK).unwrap_or(line),
        _ => line,
    };
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let digits = digits(&line[..end], algorithm)?;
    let name = match &line[end..] {
        [b' ', b' ' | b'*', name @ ..] | [b' ', name @ ..] if !name.is_empty() => Some(name),
        _ => None,
    };
    Some((name, digits))
}

fn digits(text: &[u8], algorithm: Algorithm) -> Option<String> {
    let is_digest = text.len() == algorithm.digits() && text.iter().all(u8::is_ascii_hexdigit);
    is_digest.then(|| String::from_utf8_lossy(text).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::{Expected, Missing, Untagged, digest_list, line};
    use crate::stage::digest::{Algorithm, Digest};

    const A: &str = "900150983cd24fb0d6963f7d28e17f72";
    const B: &str = "00000000000000000000000000000000";

    fn md5(digits: &str) -> Digest {
        Digest { algorithm: Algorithm::Md5, digits: digits.to_owned() }
    }

    fn look_up(list: &str, name: Option<&str>) -> Result<String, Missing> {
        let expected = Expected::of(list.as_bytes(), Algorithm::Md5, Untagged::Count);
        expected.digits_of(name.map(str::as_bytes)).map(str::to_owned)
    }

    #[test]
    fn one_digest_is_written_plain_and_several_are_tagged() {
        assert_eq!(digest_list(&[md5(A)], b"d/a b"), format!("{A}  d/a b\n").into_bytes());
        let crc = Digest { algorithm: Algorithm::Crc32, digits: "cbf43926".to_owned() };
        assert_eq!(digest_list(std::slice::from_ref(&crc), b"a"), b"CRC32 (a) = cbf43926\n");
        assert_eq!(
            digest_list(&[md5(A), crc], b"a\nb"),
            format!("\\MD5 (a\\nb) = {A}\n\\CRC32 (a\\nb) = cbf43926\n").into_bytes()
        );
        assert_eq!(digest_list(&[md5(A)], b"\\\r"), format!("\\{A}  \\\\\\r\n").into_bytes());
        assert_eq!(line(&md5(A), b"a\x1b"), format!("md5 {A}  \"a\\x1b\""));
    }

    #[test]
    fn what_was_written_is_found_again_whatever_the_name() {
        for name in ["a", "-", "a\nb", "\\", "\\n", " a ", "*a", "a) = 0", "(", "a\r", "d/a", "ß"] {
            for digests in [vec![md5(A)], vec![md5(A), Digest { algorithm: Algorithm::Sha1, ..md5(A) }]] {
                let mut list = digest_list(&digests, name.as_bytes());
                list.extend_from_slice(format!("{B}  other\nMD5 (more) = {B}\n").as_bytes());
                let list = String::from_utf8(list).unwrap();
                assert_eq!(look_up(&list, Some(name)).as_deref(), Ok(A), "{list}");
            }
        }
    }

    #[test]
    fn every_form_that_tools_write_is_read() {
        let capitals = A.to_uppercase();
        for text in [
            format!("{A}  a"),
            format!("{A} *a"),
            format!("{A} a"),
            format!("  {capitals}  a\r"),
            format!("MD5 (a) = {A}"),
            format!("MD5(a)= {A}"),
        ] {
            let list = format!("# a comment\n\n{B}  b\n{text}\n");
            assert_eq!(look_up(&list, Some("a")).as_deref(), Ok(A), "{text}");
        }
        let of = |list: &[u8], algorithm| {
            let expected = Expected::of(list, algorithm, Untagged::Count);
            expected.digits_of(None).map(str::to_owned)
        };
        assert_eq!(of(b"XXH3_ab6e5f64077e7d8a  a", Algorithm::Xxh3).as_deref(), Ok("ab6e5f64077e7d8a"));
        let openssl = format!("SHA2-256(a)= {A}{A}");
        assert_eq!(of(openssl.as_bytes(), Algorithm::Sha256), Ok(format!("{A}{A}")));
        assert_eq!(of(openssl.as_bytes(), Algorithm::Blake3), Err(Missing::All));
    }

    #[test]
    fn a_very_name_goes_before_a_base_name() {
        let list = format!("{B}  other/a\n{A}  d/a\n{B}  b\n");
        assert_eq!(look_up(&list, Some("d/a")).as_deref(), Ok(A));
        assert_eq!(look_up(&list, Some("x/b")).as_deref(), Ok(B));
        assert_eq!(look_up(&list, Some("a")), Err(Missing::Doubtful));
        assert_eq!(look_up(&list, Some("c")), Err(Missing::Name("other/a, d/a, b".to_owned())));
        assert_eq!(look_up(&list, None), Err(Missing::Name("other/a, d/a, b".to_owned())));
    }

    #[test]
    fn a_line_that_is_the_only_one_counts_whatever_its_name() {
        for list in [format!("{A}  x\n"), A.to_owned(), format!("{B}{B}  a\n{A}  x\n")] {
            assert_eq!(look_up(&list, Some("a")).as_deref(), Ok(A), "{list}");
            assert_eq!(look_up(&list, None).as_deref(), Ok(A), "{list}");
        }
    }

    #[test]
    fn what_is_no_line_of_a_list_is_none() {
        for list in ["", "\n\n", "text", &A[1..], &format!("{A}0  a"), &format!("\\{A}  a\\"), "MD5 (a) = "] {
            assert_eq!(look_up(list, Some("a")), Err(Missing::All), "{list}");
        }
        let untagged = Expected::of(format!("{A}  a").as_bytes(), Algorithm::Md5, Untagged::AreLeftOut);
        assert_eq!(untagged.digits_of(Some(b"a")), Err(Missing::All));
    }

    #[test]
    fn of_many_names_a_few_are_told() {
        let list: String = (0..7).map(|number| format!("{number:032}  n{number}\n")).collect();
        let told = "n0, n1, n2, n3, n4 and 2 more".to_owned();
        assert_eq!(look_up(&list, Some("a")), Err(Missing::Name(told)));
    }
}
