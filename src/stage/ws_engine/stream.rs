//! A wire as the protocol's library reads and writes one.
//! Never waits: what cannot be done now is `WouldBlock`.

use crate::stage::net::wire::Wire;
use std::io::{self, Read, Write};
use std::sync::Arc;

/// A wire that several may hold: one reads and writes, the others wait for it.
#[derive(Debug)]
pub(in crate::stage) struct WireStream {
    wire: Arc<Wire>,
    read_bytes: u64,
}

impl WireStream {
    pub(in crate::stage) fn new(wire: Wire) -> WireStream {
        WireStream { wire: Arc::new(wire), read_bytes: 0 }
    }

    /// What is below.
    pub(super) fn wire(&self) -> &Arc<Wire> {
        &self.wire
    }

    /// How many bytes have come from it.
    pub(super) fn read_bytes(&self) -> u64 {
        self.read_bytes
    }
}

impl Read for WireStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.wire.try_read(buffer)?;
        self.read_bytes += count as u64;
        Ok(count)
    }
}

impl Write for WireStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wire.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.try_flush()
    }
}
