//! A run as a picture: heading, the rate at the source, then stages and links in the order of the chain, all over one time.
//! Pure: what was kept of the run in, SVG out. Where things stand is decided here, and nowhere else.

use super::chart::{Span, Step, Strip};
use super::series::{Sample, Series};
use super::svg::{Area, At, Svg};
use crate::diagnostic::Colour;
use crate::engine::Report;
use crate::flow::{Episodes, Reading, Scheme, Share};
use crate::units;
use crate::verdict::{Verdict, subject};
use crate::view::headline::{chain, headline};
use crate::view::look::{Charset, Look, shortened, width};
use crate::view::progress::summary;
use crate::view::stages::bytes_of;
use std::time::Duration;

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 20.0;
/// The strips begin here; left of them stand the names.
const LEFT: f64 = 200.0;
/// And end here; right of them stand the figures.
const RIGHT: f64 = 730.0;
const STAGE_HEIGHT: f64 = 28.0;
const FILL_HEIGHT: f64 = 40.0;
const RATE_HEIGHT: f64 = 56.0;
/// A strip of marks above and below the fill of a link.
const MARK_HEIGHT: f64 = 7.0;
const GAP: f64 = 10.0;
/// For each group that a stage stands in.
const INDENT: f64 = 10.0;
/// About so many letters fit across the picture, and beside a strip.
const TITLE_COLUMNS: usize = 100;
const LINE_COLUMNS: usize = 140;
const NAME_COLUMNS: usize = 24;
const TITLE_LINES_MAX: usize = 3;
/// The end of a text that is left out is told by a sign of Unicode.
const LOOK: Look = Look { charset: Charset::Unicode, colour: Colour::Never };

const STYLE: &str = include_str!("style.css");

/// The states of a stage, as the parts of a sample and as classes of the style sheet.
const STATES: [&str; 4] = ["busy", "waiting", "stalled", "starved"];

/// The picture of a run.
pub(super) fn picture(report: &Report, verdict: &Verdict, series: &Series) -> String {
    let reading = &report.reading;
    let samples = series.samples();
    let span = Span {
        begin_nanos: samples.first().map_or(reading.started_nanos, |first| first.begin_nanos),
        end_nanos: samples.last().map_or(reading.started_nanos, |last| last.end_nanos),
    };
    let mut drawing = Drawing { svg: Svg::default(), y: MARGIN, reading, samples, span, verdict };
    let title = headline(report, verdict);
    drawing.heading(report, &title);
    if samples.is_empty() {
        drawing.y += GAP;
        drawing.svg.text(
            At { x: MARGIN, y: drawing.y + 10.0 },
            "faint",
            "It ended before anything could be read of it.",
        );
        drawing.y += 20.0;
    } else {
        drawing.body();
    }
    let height = drawing.y + MARGIN;
    let mut paper = Svg::default();
    paper.rectangle(Area { x: 0.0, y: 0.0, width: WIDTH, height }, "paper");
    paper.append(&drawing.svg);
    paper.finish(WIDTH, height, STYLE, &format!("{title}: {}", chain(&reading.scheme)))
}

struct Drawing<'a> {
    svg: Svg,
    /// Down to here it is drawn.
    y: f64,
    reading: &'a Reading,
    samples: &'a [Sample],
    span: Span,
    verdict: &'a Verdict,
}

