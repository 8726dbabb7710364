//! zstd and xz: what the reference tools read of ours, and we of theirs; the same bytes for any number of threads.

use crate::harness::{World, has_tool};
use crate::samples::sample;

/// Blocks are 128 KiB, chunks 256 KiB, the smallest jobs of zstd 512 KiB, the smallest blocks of xz 1 MiB.
const SIZES: [usize; 11] =
    [0, 1, 131_071, 131_073, 262_143, 262_145, 524_288, 524_289, 1_048_575, 1_048_577, 3_000_001];
/// Levels that are slow are not tried on more than that.
const SLOW_BYTES_MAX: usize = 300_000;

/// One format: our two stages, the tool, and the levels; those behind the bar are slow.
struct Format {
    tool: &'static str,
    pack: &'static str,
    unpack: &'static str,
    levels: &'static [&'static str],
    slow_levels: &'static [&'static str],
}

const FORMATS: [Format; 2] = [
    Format {
        tool: "zstd",
        pack: "zstd",
        unpack: "unzstd",
        levels: &["-1", "-3", "--long=20"],
        slow_levels: &["-9", "-19"],
    },
    Format { tool: "xz", pack: "xz", unpack: "unxz", levels: &["-0"], slow_levels: &["-1", "-6", "-9"] },
];

impl Format {
    fn levels(&self, size: usize) -> Vec<&'static str> {
        let slow = if size <= SLOW_BYTES_MAX { self.slow_levels } else { &[] };
        [self.levels, slow].concat()
    }
}

#[test]
fn the_tools_read_ours() {
    for format in FORMATS.iter().filter(|format| has_tool(format.tool)) {
        for size in SIZES {
            let plain = sample(size);
            let world = World::new().with("plain", &plain);
            for level in format.levels(size) {
                world.weir(format!("read plain | {} {level} | write packed", format.pack)).run().quietly();
                let tool = world.tool(format.tool).unwrap();
                tool.args(["-d", "-c"]).stdin(world.bytes("packed")).run().with_code(0).giving(&plain);
            }
        }
    }
}

#[test]
fn we_read_what_the_tools_write() {
    for format in FORMATS.iter().filter(|format| has_tool(format.tool)) {
        for size in SIZES {
            let plain = sample(size);
            for level in format.levels(size) {
                let world = World::new().with("plain", &plain);
                let packed = world.tool(format.tool).unwrap().args([level, "-c", "plain"]).run();
                assert_eq!(packed.code(), 0, "{} {level} at {size} bytes", format.tool);
                let world = World::new().with("packed", packed.stdout());
                world.weir(format!("read packed | {}", format.unpack)).run().quietly().giving(&plain);
            }
        }
    }
}

/// Lines of shell that write `packed` from `plain`, and what it takes to unpack that.
const ODD: [(&str, &str, &str); 15] = [
    ("zstd", "zstd -q --no-check -c plain >packed", "unzstd"),
    ("zstd", "cat plain | zstd -q -c >packed", "unzstd"),
    ("zstd", "zstd -q --ultra -22 -c plain >packed", "unzstd"),
    ("zstd", "zstd -q --fast=5 -c plain >packed", "unzstd"),
    ("zstd", "cat plain | zstd -q --long=27 -c >packed", "unzstd"),
    ("zstd", "cat plain | zstd -q --long=31 -c >packed", "unzstd --memory 2G"),
    ("pzstd", "pzstd -q -p 2 -c plain >packed", "unzstd"),
    ("xz", "xz -T2 --block-size=65536 -c plain >packed", "unxz"),
    ("xz", "cat plain | xz -0 --check=none -c >packed", "unxz"),
    ("xz", "xz -0 --check=crc32 -c plain >packed", "unxz"),
    ("xz", "xz -0 --check=sha256 -c plain >packed", "unxz"),
    ("xz", "xz --x86 --lzma2=preset=0 -c plain >packed", "unxz"),
    ("xz", "xz --delta=dist=4 --lzma2=preset=0 -c plain >packed", "unxz"),
    ("xz", "xz --arm64 --lzma2=preset=0,lc=1,lp=2,pb=0 -c plain >packed", "unxz"),
    ("xz", "xz --lzma2=preset=0,dict=512MiB -c plain >packed", "unxz --memory 1G"),
];

#[test]
fn we_read_what_is_seldom_written() {
    let plain = sample(700_000);
    for (tool, line, unpack) in ODD {
        if has_tool(tool) {
            let world = World::new().with("plain", &plain);
            let ran = world.shell(line).run();
            // Older ones do not know every filter.
            if ran.code() != 0 && line.contains("arm64") {
                crate::harness::skipped("this xz has no filter for arm64");
                continue;
            }
            assert_eq!(ran.code(), 0, "{line}: {}", ran.stderr());
            world.weir(format!("read packed | {unpack}")).run().quietly().giving(&plain);
        }
    }
}

