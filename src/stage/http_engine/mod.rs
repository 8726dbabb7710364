//! What HTTP stages share: a runtime's view of a socket, the way between a stage's thread and a runtime, and the client.
//! All code that is polled rather than blocks is in here. Knows nothing of what a request is for.

pub(in crate::stage) mod bridge;
pub(in crate::stage) mod connect;
pub(in crate::stage) mod download;
pub(in crate::stage) mod exchange;
pub(in crate::stage) mod files;
pub(in crate::stage) mod header;
pub(in crate::stage) mod io;
mod listening;
pub(in crate::stage) mod lost;
pub(in crate::stage) mod proxy;
pub(in crate::stage) mod resume;
pub(in crate::stage) mod sending;
pub(in crate::stage) mod server;
pub(in crate::stage) mod status;
pub(in crate::stage) mod upload;
pub(in crate::stage) mod url;
