//! Both engines over links of their own: the same bytes for every number of threads, and hints that are never trusted.
//! Knows nothing of the stages.

use super::{Gzip, Preset, compress};
use crate::flow::{Alarm, Bounds, Clock, Inlet, Link, Outlet, Pool, StageGauge, Workers};
use crate::stage::contract::{Body, Context, Opening, Registered};
use crate::stage::testing::stage;
use flate2::read::{GzDecoder, MultiGzDecoder};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// What `body` gives for `input`, cut into chunks of `chunk_bytes`, with so many threads.
fn run(
    input: &[u8],
    chunk_bytes: usize,
    threads: usize,
    body: impl FnOnce(&mut Inlet, &mut Outlet, &Context) -> anyhow::Result<()>,
) -> (Vec<u8>, Result<(), String>) {
    let clock = Arc::new(Clock::new());
    let no_limit = usize::MAX / 4;
    let bounds = Bounds { high_bytes: no_limit, low_bytes: no_limit, slots: no_limit, start_bytes: 0 };
    let link = || Link::open(bounds, Arc::clone(&clock), None, None);
    let ((mut feed, inlet, _), (writer, reader, _)) = (link(), link());
    for bytes in input.chunks(chunk_bytes) {
        let mut chunk = Pool::new(bytes.len()).chunk();
        chunk.append(bytes);
        feed.send(chunk).unwrap();
    }
    feed.finish();
    let alarm = Arc::new(Alarm::new().unwrap());
    let workers = Workers::new(threads);
    let context = Context::new(alarm, Arc::clone(&clock), Arc::new(StageGauge::default()), workers);
    let mut outlet = Outlet::new(writer, Pool::new(8192));
    let result = body(&mut Inlet::new(inlet), &mut outlet, &context);
    outlet.finish();
    let mut output = Vec::new();
    Inlet::new(reader).read_to_end(&mut output).unwrap();
    (output, result.map_err(|error| error.to_string()))
}

fn gzip_with(preset: Preset, input: &[u8], chunk_bytes: usize, threads: usize) -> Vec<u8> {
    let body = |inlet: &mut Inlet, outlet: &mut Outlet, context: &Context| {
        Ok(compress::<Gzip>(preset, inlet, outlet, context)?)
    };
    let (output, result) = run(input, chunk_bytes, threads, body);
    result.unwrap();
    output
}

/// What the stage of `call` gives for `input`, and what it says of it.
fn unpack(call: &str, input: &[u8], chunk_bytes: usize, threads: usize) -> (Vec<u8>, Result<(), String>) {
    let mut registered = Registered::default();
    let body = stage(call).unwrap().open(&mut Opening::new(0, Vec::new(), &mut registered)).unwrap();
    let Body::Filter(body) = body else { panic!("`{call}` is no filter") };
    run(input, chunk_bytes, threads, body)
}

fn gunzip(input: &[u8]) -> (Vec<u8>, Result<(), String>) {
    unpack("gunzip", input, 1000, 2)
}

/// The same file without the hint, in a header of the same length.
#[cfg(feature = "libdeflate")]
fn unhinted(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let at = file.windows(2).position(|pair| pair == b"WR");
    file[at.unwrap()] = b'x';
    file
}

fn small(block_bytes: usize) -> Preset {
    Preset::new(6).with_block_bytes(block_bytes)
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2) + 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Words of a small vocabulary in no order: matches and literals of all kinds.
fn text(length: usize) -> Vec<u8> {
    let choice = noise(length, 7);
    let words = noise(2048, 3);
    let mut bytes = Vec::with_capacity(length + 40);
    for pick in choice {
        if bytes.len() >= length {
            break;
        }
        let at = usize::from(pick) * 7;
        bytes.extend(words[at..at + 2 + usize::from(pick % 23)].iter().map(|byte| b'a' + byte % 26));
        bytes.push(b' ');
    }
    bytes.truncate(length);
    bytes
}

fn samples(length: usize) -> [Vec<u8>; 4] {
    let mixed = text(length).into_iter().zip(noise(length, 5)).enumerate();
    let mixed = mixed.map(|(at, (word, noise))| if at / 3000 % 2 == 0 { word } else { noise }).collect();
    [text(length), noise(length, 1), vec![0; length], mixed]
}

