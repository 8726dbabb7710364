//! A page with the picture of a run, and its report as tables: one file that needs no other, in light, dark and print.
//! Pure.

use super::picture::{moved, towards};
use super::svg::escaped;
use crate::engine::Report;
use crate::flow::{Episodes, Reading};
use crate::units;
use crate::verdict::{Verdict, subject};
use crate::view::failure::became;
use crate::view::headline::{chain, headline};
use std::time::Duration;

const STYLE: &str = include_str!("page.css");

/// The page: `picture` is SVG.
pub(super) fn page(report: &Report, verdict: &Verdict, picture: &str) -> String {
    let reading = &report.reading;
    let title = escaped(&format!("{}: {}", headline(report, verdict), chain(&reading.scheme)));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>weir: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{picture}"
    );
    if reading.server.is_none() {
        page.push_str(&stage_table(reading));
        if !reading.links.is_empty() {
            page.push_str(&link_table(reading));
        }
    }
    let told = told(report);
    if !told.is_empty() {
        let items: String = told.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
        page.push_str(&format!("<ul>\n{items}</ul>\n"));
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn stage_table(reading: &Reading) -> String {
    let rows = (0..reading.stages.len()).map(|stage| {
        let share = reading.share(None, stage);
        let bytes = moved(reading, stage) + towards(&reading.scheme, stage);
        let mut cells = vec![subject(&reading.scheme.stages[stage]), bytes];
        let parts = [share.busy_nanos, share.waiting_nanos, share.stalled_nanos, share.starved_nanos];
        cells.extend(parts.map(|nanos| units::percent(share.fraction(nanos))));
        cells
    });
    table(&["stage", "bytes", "busy", "waiting", "stalled", "starved"], rows)
}

fn link_table(reading: &Reading) -> String {
    let stages = &reading.scheme.stages;
    let rows = reading.scheme.links.iter().zip(&reading.links).enumerate().map(|(at, (info, link))| {
        let waits = |episodes: &Episodes| {
            let time = Duration::from_nanos(episodes.total_nanos(reading.at_nanos));
            format!("{}×, {}", units::count(episodes.count), units::duration(time))
        };
        vec![
            format!("{} → {}", stages[info.from].name, stages[info.to].name),
            units::size(link.bytes_out),
            units::percent(reading.fill(None, at)),
            format!("{} of {}", units::size(link.fill_max_bytes), units::size(reading.high_bytes(at))),
            waits(&link.stall),
            waits(&link.starve),
        ]
    });
    table(&["link", "bytes", "average fill", "greatest fill", "writer stalled", "reader starved"], rows)
}

fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let cells = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
        cells.map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect::<String>()
    };
    let head = cells("th", &mut heads.iter().copied());
    let body: String =
        rows.map(|row| format!("<tr>{}</tr>\n", cells("td", &mut row.iter().map(String::as_str)))).collect();
    format!("<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n")
}

/// What failed, what became of the outputs, and what stages had to tell.
fn told(report: &Report) -> Vec<String> {
    let failures = report.failures.iter().map(|failure| failure.message.clone());
    let outputs = report.outputs.iter().map(became);
    failures.chain(outputs).chain(report.notes.iter().cloned()).collect()
}
