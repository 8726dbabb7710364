//! Child processes: how stages start one, give to it, take from it, and see it to its end.
//! No stage is here, and no word of a command comes from here.
//!
//! | file | what it holds |
//! |---|---|
//! | `command` | words to a running child with pipes, or why there is none |
//! | `process` | its life: the wait, signals while nobody else can have its number, how it ended |
//! | `peer` | the two ways: out to its standard input, back from its standard output |
//! | `listener` | what it says on standard error, by line |
//! | `shell_words` | words for a shell on another machine, which reads them as they are |
//!
//! A child stays in the process group of weir, as in a shell's pipeline: what is typed to stop or end the job reaches it as
//! well, and it may ask for a passphrase on the terminal. In a group of its own it would be stopped for that.

pub(in crate::stage) mod command;
mod listener;
pub(in crate::stage) mod peer;
mod process;
pub(in crate::stage) mod shell_words;
