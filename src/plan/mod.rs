//! A chain to a plan. To come.

use crate::flow::{Bounds, Scheme};
use crate::stage::Stage;
use std::ops::Range;

/// The checked stages, in order, with their links.
pub struct Plan {
    /// In the order of the text.
    pub stages: Vec<Planned>,
    /// Between them.
    pub links: Vec<LinkPlan>,
    /// Bytes in a chunk.
    pub chunk_bytes: usize,
}

/// A stage of a plan.
pub struct Planned {
    /// As typed.
    pub name: &'static str,
    /// Its arguments.
    pub label: String,
    /// In the text; none for an implied one.
    pub span: Option<Range<usize>>,
    /// From 1; what messages call "stage 2".
    pub number: Option<usize>,
    /// Groups around it.
    pub depth: usize,
    /// The stage in whose branch it stands.
    pub parent: Option<usize>,
    /// Link it reads.
    pub input: Option<usize>,
    /// The link it writes onward.
    pub onward: Option<usize>,
    /// The links to its branches, in order.
    pub branches: Vec<usize>,
    /// Itself.
    pub stage: Box<dyn Stage>,
}

/// A link of a plan.
pub struct LinkPlan {
    /// Writer.
    pub from: usize,
    /// Reader.
    pub to: usize,
    /// Marks.
    pub bounds: Bounds,
}

impl Plan {
    /// What can be seen of it.
    pub fn scheme(&self) -> Scheme {
        Scheme::default()
    }
}
