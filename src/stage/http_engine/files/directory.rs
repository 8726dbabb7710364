//! The directory that is served: from a request's head to what it is answered with.
//! Knows nothing of connections, and decides nothing by a request's body.

use super::answer::{Answer, Content, Stretch};
use super::beneath::{Beneath, Thing};
use super::conditions::{Say, allows_range, judge};
use super::kind::content_type;
use super::range::{Part, part};
use super::target::Target;
use super::validators::Validators;
use crate::stage::fault::Fault;
use hyper::header::{ACCEPT_RANGES, ALLOW, CONTENT_RANGE, HeaderMap, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// A directory whose files answer requests. Nothing outside it can be reached, whatever is asked and whatever happens in it meanwhile.
#[derive(Debug)]
pub(in crate::stage) struct Directory {
    beneath: Beneath,
}

/// The open file that a request asks for.
#[derive(Debug)]
pub(in crate::stage) struct Found {
    pub(in crate::stage) file: Arc<File>,
    /// Its last name in the path.
    pub(in crate::stage) name: OsString,
    /// How long it was when it was opened.
    pub(in crate::stage) length_bytes: u64,
    metadata: Metadata,
}

impl Directory {
    /// Opens the directory at `path`, once and for all.
    ///
    /// # Errors
    /// There is none, it may not be searched, or the system cannot keep requests inside.
    pub(in crate::stage) fn open(path: &Path) -> Result<Directory, Fault> {
        Ok(Directory { beneath: Beneath::open(path)? })
    }

    /// The whole answer to a request.
    pub(in crate::stage) fn answer(&self, request: &Parts) -> Answer {
        match self.find(request) {
            Ok(found) => found.answer(request, SystemTime::now()),
            Err(answer) => *answer,
        }
    }

    /// The file that a request asks for, whatever part of it and on whatever condition.
    ///
    /// # Errors
    /// The answer to give when there is none. It is complete.
    pub(in crate::stage) fn find(&self, request: &Parts) -> Result<Found, Box<Answer>> {
        let refusal = |status| Box::new(Answer::words(status, &request.method));
        if request.method != Method::GET && request.method != Method::HEAD {
            let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED);
            answer.headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Err(answer);
        }
        let target = Target::of(request.uri.path()).map_err(refusal)?;
        match (self.beneath.thing(target.path()).map_err(refusal)?, target.as_directory()) {
            (Thing::Regular(file, metadata), _) => Ok(Found {
                file: Arc::new(file),
                name: target.name().to_owned(),
                length_bytes: metadata.len(),
                metadata,
            }),
            (Thing::Directory, Some(location)) => {
                let location = match request.uri.query() {
                    Some(query) => format!("{location}?{query}"),
                    None => location,
                };
                let location =
                    HeaderValue::try_from(location).map_err(|_| refusal(StatusCode::BAD_REQUEST))?;
                let mut answer = refusal(StatusCode::MOVED_PERMANENTLY);
                answer.headers.insert(LOCATION, location);
                Err(answer)
            }
            (Thing::Directory, None) => Err(refusal(StatusCode::NOT_FOUND)),
        }
    }
}

impl Found {
    /// For `Content-Type`.
    pub(in crate::stage) fn content_type(&self) -> HeaderValue {
        content_type(&self.name)
    }

    fn answer(self, request: &Parts, now: SystemTime) -> Answer {
        let current = Validators::of(&self.metadata, now);
        match judge(&request.headers, &current) {
            Say::Send => {}
            Say::NotModified => {
                let mut answer = Answer::bare(StatusCode::NOT_MODIFIED);
                current.tell(&mut answer.headers);
                return answer;
            }
            Say::Failed => return Answer::words(StatusCode::PRECONDITION_FAILED, &request.method),
        }
        match self.part(request, &current) {
            Part::Whole => self.send(&request.method, &current, StatusCode::OK, 0, self.length_bytes),
            Part::Range { first, last } => {
                let range = format!("bytes {first}-{last}/{}", self.length_bytes);
                let length_bytes = last - first + 1;
                let status = StatusCode::PARTIAL_CONTENT;
                let mut answer = self.send(&request.method, &current, status, first, length_bytes);
                tell_range(&mut answer.headers, &range);
                answer
            }
            Part::Unsatisfiable => {
                let mut answer = Answer::words(StatusCode::RANGE_NOT_SATISFIABLE, &request.method);
                tell_range(&mut answer.headers, &format!("bytes */{}", self.length_bytes));
                answer
            }
        }
    }