/// Decompressed by flate2, which stops behind the first member: what it gave, and what it left.
fn single_member(file: &[u8]) -> (Vec<u8>, usize) {
    let mut decoder = GzDecoder::new(std::io::Cursor::new(file));
    let mut output = Vec::new();
    decoder.read_to_end(&mut output).unwrap();
    let mut left = Vec::new();
    let decoder = flate2::bufread::GzDecoder::new(file);
    let mut rest = decoder;
    std::io::copy(&mut rest, &mut std::io::sink()).unwrap();
    rest.into_inner().read_to_end(&mut left).unwrap();
    (output, left.len())
}

#[test]
fn every_size_comes_back_out_of_a_single_member() {
    let block = 4096;
    let sizes =
        [0, 1, 2, block - 1, block, block + 1, 2 * block - 1, 2 * block, 2 * block + 1, 10 * block + 17];
    for size in sizes {
        for sample in samples(size) {
            let file = gzip_with(small(block), &sample, 777, 2);
            assert_eq!(single_member(&file), (sample.clone(), 0), "{size} bytes");
            let (output, result) = gunzip(&file);
            assert_eq!((output == sample, result), (true, Ok(())), "{size} bytes");
        }
    }
}

#[test]
fn threads_and_chunks_change_no_byte() {
    for sample in samples(700_000) {
        for number in [1, 6, 9] {
            for preset in [Preset::new(number), Preset::new(number).with_block_bytes(70_000)] {
                let expected = gzip_with(preset, &sample, 1000, 1);
                for (threads, chunk_bytes) in [(2, 256 * 1024), (3, 99_999), (8, 4096)] {
                    assert!(gzip_with(preset, &sample, chunk_bytes, threads) == expected);
                }
                let mut output = Vec::new();
                MultiGzDecoder::new(&expected[..]).read_to_end(&mut output).unwrap();
                assert!(output == sample);
                for threads in [1, 8] {
                    assert!(unpack("gunzip", &expected, 5000, threads) == (sample.clone(), Ok(())));
                }
            }
        }
    }
}

#[test]
fn other_programs_read_what_comes_out() {
    let sample = samples(1_500_000).concat();
    let readers: [(&str, &[&str]); 5] = [
        ("gzip", &["-dc"]),
        ("pigz", &["-dc"]),
        (
            "python3",
            &[
                "-c",
                "import sys,zlib;d=zlib.decompressobj(31);i=sys.stdin.buffer.read();o=d.decompress(i);sys.stdout.buffer.write(o);sys.exit(not d.eof or len(d.unused_data))",
            ],
        ),
        ("node", &["-e", "process.stdin.pipe(require('zlib').createGunzip()).pipe(process.stdout)"]),
        ("perl", &["-MIO::Uncompress::Gunzip=gunzip", "-e", "binmode STDOUT; gunzip '-' => '-' or exit 1"]),
    ];
    for number in [1, 6, 9] {
        let file = gzip_with(Preset::new(number), &sample, 256 * 1024, 2);
        for (program, arguments) in readers {
            let child = Command::new(program)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn();
            // Not everybody has them all.
            let Ok(mut child) = child else { continue };
            let mut stdin = child.stdin.take().unwrap();
            let bytes = file.clone();
            let feed = std::thread::spawn(move || stdin.write_all(&bytes));
            let output = child.wait_with_output().unwrap();
            feed.join().unwrap().unwrap();
            assert!(output.status.success() && output.stdout == sample, "{program} at level {number}");
        }
    }
}

/// The same bytes, and the same error, with the hint and without.
#[cfg(feature = "libdeflate")]
fn assert_hint_changes_nothing(file: &[u8], what: &str) {
    let with = gunzip(file);
    let without = gunzip(&unhinted(file));
    assert_eq!(with.1, without.1, "{what}");
    assert!(with.0 == without.0, "{what}: {} and {} bytes", with.0.len(), without.0.len());
}

#[cfg(feature = "libdeflate")]
#[test]
fn flipped_bytes_have_the_outcome_they_have_without_the_hint() {
    let file = gzip_with(small(1024), &samples(1500).concat(), 1000, 2);
    for at in 20..file.len() {
        for flip in [1, 0x10, 0x80, 0xff] {
            let mut file = file.clone();
            file[at] ^= flip;
            assert_hint_changes_nothing(&file, &format!("byte {at} changed by {flip}"));
        }
    }
}

