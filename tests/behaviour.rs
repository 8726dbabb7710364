//! Everything that is tried through the binary, and what is true of the tree as a whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, unreachable_pub, missing_docs)]

#[cfg(feature = "web")]
mod authority;
mod cases;
mod chunks;
#[cfg(all(feature = "bzip2", feature = "lz4"))]
mod codecs_blocks;
mod codecs_misc;
#[cfg(all(feature = "xz", feature = "zstd"))]
mod codecs_zx;
#[cfg(feature = "age")]
mod encrypt;
mod examples;
mod exec;
mod faults;
mod files;
mod generated;
mod harness;
#[cfg(feature = "hash")]
mod hash;
#[cfg(feature = "web")]
mod http_answers;
#[cfg(feature = "web")]
mod http_client;
#[cfg(feature = "web")]
mod http_sending;
mod inspect;
mod interop;
mod jobs;
mod json;
mod large;
mod memory;
mod metrics;
mod names;
mod peer;
mod readme;
mod recordings;
mod samples;
mod serve;
#[cfg(feature = "web")]
mod serve_files;
#[cfg(feature = "web")]
mod serve_http;
#[cfg(feature = "web")]
mod serve_http_hostile;
#[cfg(feature = "web")]
mod serve_ws;
mod server;
mod sockets;
mod sockets_kin;
#[cfg(feature = "web")]
mod sockets_tls;
mod ssh;
mod terminal;
#[cfg(all(feature = "encode", feature = "text"))]
mod text;
mod tidy;
mod tty;
mod verdicts;
#[cfg(feature = "web")]
mod ws;
#[cfg(feature = "web")]
mod ws_kin;
