//! However the stream is cut and however much a link holds, the output is the same to the byte, and so are the counts.

use crate::harness::{Ran, World};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// From one byte to more than there will ever be.
const BUFFERS: [&str; 10] = ["1", "2", "4095", "4096", "4097", "64K", "1M", "1048577", "64M", "1G"];

/// An identity, for the chain that decrypts.
const KEY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";

/// Text with lines, letters of several bytes, and bytes that are no UTF-8.
fn input() -> Vec<u8> {
    let mut text = Vec::new();
    for line in 0..12_000_u32 {
        text.extend_from_slice(
            format!("line {line}: Straße, ΟΔΟΣ, ﬁn, {}\n", line.wrapping_mul(2_654_435_761)).as_bytes(),
        );
        if line % 97 == 0 {
            text.extend_from_slice(b"\xff\xc3 no UTF-8\xe2\x82\n");
        }
    }
    text
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Whether this build has all stages that `chain` names.
fn has_its_stages(chain: &str) -> bool {
    let chain = weir::lang::parse(chain.as_bytes()).expect("a chain");
    weir::plan::unknown_names(&chain, weir::stage::TABLE).is_empty()
}

#[test]
fn the_output_does_not_depend_on_how_much_a_link_holds() {
    let input = input();
    let chains = [
        "pass",
        "upper",
        "lower --ascii",
        "head -n 7001",
        "head -c 300001",
        "gzip -1",
        "zstd",
        "zstd -1 --long=20 | unzstd",
        "xz -0",
        "xz | unxz",
        "gzip | gunzip",
        "deflate | inflate",
        "deflate --raw -1",
        "decompress --or-pass",
        "deflate -9 | decompress",
        "brotli -1",
        "brotli | unbrotli",
        "bzip2 -1 | bunzip2",
        "bzip2",
        "lz4 | unlz4",
        "lz4 -3",
        "upper | gzip -9 | gunzip | lower",
        "tee { gzip | discard } { head -c 1 | discard } | upper",
        "tail -n 7001",
        "tail -c 300001",
        "grep -v 7 | replace ß ss | grep -i [^a]ΟΔΟΣ",
        "replace (\\d+): $1$1$1",
        "base64 | unbase64 | hex --wrap 5",
        "hex | unhex | base64 -w 0",
        "spool | buffer 3K --start 50",
        "throttle 1G",
        "hash crc32,sha256 -o sums",
        "encrypt -r age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa --armor | decrypt -i key",
        "generate text 1234567 | upper",
        "exec cat",
        "exec cat | upper | exec tr A-Z a-z",
        "tee { exec cat | discard } | exec head -c 100001",
    ];
    for chain in chains.into_iter().filter(|chain| has_its_stages(chain)) {
        let mut expected = None;
        for buffer in BUFFERS {
            let world = World::new().with("in", &input).with("key", KEY);
            let whole =
                if chain.starts_with("generate") { chain.to_owned() } else { format!("read in | {chain}") };
            let ran = world.weir(whole).args(["-q", "-B", buffer]).run().quietly();
            let sums = if chain.starts_with("hash") { world.bytes("sums") } else { Vec::new() };
            let came = (ran.stdout().len(), hash(ran.stdout()), hash(&sums));
            assert_eq!(*expected.get_or_insert(came), came, "`{chain}` with -B {buffer}");
        }
    }
}

/// The bytes that a line of the report says of a stage.
fn reported<'a>(ran: &'a str, stage: &str) -> Vec<&'a str> {
    ran.lines().filter(|line| line.trim_start().starts_with(stage)).collect()
}

#[track_caller]
fn assert_counts(ran: &Ran, stage: &str, bytes: u64) {
    let said = ran.stderr();
    let lines = reported(&said, stage);
    let size = weir::units::size(bytes);
    assert!(!lines.is_empty(), "no line of {stage} in:\n{said}");
    assert!(lines.iter().all(|line| line.contains(&size)), "{stage} is not said to have {size}:\n{said}");
}

#[test]
fn the_bytes_in_the_report_are_those_that_went_through() {
    for (length, buffer) in
        [(0, "1M"), (1, "1"), (777, "1"), (777, "16"), (1_000_000, "1"), (1_000_000, "1M")]
    {
        let world = World::new().with("in", vec![b'a'; length]);
        let ran = world
            .weir("read in | tee { head -c 5 | write some } { discard } | upper | write out")
            .args(["-B", buffer, "--report"])
            .run()
            .with_code(0);
        assert_eq!(world.bytes("out"), vec![b'A'; length]);
        assert_eq!(world.bytes("some"), vec![b'a'; length.min(5)]);
        for stage in ["read", "upper", "discard"] {
            assert_counts(&ran, stage, length as u64);
        }
        let said = ran.stderr();
        let writes = reported(&said, "write");
        let ends = [weir::units::size(length.min(5) as u64), weir::units::size(length as u64)];
        assert!(writes.iter().zip(&ends).all(|(line, size)| line.contains(size)), "{said}");
    }
}

#[test]
fn a_stream_of_single_bytes_is_the_same_stream() {
    let world = World::new();
    let text = "ein Straßenname\n".repeat(20);
    let feeder = format!(
        "printf %s '{text}' | dd bs=1 2>/dev/null | weir -B 1 'upper | tee {{ discard }} | gzip | gunzip'"
    );
    world.shell(&feeder).run().quietly().giving(text.replace('ß', "SS").to_uppercase());
}

#[test]
fn what_a_compressor_gives_does_not_depend_on_the_number_of_threads() {
    for stage in ["gzip -1", "gzip -6", "deflate", "zstd -1", "xz -0", "bzip2 -1", "lz4", "brotli -1"] {
        let chain = format!("generate text 5M | {stage}");
        if !has_its_stages(&chain) {
            continue;
        }
        let mut expected = None;
        // Twice with three: which thread gets which block is different every time.
        for threads in ["1", "2", "3", "3"] {
            let ran = World::new().weir(chain.as_str()).arg("-T").arg(threads).run().quietly();
            let came = (ran.stdout().len(), hash(ran.stdout()));
            assert_eq!(*expected.get_or_insert(came), came, "`{stage}` with -T {threads}");
        }
    }
}