impl Drawing<'_> {
    fn heading(&mut self, report: &Report, title: &str) {
        for line in wrapped(title, TITLE_COLUMNS) {
            self.y += 22.0;
            self.svg.text(At { x: MARGIN, y: self.y - 4.0 }, "title", &line);
        }
        let mut lines = vec![("code", chain(&self.reading.scheme))];
        lines.push(("faint", summary(self.reading)));
        let limited = self.verdict.words(&self.reading.scheme).filter(|words| words != title);
        lines.extend(limited.filter(|_| report.reading.server.is_none()).map(|words| ("faint", words)));
        let advice = self.verdict.advice_line().filter(|_| report.reading.server.is_none());
        lines.extend(advice.map(|advice| ("faint", advice)));
        for (class, line) in lines {
            self.y += 17.0;
            self.svg.text(At { x: MARGIN, y: self.y - 3.0 }, class, &shortened(&line, LINE_COLUMNS, LOOK));
        }
    }

    fn body(&mut self) {
        let is_server = self.reading.server.is_some();
        if !is_server {
            self.legend();
        }
        let top = self.y + GAP;
        // Behind the strips: what they are read by.
        let ticks = self.span.ticks();
        let behind = std::mem::take(&mut self.svg);
        if is_server {
            self.server();
        } else {
            self.rate("rate at the source", |sample| sample.taken_bytes);
            for stage in 0..self.reading.stages.len() {
                if let Some(link) = self.reading.scheme.stages[stage].input {
                    self.link(link);
                }
                self.stage(stage);
            }
        }
        let strips = std::mem::replace(&mut self.svg, behind);
        let scale = self.strip(0.0, 0.0, 1.0);
        for (at, _) in &ticks {
            let x = scale.x(self.span.begin_nanos + at);
            self.svg.line(At { x, y: top }, At { x, y: self.y + 4.0 }, "grid");
        }
        self.svg.append(&strips);
        self.y += 18.0;
        for (at, name) in ticks {
            self.svg.text(At { x: scale.x(self.span.begin_nanos + at), y: self.y }, "middle faint", &name);
        }
        // All but the last stretch are about as long as the first.
        let step =
            self.samples.first().map_or(Duration::ZERO, |first| Duration::from_secs_f64(first.seconds()));
        // Beside the last tick's name, which is centred below it.
        let at = At { x: RIGHT + 40.0, y: self.y };
        self.svg.text(at, "faint", &format!("averages over {}", units::duration(step)));
    }

    fn legend(&mut self) {
        self.y += 24.0;
        let mut x = LEFT;
        let kinds = STATES.into_iter().chain(["fill", "peak"]);
        let words =
            ["busy", "waiting in the system", "stalled", "starved", "fill of a link", "greatest of 20 ms"];
        for (class, words) in kinds.zip(words) {
            let height = if class == "peak" { 2.0 } else { 10.0 };
            let class = if class == "peak" { "peak-mark" } else { class };
            self.svg.rectangle(Area { x, y: self.y - 5.0 - height / 2.0, width: 10.0, height }, class);
            self.svg.text(At { x: x + 14.0, y: self.y }, "faint", words);
            x += 26.0 + width(words) as f64 * 5.9;
        }
    }

    /// A strip of this height at the present place.
    fn strip(&self, y: f64, height: f64, top: f64) -> Strip {
        Strip { span: self.span, area: Area { x: LEFT, y: self.y + y, width: RIGHT - LEFT, height }, top }
    }

    fn steps(&self, value: impl Fn(&Sample) -> f64) -> impl Iterator<Item = Step> {
        self.samples.iter().map(move |sample| Step {
            begin_nanos: sample.begin_nanos,
            end_nanos: sample.end_nanos,
            value: value(sample),
        })
    }

    /// An amount over its time, with an axis.
    fn rate(&mut self, name: &str, bytes: impl Fn(&Sample) -> u64) {
        let rate = |sample: &Sample| per_second(bytes(sample) as f64, sample);
        let most = self.samples.iter().map(rate).fold(0.0, f64::max);
        self.amount(name, most, &units::rate(most), rate);
    }

    fn amount(&mut self, name: &str, most: f64, most_words: &str, value: impl Fn(&Sample) -> f64) {
        self.y += GAP;
        let strip = self.strip(0.0, RATE_HEIGHT, most);
        self.svg.rectangle(strip.area, "ground");
        let steps: Vec<Step> = self.steps(value).collect();
        strip.fill(&mut self.svg, steps.into_iter(), "rate");
        self.svg.text(At { x: MARGIN, y: self.y + RATE_HEIGHT / 2.0 + 4.0 }, "name", name);
        self.axis(&strip, most_words);
        self.y += RATE_HEIGHT;
    }

    /// Which value the upper edge of a strip is.
    fn axis(&mut self, strip: &Strip, top_words: &str) {
        let x = LEFT - 6.0;
        self.svg.text_before(At { x, y: strip.area.y + 9.0 }, "faint", top_words);
        self.svg.text_before(At { x, y: strip.area.y + strip.area.height }, "faint", "0");
    }

    fn stage(&mut self, stage: usize) {
        self.y += GAP;
        let info = &self.reading.scheme.stages[stage];
        let strip = self.strip(0.0, STAGE_HEIGHT, 1.0);
        self.svg.rectangle(strip.area, "ground");
        // Each is drawn over the sum of it and those before it: the last one first.
        for state in (0..STATES.len()).rev() {
            let sum = |sample: &Sample| {
                let nanos: u64 = sample.stages[stage][..=state].iter().sum();
                per_second(nanos as f64 / 1e9, sample)
            };
            let steps: Vec<Step> = self.steps(sum).collect();
            strip.fill(&mut self.svg, steps.into_iter(), STATES[state]);
        }
        let x = MARGIN + INDENT * info.depth as f64;
        let columns = NAME_COLUMNS.saturating_sub(info.depth);
        self.svg.text(At { x, y: self.y + 12.0 }, "name", &shortened(&subject(info), columns, LOOK));
        let moved = moved(self.reading, stage) + towards(&self.reading.scheme, stage);
        self.svg.text(At { x, y: self.y + 25.0 }, "faint", &moved);
        let x = RIGHT + 10.0;
        let share = self.reading.share(None, stage);
        let [first, second] = shares(&share);
        self.svg.text(At { x, y: self.y + 12.0 }, "figure", &first);
        self.svg.text(At { x, y: self.y + 25.0 }, "faint", &second);
        if self.verdict.limiting() == Some(stage) {
            let mark = Area { x: MARGIN - 10.0, y: self.y, width: 4.0, height: STAGE_HEIGHT };
            self.svg.rectangle(mark, "mark");
            self.svg.text_before(At { x: WIDTH - MARGIN, y: self.y + 12.0 }, "limits", "◀ limits");
        }
        self.y += STAGE_HEIGHT;
    }

    fn link(&mut self, link: usize) {
        self.y += GAP;
        let (info, reading) = (&self.reading.scheme.links[link], &self.reading.links[link]);
        let part = |nanos: u64, sample: &Sample| per_second(nanos as f64 / 1e9, sample);
        let below = MARK_HEIGHT + 1.0 + FILL_HEIGHT + 1.0;
        let marks: [(f64, &str, Vec<Step>); 2] = [
            (0.0, "stalled", self.steps(|sample| part(sample.links[link].stalled_nanos, sample)).collect()),
            (below, "starved", self.steps(|sample| part(sample.links[link].starved_nanos, sample)).collect()),
        ];
        for (y, class, steps) in marks {
            let strip = self.strip(y, MARK_HEIGHT, 1.0);
            self.svg.rectangle(strip.area, "ground");
            strip.fill(&mut self.svg, steps.into_iter(), class);
        }
        let high = |sample: &Sample| sample.links[link].high_bytes as f64;
        let peak = |sample: &Sample| sample.links[link].peak_bytes;
        let top = self.samples.iter().map(|sample| peak(sample).max(high(sample))).fold(0.0, f64::max);
        let strip = self.strip(MARK_HEIGHT + 1.0, FILL_HEIGHT, top);
        self.svg.rectangle(strip.area, "ground");
        let fill: Vec<Step> =
            self.steps(|sample| per_second(sample.links[link].byte_seconds, sample)).collect();
        strip.fill(&mut self.svg, fill.into_iter(), "fill");
        let peaks: Vec<Step> = self.steps(peak).collect();
        strip.trace(&mut self.svg, peaks.into_iter(), "peak");
        let highs: Vec<Step> = self.steps(high).collect();
        strip.trace(&mut self.svg, highs.into_iter(), "high");
        self.axis(&strip, &units::size(top.round() as u64));
        let [from, to] = [info.from, info.to].map(|stage| &self.reading.scheme.stages[stage]);
        let ends = shortened(&format!("{} → {}", from.name, to.name), NAME_COLUMNS, LOOK);
        let left = At { x: MARGIN + INDENT * to.depth as f64, y: self.y + 32.0 };
        self.svg.text(left, "faint", &ends);
        let x = RIGHT + 10.0;
        let whole_nanos = self.reading.elapsed_nanos();
        let waits = |kind: &str, episodes: &Episodes| {
            let nanos = episodes.total_nanos(self.reading.at_nanos);
            let part = if whole_nanos == 0 { 0.0 } else { nanos as f64 / whole_nanos as f64 };
            let (count, time) = (units::count(episodes.count), units::duration(Duration::from_nanos(nanos)));
            format!("{kind} {count}×, {time}, {}", units::percent(part.min(1.0)))
        };
        let (stalled, starved) = (waits("stalled", &reading.stall), waits("starved", &reading.starve));
        let full = format!("{} full on average", units::percent(self.reading.fill(None, link)));
        self.svg.text(At { x, y: self.y + 10.0 }, "faint", &stalled);
        self.svg.text(At { x, y: self.y + 32.0 }, "faint", &full);
        self.svg.text(At { x, y: self.y + below + MARK_HEIGHT }, "faint", &starved);
        self.y += below + MARK_HEIGHT;
    }

    fn server(&mut self) {
        self.rate("from peers", |sample| sample.server.bytes_read);
        self.rate("to peers", |sample| sample.server.bytes_written);
        let most = self.samples.iter().map(|sample| sample.server.runs_open).max().unwrap_or(0);
        self.amount("runs at once", most as f64, &units::count(most), |sample| {
            sample.server.runs_open as f64
        });
    }
}

