//! Pictures of planted runs, as they must look.
//! Only what is pure is tested here; the thread and the terminal have tests of their own.

use super::look::width;
use super::{Charset, Frame, Look, Size, picture, status_line};
use crate::diagnostic::Colour;
use crate::flow::{Medium, Reading};
use crate::verdict::judge;
use crate::verdict::planted::{Part, alter, chain, tree};
use crate::verdict::tests::any_reading;
use proptest::prelude::{prop_assert, proptest};

const UNICODE: Look = Look { charset: Charset::Unicode, colour: Colour::Never };

/// The run of the design: gzip on two cores.
fn usual() -> Reading {
    let parts = [
        Part {
            label: "access.log",
            bytes: 3_328_599_655,
            system: 0.05,
            ..Part::new("read", [0.06, 0.01, 0.93, 0.0]).on(Medium::Disk)
        },
        Part {
            label: "-6",
            bytes: 318 << 20,
            workers: 1.0,
            advice: vec!["gzip -1", "zstd"],
            ..Part::new("gzip", [0.99, 0.0, 0.0, 0.01])
        },
        Part { label: "access.log.gz", ..Part::new("write", [0.04, 0.04, 0.0, 0.92]).on(Medium::Disk) },
    ];
    let mut reading = chain(7.5, &parts);
    alter(&mut reading, |scheme| scheme.total_bytes = Some(5_368_709_120));
    reading
}

fn shown(reading: &Reading, columns: usize, rows: usize, look: Look) -> String {
    let verdict = judge(reading, None);
    let frame = Frame { now: reading, previous: None, recent: None, verdict: &verdict };
    picture(&frame, Size { columns, rows }, look).join("\n")
}

/// `read | tee { gzip | write } | hash`, its source just stalled.
fn branched() -> Reading {
    let branch = |part: Part| Part { depth: 1, ..part };
    let parts = [
        Part::new("read", [0.1, 0.0, 0.9, 0.0]),
        Part::new("tee", [0.02, 0.0, 0.93, 0.05]),
        branch(Part::new("gzip", [0.98, 0.0, 0.0, 0.02])),
        branch(Part::new("write", [0.1, 0.2, 0.0, 0.7])).on(Medium::Disk),
        Part::new("hash", [0.3, 0.0, 0.0, 0.7]),
    ];
    let mut reading = tree(4.0, &parts, &[(0, 1), (1, 4), (1, 2), (2, 3)]);
    reading.links[0].stall.since_nanos = reading.at_nanos - 300_000_000;
    reading
}

#[test]
fn a_wide_terminal_shows_everything() {
    let expected = "\
read   access.log     3.10 GiB            423 MiB/s  busy   6%
  ██████████████████▋   93%     stalled   930×   7.0 s   93%
gzip   -6             3.10 GiB → 318 MiB  10.0×      busy  99%   ◀ limits: computing on 2 of 2 cores
  ▎                     empty   starved   920×   6.9 s   92%
write  access.log.gz  318 MiB             42 MiB/s   busy   4%
━━━━━━━━━━━━━━━━━━╸───────────  62%   423 MiB/s   5 s left
limited by gzip -6 (computing, 2 cores); next would be write (computing)";
    assert_eq!(shown(&usual(), 200, 24, UNICODE), expected);
    assert_eq!(
        shown(&usual(), 80, 24, UNICODE),
        expected.replace(" limits: computing on 2 of 2 cores", " limits")
    );
}

#[test]
fn sixty_columns_shorten_names_and_drop_counts() {
    let expected = "\
read   access.log    3.10 GiB   423 MiB/s  busy   6%
  █████████▎  93%     stalled   7.0 s   93%
gzip   -6            318 MiB    10.0×      busy  99%  ◀
  ▏           empty   starved   6.9 s   92%
write  acces…log.gz  318 MiB    42 MiB/s   busy   4%
━━━━━━━━━━━━━━━━━━╸───────────  62%   423 MiB/s   5 s left
limited by gzip -6 (computing, 2 cores)";
    assert_eq!(shown(&usual(), 60, 24, UNICODE), expected);
}

