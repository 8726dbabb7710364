//! Notices that a file or its directory has changed, by inotify, as far as the system gives notice.
//! Reads no file; whoever waits looks from time to time all the same, for what a network file system never tells.

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

/// A watch on one name and the file behind it. Without it nothing is missed, only seen later.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: Option<Inotify>,
    file: Option<WatchDescriptor>,
}

impl Watch {
    /// Watches nothing yet.
    pub(super) fn new() -> Self {
        // Users have a limit of these: then there is none.
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
        Watch { inotify, file: None }
    }

    /// Notices from now on what appears at `path`, and what goes.
    pub(super) fn on_name(&self, path: &Path) {
        let flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_ONLYDIR;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(inotify) = &self.inotify {
            // Asked again for the same directory, the system does nothing.
            let _ = inotify.add_watch(directory.unwrap_or(Path::new(".")), flags);
        }
    }

    /// Notices from now on what is written to this file, and to no other.
    pub(super) fn on_file(&mut self, file: &impl AsFd) {
        let Some(inotify) = &self.inotify else { return };
        if let Some(before) = self.file.take() {
            // Gone by itself, if the file is.
            let _ = inotify.rm_watch(before);
        }
        // By descriptor: its name may lead to another file by now.
        let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
        self.file = inotify.add_watch(path.as_str(), AddWatchFlags::IN_MODIFY).ok();
    }

    /// Readable when something was noticed.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Forgets what was noticed so far. Called before looking, so that what happens meanwhile is noticed afterwards.
    pub(super) fn forget(&self) {
        if let Some(inotify) = &self.inotify {
            while inotify.read_events().is_ok() {}
        }
    }
}
