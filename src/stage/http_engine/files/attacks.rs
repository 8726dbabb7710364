//! Attempts to get at a file beside the directory that is served; each has to fail.
//! Tests only. Knows requests and answers, and not how a path is resolved.

use super::answer::Content;
use super::directory::Directory;
use hyper::http::request::Parts;
use hyper::{Request, StatusCode, Uri};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use proptest::prelude::{ProptestConfig, prop, proptest};
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const CANARY: &str = "the canary's song";

/// `yard/secret` holds the canary, `yard/root` is served, links of every kind lead out of it.
struct Yard {
    place: tempfile::TempDir,
    directory: Directory,
}

impl Yard {
    fn new() -> Yard {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir(root.join(".git")).unwrap();
        for private in ["secret", "root/.env", "root/.git/config"] {
            fs::write(place.path().join(private), CANARY).unwrap();
        }
        fs::write(root.join("a/b/plain"), "plain").unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink("../../../secret", root.join("a/b/out")).unwrap();
        symlink(place.path(), root.join("yard")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("/", root.join("slash")).unwrap();
        symlink("/proc/self/cwd", root.join("cwd")).unwrap();
        symlink("/dev/zero", root.join("zero")).unwrap();
        symlink("/proc/self/mem", root.join("mem")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        mkfifo(&root.join("fifo"), Mode::S_IRWXU).unwrap();
        let directory = Directory::open(&root).unwrap();
        Yard { place, directory }
    }

    fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    /// Status and bytes.
    fn ask(&self, uri: Uri) -> (StatusCode, Vec<u8>) {
        let answer = self.directory.answer(&request(uri));
        let mut bytes = Vec::new();
        match answer.content {
            Content::None => {}
            Content::Text(text) => bytes.extend(text.into_bytes()),
            Content::File(stretch) => {
                let mut file = &*stretch.file;
                file.read_to_end(&mut bytes).unwrap();
            }
        }
        (answer.status, bytes)
    }
}

fn request(uri: Uri) -> Parts {
    Request::builder().uri(uri).body(()).unwrap().into_parts().0
}

fn is_canary(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
}

/// `SECRET` is the canary's absolute path, with its slashes.
const TRAVERSALS: &[&str] = &[
    "/../secret",
    "/a/../../secret",
    "/a/b/../../../secret",
    "/./../secret",
    "/.../secret",
    "/....//secret",
    "/..;/secret",
    "/..%2fsecret",
    "/..%2Fsecret",
    "/%2e%2e/secret",
    "/%2E%2E/secret",
    "/%2e./secret",
    "/.%2e/secret",
    "/%2e%2e%2fsecret",
    "/%252e%252e/secret",
    "/%252e%252e%252fsecret",
    "/%25252e%25252e/secret",
    "/..%5csecret",
    "/..\\secret",
    "/%2e%2e%5csecret",
    "/..%255csecret",
    "/a\\..\\..\\secret",
    "/..%c0%afsecret",
    "/%c0%ae%c0%ae/secret",
    "/%e0%80%ae%e0%80%ae/secret",
    "/%f0%80%80%ae%f0%80%80%ae/secret",
    "/..%c1%9csecret",
    "/%uff0e%uff0e/secret",
    "/%u002e%u002e/secret",
    "/..%00/secret",
    "/%2e%2e%00/secret",
    "/a/b/plain%00/../../../secret",
    "/..%0asecret",
    "/..%09/secret",
    "/%20../secret",
    "/..%20/secret",
    "//../secret",
    "///../secret",
    "//SECRET",
    "/SECRET",
    "/%2fSECRET",
    "/a/%2fSECRET",
    "/file://SECRET",
    "/a/..//../secret",
    "/..//secret",
    "/../root/../secret",
    "/a/b/../../../root/../secret?x=../secret",
    "/?../secret",
    "/out",
    "/out/",
    "/a/b/out",
    "/yard/secret",
    "/up/secret",
    "/up/root/up/secret",
    "/slash/SECRET",
    "/cwd/secret",
    "/.env",
    "/.git/config",
    "/%2egit/config",
    "/.git%2fconfig",
    "/up/root/.env",
    "/a/../.env",
    "http://localhost/../secret",
    "http://localhost/%2e%2e/secret",
    "http://localhost//SECRET",
    "http://../secret",
    "/zero",
    "/mem",
    "/loop",
    "/fifo",
    "/slash/proc/self/mem",
    "/slash/dev/zero",
    "/slash/etc/passwd",
    "/proc/self/cwd/secret",
];

#[test]
fn no_known_traversal_gets_out() {
    let yard = Yard::new();
    let secret = yard.place.path().join("secret").to_str().unwrap().to_owned();
    let mut tried = 0;
    for form in TRAVERSALS {
        // What the parser of requests refuses never comes here.
        let Ok(uri) = Uri::try_from(form.replace("SECRET", &secret)) else { continue };
        let (status, bytes) = yard.ask(uri);
        assert!(matches!(status.as_u16(), 400 | 404), "{form}: {status}");
        assert!(!is_canary(&bytes), "{form}");
        assert!(bytes.len() < 40, "{form}: {} bytes", bytes.len());
        tried += 1;
    }
    assert!(tried > 60, "only {tried} of {} forms are parsed", TRAVERSALS.len());
    assert_eq!(yard.ask(Uri::from_static("/a/b/plain")), (StatusCode::OK, b"plain".to_vec()));
    assert_eq!(yard.ask(Uri::from_static("http://any.host//a//b/plain?x")).1, b"plain");
}

/// Says so when it is dropped, by a failed assertion too.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_name_that_changes_between_two_things_never_shows_what_is_outside() {
    let yard = Yard::new();
    let (swapped, other) = (yard.root().join("swapped"), yard.root().join("other"));
    let exchange = |one: &Path, two: &Path| {
        renameat2(AT_FDCWD, one, AT_FDCWD, two, RenameFlags::RENAME_EXCHANGE).unwrap();
    };
    for prepare in [
        (|at| symlink("..", at).unwrap()) as fn(&Path),
        |at| symlink("/", at).unwrap(),
        |at| mkfifo(at, Mode::S_IRWXU).unwrap(),
    ] {
        fs::create_dir(&swapped).unwrap();
        fs::write(swapped.join("secret"), "inside").unwrap();
        prepare(&other);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    exchange(&swapped, &other);
                }
            });
            let _over = Over(&is_over);
            let secret = format!("/swapped{}/secret", yard.place.path().display());
            let (mut inside, mut elsewhere) = (0, 0);
            while inside < 300 || elsewhere < 300 {
                for path in ["/swapped/secret", "/swapped", &secret] {
                    let (status, bytes) = yard.ask(path.parse().unwrap());
                    assert!(!is_canary(&bytes), "{path}");
                    match status.as_u16() {
                        200 | 301 => inside += 1,
                        404 | 503 => elsewhere += 1,
                        _ => panic!("{path}: {status}"),
                    }
                }
            }
        });
        for path in [&swapped, &other] {
            fs::remove_dir_all(path).or_else(|_| fs::remove_file(path)).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4096, ..ProptestConfig::default() })]
    #[test]
    fn no_random_path_gets_out(
        segments in prop::collection::vec(
            prop::sample::select(vec![
                "..", ".", "", "a", "b", "secret", "root", "up", "yard", "slash", "out", "cwd", "%2e%2e", "%2e", "%2f", "..%2f", "%5c", "\\",
                "%00", ".git", ".env", "%", "%252e", "proc", "self", "tmp", "plain", "...",
            ]),
            0..10,
        ),
        glue in prop::sample::select(vec!["/", "//", "%2f", "\\", ""]),
    ) {
        thread_local!(static YARD: Yard = Yard::new());
        if let Ok(uri) = Uri::try_from(format!("/{}", segments.join(glue))) {
            YARD.with(|yard| assert!(!is_canary(&yard.ask(uri).1)));
        }
    }
}
