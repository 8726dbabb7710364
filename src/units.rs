//! Sizes, rates and times: from what people type, and to what people read.
//! Knows numbers only; which number belongs where is the caller's.

use std::time::Duration;

use humansize::{BINARY, FixedAt, FormatSizeOptions, format_size};

const SIZE_FORMS: &str = "type a number of bytes, or one with K, M, G, T or P, as in `64K` or `1.5G`";
const DURATION_FORMS: &str = "type a number with ms, s, m, h or d, as in `500ms` or `1.5h`";
/// More digits than this after the point would not change any value, and could overflow the arithmetic.
const FRACTION_DIGITS_MAX: usize = 9;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A size in bytes: a bare number, or one with `K`, `Ki` or `KiB` for 1024, `M`, `G`, `T`, `P`, `E` alike, in any case.
///
/// # Errors
/// A sentence for people: what is wrong with the text and what to type. `KB` and its like are refused because tools disagree
/// on them (1000 in dd, 1024 in zstd); so are negative numbers, exponents, parts of a byte and more than 64 bits.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let number = Number::split(text, SIZE_FORMS)?;
    let power = size_power(&number, text)?;
    if power == 0 && number.has_fraction() {
        return Err("a part of a byte is no size".to_string());
    }
    let bytes = number.times(1 << (10 * power)).and_then(|bytes| u64::try_from(bytes).ok());
    bytes.ok_or_else(|| "more than 16 EiB, the largest size there is".to_string())
}

/// A rate in bytes per second, more than 0: a size, with or without `/s`.
///
/// # Errors
/// As [`parse_size`]; and for 0.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let size = text.strip_suffix("/s").or_else(|| text.strip_suffix("/S")).unwrap_or(text);
    match parse_size(size)? {
        0 => Err("a rate of 0 would never end; type at least 1".to_string()),
        rate => Ok(rate),
    }
}

/// A length of time: `500ms`, `30s`, `5m`, `1h`, `2d`, with decimals; a bare number is seconds.
///
/// # Errors
/// A sentence for people, for anything else and for more than 584 years.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let number = Number::split(text, DURATION_FORMS)?;
    let unit_nanos = match number.unit {
        "ms" => NANOS_PER_SECOND / 1000,
        "" | "s" => NANOS_PER_SECOND,
        "m" | "min" => 60 * NANOS_PER_SECOND,
        "h" => 3600 * NANOS_PER_SECOND,
        "d" => 86_400 * NANOS_PER_SECOND,
        unit => return Err(format!("unknown unit `{}`; {DURATION_FORMS}", unit.escape_debug())),
    };
    let nanos = number.times(unit_nanos).and_then(|nanos| u64::try_from(nanos).ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| "more than 584 years".to_string())
}

/// A decimal number and what follows it, kept exact until the unit is known.
struct Number<'t> {
    whole: &'t str,
    fraction: &'t str,
    unit: &'t str,
}

