//! What the reference tools for bzip2 and lz4 read of ours, and we of theirs: the same bytes, around every block's edge.

use crate::harness::{World, has_tool};
use crate::samples::sample;

/// A block of bzip2 -1 holds 99 981 bytes once its runs are coded, others' a few more; of lz4 there are blocks of 64 KiB to
/// 4 MiB, and ours of 1 MiB.
/// (Of 65 535 bytes, lz4 1.9.4 -BD itself makes nothing.)
const SIZES: [usize; 8] = [0, 1, 65_536, 65_537, 262_145, 1_048_575, 1_048_577, 4_300_001];
const BZIP2_SIZES: [usize; 7] = [0, 1, 99_981, 99_982, 100_000, 100_001, 1_000_003];

/// Every reader unpacks what `stage` makes, at every level and size, and so does `back`.
fn assert_readers_read_ours(
    sizes: &[usize],
    (stage, back): (&str, &str),
    levels: &[&str],
    readers: &[(&str, &[&str])],
) {
    let readers: Vec<_> = readers.iter().filter(|(name, _)| has_tool(name)).collect();
    for &size in sizes {
        let plain = sample(size);
        let world = World::new().with("plain", &plain);
        for level in levels {
            world.weir(format!("read plain | {stage} {level} | write packed")).run().quietly();
            let packed = world.bytes("packed");
            for (name, arguments) in &readers {
                let ran = world.tool(name).unwrap().args(*arguments).stdin(packed.clone()).run();
                ran.with_code(0).giving(&plain);
            }
            world.weir(format!("read packed | {back}")).run().quietly().giving(&plain);
            let alone = world.weir(format!("read plain | {stage} {level}")).args(["-T", "1"]).run().quietly();
            alone.giving(&packed);
        }
    }
}

/// `back` unpacks what the writer makes of every size.
fn assert_we_read_theirs(sizes: &[usize], back: &str, name: &str, calls: &[&[&str]]) {
    if !has_tool(name) {
        return;
    }
    for &size in sizes {
        let plain = sample(size);
        for arguments in calls {
            let packed = World::new().tool(name).unwrap().args(*arguments).arg("-c").stdin(&plain[..]).run();
            assert_eq!(packed.code(), 0, "{name} {arguments:?} at {size} bytes: {}", packed.stderr());
            let world = World::new().with("packed", packed.stdout());
            world.weir(format!("read packed | {back}")).run().quietly().giving(&plain);
            let twice = World::new().with("packed", packed.stdout().repeat(2));
            twice
                .weir(format!("read packed | {back}"))
                .args(["-T", "3"])
                .run()
                .quietly()
                .giving(plain.repeat(2));
        }
    }
}

#[test]
fn every_reader_of_bzip2_reads_ours() {
    let python = "import bz2, sys; sys.stdout.buffer.write(bz2.decompress(sys.stdin.buffer.read()))";
    let readers: [(&str, &[&str]); 6] = [
        ("bzip2", &["-dc"]),
        ("lbzip2", &["-dc"]),
        ("pbzip2", &["-dc"]),
        ("7z", &["e", "-tbzip2", "-si", "-so"]),
        ("busybox", &["bunzip2", "-c"]),
        ("python3", &["-c", python]),
    ];
    assert_readers_read_ours(&BZIP2_SIZES, ("bzip2", "bunzip2"), &["-1", "-9"], &readers);
}

#[test]
fn we_read_what_every_writer_of_bzip2_writes() {
    for name in ["bzip2", "lbzip2", "pbzip2"] {
        assert_we_read_theirs(&BZIP2_SIZES, "bunzip2", name, &[&["-1"], &["-9"]]);
    }
}

#[test]
fn every_reader_of_lz4_reads_ours() {
    assert_readers_read_ours(&SIZES, ("lz4", "unlz4"), &["-1", "-3", "-9"], &[("lz4", &["-dc"])]);
}

#[test]
fn we_read_what_lz4_writes() {
    let calls: [&[&str]; 12] = [
        &["-1"],
        &["-3"],
        &["-9"],
        &["-12"],
        &["-BD", "-B4"],
        &["-BD"],
        &["-B4"],
        &["-B5", "-BX"],
        &["-B6", "--content-size"],
        &["-B7", "--no-frame-crc"],
        &["-BD", "-B5", "-BX", "--content-size", "-9"],
        &["-l"],
    ];
    assert_we_read_theirs(&SIZES, "unlz4", "lz4", &calls);
}

#[test]
fn a_frame_made_with_a_dictionary_is_not_misread() {
    if !has_tool("lz4") {
        return;
    }
    let plain = sample(300_000);
    let world = World::new().with("plain", &plain).with("dictionary", &plain[1000..60_000]);
    let packed = world.tool("lz4").unwrap().args(["-D", "dictionary", "-c", "plain"]).run();
    let world = World::new().with("packed", packed.stdout());
    // The tool states no number: what cannot be decoded is all that is left to see.
    world.weir("read packed | unlz4 | write out").run().with_code(3).saying("corrupt data at input byte ");
    world.assert_names(&["packed"]);
}
