//! The stages: the contract they keep, the table that lists them, one file for each.
//! A stage knows the ends of its links and its context; it never sees a link, a thread, a plan or another stage.
//!
//! A new stage is one file beside this one and one entry in [`TABLE`]. Nothing else in the program names it.

#[cfg(feature = "age")]
mod age_format;
mod amount;
mod arguments;
#[cfg(feature = "encode")]
mod base64;
mod blocks;
#[cfg(feature = "brotli")]
mod brotli;
mod buffer;
#[cfg(feature = "bzip2")]
mod bunzip2;
#[cfg(feature = "bzip2")]
mod bzip2;
mod calls;
mod case;
mod child;
mod context;
mod contract;
mod decompress;
#[cfg(feature = "age")]
mod decrypt;
mod deflate;
mod deflate_engine;
#[cfg(feature = "hash")]
mod digest;
mod discard;
#[cfg(feature = "encode")]
mod encoding;
#[cfg(feature = "age")]
mod encrypt;
mod exec;
mod fault;
mod generate;
#[cfg(feature = "web")]
mod get;
#[cfg(feature = "text")]
mod grep;
mod gunzip;
mod gzip;
#[cfg(feature = "hash")]
mod hash;
mod head;
#[cfg(feature = "encode")]
mod hex;
#[cfg(any(feature = "xz", feature = "zstd"))]
mod hired;
#[cfg(feature = "web")]
mod http_engine;
mod inflate;
#[cfg(any(feature = "bzip2", feature = "libdeflate"))]
mod kits;
mod knob;
mod level;
#[cfg(any(feature = "text", feature = "web"))]
mod lines;
mod lower;
#[cfg(feature = "lz4")]
mod lz4;
mod net;
mod notes;
mod opening;
mod outside;
mod pass;
#[cfg(feature = "text")]
mod pattern;
#[cfg(feature = "web")]
mod post;
mod prose;
#[cfg(feature = "web")]
mod put;
mod quantity;
mod randomness;
mod read;
#[cfg(feature = "text")]
mod replace;
#[cfg(feature = "age")]
mod secret;
mod serve;
mod server;
mod serving;
mod spool;
mod ssh;
mod stdin;
mod stdout;
mod tail;
mod tcp;
mod tee;
#[cfg(feature = "text")]
mod template;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod testing_ends;
mod throttle;
#[cfg(feature = "encode")]
mod unbase64;
#[cfg(feature = "brotli")]
mod unbrotli;
#[cfg(feature = "encode")]
mod unhex;
mod unix;
#[cfg(feature = "lz4")]
mod unlz4;
mod unpack;
#[cfg(feature = "xz")]
mod unxz;
#[cfg(feature = "zstd")]
mod unzstd;
mod upper;
mod write;
#[cfg(feature = "web")]
mod ws;
#[cfg(feature = "web")]
mod ws_engine;
#[cfg(feature = "xz")]
mod xz;
#[cfg(feature = "zstd")]
mod zstd;

pub use arguments::{DATA_MARK, PathArgument, TextArgument};
pub use calls::{Calls, Saying};
pub use contract::{
    Became, Body, Commit, Context, Destination, Entry, Example, Existing, Feed, Groups, How, Interrupts,
    Nature, Opening, Peer, Published, Registered, Role, Stage, Touch,
};

pub use fault::{Fault, ReaderGone};
pub use knob::Knob;
pub use net::{
    address::Address,
    listen::{Reach, listen_at},
};
pub use notes::Notes;
pub use opening::GivenEnds;
pub use outside::input::{NOT_READ, Removal, Removed, SourceFile};
pub use outside::stream::shares_blocks;
pub use outside::whole::WholeFile;
pub use server::door::places_allowed;
pub use serving::{Ends, Orders, Served, Template};

/// The environment variable that may hold a passphrase. It is weir's own: no child inherits it.
const PASSPHRASE_VARIABLE: &str = "WEIR_PASSPHRASE";

/// Every stage, in alphabetical order.
pub const TABLE: &[Entry] = &[
    #[cfg(feature = "encode")]
    base64::ENTRY,
    tee::BRANCH_ENTRY,
    #[cfg(feature = "brotli")]
    brotli::ENTRY,
    buffer::ENTRY,
    #[cfg(feature = "bzip2")]
    bunzip2::ENTRY,
    #[cfg(feature = "bzip2")]
    bzip2::ENTRY,
    decompress::ENTRY,
    #[cfg(feature = "age")]
    decrypt::ENTRY,
    deflate::ENTRY,
    discard::ENTRY,
    #[cfg(feature = "age")]
    encrypt::ENTRY,
    exec::ENTRY,
    generate::ENTRY,
    #[cfg(feature = "web")]
    get::ENTRY,
    #[cfg(feature = "text")]
    grep::ENTRY,
    gunzip::ENTRY,
    gzip::ENTRY,
    #[cfg(feature = "hash")]
    hash::ENTRY,
    head::ENTRY,
    #[cfg(feature = "encode")]
    hex::ENTRY,
    inflate::ENTRY,
    lower::ENTRY,
    #[cfg(feature = "lz4")]
    lz4::ENTRY,
    pass::ENTRY,
    #[cfg(feature = "web")]
    post::ENTRY,
    #[cfg(feature = "web")]
    put::ENTRY,
    read::ENTRY,
    #[cfg(feature = "text")]
    replace::ENTRY,
    serve::ENTRY,
    spool::ENTRY,
    ssh::ENTRY,
    stdin::ENTRY,
    stdout::ENTRY,
    tail::ENTRY,
    tcp::ENTRY,
    tee::ENTRY,
    throttle::ENTRY,
    #[cfg(feature = "encode")]
    unbase64::ENTRY,
    #[cfg(feature = "brotli")]
    unbrotli::ENTRY,
    #[cfg(feature = "encode")]
    unhex::ENTRY,
    unix::ENTRY,
    #[cfg(feature = "lz4")]
    unlz4::ENTRY,
    #[cfg(feature = "xz")]
    unxz::ENTRY,
    #[cfg(feature = "zstd")]
    unzstd::ENTRY,
    upper::ENTRY,
    write::ENTRY,
    #[cfg(feature = "web")]
    ws::ENTRY,
    #[cfg(feature = "xz")]
    xz::ENTRY,
    #[cfg(feature = "zstd")]
    zstd::ENTRY,
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
            assert!(entry.chains().next().is_some(), "{} has no example", entry.name);
        }
    }
}
