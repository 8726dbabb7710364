//! How two versions of a file are told apart: its entity tag and its date (RFC 9110 §8.8).
//! Knows nothing of who asks.

use hyper::header::{ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock of files that ticks ten times slower than the slowest known is over by then.
const TICK: Duration = Duration::from_millis(100);

/// The same for a file system whose times are whole seconds, some of them even ones only.
const LONG_TICK: Duration = Duration::from_secs(3);

/// What tells this version of a file from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validators {
    /// Between its quotes, which are part of it.
    pub(super) tag: String,
    pub(super) strength: Strength,
    /// Whole seconds since 1970, as in `Last-Modified`; `None` for a file from before.
    pub(super) modified_seconds: Option<u64>,
    now_seconds: u64,
}

/// Whether equal tags mean equal bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    Strong,
    Weak,
}

impl Validators {
    /// Those of a file that was looked at `now`.
    ///
    /// The tag is made of all that a change would show in: which file it is, its length, when it was modified and, since that can be set
    /// back, when its inode was changed. It is strong unless the file has changed within the present tick of the clock that stamps
    /// files: a second change in the same tick, of the same length, would not show. (What is written through a mapping may be
    /// stamped later; nothing can be done about that.)
    pub(super) fn of(metadata: &Metadata, now: SystemTime) -> Validators {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = |nanos: i64| u64::try_from(nanos).unwrap_or(0);
        let tag = format!(
            "\"{:x}-{:x}-{:x}.{:x}-{:x}.{:x}\"",
            metadata.ino(),
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        );
        let tick = if metadata.ctime_nsec() == 0 { LONG_TICK } else { TICK };
        // Before 1970 is long ago; the future (another machine's clock) is never over.
        let changed = u64::try_from(metadata.ctime()).map_or(Duration::ZERO, |seconds| {
            Duration::from_secs(seconds) + Duration::from_nanos(nanos(metadata.ctime_nsec()))
        });
        let strength = if changed + tick < now { Strength::Strong } else { Strength::Weak };
        let modified_seconds = u64::try_from(metadata.mtime()).ok();
        Validators { tag, strength, modified_seconds, now_seconds: now.as_secs() }
    }

    /// `ETag` and `Last-Modified`.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        let prefix = if self.strength == Strength::Weak { "W/" } else { "" };
        if let Ok(value) = HeaderValue::from_str(&format!("{prefix}{}", self.tag)) {
            headers.insert(ETAG, value);
        }
        // A date in the future is not told (RFC 9110 §8.8.2.1); one that no date can say is not either.
        let Some(seconds) = self.modified_seconds.map(|seconds| seconds.min(self.now_seconds)) else {
            return;
        };
        let Some(date) = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) else { return };
        if let Ok(value) = HeaderValue::from_str(&httpdate::fmt_http_date(date)) {
            headers.insert(LAST_MODIFIED, value);
        }
    }

    /// Whether a client that names the date of the file has this version: the second in which it was modified is over, so that
    /// the date was hardly told before a second change in it (RFC 9110 §8.8.2.2).
    pub(super) fn is_of_date(&self, seconds: u64) -> bool {
        self.modified_seconds == Some(seconds) && seconds + 1 < self.now_seconds
    }
}

#[cfg(test)]
mod tests {
    use super::{Strength, Validators};
    use hyper::header::HeaderMap;
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    fn told(validators: &Validators) -> HeaderMap {
        let mut headers = HeaderMap::new();
        validators.tell(&mut headers);
        headers
    }

    #[test]
    fn a_file_just_changed_has_a_weak_tag_and_later_the_same_as_a_strong_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let metadata = file.path().metadata().unwrap();
        let now = SystemTime::now();
        let (fresh, settled) = (
            Validators::of(&metadata, metadata.modified().unwrap()),
            Validators::of(&metadata, now + Duration::from_secs(5)),
        );
        assert_eq!((fresh.strength, settled.strength), (Strength::Weak, Strength::Strong));
        assert_eq!(told(&fresh)["etag"], format!("W/{}", told(&settled)["etag"].to_str().unwrap()));
    }

    #[test]
    fn a_change_shows_even_when_the_date_is_set_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let tag = || Validators::of(&path.metadata().unwrap(), SystemTime::now()).tag;
        let date = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        fs::write(&path, "one").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(date).unwrap();
        let first = tag();
        assert_eq!(first, tag());
        loop {
            // Until the clock has gone on.
            fs::write(&path, "two").unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(date).unwrap();
            if tag() != first {
                break;
            }
        }
        assert_eq!(path.metadata().unwrap().modified().unwrap(), date);
    }

    #[test]
    fn a_date_that_cannot_be_told_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let dated = |date: SystemTime| {
            file.as_file().set_modified(date).unwrap();
            told(&Validators::of(&file.path().metadata().unwrap(), now))
        };
        assert_eq!(dated(UNIX_EPOCH)["last-modified"], "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(dated(now + Duration::from_secs(1000))["last-modified"], "Tue, 14 Nov 2023 22:13:20 GMT");
        assert!(!dated(UNIX_EPOCH - Duration::from_secs(10)).contains_key("last-modified"));
    }

    #[test]
    fn a_date_is_trusted_when_its_second_is_over() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_modified(UNIX_EPOCH + Duration::from_millis(5_500)).unwrap();
        let metadata = file.path().metadata().unwrap();
        let at = |seconds| Validators::of(&metadata, UNIX_EPOCH + Duration::from_secs(seconds));
        assert!(!at(6).is_of_date(5));
        assert!(at(7).is_of_date(5));
        assert!(!at(7).is_of_date(6));
        assert!(!at(7).is_of_date(4));
    }
}