#[cfg(feature = "libdeflate")]
#[test]
fn flipped_bytes_of_the_header_do_no_harm() {
    let sample = text(5000);
    let file = gzip_with(small(1024), &sample, 1000, 2);
    for at in 0..20 {
        let mut file = file.clone();
        file[at] ^= 0xff;
        let (output, result) = gunzip(&file);
        assert!(result.is_err() || output == sample, "byte {at}");
    }
}

#[cfg(feature = "libdeflate")]
#[test]
fn every_cut_has_the_outcome_it_has_without_the_hint() {
    let file = gzip_with(small(1024), &samples(1500).concat(), 1000, 2);
    for length in 20..file.len() {
        assert_hint_changes_nothing(&file[..length], &format!("cut to {length}"));
        assert!(gunzip(&file[..length]).1.unwrap_err().contains("truncated"), "cut to {length}");
    }
}

#[cfg(feature = "libdeflate")]
#[test]
fn a_lying_hint_changes_nothing() {
    let sample = samples(9000).concat();
    let file = gzip_with(small(4096), &sample, 1000, 2);
    for lie in [0_u32, 1, 1023, 1024, 2048, 4095, 4097, 8192, 1 << 20, (1 << 20) + 1, 1 << 31, u32::MAX] {
        let mut file = file.clone();
        file[16..20].copy_from_slice(&lie.to_le_bytes());
        let (output, result) = gunzip(&file);
        assert_eq!((output == sample, result), (true, Ok(())), "{lie}");
    }
}

/// A member with the hint `block_bytes` around a body that was made elsewhere.
#[cfg(feature = "libdeflate")]
fn member_around(body: &[u8], data: &[u8], block_bytes: usize) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    let mut file = super::member::header(Preset::new(6), Some(block_bytes));
    file.extend_from_slice(body);
    file.extend(super::member::trailer(&crc));
    file
}

#[cfg(feature = "libdeflate")]
#[test]
fn a_body_whose_blocks_depend_on_each_other_comes_out_right() {
    let sample = text(40_000);
    let mut compress = flate2::Compress::new(flate2::Compression::new(6), false);
    let mut body = Vec::with_capacity(100_000);
    for block in sample.chunks(1024) {
        compress.compress_vec(block, &mut body, flate2::FlushCompress::Sync).unwrap();
    }
    compress.compress_vec(&[], &mut body, flate2::FlushCompress::Finish).unwrap();
    let file = member_around(&body, &sample, 1024);
    assert_eq!(gunzip(&file), (sample, Ok(())));
}

#[cfg(feature = "libdeflate")]
#[test]
fn edges_within_the_data_are_no_edges() {
    // Compressible enough not to be stored as a whole, with stored parts that hold edges, and whole files of ours.
    let inner = gzip_with(small(20_000), &noise(150_000, 2), 1000, 2);
    let mut sample = Vec::new();
    for part in 0..8 {
        sample.extend(text(120_000));
        sample.extend(noise(30_000, part));
        sample.extend([0, 0, 0, 0xff, 0xff]);
        sample.extend(&inner);
    }
    for block_bytes in [50_000, 300_000] {
        for number in [1, 6] {
            let preset = Preset::new(number).with_block_bytes(block_bytes);
            let file = gzip_with(preset, &sample, 100_000, 2);
            let edges = file.windows(4).filter(|window| window == &[0, 0, 0xff, 0xff]).count();
            assert!(edges > 20 + sample.len() / block_bytes, "no false edges: {edges}");
            for file in [unhinted(&file), file] {
                let (output, result) = gunzip(&file);
                assert_eq!((output == sample, output.len(), result), (true, sample.len(), Ok(())));
            }
        }
    }
}

#[cfg(feature = "libdeflate")]
#[test]
fn an_end_before_an_edge_is_an_end() {
    // A whole member, and behind it bytes that go on as its next pieces would.
    let data = text(1024);
    let file = gzip_with(small(1024), &text(5000), 1000, 1);
    let pieces = &file[20..];
    let mut body = Vec::with_capacity(4096);
    let mut compress = flate2::Compress::new(flate2::Compression::new(6), false);
    compress.compress_vec(&data, &mut body, flate2::FlushCompress::Finish).unwrap();
    let mut file = member_around(&body, &data, 1024);
    file.extend_from_slice(pieces);
    assert_hint_changes_nothing(&file, "an end");
    assert_eq!(gunzip(&file).0, data);
    // And a stored last block with an edge in it, right where a block would end.
    let mut data = text(1024 - 5);
    data.extend([0, 0, 0, 0xff, 0xff, 1, 2, 3]);
    let [low, high] = (data.len() as u16).to_le_bytes();
    let body = [&[1, low, high, !low, !high], &data[..]].concat();
    assert_eq!(gunzip(&member_around(&body, &data, 1024)), (data.clone(), Ok(())));
    assert_eq!(gunzip(&member_around(&body, &data, 1024 + 5)), (data, Ok(())));
}