impl<'t> Number<'t> {
    fn split(text: &'t str, forms: &str) -> Result<Number<'t>, String> {
        if text.is_empty() {
            return Err(format!("nothing there; {forms}"));
        }
        if text.starts_with('-') {
            return Err(format!("less than nothing; {forms}"));
        }
        let (whole, rest) = split_digits(text);
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(after_point) => split_digits(after_point),
            None => ("", rest),
        };
        if (whole.is_empty() && fraction.is_empty()) || rest.starts_with('.') {
            return Err(format!("no number; {forms}"));
        }
        if rest.starts_with(',') {
            return Err(format!("a comma; decimals take a point, thousands nothing; {forms}"));
        }
        if rest.starts_with(['e', 'E'])
            && rest[1..].starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '-')
        {
            return Err(format!("an exponent; {forms}"));
        }
        Ok(Number { whole, fraction, unit: rest.trim_start() })
    }

    fn has_fraction(&self) -> bool {
        self.fraction.bytes().any(|digit| digit != b'0')
    }

    /// The number times `unit`, rounded to the nearest; `None` when 128 bits cannot hold it.
    fn times(&self, unit: u128) -> Option<u128> {
        let whole = if self.whole.is_empty() { 0 } else { self.whole.parse::<u128>().ok()? };
        let digits = &self.fraction[..self.fraction.len().min(FRACTION_DIGITS_MAX)];
        let fraction = if digits.is_empty() { 0 } else { digits.parse::<u128>().ok()? };
        let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
        whole.checked_mul(unit)?.checked_add((fraction.checked_mul(unit)? + scale / 2) / scale)
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// The power of 1024 that a unit stands for.
fn size_power(number: &Number<'_>, text: &str) -> Result<u32, String> {
    let unit = number.unit.to_ascii_lowercase();
    if unit.is_empty() || unit == "b" {
        return Ok(0);
    }
    let known = unit.chars().next().and_then(|first| "kmgtpe".find(first));
    let power = known.and_then(|at| u32::try_from(at + 1).ok());
    match (power, &unit[unit.chars().next().map_or(0, char::len_utf8)..]) {
        (Some(power), "" | "i" | "ib") => Ok(power),
        (Some(power), "b") => {
            let letter = unit[..1].to_ascii_uppercase();
            let amount = text[..text.len() - number.unit.len()].trim_end();
            let decimal = number.times(1000_u128.pow(power));
            let decimal =
                decimal.map_or_else(String::new, |bytes| format!(", or `{bytes}` for powers of 1000"));
            Err(format!(
                "`{}` is 1000 to some tools and 1024 to others; type `{amount}{letter}` for powers of 1024{decimal}",
                number.unit
            ))
        }
        _ => Err(format!("unknown unit `{}`; {SIZE_FORMS}", number.unit.escape_debug())),
    }
}

/// A size to read, in three digits: `3.10 GiB`, `41.3 MiB`, `318 MiB`, `512 B`.
pub fn size(bytes: u64) -> String {
    scaled(bytes, [2, 1, 0])
}

/// A rate to read, from bytes per second: `4.1 MiB/s`, `41 MiB/s`, `412 MiB/s`. What is no number is `0 B/s`.
pub fn rate(bytes_per_second: f64) -> String {
    // The cast saturates, and makes 0 of what is no number.
    format!("{}/s", scaled(bytes_per_second.round() as u64, [1, 0, 0]))
}

/// `bytes` in the unit that fits; `places` after the point for values below 10, below 100 and above.
fn scaled(bytes: u64, places: [usize; 3]) -> String {
    const UNITS: [FixedAt; 7] = [
        FixedAt::Base,
        FixedAt::Kilo,
        FixedAt::Mega,
        FixedAt::Giga,
        FixedAt::Tera,
        FixedAt::Peta,
        FixedAt::Exa,
    ];
    let mut power = 0;
    let mut value = bytes as f64;
    // From 999.5 on a value would need four digits, so the next unit has it; bytes are exact and may have them.
    while value >= if power == 0 { 1024.0 } else { 999.5 } && power + 1 < UNITS.len() {
        value /= 1024.0;
        power += 1;
    }
    let decimal_places = match value {
        _ if power == 0 => 0,
        v if v < 9.995 => places[0],
        v if v < 99.95 => places[1],
        _ => places[2],
    };
    let options: FormatSizeOptions =
        BINARY.fixed_at(Some(UNITS[power])).decimal_places(decimal_places).decimal_zeroes(decimal_places);
    format_size(bytes, options)
}

/// A length of time to read: `340 ms`, `6.9 s`, `4 min 07 s`, `1:02:03`.
pub fn duration(time: Duration) -> String {
    let millis = (time.as_nanos() + 500_000) / 1_000_000;
    let tenths = (millis + 50) / 100;
    match () {
        () if millis < 1000 => format!("{millis} ms"),
        () if tenths < 600 => format!("{}.{} s", tenths / 10, tenths % 10),
        () => whole_seconds(time),
    }
}

/// A length of time to read, to the second, for what changes while one looks: `8 s`, `4 min 07 s`, `1:02:03`.
pub fn whole_seconds(time: Duration) -> String {
    let seconds = (time.as_millis() + 500) / 1000;
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {rest:02} s"),
        _ => format!("{hours}:{minutes:02}:{rest:02}"),
    }
}

