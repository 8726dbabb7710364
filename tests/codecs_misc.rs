//! zlib, bare DEFLATE and brotli against the tools that others use: the same bytes, both ways, around a block's edges.

use crate::harness::{World, has_tool};
use crate::samples::sample;

/// Blocks are 1 MiB (512 KiB without libdeflate), chunks 256 KiB, stored blocks and windows 64 and 32 KiB.
const SIZES: [usize; 7] = [0, 65_536, 524_288, 524_289, 1_048_576, 1_048_577, 2_500_001];
const FEW_SIZES: [usize; 4] = [1, 32_769, 65_535, 1_048_575];

/// A program that reads one stream on standard input and gives what is in it, and one that does the reverse.
struct Peer {
    name: &'static str,
    unpack: &'static [&'static str],
    pack: &'static [&'static str],
}

const ZLIB: &[Peer] = &[
    Peer {
        name: "python3",
        unpack: &[
            "-c",
            "import sys, zlib; d = zlib.decompressobj(); o = sys.stdout.buffer; o.write(d.decompress(sys.stdin.buffer.read()) + d.flush()); assert d.eof and not d.unused_data",
        ],
        pack: &["-c", "import sys, zlib; sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read(), 9))"],
    },
    Peer {
        name: "perl",
        unpack: &[
            "-MIO::Uncompress::Inflate=inflate,$InflateError",
            "-e",
            "binmode STDIN; binmode STDOUT; inflate '-' => '-' or die $InflateError",
        ],
        pack: &[
            "-MIO::Compress::Deflate=deflate,$DeflateError",
            "-e",
            "binmode STDIN; binmode STDOUT; deflate '-' => '-' or die $DeflateError",
        ],
    },
    Peer { name: "pigz", unpack: &["-dc"], pack: &["-z", "-c"] },
    Peer {
        name: "node",
        unpack: &["-e", "process.stdin.pipe(require('zlib').createInflate()).pipe(process.stdout)"],
        pack: &["-e", "process.stdin.pipe(require('zlib').createDeflate()).pipe(process.stdout)"],
    },
];

const RAW: &[Peer] = &[
    Peer {
        name: "python3",
        unpack: &[
            "-c",
            "import sys, zlib; d = zlib.decompressobj(-15); o = sys.stdout.buffer; o.write(d.decompress(sys.stdin.buffer.read()) + d.flush()); assert d.eof and not d.unused_data",
        ],
        pack: &[
            "-c",
            "import sys, zlib; c = zlib.compressobj(6, 8, -15); sys.stdout.buffer.write(c.compress(sys.stdin.buffer.read()) + c.flush())",
        ],
    },
    Peer {
        name: "node",
        unpack: &["-e", "process.stdin.pipe(require('zlib').createInflateRaw()).pipe(process.stdout)"],
        pack: &["-e", "process.stdin.pipe(require('zlib').createDeflateRaw()).pipe(process.stdout)"],
    },
];

#[cfg(feature = "brotli")]
const BROTLI: &[Peer] = &[
    Peer { name: "brotli", unpack: &["-dc"], pack: &["-c", "-q", "9"] },
    Peer {
        name: "node",
        unpack: &["-e", "process.stdin.pipe(require('zlib').createBrotliDecompress()).pipe(process.stdout)"],
        pack: &[
            "-e",
            "const z = require('zlib'); process.stdin.pipe(z.createBrotliCompress({params: {[z.constants.BROTLI_PARAM_QUALITY]: 4}})).pipe(process.stdout)",
        ],
    },
];

/// Every peer reads what each of `packs` makes of every size, and `unpacks` read what every peer makes.
fn assert_exchanged(peers: &[Peer], packs: &[&str], unpacks: &[&str], sizes: &[usize]) {
    let peers: Vec<_> = peers.iter().filter(|peer| has_tool(peer.name)).collect();
    for &size in sizes {
        let plain = sample(size);
        let world = World::new().with("plain", &plain);
        for pack in packs {
            let packed = world.weir(format!("read plain | {pack}")).run().quietly().stdout().to_vec();
            for peer in &peers {
                let ran = world.tool(peer.name).unwrap().args(peer.unpack).stdin(packed.clone()).run();
                assert_eq!(ran.code(), 0, "{} of `{pack}` at {size} bytes: {}", peer.name, ran.stderr());
                assert!(ran.stdout() == plain, "{} of `{pack}` at {size} bytes", peer.name);
            }
            let one = world.weir(format!("read plain | {pack}")).args(["-T", "1"]).run().quietly();
            // What is flushed whenever the input pauses depends on the pauses.
            let is_free = pack.contains("--stream");
            assert!(is_free || one.stdout() == packed, "`{pack}` at {size} bytes depends on -T");
        }
        for peer in &peers {
            let packed = world.tool(peer.name).unwrap().args(peer.pack).stdin(plain.clone()).run();
            assert_eq!(packed.code(), 0, "{} at {size} bytes: {}", peer.name, packed.stderr());
            for unpack in unpacks {
                world.weir(*unpack).stdin(packed.stdout()).run().quietly().giving(&plain);
            }
        }
    }
}

#[test]
fn zlib_is_read_and_written_as_others_do() {
    assert_exchanged(ZLIB, &["deflate -1"], &["inflate"], &SIZES);
    assert_exchanged(ZLIB, &["deflate -9"], &["decompress"], &FEW_SIZES);
    assert_exchanged(ZLIB, &["deflate --stream"], &["decompress --or-pass"], &[70_000]);
}

#[test]
fn bare_deflate_is_read_and_written_as_others_do() {
    assert_exchanged(RAW, &["deflate --raw"], &["inflate --raw"], &SIZES);
}

#[cfg(feature = "brotli")]
#[test]
fn brotli_is_read_and_written_as_others_do() {
    assert_exchanged(BROTLI, &["brotli -0", "brotli"], &["unbrotli"], &SIZES);
    assert_exchanged(BROTLI, &["brotli -1", "brotli -9"], &["unbrotli"], &FEW_SIZES);
    assert_exchanged(BROTLI, &["brotli -l 11", "brotli --stream"], &["unbrotli"], &[0, 1, 2, 65_536]);
}

#[cfg(feature = "brotli")]
#[test]
fn what_is_wrong_with_brotli_data_is_told_and_the_old_file_stays() {
    let packed = b"\x8f\0\x80a\n\x03";
    for (input, expected) in [
        (&b""[..], "unbrotli (stage 1): empty input, not brotli data\n"),
        (&packed[..4], "truncated at input byte 4, in compressed data\n"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\xff", ": invalid brotli data\n"),
        (b"\x11\x1e\x03", "a large-window stream, which is no brotli as standardized (RFC 7932)\n"),
        (b"\x8f\0\x80a\n\x03more", "4 trailing bytes after the end of the stream\n"),
    ] {
        let world = World::new().with("out", "old");
        world.weir("unbrotli | write out").stdin(input).run().with_code(3).saying(expected);
        assert_eq!(world.bytes("out"), b"old");
    }
}
