//! The formats that an input can be told by: what each begins with, and what unpacks it.
//! Knows nothing of what is in them.

#[cfg(feature = "bzip2")]
use super::bzip2;
#[cfg(feature = "lz4")]
use super::lz4;
#[cfg(feature = "xz")]
use super::xz;
#[cfg(feature = "zstd")]
use super::zstd;
use super::{Unpacker, gzip, zlib};
use crate::stage::amount::Amount;
use crate::stage::contract::Context;
use crate::stage::fault::Fault;

/// What the bytes that an input begins with say of a format. The same for the same bytes, however they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is another one.
    Not,
    /// Nothing is known before the input has that many bytes; if it ends before, it is another one.
    Perhaps(usize),
    /// As `Perhaps`; but if the input ends before, it is one of these, cut off.
    Probably(usize),
    /// It is one.
    Certainly,
}

/// What unpacking takes, beside the data.
pub(in crate::stage) struct Means<'a> {
    /// Of the run.
    pub(in crate::stage) context: &'a Context,
    /// How much memory a format may take whose files ask for it, if that is not the usual.
    #[cfg_attr(not(any(feature = "xz", feature = "zstd")), allow(dead_code))]
    pub(in crate::stage) memory: Option<&'a Amount>,
}

#[cfg(any(feature = "xz", feature = "zstd"))]
impl Means<'_> {
    fn memory_bytes(&self, usual_bytes: u64) -> u64 {
        self.memory.map_or(usual_bytes, |memory| memory.bytes)
    }
}

type Unpack = fn(&mut Unpacker<'_>, &Means<'_>) -> anyhow::Result<()>;

/// A format.
pub(in crate::stage) struct Format {
    name: &'static str,
    fit: fn(&[u8]) -> Fit,
    /// `None` if this build has no part for it.
    unpack: Option<Unpack>,
}

/// All of them, in alphabetical order.
pub(in crate::stage) const FORMATS: &[Format] = &[
    Format { name: "bzip2", fit: bzip2_fit, unpack: BZIP2 },
    Format {
        name: "gzip",
        fit: |start| literal(start, &gzip::MAGIC),
        unpack: Some(|unpacker, means| gzip::unpack(unpacker, gzip::Trailing::Refused, means.context)),
    },
    Format { name: "lz4", fit: lz4_fit, unpack: LZ4 },
    Format { name: "xz", fit: |start| literal(start, b"\xfd7zXZ\0"), unpack: XZ },
    Format { name: "zlib", fit: zlib::fit, unpack: Some(|unpacker, _| zlib::unpack(unpacker)) },
    Format { name: "zstd", fit: zstd_fit, unpack: ZSTD },
];

#[cfg(feature = "bzip2")]
const BZIP2: Option<Unpack> = Some(|unpacker, means| bzip2::unpack(unpacker, means.context));
#[cfg(not(feature = "bzip2"))]
const BZIP2: Option<Unpack> = None;

#[cfg(feature = "lz4")]
const LZ4: Option<Unpack> = Some(|unpacker, means| lz4::unpack(unpacker, means.context));
#[cfg(not(feature = "lz4"))]
const LZ4: Option<Unpack> = None;

#[cfg(feature = "xz")]
const XZ: Option<Unpack> = Some(|unpacker, means| xz::unpack(unpacker, means.memory_bytes(xz::MEMORY_BYTES)));
#[cfg(not(feature = "xz"))]
const XZ: Option<Unpack> = None;

#[cfg(feature = "zstd")]
const ZSTD: Option<Unpack> =
    Some(|unpacker, means| zstd::unpack(unpacker, means.memory_bytes(zstd::MEMORY_BYTES)));
#[cfg(not(feature = "zstd"))]
const ZSTD: Option<Unpack> = None;

