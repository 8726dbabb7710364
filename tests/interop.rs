//! What the reference tools read of ours, and we of theirs: the same bytes, at every size around a block's edge.

use crate::harness::{World, has_tool};
use crate::samples::sample;
use std::fs;

/// Blocks are 1 MiB (512 KiB without libdeflate), chunks 256 KiB, windows 32 KiB.
const SIZES: [usize; 14] = [
    0, 1, 2, 32_767, 32_769, 262_143, 262_145, 524_287, 524_288, 524_289, 1_048_575, 1_048_576, 1_048_577,
    3_000_001,
];

/// Programs that read one gzip file on standard input and give what is in it.
const READERS: [(&str, &[&str]); 7] = [
    ("gzip", &["-dc"]),
    ("pigz", &["-dc"]),
    ("igzip", &["-dc"]),
    (
        "python3",
        &[
            "-c",
            "import sys, zlib; d = zlib.decompressobj(31); b = sys.stdin.buffer.read(); sys.stdout.buffer.write(d.decompress(b) + d.flush()); assert d.eof and not d.unused_data",
        ],
    ),
    (
        "perl",
        &[
            "-MIO::Uncompress::Gunzip=gunzip,$GunzipError",
            "-e",
            "binmode STDIN; binmode STDOUT; gunzip '-' => '-' or die $GunzipError",
        ],
    ),
    ("node", &["-e", "process.stdin.pipe(require('zlib').createGunzip()).pipe(process.stdout)"]),
    (
        "node",
        &[
            "-e",
            "const {Readable} = require('stream'); Readable.toWeb(process.stdin).pipeThrough(new DecompressionStream('gzip')).pipeTo(require('stream').Writable.toWeb(process.stdout))",
        ],
    ),
];

#[test]
fn every_reader_of_gzip_reads_ours() {
    let readers: Vec<_> = READERS.iter().filter(|(name, _)| has_tool(name)).collect();
    for size in SIZES {
        let plain = sample(size);
        let world = World::new().with("plain", &plain);
        for level in ["-1", "-6", "-9"] {
            world.weir(format!("read plain | gzip {level} | write packed.gz")).run().quietly();
            let packed = world.bytes("packed.gz");
            for (name, arguments) in &readers {
                let ran = world.tool(name).unwrap().args(*arguments).stdin(packed.clone()).run();
                assert_eq!(ran.code(), 0, "{name} {arguments:?} at {size} bytes, {level}: {}", ran.stderr());
                assert!(
                    ran.stdout() == plain,
                    "{name} {arguments:?} gives other bytes at {size} bytes, {level}"
                );
            }
            world.weir("read packed.gz | gunzip").run().quietly().giving(&plain);
        }
    }
}

#[test]
fn a_stream_that_is_flushed_is_read_by_every_reader() {
    let plain = sample(700_000);
    let world = World::new().with("plain", &plain);
    let packed = world.weir("read plain | gzip --stream").run().quietly().stdout().to_vec();
    for (name, arguments) in READERS.iter().filter(|(name, _)| has_tool(name)) {
        world.tool(name).unwrap().args(*arguments).stdin(packed.clone()).run().giving(&plain);
    }
}

#[test]
fn a_browser_unpacks_ours_on_its_way() {
    if !has_tool("chromium") || !has_tool("python3") {
        return;
    }
    let mut world = World::new();
    let mut files = Vec::new();
    for (number, size) in [1, 1_048_576, 1_048_577, 3_000_001].into_iter().enumerate() {
        let (plain, packed) = (format!("plain{number}"), format!("packed{number}"));
        world = world.with(&plain, sample(size));
        let level = ["", "-1", "-9", "--stream"][number];
        world.weir(format!("read {plain} | gzip {level} | write {packed}")).run().quietly();
        files.extend([plain, packed]);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser.py");
    world.tool("python3").unwrap().args([script, "chromium"]).args(files).run().quietly();
}

#[test]
fn we_read_what_every_writer_of_gzip_writes() {
    for name in ["gzip", "pigz", "igzip"].into_iter().filter(|name| has_tool(name)) {
        let levels: &[&str] =
            if name == "igzip" { &["-0", "-1", "-2", "-3"] } else { &["-1", "-3", "-6", "-9"] };
        for size in SIZES {
            let plain = sample(size);
            let world = World::new().with("plain", &plain);
            for level in levels {
                let packed = world.tool(name).unwrap().args([level, "-c", "plain"]).run();
                assert_eq!(packed.code(), 0, "{name} {level} at {size} bytes");
                let world = World::new().with("packed.gz", packed.stdout());
                world.weir("read packed.gz | gunzip").run().quietly().giving(&plain);
            }
        }
    }
}

#[test]
fn members_one_after_another_are_one_stream_whoever_wrote_them() {
    if !has_tool("gzip") {
        return;
    }
    let plain = sample(600_000);
    let world = World::new().with("plain", &plain).with("empty", "");
    world.weir("read plain | gzip | write ours").run().quietly();
    world.weir("read empty | gzip | write nothing").run().quietly();
    let theirs = world.tool("gzip").unwrap().args(["-c", "plain"]).run().stdout().to_vec();
    let ours = world.bytes("ours");
    let all = [&ours[..], &theirs, &world.bytes("nothing"), &ours, &[0; 512]].concat();
    fs::write(world.path("all.gz"), &all).unwrap();
    let expected = plain.repeat(3);
    world.weir("read all.gz | gunzip").run().quietly().giving(&expected);
    world.tool("gzip").unwrap().arg("-dc").stdin(all).run().giving(&expected);
}

#[test]
fn upper_is_what_tr_makes_of_it() {
    if !has_tool("tr") {
        return;
    }
    let plain = sample(1_000_003);
    let world = World::new().with("f", &plain);
    world.weir("read f | upper --ascii | gzip | write o.gz").run().quietly();
    let expected = world.shell("LC_ALL=C tr a-z A-Z <f").run().stdout().to_vec();
    world.weir("read o.gz | gunzip").run().quietly().giving(expected);
}
