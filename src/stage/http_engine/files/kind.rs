//! What a file is called in `Content-Type`, by its name.
//! Never looks into a file, and lets no browser do so.

use hyper::header::HeaderValue;
use std::ffi::OsStr;

/// The media type. Text is said to be UTF-8, which nearly all of it is; of an unknown name nothing is said.
pub(super) fn content_type(name: &OsStr) -> HeaderValue {
    let essence = mime_guess::from_path(name).first_raw().unwrap_or("application/octet-stream");
    let is_text = essence.starts_with("text/")
        || matches!(essence, "application/javascript" | "application/json" | "application/xml");
    if is_text && let Ok(value) = HeaderValue::from_str(&format!("{essence}; charset=utf-8")) {
        return value;
    }
    HeaderValue::from_static(essence)
}

#[cfg(test)]
mod tests {
    use super::content_type;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_type_is_told_by_the_last_part_of_a_name() {
        for (name, expected) in [
            (&b"index.html"[..], "text/html; charset=utf-8"),
            (b"INDEX.HTML", "text/html; charset=utf-8"),
            (b"a.css", "text/css; charset=utf-8"),
            (b"a.js", "text/javascript; charset=utf-8"),
            (b"a.json", "application/json; charset=utf-8"),
            (b"a.xml", "text/xml; charset=utf-8"),
            (b"a.txt", "text/plain; charset=utf-8"),
            (b"a.svg", "image/svg+xml"),
            (b"video.mp4", "video/mp4"),
            (b"a.tar.gz", "application/gzip"),
            (b"a.wasm", "application/wasm"),
            (b"html", "application/octet-stream"),
            (b"a.", "application/octet-stream"),
            (b"a.unheard-of", "application/octet-stream"),
            (b"\xff.png", "image/png"),
            (b"a.\xff", "application/octet-stream"),
        ] {
            assert_eq!(content_type(OsStr::from_bytes(name)), expected, "{name:?}");
        }
    }
}