fn per_second(amount: f64, sample: &Sample) -> f64 {
    let seconds = sample.seconds();
    if seconds > 0.0 { amount / seconds } else { 0.0 }
}

/// What went through a stage: `851 MiB → 176 MiB`.
pub(super) fn moved(reading: &Reading, stage: usize) -> String {
    let [taken, given] = bytes_of(reading, stage).map(units::size);
    if taken == given { taken } else { format!("{taken} → {given}") }
}

/// Of the two rows of a duplex, which is which.
pub(super) fn towards(scheme: &Scheme, stage: usize) -> &'static str {
    match (scheme.stages[stage].returns, scheme.outward_of(stage)) {
        (Some(_), _) => " to its peer",
        (None, Some(_)) => " from its peer",
        (None, None) => "",
    }
}

/// How a stage spent its time, in two lines: what it did most, and the rest.
fn shares(share: &Share) -> [String; 2] {
    let nanos = [share.busy_nanos, share.waiting_nanos, share.stalled_nanos, share.starved_nanos];
    let mut parts: Vec<(f64, &str)> =
        nanos.map(|nanos| share.fraction(nanos)).into_iter().zip(STATES).collect();
    parts.sort_by(|a, b| b.0.total_cmp(&a.0));
    let words = |(part, name): &(f64, &str)| format!("{name} {}", units::percent(*part));
    [words(&parts[0]), parts[1..].iter().map(words).collect::<Vec<_>>().join(", ")]
}

/// A text in lines of at most about so many columns, broken between words; what does not fit is left out of its middle.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let text = shortened(text, columns * TITLE_LINES_MAX - columns / 2, LOOK);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut().filter(|line| width(line) + 1 + width(word) <= columns) {
            Some(line) => *line = format!("{line} {word}"),
            None => lines.push(shortened(word, columns, LOOK)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn a_title_is_broken_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("", 7), [""]);
        assert!(wrapped(&"word ".repeat(100), 20).len() <= 3);
        assert_eq!(wrapped(&"x".repeat(40), 20).len(), 1);
    }
}
