//! Text to tree. Knows no stage names and does no I/O.

mod tree;

pub use tree::{Argument, Call, Chain, Group, Part, Piece, Placeholder, Span, Which, Word};
