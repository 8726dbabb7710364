//! The names that mean something else than a file on a disk: standard streams, and what the kernel makes up.
//! Knows nothing of what is behind them.

use crate::stage::arguments::PathArgument;
use std::path::Path;

/// Whether `name` is descriptor 0. Opened by its name, a file there would be read from its beginning.
pub(in crate::stage) fn names_stdin(name: &PathArgument) -> bool {
    name.is_standard_stream() || is_one_of(&name.path, ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
}

/// Whether `name` is descriptor 1. Opened by its name, a file there would be written from its beginning.
pub(in crate::stage) fn names_stdout(name: &PathArgument) -> bool {
    name.is_standard_stream() || is_one_of(&name.path, ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
}

fn is_one_of(path: &Path, names: [&str; 3]) -> bool {
    names.iter().any(|name| path.as_os_str() == *name)
}

/// Whether a file of this canonical name is made up by the kernel, or stands for a device.
pub(in crate::stage) fn is_made_up(canonical: &Path) -> bool {
    // Shared memory is files like any other, only not on a disk.
    let is_under = |directory| canonical.starts_with(directory);
    is_under("/proc") || is_under("/sys") || (is_under("/dev") && !is_under("/dev/shm"))
}
