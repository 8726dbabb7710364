//! A server as lines of text: how many are inside, what has gone in and out, the busiest runs and what limits each.
//! Pure: readings in, pieces of lines out.

use super::look::{Look, Piece, Style, clean};
use super::picture::Frame;
use super::runs::run_rows;
use crate::flow::{Reading, ServerReading};
use crate::units;

/// The lines of a server, if the run is one: what it counts, then its busiest runs.
pub(super) fn server_rows(frame: &Frame<'_>, look: Look) -> Option<Vec<Vec<Piece>>> {
    let server = frame.now.server.as_ref()?;
    let info = frame.now.scheme.stages.first()?;
    let head = vec![
        Piece::new(clean(&info.name, look), Style::Strong),
        Piece::plain(format!("  {}  {}", clean(&info.label, look), inside(server))),
    ];
    let before = frame.recent.and_then(|recent| recent.server.as_ref());
    let seconds = frame.recent_seconds();
    let flow = |total: u64, before: Option<u64>| {
        let rate = total.saturating_sub(before.unwrap_or(0)) as f64 / seconds;
        let rate = if seconds > 0.0 { units::rate(rate) } else { String::new() };
        format!("{:>9}  {rate:>9}", units::size(total))
    };
    let taken = flow(server.bytes_read, before.map(|before| before.bytes_read));
    let given = flow(server.bytes_written, before.map(|before| before.bytes_written));
    let mut rows = vec![head, vec![Piece::plain(format!("  in {taken}   out {given}"))]];
    rows.extend(run_rows(&server.busiest, server.runs_open, look));
    Some(rows)
}

/// `3 connections, 2 runs now; 1 204 runs in all, 2 failed`.
fn inside(server: &ServerReading) -> String {
    let several = |count: u64, what: &str| {
        format!("{} {what}{}", units::count(count), if count == 1 { "" } else { "s" })
    };
    let mut words = format!(
        "{}, {} now; {} in all",
        several(server.connections_open, "connection"),
        several(server.runs_open, "run"),
        several(server.runs, "run")
    );
    if server.runs_failed > 0 {
        words.push_str(&format!(", {} failed", units::count(server.runs_failed)));
    }
    words
}

/// One line about a server: `3 connections, 2 runs now; 1 204 runs in all; in 1.2 GiB, out 3.1 GiB`.
pub(super) fn summary(reading: &Reading) -> Option<String> {
    let server = reading.server.as_ref()?;
    let (taken, given) = (units::size(server.bytes_read), units::size(server.bytes_written));
    Some(format!("{}; in {taken}, out {given}", inside(server)))
}

#[cfg(test)]
mod tests {
    use super::{server_rows, summary};
    use crate::diagnostic::Colour;
    use crate::flow::{Reading, RunReading, Scheme, ServerReading, StageInfo};
    use crate::verdict::judge;
    use crate::verdict::planted::{Part, chain};
    use crate::view::look::line;
    use crate::view::{Charset, Frame, Look};
    use std::sync::Arc;

    #[test]
    fn a_server_tells_who_is_inside_and_what_limits_them() {
        let parts = [Part::new("stdin", [0.1, 0.0, 0.9, 0.0]), Part::new("gzip", [0.98, 0.0, 0.0, 0.02])];
        let mut run = chain(2.0, &parts);
        run.stages[0].bytes_read = 64 << 20;
        let server = ServerReading {
            connections: 9,
            connections_open: 3,
            runs: 1204,
            runs_open: 2,
            runs_failed: 1,
            bytes_read: 4 << 30,
            bytes_written: 1 << 30,
            busiest: vec![RunReading { name: "127.0.0.1:4711".to_owned(), reading: run }],
        };
        let info = StageInfo {
            name: "serve".to_owned(),
            label: "tcp://localhost:7000".to_owned(),
            ..StageInfo::default()
        };
        let reading = Reading {
            at_nanos: 3_000_000_000,
            started_nanos: 1_000_000_000,
            stages: vec![Default::default()],
            server: Some(server),
            scheme: Arc::new(Scheme { stages: vec![info], ..Scheme::default() }),
            ..Reading::default()
        };
        let verdict = judge(&reading, None);
        let frame = Frame { now: &reading, previous: None, recent: None, verdict: &verdict };
        let look = Look { charset: Charset::Unicode, colour: Colour::Never };
        let rows = server_rows(&frame, look).unwrap();
        let shown: Vec<String> = rows.iter().map(|row| line(row, 200, look)).collect();
        assert_eq!(
            shown[0],
            "serve  tcp://localhost:7000  3 connections, 2 runs now; 1 204 runs in all, 1 failed"
        );
        assert_eq!(shown[1], "  in  4.00 GiB  2.0 GiB/s   out  1.00 GiB  512 MiB/s");
        assert!(
            shown[2].starts_with("  127.0.0.1:4711  64.0 MiB  32 MiB/s  limited by gzip"),
            "{}",
            shown[2]
        );
        assert_eq!(shown[3], "  ⋮ 1 more");
        assert_eq!(
            summary(&reading).unwrap(),
            "3 connections, 2 runs now; 1 204 runs in all, 1 failed; in 4.00 GiB, out 1.00 GiB"
        );
    }
}
