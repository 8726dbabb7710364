//! Which name beneath the directory a request's path means, and how that name is written in a header.
//! Pure: opens nothing, and knows nothing of what there is.

use hyper::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The file that stands for a directory.
const INDEX: &[u8] = b"index.html";

/// All that RFC 3986 does not call unreserved is encoded. A browser takes a backslash for a slash, so none may be left.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A relative path without empty segments, each of which is a plain name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    path: OsString,
    /// Whether the request had a slash at its end; `path` then goes on to the index.
    is_of_directory: bool,
}

impl Target {
    /// What the path of a request's URI means, which is decoded once.
    ///
    /// A segment that begins with a dot is never one: `..` and `.` are not resolved (a client does that before it asks), and a name that
    /// begins with one (`.git`, `.env`, our own temporary files) is private. All other bytes are a name's, valid UTF-8 or not.
    ///
    /// # Errors
    /// The status to answer with: what is no path, or not encoded as one, is a bad request; what no file's name can be is not found.
    pub(super) fn of(uri_path: &str) -> Result<Target, StatusCode> {
        let encoded = uri_path.as_bytes().strip_prefix(b"/").ok_or(StatusCode::BAD_REQUEST)?;
        let mut path: Vec<u8> = Vec::with_capacity(encoded.len() + 1 + INDEX.len());
        for segment in encoded.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()) {
            if !is_well_encoded(segment) {
                return Err(StatusCode::BAD_REQUEST);
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            let begin = path.len();
            path.extend(percent_decode(segment));
            let name = &path[begin..];
            if name.starts_with(b".") || name.contains(&b'/') || name.contains(&0) {
                return Err(StatusCode::NOT_FOUND);
            }
        }
        let is_of_directory = encoded.is_empty() || encoded.ends_with(b"/");
        if is_of_directory {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend(INDEX);
        }
        Ok(Target { path: OsString::from_vec(path), is_of_directory })
    }

    /// What to open, from the directory on.
    pub(super) fn path(&self) -> &OsStr {
        &self.path
    }

    /// The file's own name.
    pub(super) fn name(&self) -> &OsStr {
        let bytes = self.path.as_bytes();
        OsStr::from_bytes(bytes.rsplit(|byte| *byte == b'/').next().unwrap_or(bytes))
    }

    /// The same with a slash at its end, to look for it there as a directory; `None` if that is what was asked.
    ///
    /// It begins with one slash exactly, whatever the request began with: two would name another host.
    pub(super) fn as_directory(&self) -> Option<String> {
        if self.is_of_directory {
            return None;
        }
        let mut location = String::with_capacity(self.path.len() + 2);
        for segment in self.path.as_bytes().split(|byte| *byte == b'/') {
            location.push('/');
            location.extend(percent_encode(segment, RESERVED));
        }
        location.push('/');
        Some(location)
    }
}

/// Whether each `%` is followed by two digits.
fn is_well_encoded(segment: &[u8]) -> bool {
    let is_digit = |at: usize| segment.get(at).is_some_and(u8::is_ascii_hexdigit);
    (0..segment.len()).all(|at| segment[at] != b'%' || (is_digit(at + 1) && is_digit(at + 2)))
}

#[cfg(test)]
mod tests {
    use super::Target;
    use hyper::StatusCode;
    use proptest::prelude::{any, proptest};
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_path_means_the_name_that_it_encodes() {
        for (asked, meant) in [
            ("/", &b"index.html"[..]),
            ("//", b"index.html"),
            ("/a.txt", b"a.txt"),
            ("/a/b/c", b"a/b/c"),
            ("/a/", b"a/index.html"),
            ("//etc//passwd", b"etc/passwd"),
            ("/a%20b+c", b"a b+c"),
            ("/a\\..\\b", b"a\\..\\b"),
            ("/%5c..%5Cb", b"\\..\\b"),
            ("/%ff%C0%ae", b"\xff\xc0\xae"),
            ("/%2541", b"%41"),
            ("/a%3fb", b"a?b"),
            ("/x..", b"x.."),
        ] {
            let target = Target::of(asked).unwrap_or_else(|status| panic!("{asked}: {status}"));
            assert_eq!(target.path().as_bytes(), meant, "{asked}");
        }
    }

    #[test]
    fn what_can_be_no_public_name_is_not_found() {
        for asked in [
            "/..",
            "/.",
            "/a/../b",
            "/%2e%2e/",
            "/.git/config",
            "/a/.env",
            "/a%2fb",
            "/a%2F",
            "/%00",
            "/a%00.html",
        ] {
            assert_eq!(Target::of(asked), Err(StatusCode::NOT_FOUND), "{asked}");
        }
    }

    #[test]
    fn what_is_no_path_is_a_bad_request() {
        for asked in ["", "*", "a", "/%", "/%2", "/%zz", "/a%u002e", "/%%32%65"] {
            assert_eq!(Target::of(asked), Err(StatusCode::BAD_REQUEST), "{asked}");
        }
    }

    #[test]
    fn the_place_of_a_directory_never_names_another_host() {
        for (asked, location) in [
            ("//evil.example", "/evil.example/"),
            ("///evil.example//a", "/evil.example/a/"),
            ("/\\evil.example", "/%5Cevil.example/"),
            ("/%5c%5cevil.example", "/%5C%5Cevil.example/"),
            ("/a%0d%0aSet-Cookie:b", "/a%0D%0ASet-Cookie%3Ab/"),
            ("/%ff", "/%FF/"),
        ] {
            assert_eq!(Target::of(asked).unwrap().as_directory().as_deref(), Some(location), "{asked}");
        }
        assert_eq!(Target::of("/a/").unwrap().as_directory(), None);
    }

    proptest! {
        #[test]
        fn no_path_leads_up_or_starts_at_the_root(path in "/(\\.|/|%2e|%2f|%00|%|[a-z\\\\]){0,40}", other in any::<String>()) {
            for path in [path, other] {
                let Ok(target) = Target::of(&path) else { continue };
                for name in target.path().as_bytes().split(|byte| *byte == b'/') {
                    assert!(!name.is_empty() && name[0] != b'.' && !name.contains(&0), "{path}: {target:?}");
                }
                if let Some(location) = target.as_directory() {
                    assert!(location.starts_with('/') && !location.starts_with("//"), "{path}: {location}");
                    assert!(!location.contains('\\'), "{path}: {location}");
                }
            }
        }
    }
}
