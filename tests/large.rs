//! A hundred megabytes through every format, both ways, against the tool people would use: far more than any link, block or
//! window holds.

use crate::harness::{World, has_tool};
use crate::samples::sample;
use weir::stage::find;

const BYTES: usize = 100_000_000;

/// Our two stages, and the tool's two commands, which read standard input.
struct Format {
    pack: &'static str,
    unpack: &'static str,
    tool: &'static str,
    tool_packs: &'static str,
    tool_unpacks: &'static str,
}

const fn format(
    pack: &'static str,
    unpack: &'static str,
    tool: &'static str,
    tool_packs: &'static str,
    tool_unpacks: &'static str,
) -> Format {
    Format { pack, unpack, tool, tool_packs, tool_unpacks }
}

/// At levels that are quick: here it is the size that counts.
const FORMATS: &[Format] = &[
    format("gzip -1", "gunzip", "gzip", "gzip -1", "gzip -d"),
    format("zstd -1", "unzstd", "zstd", "zstd -q -1", "zstd -q -d"),
    format("xz -0", "unxz", "xz", "xz -0 -T2", "xz -d"),
    format("bzip2 -1", "bunzip2", "bzip2", "bzip2 -1", "bzip2 -d"),
    format("lz4", "unlz4", "lz4", "lz4 -q", "lz4 -q -d"),
    format("brotli -1", "unbrotli", "brotli", "brotli -q 1 -c", "brotli -d -c"),
    format("base64", "unbase64", "base64", "base64", "base64 -d"),
];

#[test]
fn a_hundred_megabytes_go_through_every_format_both_ways() {
    let world = World::new().with("plain", sample(BYTES));
    for format in FORMATS.iter().filter(|format| has_tool(format.tool)) {
        let Format { pack, unpack, tool_packs, tool_unpacks, .. } = format;
        let name = |call: &str| call.split(' ').next().unwrap().to_owned();
        if [pack, unpack].iter().any(|call| find(&name(call)).is_none()) {
            continue;
        }
        world.weir(format!("read plain | {pack} | write ours")).run().quietly();
        world.shell(&format!("{tool_unpacks} <ours | cmp - plain")).run().quietly();
        world.shell(&format!("{tool_packs} <plain >theirs")).run().quietly();
        world.shell(&format!("weir 'read theirs | {unpack}' | cmp - plain")).run().quietly();
    }
}