#[test]
fn members_one_after_the_other_come_out_as_one() {
    let sample = samples(9000).concat();
    let ours = gzip_with(small(1024), &sample, 1000, 2);
    let mut foreign = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    foreign.write_all(&sample).unwrap();
    let foreign = foreign.finish().unwrap();
    for files in [[&ours, &ours, &ours], [&ours, &foreign, &ours], [&foreign, &ours, &foreign]] {
        let file: Vec<u8> = files.into_iter().flatten().copied().collect();
        let (output, result) = gunzip(&file);
        assert_eq!((output == sample.repeat(3), result), (true, Ok(())));
    }
}

#[test]
fn a_limit_is_kept_to_the_byte() {
    let sample = text(9000);
    let file = gzip_with(small(1024), &sample, 1000, 2);
    for limit in [0, 1, 1023, 1024, 1025, 8191, 8999, 9000] {
        let call = format!("gunzip --max-output {limit}");
        let (output, result) = unpack(&call, &file, 1000, 2);
        assert_eq!(output.len(), limit);
        // Where the input stands then depends on how it was cut.
        let said = result.err().unwrap_or_default();
        assert_eq!(said.starts_with(&format!("unpacks to more than {limit}")), limit < 9000, "{said}");
    }
}

#[cfg(feature = "libdeflate")]
#[test]
fn a_walk_ends_where_the_stream_ends() {
    let mut walker = super::walk::Walker::new();
    let compressor = |level| libdeflater::Compressor::new(libdeflater::CompressionLvl::new(level).unwrap());
    for sample in samples(300_000) {
        for level in 0..=12 {
            let mut output = vec![0; 400_000];
            let length = compressor(level).deflate_compress(&sample, &mut output).unwrap();
            output.truncate(length);
            let last = walker.last_block(&output).unwrap();
            assert_eq!(last.end_bit.div_ceil(8), length);
            assert_eq!(walker.over(&output).last(), Some(last), "level {level}");
        }
        for level in 0..=9 {
            let mut output = Vec::with_capacity(800_000);
            let mut compress = flate2::Compress::new(flate2::Compression::new(level), false);
            for (number, part) in sample.chunks(70_000).enumerate() {
                let flush =
                    [flate2::FlushCompress::Sync, flate2::FlushCompress::None, flate2::FlushCompress::Full];
                compress.compress_vec(part, &mut output, flush[number % 3]).unwrap();
            }
            compress.compress_vec(&[], &mut output, flate2::FlushCompress::Finish).unwrap();
            let blocks: Vec<_> = walker.over(&output).collect();
            let last = blocks.last().unwrap();
            assert!(last.is_last && last.end_bit.div_ceil(8) == output.len());
            assert_eq!(
                blocks.iter().filter(|block| block.is_flush && !block.is_last).count(),
                3,
                "level {level}"
            );
        }
    }
}

#[cfg(feature = "libdeflate")]
proptest::proptest! {
    #[test]
    fn a_walk_over_anything_ends(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000)) {
        let mut walker = super::walk::Walker::new();
        for block in walker.over(&bytes) {
            assert!(block.begin_bit < block.end_bit && block.end_bit <= bytes.len() * 8);
        }
    }

    #[test]
    fn a_walk_ends_where_zlib_ends(
        bytes in proptest::collection::vec(0_u8..9, 0..6000),
        level in 0_u32..=9,
        behind in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..20),
    ) {
        let mut compress = flate2::Compress::new(flate2::Compression::new(level), false);
        let mut stream = Vec::with_capacity(20_000);
        compress.compress_vec(&bytes, &mut stream, flate2::FlushCompress::Finish).unwrap();
        let length = stream.len();
        let mut walker = super::walk::Walker::new();
        let last = walker.last_block(&stream);
        stream.extend(behind);
        let walked = walker.over(&stream).find(|block| block.is_last);
        assert_eq!(walked, last);
        assert_eq!(walked.map(|block| block.end_bit.div_ceil(8)), Some(length));
    }
}
