//! Stretches of files over a connection, moved by the system where it can.
//! Knows nothing of where they come from.

use super::wire::Wire;
use crate::flow::Extent;
use crate::stage::contract::Context;
use nix::errno::Errno;
use std::io;

/// What a stretch is read into where the system does not move it.
const COPY_BYTES: usize = 64 * 1024;

/// Sends a stretch of a file; how many bytes that were. A file that has become shorter ends the stretch. `wait` returns when the
/// connection may take more.
///
/// # Errors
/// Those of the socket, of reading the file, and of `wait`.
pub(in crate::stage) fn send_extent(
    wire: &Wire,
    mut extent: Extent,
    context: &Context,
    mut wait: impl FnMut() -> io::Result<()>,
) -> io::Result<u64> {
    let mut sent_bytes = 0;
    while extent.length_bytes > 0 {
        let count = match wire.try_send_extent(&extent) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait()?;
                continue;
            }
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => {
                copy(wire, &extent, &mut wait)?
            }
            Err(error) => return Err(error),
        };
        if count == 0 {
            break;
        }
        context.gauge().wrote(count as u64);
        sent_bytes += count as u64;
        extent.offset_bytes += count as u64;
        extent.length_bytes = extent.length_bytes.saturating_sub(count as u64);
    }
    Ok(sent_bytes)
}

/// As much of a stretch as a buffer holds, by way of it.
fn copy(wire: &Wire, extent: &Extent, mut wait: impl FnMut() -> io::Result<()>) -> io::Result<usize> {
    let mut buffer = vec![0; COPY_BYTES];
    let length = usize::try_from(extent.length_bytes).unwrap_or(usize::MAX).min(buffer.len());
    let offset = i64::try_from(extent.offset_bytes).map_err(|_| Errno::EOVERFLOW)?;
    let count = nix::sys::uio::pread(&*extent.file, &mut buffer[..length], offset)?;
    let mut bytes = &buffer[..count];
    loop {
        let done = if bytes.is_empty() { wire.try_flush().map(|()| 0) } else { wire.try_write(bytes) };
        match done {
            Ok(_) if bytes.is_empty() => return Ok(count),
            Ok(taken) => bytes = &bytes[taken..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait()?,
            Err(error) => return Err(error),
        }
    }
}
