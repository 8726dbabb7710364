//! The chain language: text to tree, and operands into the tree.
//! Knows no stage names and does no I/O; what the words mean is the plan's to say.
//!
//! ```text
//! chain  = call { "|" call }
//! call   = name { word | group }
//! group  = "{" [ chain ] "}"
//! word   = bare, 'single', "double" and \x pieces joined, as in a shell
//! ```
//!
//! - White space and line ends separate; `#` at the start of a word comments out the rest of its line; a backslash at the end of a
//!   line continues it. `|` separates wherever it stands bare.
//! - In single quotes every byte is itself. In double quotes `\"` and `\\` are the sign itself and any other backslash stays, so a
//!   regular expression does too. Elsewhere `\x` is `x`.
//! - A bare `{` or `}` is a word of its own, or part of an operand's place: `{}` `{/}` `{//}` `{.}` `{/.}`, with a number in
//!   front as in `{1}` `{2/}`, and `{@}`. Anything else with a bare brace is a mistake.
//! - Nothing is expanded: `*`, `?`, `~`, `$NAME` and a backquote are themselves. [`doubts`] warns where that is surely not meant.
//! - `>`, `<`, `&` and `;` are text inside a word (a URL needs no quotes) and a mistake where a shell would obey them: in front of a
//!   word, or `;` and `&` behind it.
//! - A chain is bytes. Only NUL is refused.

mod doubts;
mod errors;
mod lexer;
mod operands;
mod parser;
mod quote;
mod tree;

pub use doubts::doubts;
pub use operands::Batch;
pub use parser::{parse, parse_anyway};
pub use quote::{quote, shell_word};
pub use tree::{Argument, Call, Chain, Group, Part, Piece, Placeholder, Span, Which, Word};