/// A count to read, in groups of three: `1 204`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// A share of a whole to read, from 0.0 to 1.0: `93%`. `100%` is said of the whole only, and `0%` of nothing only.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p >= 100.0 => "100%".to_string(),
        p if p >= 99.0 => "99%".to_string(),
        p if p >= 1.0 => format!("{p:.0}%"),
        p if p > 0.0 => "<1%".to_string(),
        _ => "0%".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        count, duration, parse_duration, parse_rate, parse_size, percent, rate, size, whole_seconds,
    };
    use proptest::prelude::{any, prop_assert, proptest};
    use std::time::Duration;

    #[test]
    fn sizes_are_read_in_powers_of_1024() {
        let cases: [(&str, u64); 16] = [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("1K", 1024),
            ("1k", 1024),
            ("1Ki", 1024),
            ("1KiB", 1024),
            ("1kib", 1024),
            ("64M", 64 << 20),
            ("1.5G", 3 << 29),
            ("2T", 2 << 40),
            ("1P", 1 << 50),
            (".5K", 512),
            ("4 MiB", 4 << 20),
            ("0.3K", 307),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_size_that_is_none_is_refused_with_the_reason() {
        let cases = [
            ("", "nothing there"),
            ("  ", "nothing there"),
            ("-5M", "less than nothing"),
            ("1e400", "an exponent"),
            ("1E+3", "an exponent"),
            ("NaN", "no number"),
            ("inf", "no number"),
            ("+5", "no number"),
            (".", "no number"),
            ("1.2.3", "no number"),
            ("1,5M", "a comma"),
            ("1.5", "a part of a byte"),
            ("16E", "16 EiB"),
            ("18446744073709551616", "16 EiB"),
            ("99999999999999999999G", "16 EiB"),
            ("99999999999999999999999999999999999999999999", "16 EiB"),
            ("10X", "unknown unit `X`"),
            ("10KiBs", "unknown unit"),
            ("10é", "unknown unit"),
            ("10é\u{1b}", "\\u{1b}"),
        ];
        for (text, reason) in cases {
            let message = parse_size(text).expect_err(text);
            assert!(message.contains(reason), "{text}: {message}");
        }
    }

    #[test]
    fn a_unit_that_tools_disagree_on_is_refused_with_both_readings() {
        let message = parse_size("1.5MB").expect_err("ambiguous");
        assert!(message.contains("`1.5M`") && message.contains("`1500000`"), "{message}");
        assert!(parse_size("1kb").is_err() && parse_size("1Gb").is_err());
    }

    #[test]
    fn rates_are_sizes_per_second_above_nothing() {
        assert_eq!(parse_rate("10M"), Ok(10 << 20));
        assert_eq!(parse_rate("10M/s"), Ok(10 << 20));
        assert_eq!(parse_rate("1.5 KiB/s"), Ok(1536));
        assert!(parse_rate("0").expect_err("zero").contains("never end"));
        assert!(parse_rate("10M/h").is_err());
        assert!(parse_rate("-5M").is_err());
    }

    #[test]
    fn durations_are_read_with_their_unit() {
        let cases =
            [("500ms", 500), ("30s", 30_000), ("30", 30_000), ("1.5m", 90_000), ("1h", 3_600_000), ("0", 0)];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse_duration("2d"), Ok(Duration::from_secs(172_800)));
        for text in ["", "-1s", "5M", "1e9", "soon", "99999999999999h", "1h30m"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_in_three_digits() {
        let cases: [(u64, &str); 9] = [
            (0, "0 B"),
            (999, "999 B"),
            (1023, "1023 B"),
            (1536, "1.50 KiB"),
            (1023 * 1024, "1.00 MiB"),
            (318 << 20, "318 MiB"),
            (3_328_599_655, "3.10 GiB"),
            (42 << 20, "42.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn rates_are_shown_as_precise_as_they_are_steady() {
        assert_eq!(rate(432_013_312.0), "412 MiB/s");
        assert_eq!(rate(42_991_616.0), "41 MiB/s");
        assert_eq!(rate(4_299_161.6), "4.1 MiB/s");
        assert_eq!(rate(f64::NAN), "0 B/s");
        assert_eq!(rate(-1.0), "0 B/s");
    }

    #[test]
    fn durations_are_shown_in_the_unit_that_fits() {
        let cases = [
            (0, "0 ms"),
            (340, "340 ms"),
            (6_949, "6.9 s"),
            (59_940, "59.9 s"),
            (59_960, "1 min 00 s"),
            (247_000, "4 min 07 s"),
            (3_723_000, "1:02:03"),
            (360_000_000, "100:00:00"),
        ];
        for (millis, text) in cases {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(whole_seconds(Duration::from_millis(8_400)), "8 s");
        assert_eq!(whole_seconds(Duration::MAX), "5124095576030431:00:16");
    }

    #[test]
    fn counts_are_grouped_and_shares_are_honest_at_both_ends() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1204), "1 204");
        assert_eq!(count(1_000_000), "1 000 000");
        let shares =
            [(0.0, "0%"), (0.001, "<1%"), (0.934, "93%"), (0.999, "99%"), (1.0, "100%"), (f64::NAN, "0%")];
        for (share, text) in shares {
            assert_eq!(percent(share), text);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in "[0-9]{0,30}\\.?[0-9]{0,30} ?[a-zA-Z/é]{0,4}|.*") {
            let _ = (parse_size(&text), parse_rate(&text), parse_duration(&text));
        }

        #[test]
        fn every_size_is_shown_within_nine_columns(bytes in any::<u64>()) {
            prop_assert!(size(bytes).len() <= 9);
        }
    }
}