    fn part(&self, request: &Parts, current: &Validators) -> Part {
        // A range is of GET alone (RFC 9110 §14.2).
        if request.method == Method::GET && allows_range(&request.headers, current) {
            part(&request.headers, self.length_bytes)
        } else {
            Part::Whole
        }
    }

    fn send(
        &self,
        method: &Method,
        current: &Validators,
        status: StatusCode,
        offset_bytes: u64,
        length_bytes: u64,
    ) -> Answer {
        let mut answer = Answer::bare(status);
        answer.describe(self.content_type(), length_bytes);
        answer.headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        current.tell(&mut answer.headers);
        if method != Method::HEAD && length_bytes > 0 {
            let file = Arc::clone(&self.file);
            answer.content = Content::File(Stretch { file, offset_bytes, length_bytes });
        }
        answer
    }
}

fn tell_range(headers: &mut HeaderMap, range: &str) {
    if let Ok(value) = HeaderValue::from_str(range) {
        headers.insert(CONTENT_RANGE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Content, Directory};
    use hyper::Request;
    use hyper::http::request::Parts;
    use std::ffi::OsStr;
    use std::fs::{self, File};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::FileExt;
    use std::time::{Duration, UNIX_EPOCH};

    const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

    fn house() -> (tempfile::TempDir, Directory) {
        let house = tempfile::tempdir().unwrap();
        let root = house.path();
        fs::create_dir_all(root.join("with/in")).unwrap();
        fs::create_dir_all(root.join("a b/index.html")).unwrap();
        fs::write(root.join("with/index.html"), "<p>with").unwrap();
        fs::write(root.join("empty"), "").unwrap();
        fs::write(root.join(OsStr::from_bytes(b"\xff.png")), "no UTF-8").unwrap();
        fs::write(root.join("ten.txt"), "0123456789").unwrap();
        let date = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        File::options().write(true).open(root.join("ten.txt")).unwrap().set_modified(date).unwrap();
        let directory = Directory::open(root).unwrap();
        (house, directory)
    }

    /// `GET /path`, and a header a line.
    fn request(text: &str) -> Parts {
        let mut lines = text.lines();
        let (method, uri) = lines.next().unwrap().split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(uri);
        let request = lines.fold(request, |request, line| {
            let (name, value) = line.split_once(": ").unwrap();
            request.header(name, value)
        });
        request.body(()).unwrap().into_parts().0
    }

    fn content(answer: &Answer) -> String {
        match &answer.content {
            Content::None => String::new(),
            Content::Text(text) => text.clone(),
            Content::File(stretch) => {
                let mut bytes = vec![0; stretch.length_bytes as usize];
                stretch.file.read_exact_at(&mut bytes, stretch.offset_bytes).unwrap();
                String::from_utf8(bytes).unwrap()
            }
        }
    }

    fn ask(directory: &Directory, text: &str) -> (u16, String, Answer) {
        let answer = directory.answer(&request(text));
        (answer.status.as_u16(), content(&answer), answer)
    }

    #[test]
    fn a_file_is_sent_with_all_that_is_known_of_it() {
        let (_house, directory) = house();
        let (status, content, answer) = ask(&directory, "GET /ten.txt?x");
        assert_eq!((status, content.as_str()), (200, "0123456789"));
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(answer.headers["content-length"], "10");
        assert_eq!(answer.headers["last-modified"], DATE);
        assert_eq!(answer.headers["accept-ranges"], "bytes");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(answer.headers.contains_key("etag") && !answer.headers.contains_key("cache-control"));
        let (status, content, head) = ask(&directory, "HEAD /ten.txt?x\nRange: bytes=1-2");
        assert_eq!((status, content.as_str()), (200, ""));
        assert_eq!(head.headers["content-length"], "10");
    }

    #[test]
    fn ranges_and_what_they_are_of() {
        let (_house, directory) = house();
        for (asked, status, content, range) in [
            ("GET /ten.txt\nRange: bytes=2-4", 206, "234", Some("bytes 2-4/10")),
            ("GET /ten.txt\nRange: bytes=-3", 206, "789", Some("bytes 7-9/10")),
            ("GET /ten.txt\nRange: bytes=0-18446744073709551615", 206, "0123456789", Some("bytes 0-9/10")),
            ("GET /ten.txt\nRange: bytes=-0", 416, "416 Range Not Satisfiable\n", Some("bytes */10")),
            ("GET /ten.txt\nRange: bytes=5-4", 416, "416 Range Not Satisfiable\n", Some("bytes */10")),
            ("GET /ten.txt\nRange: bytes=0-1,4-5", 200, "0123456789", None),
            ("GET /ten.txt\nRange: bytes=2-4\nIf-Range: \"other\"", 200, "0123456789", None),
            (&format!("GET /ten.txt\nRange: bytes=2-4\nIf-Range: {DATE}"), 206, "234", Some("bytes 2-4/10")),
            (&format!("GET /ten.txt\nRange: bytes=20-\nIf-Modified-Since: {DATE}"), 304, "", None),
            ("GET /empty", 200, "", None),
            ("GET /empty\nRange: bytes=-5", 200, "", None),
            ("GET /empty\nRange: bytes=0-", 416, "416 Range Not Satisfiable\n", Some("bytes */0")),
        ] {
            let (got, text, answer) = ask(&directory, asked);
            assert_eq!((got, text.as_str()), (status, content), "{asked}");
            let told = answer.headers.get("content-range").map(|value| value.to_str().unwrap());
            assert_eq!(told, range, "{asked}");
            let length = answer.headers.get("content-length").map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(length, (status != 304).then(|| content.len().to_string()), "{asked}");
        }
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let (_house, directory) = house();
        let tag = ask(&directory, "GET /ten.txt").2.headers["etag"].to_str().unwrap().to_owned();
        for method in ["GET", "HEAD"] {
            let (status, content, answer) =
                ask(&directory, &format!("{method} /ten.txt\nIf-None-Match: {tag}"));
            assert_eq!((status, content.as_str()), (304, ""));
            assert_eq!(answer.headers["etag"], tag.as_str());
            assert!(!answer.headers.contains_key("content-type"));
        }
        let (status, content, _) = ask(&directory, "GET /ten.txt\nIf-Match: \"other\"");
        assert_eq!((status, content.as_str()), (412, "412 Precondition Failed\n"));
        let (status, ..) = ask(&directory, "GET /nothing\nIf-None-Match: *");
        assert_eq!(status, 404);
    }

    #[test]
    fn a_directory_is_its_index_behind_a_slash() {
        let (_house, directory) = house();
        let (status, content, answer) = ask(&directory, "GET /with/");
        assert_eq!((status, content.as_str()), (200, "<p>with"));
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
        for (asked, location) in [
            ("/with", "/with/"),
            ("//with?a=//b", "/with/?a=//b"),
            ("/a%20b", "/a%20b/"),
            ("/with/in", "/with/in/"),
        ] {
            let (status, content, answer) = ask(&directory, &format!("GET {asked}"));
            assert_eq!((status, content.as_str()), (301, "301 Moved Permanently\n"), "{asked}");
            assert_eq!(answer.headers["location"], location, "{asked}");
        }
        for asked in ["/", "/with/in/", "/a%20b/", "/ten.txt/", "/nothing", "/nothing/"] {
            assert_eq!(ask(&directory, &format!("GET {asked}")).0, 404, "{asked}");
        }
    }

    #[test]
    fn methods_that_do_not_read_are_not_allowed() {
        let (_house, directory) = house();
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "Head", "PRI", "X"] {
            let (status, content, answer) = ask(&directory, &format!("{method} /ten.txt"));
            assert_eq!((status, content.as_str()), (405, "405 Method Not Allowed\n"), "{method}");
            assert_eq!(answer.headers["allow"], "GET, HEAD");
        }
        assert_eq!(ask(&directory, "OPTIONS *").0, 405);
        assert_eq!(ask(&directory, "CONNECT host:80").0, 405);
        assert_eq!(ask(&directory, "GET *").0, 400);
    }

    #[test]
    fn a_file_is_found_with_its_name_for_a_chain_to_run_over_it() {
        let (_house, directory) = house();
        let found = directory.find(&request("GET /%ff.png\nRange: bytes=1-2\nIf-None-Match: *")).unwrap();
        assert_eq!((found.name.as_bytes(), found.length_bytes), (&b"\xff.png"[..], 8));
        assert_eq!(found.content_type(), "image/png");
        assert_eq!(directory.find(&request("GET /nothing")).unwrap_err().status, 404);
    }
}
