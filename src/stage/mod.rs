//! The stages: the contract they keep, the table that lists them, one file for each.
//! A stage knows the ends of its links and its context; it never sees a link, a thread, a plan or another stage.
//!
//! A new stage is one file beside this one and one entry in [`TABLE`]. Nothing else in the program names it.

mod amount;
mod arguments;
mod blocks;
mod buffer;
mod calls;
mod case;
mod child;
mod context;
mod contract;
mod deflate;
mod discard;
mod exec;
mod fault;
mod generate;
mod gunzip;
mod gzip;
mod head;
mod level;
mod lower;
mod outside;
mod pass;
mod prose;
mod randomness;
mod read;
mod spool;
mod stdin;
mod stdout;
mod tee;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod testing_ends;
mod throttle;
mod unpack;
mod upper;
mod write;

pub use arguments::{DATA_MARK, PathArgument, TextArgument};
pub use calls::{Calls, Saying};
pub use contract::{
    Body, Commit, Context, Destination, Entry, Example, Existing, Feed, Groups, How, Nature, Opening, Peer,
    Published, Registered, Role, Stage, Touch,
};

pub use fault::{Fault, ReaderGone};
pub use outside::input::{NOT_READ, Removal, Removed, SourceFile};

/// Every stage, in alphabetical order.
pub const TABLE: &[Entry] = &[
    tee::BRANCH_ENTRY,
    buffer::ENTRY,
    discard::ENTRY,
    exec::ENTRY,
    generate::ENTRY,
    gunzip::ENTRY,
    gzip::ENTRY,
    head::ENTRY,
    lower::ENTRY,
    pass::ENTRY,
    read::ENTRY,
    spool::ENTRY,
    stdin::ENTRY,
    stdout::ENTRY,
    tee::ENTRY,
    throttle::ENTRY,
    upper::ENTRY,
    write::ENTRY,
];

/// The entry of the stage called `name`.
pub fn find(name: &str) -> Option<&'static Entry> {
    TABLE.binary_search_by(|entry| entry.name.cmp(name)).ok().map(|index| &TABLE[index])
}

#[cfg(test)]
mod tests {
    use super::{TABLE, find};

    #[test]
    fn the_table_is_in_order_and_every_stage_is_found() {
        assert!(TABLE.is_sorted_by(|left, right| left.name < right.name));
        for entry in TABLE {
            assert_eq!(find(entry.name).map(|found| found.name), Some(entry.name));
        }
        assert!(find("no-such-stage").is_none());
    }

    #[test]
    fn every_stage_has_sound_arguments_a_summary_and_an_example() {
        for entry in TABLE {
            let command = entry.command();
            command.clone().debug_assert();
            let summary = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!summary.is_empty() && !summary.ends_with('.'), "{}: summary `{summary}`", entry.name);
            assert!(!entry.examples.is_empty(), "{} has no example", entry.name);
        }
    }
}