#[test]
fn forty_columns_show_who_is_busy() {
    let expected = "\
read   3.10 GiB   busy   6%
  █████████▎  93%     stalled     93%
gzip   318 MiB    busy  99%  ◀
  ▏           empty   starved     92%
write  318 MiB    busy   4%
━━━━━━────  62%   423 MiB/s   5 s left
limited by gzip -6 (computing, 2 cores)";
    assert_eq!(shown(&usual(), 40, 24, UNICODE), expected);
}

#[test]
fn twenty_columns_show_the_bars() {
    let expected = "\
read   busy   6%
  █████████▎  93%
gzip   busy  99%  ◀
  ▏           empty
write  busy   4%
62%   5 s left
limited by gzip -6 (";
    assert_eq!(shown(&usual(), 20, 24, UNICODE), expected);
}

#[test]
fn one_column_shows_what_can_be_shown_and_none_shows_nothing() {
    assert_eq!(shown(&usual(), 1, 24, UNICODE), "r\ng\nw\nl");
    assert_eq!(shown(&usual(), 0, 24, UNICODE), "");
    assert_eq!(shown(&usual(), 80, 0, UNICODE), "");
}

#[test]
fn ascii_is_ascii() {
    let expected = "\
read   access.log     3.10 GiB             423 MiB/s  busy   6%
  [################- ]  93%     stalled   930x   7.0 s   93%
gzip   -6             3.10 GiB -> 318 MiB  10.0x      busy  99%   <- limits
  [.                 ]  empty   starved   920x   6.9 s   92%
write  access.log.gz  318 MiB              42 MiB/s   busy   4%
==================>-----------  62%   423 MiB/s   5 s left
limited by gzip -6 (computing, 2 cores); next would be write (computing)";
    assert_eq!(shown(&usual(), 80, 24, Look::PLAIN), expected);
}

#[test]
fn branches_are_indented_and_an_open_stall_shows_at_once() {
    let expected = "\
read     64.0 MiB   16 MiB/s   busy   2%
  ██████████████████      90%     stalled   900×   3.9 s   98%  now 0.3 s
tee      64.0 MiB   16 MiB/s   busy   2%
    ██████████████████▋   93%     stalled   930×   3.7 s   93%
  gzip   64.0 MiB   16 MiB/s   busy  98%   ◀ limits: computing
    ▎                     empty   starved   700×   2.8 s   70%
  write  64.0 MiB   16 MiB/s   waits  20%
  ▎                       empty   starved   700×   2.8 s   70%
hash     64.0 MiB   16 MiB/s   busy  30%
4 s   16 MiB/s
limited by gzip (computing); next would be hash (computing)";
    assert_eq!(shown(&branched(), 120, 24, UNICODE), expected);
    let narrow = shown(&branched(), 44, 24, UNICODE);
    assert!(narrow.contains("stalled   0.3 s\n"), "{narrow}");
}

#[test]
fn few_rows_are_given_to_what_limits_the_run() {
    let rows = |rows| shown(&usual(), 50, rows, UNICODE);
    let progress = "━━━━━━━━━━━━────────  62%   423 MiB/s   5 s left";
    let gzip = "gzip   318 MiB    10.0×      busy  99%  ◀";
    assert_eq!(rows(1), progress);
    assert_eq!(rows(2), format!("{gzip}\n{progress}"));
    assert_eq!(rows(4), format!("  ⋮ 1 more stage\n{gzip}\n  ⋮ 1 more stage\n{progress}"));
    assert_eq!(rows(6).lines().count(), 6);
    assert!(!rows(6).contains("limited by") && rows(7).contains("limited by"));
}

#[test]
fn a_long_chain_is_shown_around_what_limits_it() {
    let mut parts: Vec<Part> =
        (0..40).map(|at| Part::new("pass", [0.01, 0.0, if at < 30 { 0.99 } else { 0.0 }, 0.0])).collect();
    parts[30] = Part::new("slow", [1.0, 0.0, 0.0, 0.0]);
    let picture = shown(&chain(3.0, &parts), 80, 12, UNICODE);
    let lines: Vec<&str> = picture.lines().collect();
    assert_eq!(lines.len(), 12, "{picture}");
    assert!(lines[0].starts_with("pass") && lines[9].starts_with("pass"), "{picture}");
    assert!(lines[1].ends_with("more stages") && lines[8].ends_with("more stages"), "{picture}");
    assert!(picture.contains("slow") && picture.contains("◀ limits"), "{picture}");
}

#[test]
fn a_run_that_moved_nothing_has_no_rates() {
    let mut source = Part::new("read", [0.0, 1.0, 0.0, 0.0]).on(Medium::Opener);
    (source.label, source.bytes) = ("fifo", 0);
    let reading = chain(2.0, &[source, Part::new("write", [0.0, 0.0, 0.0, 1.0])]);
    let expected = "\
read   fifo  0 B        waiting for a writer
  ▎                     empty   starved  1 000×   2.0 s  100%
write        0 B        starved
2 s   0 B/s
nothing has moved yet: read fifo is waiting for somebody to open the other end";
    assert_eq!(shown(&reading, 80, 24, UNICODE), expected);
}

#[test]
fn a_stage_that_keeps_the_size_has_no_ratio() {
    let mut reading = usual();
    assert!(shown(&reading, 80, 24, UNICODE).contains("×  "), "{}", shown(&reading, 80, 24, UNICODE));
    alter(&mut reading, |scheme| scheme.stages[1].keeps_size = true);
    let shows = shown(&reading, 80, 24, UNICODE);
    let row = shows.lines().find(|line| line.starts_with("gzip")).expect("its row");
    assert!(!row.contains('→') && !row.contains('×'), "{row}");
}

#[test]
fn what_links_still_hold_is_not_done() {
    let mut reading = usual();
    let total_bytes = reading.taken_bytes();
    alter(&mut reading, |scheme| scheme.total_bytes = Some(total_bytes));
    assert!(shown(&reading, 80, 24, UNICODE).contains("━ 100%"), "{}", shown(&reading, 80, 24, UNICODE));
    // Three quarters have passed the first link, and four fifths of that the second, if its bytes are what was taken.
    alter(&mut reading, |scheme| scheme.stages[1].keeps_size = true);
    for (link, part) in [(0, 4), (1, 5)] {
        reading.links[link].fill_bytes = reading.links[link].bytes_in / part;
    }
    let shows = shown(&reading, 80, 24, UNICODE);
    assert!(shows.contains(" 60%") && shows.contains("left") && !shows.contains("finishing"), "{shows}");
    alter(&mut reading, |scheme| scheme.stages[1].holds_back = true);
    assert!(shown(&reading, 80, 24, UNICODE).contains(" 75%"));
}

#[test]
fn progress_stays_within_its_bounds() {
    let mut reading = usual();
    alter(&mut reading, |scheme| scheme.total_bytes = Some(1));
    assert!(shown(&reading, 80, 24, UNICODE).contains("━ 100%   423 MiB/s   finishing"));
    alter(&mut reading, |scheme| scheme.total_bytes = Some(0));
    assert!(shown(&reading, 80, 24, UNICODE).contains("━ 100%"));
    alter(&mut reading, |scheme| scheme.total_bytes = Some(u64::MAX));
    assert!(shown(&reading, 80, 24, UNICODE).contains("─  <1%   423 MiB/s\n"));
    reading.stages[0].bytes_read = 0;
    reading.links[0].bytes_in = 0;
    assert!(shown(&reading, 80, 24, UNICODE).contains("─   0%   0 B/s"));
}

#[test]
fn a_total_that_the_source_learns_on_its_way_is_a_total_unless_people_know_better() {
    let mut reading = usual();
    alter(&mut reading, |scheme| scheme.total_bytes = None);
    assert!(!shown(&reading, 80, 24, UNICODE).contains(" left"));
    reading.stages[0].announced_bytes = Some(5_368_709_120);
    let picture = shown(&reading, 80, 24, UNICODE);
    assert!(picture.contains(" 62%   423 MiB/s   5 s left"), "{picture}");
    alter(&mut reading, |scheme| scheme.total_bytes = Some(1));
    assert!(shown(&reading, 80, 24, UNICODE).contains("100%"));
}

#[test]
fn a_stall_may_be_the_only_thing_there_is() {
    let parts = [Part::new("read", [0.0, 0.0, 1.0, 0.0]), Part::new("stdout", [0.0, 1.0, 0.0, 0.0])];
    let picture = shown(&chain(2.0, &parts), 80, 24, UNICODE);
    assert!(picture.contains("  ████████████████████  full    stalled  1 000×   2.0 s  100%"), "{picture}");
    assert!(picture.starts_with("read    64.0 MiB   32 MiB/s   stalled\n"), "{picture}");
}

#[test]
fn bars_show_the_average_since_the_last_frame() {
    let before = usual();
    let mut now = before.clone();
    now.at_nanos += 100_000_000;
    // Since then the first link was empty for half of the time, and full for the rest.
    now.links[0].fill_byte_seconds += 0.05 * f64::from(1 << 20);
    now.links[0].changed_nanos = now.at_nanos;
    let verdict = judge(&now, None);
    let frame = Frame { now: &now, previous: Some(&before), recent: None, verdict: &verdict };
    let lines = picture(&frame, Size { columns: 80, rows: 24 }, UNICODE);
    assert!(lines[1].starts_with("  ██████████            50% "), "{}", lines[1]);
}

#[test]
fn a_status_is_one_line() {
    assert_eq!(
        status_line(&usual(), None),
        "weir: 62%, 3.10 GiB in 7.5 s, 423 MiB/s, 5 s left; limited by gzip -6 (computing, 2 cores); next would be write \
         (computing)"
    );
    assert_eq!(status_line(&Reading::default(), None), "weir: 0 B in 0 ms, 0 B/s");
}

/// The text without colours, which are all the escapes there may be.
fn without_colours(text: &str) -> String {
    ["1", "2", "36", "1;33", "0"]
        .iter()
        .fold(text.to_string(), |text, code| text.replace(&format!("\u{1b}[{code}m"), ""))
}

proptest! {
    #[test]
    fn whatever_the_readings_the_picture_fits_and_gives_no_orders(
        now in any_reading(), columns in 0..200_usize, rows in 0..30_usize
    ) {
        let earlier = Reading { at_nanos: now.at_nanos / 2, ..now.clone() };
        for look in [UNICODE, Look::PLAIN, Look { colour: Colour::Always, ..UNICODE }] {
            let verdict = judge(&now, Some(&earlier));
            let frame = Frame { now: &now, previous: Some(&earlier), recent: None, verdict: &verdict };
            let lines = picture(&frame, Size { columns, rows }, look);
            prop_assert!(lines.len() <= rows);
            for line in &lines {
                let plain = without_colours(line);
                prop_assert!(width(&plain) <= columns, "{line:?} in {columns}");
                prop_assert!(!plain.is_empty() && !plain.chars().any(char::is_control), "{line:?}");
                prop_assert!(look.colour == Colour::Always || plain == *line);
                prop_assert!(look.charset == Charset::Unicode || plain.is_ascii(), "{line:?}");
            }
        }
        let status = status_line(&now, Some(&earlier));
        prop_assert!(!status.chars().any(char::is_control));
    }
}