impl Format {
    /// The format of the input, of which nothing is taken; `None` if it is none of these.
    ///
    /// # Errors
    /// Those of the links.
    pub(in crate::stage) fn of(unpacker: &mut Unpacker<'_>) -> anyhow::Result<Option<&'static Format>> {
        let mut start = Vec::new();
        let format = loop {
            let mut needed = usize::MAX;
            let mut probable = None;
            let mut certain = None;
            for format in FORMATS {
                match (format.fit)(&start) {
                    Fit::Not => {}
                    Fit::Perhaps(count) => needed = needed.min(count),
                    Fit::Probably(count) => {
                        needed = needed.min(count);
                        probable = Some(format);
                    }
                    Fit::Certainly => certain = Some(format),
                }
            }
            if certain.is_some() || needed == usize::MAX {
                break certain;
            }
            while start.len() < needed
                && let Some(byte) = unpacker.byte()?
            {
                start.push(byte);
            }
            if start.len() < needed {
                break probable;
            }
        };
        unpacker.give_back(&start);
        Ok(format)
    }

    /// Unpacks the input.
    ///
    /// # Errors
    /// A [`Fault`] for what is refused, or that this build has no part for the format; those of the links.
    pub(in crate::stage) fn unpack(
        &self,
        unpacker: &mut Unpacker<'_>,
        means: &Means<'_>,
    ) -> anyhow::Result<()> {
        let Some(unpack) = self.unpack else {
            let name = self.name;
            let message = format!("{name} data, and this weir was built without {name}");
            let help = format!("unpack it with `{name} -dc`, or build weir with the feature `{name}`");
            return Err(Fault::failed(message).help(help).into());
        };
        unpack(unpacker, means)
    }

    /// Their names, as a list to read.
    pub(in crate::stage) fn names() -> String {
        let names: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
        match names.split_last() {
            Some((last, names)) => format!("{} and {last}", names.join(", ")),
            None => String::new(),
        }
    }
}

/// Of a format that begins with `magic`.
fn literal(start: &[u8], magic: &[u8]) -> Fit {
    if start.starts_with(magic) {
        Fit::Certainly
    } else if magic.starts_with(start) {
        Fit::Perhaps(start.len() + 1)
    } else {
        Fit::Not
    }
}

/// The level is a digit. Text can begin so: what follows it, a block or the end, is looked at as well.
fn bzip2_fit(start: &[u8]) -> Fit {
    let begin = literal(start, b"BZh");
    let Some((level, behind)) = start.get(3..).and_then(|rest| rest.split_first()) else {
        return if begin == Fit::Not { Fit::Not } else { Fit::Perhaps(start.len() + 1) };
    };
    if begin == Fit::Not || !(b'1'..=b'9').contains(level) {
        return Fit::Not;
    }
    match [b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"].map(|magic| literal(behind, magic)) {
        [Fit::Certainly, _] | [_, Fit::Certainly] => Fit::Certainly,
        [Fit::Not, Fit::Not] => Fit::Not,
        _ => Fit::Perhaps(start.len() + 1),
    }
}

/// Of a frame, and of the old format that Linux has its kernels in.
const LZ4_MAGICS: [&[u8; 4]; 2] = [b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18"];
const ZSTD_MAGIC: &[u8; 4] = b"\x28\xb5\x2f\xfd";

/// What begins with a skippable frame is lz4 only if an lz4 frame follows.
fn lz4_fit(start: &[u8]) -> Fit {
    match skip(start) {
        Skipped::Nothing => any_of(LZ4_MAGICS.map(|magic| literal(start, magic)), start),
        Skipped::To(begin) => {
            let behind = &start[begin..];
            any_of(LZ4_MAGICS.map(|magic| literal(behind, magic)), start)
        }
        Skipped::Within(needed) => Fit::Perhaps(needed),
        Skipped::TooMuch => Fit::Not,
    }
}

/// What begins with a skippable frame is zstd unless an lz4 frame follows.
fn zstd_fit(start: &[u8]) -> Fit {
    match skip(start) {
        Skipped::Nothing => literal(start, ZSTD_MAGIC),
        Skipped::To(begin) => match any_of(LZ4_MAGICS.map(|magic| literal(&start[begin..], magic)), start) {
            Fit::Not => Fit::Certainly,
            Fit::Certainly => Fit::Not,
            Fit::Perhaps(needed) | Fit::Probably(needed) => Fit::Probably(needed),
        },
        Skipped::Within(needed) if start.len() < SKIPPABLE_MAGIC.len() => Fit::Perhaps(needed),
        Skipped::Within(needed) => Fit::Probably(needed),
        Skipped::TooMuch => Fit::Certainly,
    }
}

fn any_of<const COUNT: usize>(fits: [Fit; COUNT], start: &[u8]) -> Fit {
    if fits.contains(&Fit::Certainly) {
        Fit::Certainly
    } else if fits.iter().all(|&fit| fit == Fit::Not) {
        Fit::Not
    } else {
        Fit::Perhaps(start.len() + 1)
    }
}

/// Of the frames that readers of zstd and of lz4 both pass over (RFC 8878 §3.1.2), but for the low four bits of the first byte.
const SKIPPABLE_MAGIC: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
/// What is passed over to see what is behind it.
const SKIPPED_BYTES_MAX: usize = 1024 * 1024;
const SKIPPED_FRAMES_MAX: usize = 64;

/// Where the skippable frames end that an input begins with.
enum Skipped {
    /// There are none.
    Nothing,
    /// More than is held for a look.
    TooMuch,
    /// Only so many bytes can tell.
    Within(usize),
    /// There.
    To(usize),
}

fn skip(start: &[u8]) -> Skipped {
    let mut begin = 0;
    for _ in 0..SKIPPED_FRAMES_MAX {
        let frame = &start[begin..];
        let is_one = frame.iter().zip(SKIPPABLE_MAGIC).enumerate().all(|(at, (&byte, expected))| match at {
            0 => byte & 0xf0 == expected,
            _ => byte == expected,
        });
        match frame.get(4..8).and_then(|size| size.try_into().ok()).map(u32::from_le_bytes) {
            _ if !is_one || (frame.is_empty() && begin > 0) => {
                return if begin == 0 { Skipped::Nothing } else { Skipped::To(begin) };
            }
            None => return Skipped::Within(start.len() + 1),
            Some(size) => {
                begin = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(begin + 8);
                if begin > SKIPPED_BYTES_MAX {
                    return Skipped::TooMuch;
                }
                if begin > start.len() {
                    return Skipped::Within(begin);
                }
            }
        }
    }
    Skipped::TooMuch
}

#[cfg(test)]
mod tests {
    use super::{FORMATS, Fit, Format, Means};
    use crate::flow::Inlet;
    use crate::stage::testing_ends::{Bench, bench, fault};
    use crate::stage::unpack::Unpacker;
    use std::io::{Read, Write};

    const SKIPPABLE: &[u8] = b"\x5f\x2a\x4d\x18\x03\0\0\0abc";

    /// The format of `input`, in chunks of `chunk_bytes`. Fails if a byte of it is lost.
    fn told(input: &[u8], chunk_bytes: usize) -> Option<&'static str> {
        let Bench { mut outlet, reader, .. } = bench(chunk_bytes);
        let Bench { outlet: mut unused, .. } = bench(1);
        outlet.write_all(input).unwrap();
        outlet.finish();
        let mut inlet = Inlet::new(reader);
        let format = Unpacker::run(&mut inlet, &mut unused, None, |unpacker| Format::of(unpacker)).unwrap();
        assert_eq!(inlet.offset(), 0);
        let mut left = Vec::new();
        inlet.read_to_end(&mut left).unwrap();
        assert!(left == input, "{} bytes of {} are left", left.len(), input.len());
        format.map(|format| format.name)
    }

    #[track_caller]
    fn assert_told(input: &[u8], expected: Option<&str>) {
        for chunk_bytes in [1, 3, 100_000] {
            assert_eq!(told(input, chunk_bytes), expected, "`{}`", input.escape_ascii());
        }
    }

    #[test]
    fn every_format_is_told_by_what_it_begins_with() {
        for (input, expected) in [
            (&b"\x1f\x8b"[..], "gzip"),
            (b"\x1f\x8b\x08 and more", "gzip"),
            (b"BZh1\x31\x41\x59\x26\x53\x59 and more", "bzip2"),
            (b"BZh9\x17\x72\x45\x38\x50\x90\0\0\0\0", "bzip2"),
            (b"\x04\x22\x4d\x18 and more", "lz4"),
            (b"\x02\x21\x4c\x18 and more", "lz4"),
            (b"\xfd7zXZ\0 and more", "xz"),
            (b"\x28\xb5\x2f\xfd and more", "zstd"),
            (b"\x78\x9c\x03\0\0\0\0\x01", "zlib"),
            (b"\x78\x01\x01\x02\0\xfd\xffa", "zlib"),
        ] {
            assert_told(input, Some(expected));
        }
    }

    #[test]
    fn other_data_is_none_of_these_however_short_it_is() {
        for input in [
            &b""[..],
            b"a",
            b"text",
            b"\x1f",
            b"\x1f\x9d",
            b"BZh",
            b"BZh9",
            b"BZh9 is how bzip2 begins",
            b"BZh0\x31\x41\x59\x26\x53\x59",
            b"BZh9\x31\x41\x59\x26\x53",
            b"\x04\x22\x4d",
            b"\xfd7zXZ",
            b"\x28\xb5\x2f",
            b"\x50\x2a\x4d",
            // All of these are headers of zlib.
            b"x",
            b"x^",
            b"x^2 + y^2",
            b"x = 5",
            b"hC is a header",
            b"8O and XG and HK are headers, too",
            b"\x78\x9c",
            b"\x78\x9c\x07 a block of no type",
            b"\x78\x9c\0\x01\0\xfd\xff and its length is wrong",
            b"\x78\x9c\x03\x02\0 refers to what is before the beginning",
        ] {
            assert_told(input, None);
        }
    }

    #[test]
    fn what_is_behind_skippable_frames_counts() {
        let frames = SKIPPABLE.repeat(3);
        for (behind, expected) in [
            (&b"\x04\x22\x4d\x18 and more"[..], "lz4"),
            (b"\x28\xb5\x2f\xfd and more", "zstd"),
            (b"", "zstd"),
            (b"\x04\x22\x4d", "zstd"),
            (b"anything", "zstd"),
        ] {
            assert_told(&[&frames, behind].concat(), Some(expected));
        }
        for length in 4..SKIPPABLE.len() {
            assert_told(&SKIPPABLE[..length], Some("zstd"));
        }
        let large =
            [b"\x50\x2a\x4d\x18\x40\x42\x0f\0", &vec![7; 1_000_000][..], b"\x04\x22\x4d\x18"].concat();
        assert_eq!(told(&large, 65_536), Some("lz4"));
        // More than is looked at: neither memory nor time is spent on it.
        assert_told(b"\x50\x2a\x4d\x18\xff\xff\xff\xff and more", Some("zstd"));
        assert_told(&[&SKIPPABLE.repeat(64), &b"\x04\x22\x4d\x18"[..]].concat(), Some("zstd"));
    }

    #[test]
    fn a_zlib_stream_is_told_at_once_when_it_is_flushed() {
        let mut compress = flate2::Compress::new(flate2::Compression::new(6), true);
        let mut stream = Vec::with_capacity(1000);
        compress.compress_vec(b"a line\n", &mut stream, flate2::FlushCompress::Sync).unwrap();
        assert_eq!(super::zlib::fit(&stream), Fit::Certainly);
        assert!((0..stream.len()).all(|length| super::zlib::fit(&stream[..length]) != Fit::Not));
    }

    #[test]
    fn a_format_that_was_left_out_is_told() {
        let Bench { mut outlet, reader, context, .. } = bench(10);
        let missing = Format { name: "zstd", fit: FORMATS[0].fit, unpack: None };
        let means = Means { context: &context, memory: None };
        let result = Unpacker::run(&mut Inlet::new(reader), &mut outlet, None, |unpacker| {
            missing.unpack(unpacker, &means)
        });
        let fault = fault(result);
        assert_eq!(fault.message, "zstd data, and this weir was built without zstd");
        assert_eq!(fault.exit, crate::exit::Exit::Failed);
    }

    #[test]
    fn the_names_make_a_list() {
        assert!(FORMATS.is_sorted_by(|left, right| left.name < right.name));
        assert_eq!(Format::names(), "bzip2, gzip, lz4, xz, zlib and zstd");
    }
}