#[test]
fn streams_one_after_another_are_one_whoever_wrote_them() {
    for format in FORMATS.iter().filter(|format| has_tool(format.tool)) {
        let (plain, pack, unpack) = (sample(600_000), format.pack, format.unpack);
        let world = World::new().with("plain", &plain).with("empty", "");
        world.weir(format!("read plain | {pack} -1 | write ours")).run().quietly();
        world.weir(format!("read empty | {pack} | write nothing")).run().quietly();
        let theirs = world.tool(format.tool).unwrap().args(["-1", "-c", "plain"]).run().stdout().to_vec();
        let ours = world.bytes("ours");
        let all = [&ours[..], &theirs, &world.bytes("nothing"), &ours].concat();
        let expected = plain.repeat(3);
        world.weir(unpack).stdin(&all[..]).run().quietly().giving(&expected);
        world.tool(format.tool).unwrap().args(["-d", "-c"]).stdin(all).run().giving(&expected);
    }
}

#[test]
fn the_output_is_the_same_for_any_number_of_threads() {
    for (call, bytes) in [("zstd -1", 5_000_000), ("zstd", 9_000_000), ("zstd --long=21", 5_000_000)]
        .into_iter()
        .chain([("xz -0", 2_500_000), ("zstd -19", 600_000), ("xz -6", 200_000)])
    {
        let world = World::new().with("plain", sample(bytes));
        let mut expected = None;
        for threads in ["1", "2", "3"] {
            let ran = world.weir(format!("read plain | {call}")).args(["-T", threads]).run().quietly();
            let expected = expected.get_or_insert_with(|| ran.stdout().to_vec());
            assert!(ran.stdout() == expected, "`{call}` with -T {threads}");
        }
    }
}

#[test]
fn a_frame_that_needs_more_than_is_allowed_is_refused_and_the_option_named() {
    if has_tool("zstd") {
        let world = World::new().with("plain", "some text");
        world.shell("cat plain | zstd -q --long=31 -c >packed").run().with_code(0);
        let ran = world.weir("read packed | unzstd").run().with_code(3);
        ran.saying("needs a window of 2.00 GiB, at input byte 6; 128 MiB are allowed")
            .saying("`unzstd --memory 2048M` allows it");
        world.weir("read packed | unzstd --memory 2048M").run().quietly().giving("some text");
    }
    if has_tool("xz") {
        let world = World::new().with("plain", "some text");
        world.shell("xz --lzma2=dict=512MiB -c plain >packed").run().with_code(0);
        let ran = world.weir("read packed | unxz").run().with_code(3);
        ran.saying("of memory, at input byte 24; 256 MiB are allowed")
            .saying("`unxz --memory 513M` allows it");
        world.weir("read packed | unxz --memory 513M").run().quietly().giving("some text");
    }
}

#[test]
fn a_frame_that_needs_a_dictionary_is_refused_by_its_number() {
    if !has_tool("zstd") {
        return;
    }
    let world = World::new().with("plain", sample(200_000));
    let line = "split -b 1000 plain part. && zstd -q --train part.* --maxdict=4096 --dictID=4711 -o dictionary \
         && zstd -q -D dictionary -c plain >packed";
    let ran = world.shell(line).run();
    assert_eq!(ran.code(), 0, "{}", ran.stderr());
    world.weir("read packed | unzstd").run().with_code(3).saying("needs dictionary ID 4711, at input byte ");
}

#[test]
fn who_computes_is_not_taken_for_stalled() {
    let world = World::new();
    // One block, longer under way than the time that is allowed without a sign of life.
    let ran =
        world.weir("generate text 6M | xz -6 | discard").args(["--stall-timeout", "400ms"]).run().quietly();
    assert!(ran.took > std::time::Duration::from_millis(400), "{:?}", ran.took);
}

#[test]
fn the_verdict_says_that_they_compute() {
    let world = World::new();
    for (chain, stage) in [
        ("generate text 48M | zstd -9 | discard", "zstd -9"),
        ("generate text 6M | xz -2 | discard", "xz -2"),
    ] {
        let said = || {
            let ran = world.weir(chain).arg("--report").run().with_code(0);
            let begin = format!("limited by {stage} (");
            let stderr = ran.stderr();
            let line = stderr.lines().find(|line| line.starts_with(&begin)).unwrap_or_default();
            (line.contains("(computing") || line.contains("(short of cores"), stderr)
        };
        // What else the machine does may be in the way once.
        let tries: Vec<_> = (0..3).map(|_| said()).take_while(|(is_right, _)| !is_right).collect();
        assert!(tries.len() < 3, "`{chain}`: {}", tries[0].1);
    }
}
