//! Connections for the stages that talk over sockets: addresses, dialling, listening, the connected socket, plain or under TLS.
//! Knows nothing of protocols above them, and of no stage.

pub(in crate::stage) mod address;
pub(in crate::stage) mod both_ways;
pub(in crate::stage) mod dial;
pub(in crate::stage) mod extent;
pub(in crate::stage) mod listen;
pub(in crate::stage) mod meet_one;
pub(in crate::stage) mod meeting;
pub(in crate::stage) mod resolve;
#[cfg(feature = "web")]
pub(in crate::stage) mod tls;
pub(in crate::stage) mod wire;
