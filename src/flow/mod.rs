//! What travels and what is counted: chunks on links between an outlet and an inlet, and the gauges that watch.
//! Knows nothing of stages, plans or people.
//!
//! ```text
//!   stage A                                                 stage B
//!   Outlet ──send──▶ [ link: chunks, bounded in bytes ] ──▶ Inlet
//!                              │ counts
//!                              ▼
//!                          LinkGauge ──reading()──▶ LinkReading
//! ```

mod account;
mod alarm;
mod bounds;
mod chunk;
mod clock;
mod closed;
mod gauge;
mod inlet;
mod link;
#[cfg(test)]
mod link_tests;
mod outlet;
mod reading;
mod sync;
mod workers;

pub use alarm::{Alarm, Woken};
pub use bounds::Bounds;
pub use chunk::{CHUNK_BYTES, Chunk, Extent, PAGE_BYTES, Parcel, Pool};
pub use clock::Clock;
pub use closed::Closed;
pub use gauge::{Episodes, LinkGauge, Medium, ServerGauge, StageGauge};
pub use inlet::Inlet;
pub use link::{Link, LinkReader, LinkWriter, Upstream};
pub use outlet::Outlet;
pub use reading::{
    BatchReading, LinkInfo, LinkReading, Reading, RunReading, Scheme, ServerReading, Share, StageInfo,
    StageReading,
};
pub use workers::{Ordered, Workers, worker_threads};
