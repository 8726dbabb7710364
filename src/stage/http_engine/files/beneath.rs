//! Opening what is beneath a directory, and nothing else: the kernel itself keeps each step of a path inside.
//! Knows nothing of HTTP but the status that tells why something could not be opened.

use crate::diagnostic::printable;
use crate::stage::fault::Fault;
use crate::stage::outside::stream::reason;
use hyper::StatusCode;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path that goes up (in a symbolic link) has to be tried again when something was renamed meanwhile, anywhere.
const TRIES: usize = 32;

/// A directory, held whatever becomes of its name.
#[derive(Debug)]
pub(super) struct Beneath {
    root: OwnedFd,
}

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Thing {
    Regular(File, Metadata),
    Directory,
}

impl Beneath {
    /// Holds the directory at `path`, and sees that the system can do what is needed.
    ///
    /// # Errors
    /// There is no directory, it may not be searched, or the kernel (or a sandbox) has no `openat2`.
    pub(super) fn open(path: &Path) -> Result<Beneath, Fault> {
        let failed = |errno: Errno| {
            let subject = printable(path.as_os_str().as_bytes());
            match errno {
                Errno::ENOTDIR => Fault::failed("is not a directory").of(subject),
                _ => Fault::failed(format!("cannot be served: {}", reason(&io::Error::from(errno))))
                    .of(subject),
            }
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let beneath = Beneath { root: open(path, flags, Mode::empty()).map_err(failed)? };
        match beneath.step(OsStr::new("."), OFlag::O_PATH) {
            Ok(_) => Ok(beneath),
            Err(Errno::ENOSYS | Errno::EPERM) => {
                Err(Fault::failed("this system cannot keep requests inside a directory: it has no `openat2`")
                    .help("Linux 5.6 has it, and later ones; a container's sandbox may have to allow it"))
            }
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Opens what `path`, relative and not empty, leads to. Symbolic links are followed as long as they stay beneath the directory;
    /// an absolute one does not, wherever it leads.
    ///
    /// # Errors
    /// The status to answer with. What is neither a file nor a directory is not found.
    pub(super) fn thing(&self, path: &OsStr) -> Result<Thing, StatusCode> {
        // Looked at first: opening a FIFO would let its writer go on, to nobody, and opening a device may do anything.
        let seen = self.step(path, OFlag::O_PATH).map_err(status)?;
        match Thing::of(File::from(seen))? {
            Thing::Directory => Ok(Thing::Directory),
            // What is opened may be another one. It is looked at again, and opening a FIFO does not wait.
            Thing::Regular(..) => {
                let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
                Thing::of(File::from(self.step(path, flags).map_err(status)?))
            }
        }
    }

    fn step(&self, path: &OsStr, flags: OFlag) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
        let mut tries = 0;
        loop {
            tries += 1;
            match openat2(&self.root, path, how) {
                Err(Errno::EAGAIN | Errno::EINTR) if tries < TRIES => {}
                result => return result,
            }
        }
    }
}

impl Thing {
    fn of(file: File) -> Result<Thing, StatusCode> {
        let metadata = file.metadata().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        match metadata.file_type() {
            kind if kind.is_file() => Ok(Thing::Regular(file, metadata)),
            kind if kind.is_dir() => Ok(Thing::Directory),
            _ => Err(StatusCode::NOT_FOUND),
        }
    }
}

/// What is told of why something could not be opened.
fn status(errno: Errno) -> StatusCode {
    match errno {
        Errno::EACCES | Errno::EPERM => StatusCode::FORBIDDEN,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN | Errno::EINTR => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Errno::EIO | Errno::ESTALE | Errno::EBADF => StatusCode::INTERNAL_SERVER_ERROR,
        // Missing, no directory on the way, a loop, a way out, a name too long, a device without a driver.
        _ => StatusCode::NOT_FOUND,
    }
}

#[cfg(test)]
mod tests {
    use super::{Beneath, Thing, status};
    use hyper::StatusCode;
    use nix::errno::Errno;
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use std::ffi::OsStr;
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    /// A directory `root` with a file `secret` beside it.
    fn house() -> (tempfile::TempDir, Beneath) {
        let house = tempfile::tempdir().unwrap();
        let root = house.path().join("root");
        fs::create_dir_all(root.join("deep/er")).unwrap();
        fs::write(root.join("plain"), "plain").unwrap();
        fs::write(house.path().join("secret"), "secret").unwrap();
        let beneath = Beneath::open(&root).unwrap();
        (house, beneath)
    }

    fn content(thing: Result<Thing, StatusCode>) -> Result<String, StatusCode> {
        let mut text = String::new();
        match thing? {
            Thing::Regular(mut file, _) => file.read_to_string(&mut text).unwrap(),
            Thing::Directory => return Ok("a directory".to_owned()),
        };
        Ok(text)
    }

    #[test]
    fn links_that_stay_inside_are_followed_and_others_lead_nowhere() {
        let (house, beneath) = house();
        let root = house.path().join("root");
        let outside = house.path().join("secret");
        let absolute = root.join("plain");
        for (name, leads_to, found) in [
            ("up-and-in", Path::new("deep/er/../../plain"), Ok("plain")),
            ("deep/er/up", Path::new("../../plain"), Ok("plain")),
            ("folder", Path::new("deep"), Ok("a directory")),
            ("out", Path::new("../secret"), Err(404)),
            ("out-and-in", Path::new("../root/plain"), Err(404)),
            ("absolute", outside.as_path(), Err(404)),
            ("absolute-inside", absolute.as_path(), Err(404)),
            ("loop", Path::new("loop"), Err(404)),
            ("dangling", Path::new("nothing"), Err(404)),
            ("zero", Path::new("/dev/zero"), Err(404)),
            ("memory", Path::new("/proc/self/mem"), Err(404)),
            ("magic", Path::new("/proc/self/root/etc/passwd"), Err(404)),
            ("parent", Path::new(".."), Err(404)),
        ] {
            symlink(leads_to, root.join(name)).unwrap();
            let found = found.map(str::to_owned).map_err(|status| StatusCode::from_u16(status).unwrap());
            assert_eq!(content(beneath.thing(OsStr::new(name))), found, "{name}");
        }
        assert_eq!(content(beneath.thing(OsStr::new("parent/secret"))), Err(StatusCode::NOT_FOUND));
        assert_eq!(content(beneath.thing(OsStr::new("../secret"))), Err(StatusCode::NOT_FOUND));
        assert_eq!(content(beneath.thing(outside.as_os_str())), Err(StatusCode::NOT_FOUND));
        assert_eq!(content(beneath.thing(OsStr::new("plain/x"))), Err(StatusCode::NOT_FOUND));
        assert_eq!(content(beneath.thing(OsStr::new(&"x".repeat(300)))), Err(StatusCode::NOT_FOUND));
        assert_eq!(content(beneath.thing(OsStr::new(&"x/".repeat(9000)))), Err(StatusCode::NOT_FOUND));
    }

    #[test]
    fn what_is_no_file_is_not_found_and_not_even_opened() {
        let (house, beneath) = house();
        let fifo = house.path().join("root/fifo");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(house.path().join("root/socket")).unwrap();
        // A writer that waits for a reader would go on.
        let watch = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
        for name in ["fifo", "socket", "plain"] {
            watch.add_watch(&house.path().join("root").join(name), AddWatchFlags::IN_OPEN).unwrap();
        }
        for name in ["fifo", "socket"] {
            assert_eq!(content(beneath.thing(OsStr::new(name))), Err(StatusCode::NOT_FOUND), "{name}");
        }
        assert_eq!(watch.read_events().unwrap_err(), Errno::EAGAIN);
        assert_eq!(content(beneath.thing(OsStr::new("plain"))), Ok("plain".to_owned()));
        assert_eq!(watch.read_events().unwrap().len(), 1);
    }

    #[test]
    fn the_directory_is_held_when_its_name_goes_elsewhere() {
        let (house, beneath) = house();
        fs::rename(house.path().join("root"), house.path().join("moved")).unwrap();
        symlink("/etc", house.path().join("root")).unwrap();
        assert_eq!(content(beneath.thing(OsStr::new("plain"))), Ok("plain".to_owned()));
        assert_eq!(content(beneath.thing(OsStr::new("passwd"))), Err(StatusCode::NOT_FOUND));
    }

    #[test]
    fn a_file_without_permission_is_forbidden_and_a_lack_of_descriptors_is_for_now() {
        assert_eq!(status(Errno::EACCES), StatusCode::FORBIDDEN);
        assert_eq!(status(Errno::EMFILE), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(Errno::EIO), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(status(Errno::ELOOP), StatusCode::NOT_FOUND);
    }

    #[test]
    fn only_a_directory_is_opened() {
        let (house, _) = house();
        let refusal = Beneath::open(&house.path().join("secret")).unwrap_err();
        assert!(refusal.to_string().ends_with("secret: is not a directory"), "{refusal}");
        let refusal = Beneath::open(&house.path().join("nothing")).unwrap_err();
        assert!(
            refusal.to_string().ends_with("nothing: cannot be served: no such file or directory"),
            "{refusal}"
        );
    }
}
