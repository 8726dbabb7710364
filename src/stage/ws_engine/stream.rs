//! A wire as the protocol's library reads and writes one.
//! Never waits: what cannot be done now is `WouldBlock`.

use crate::stage::net::wire::Wire;
use std::io::{self, Read, Write};
use std::sync::Arc;

/// A wire that several may hold: one reads and writes, the others wait for it.
#[derive(Debug, Clone)]
pub(in crate::stage) struct WireStream(Arc<Wire>);

impl WireStream {
    pub(in crate::stage) fn new(wire: Wire) -> WireStream {
        WireStream(Arc::new(wire))
    }

    /// What is below.
    pub(super) fn wire(&self) -> &Arc<Wire> {
        &self.0
    }
}

impl Read for WireStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for WireStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.try_flush()
    }
}
