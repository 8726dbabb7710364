//! A strip of a picture in which values are drawn over time: steps, because each value holds for a whole stretch.
//! Knows nothing of what the values are.

use super::svg::{Area, Svg};
use std::fmt::Write;
use std::time::Duration;

use crate::units;

/// The time that all strips of a picture share, on the run's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) begin_nanos: u64,
    pub(super) end_nanos: u64,
}

/// A value that holds from one moment to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    pub(super) begin_nanos: u64,
    pub(super) end_nanos: u64,
    pub(super) value: f64,
}

/// A strip: where it is, and which value is its upper edge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Strip {
    pub(super) span: Span,
    pub(super) area: Area,
    pub(super) top: f64,
}

/// Steps between which a time axis may choose, in nanoseconds.
const TICK_NANOS: [u64; 26] = {
    const MS: u64 = 1_000_000;
    const S: u64 = 1000 * MS;
    const MIN: u64 = 60 * S;
    const H: u64 = 60 * MIN;
    [
        MS,
        2 * MS,
        5 * MS,
        10 * MS,
        20 * MS,
        50 * MS,
        100 * MS,
        200 * MS,
        500 * MS,
        S,
        2 * S,
        5 * S,
        10 * S,
        20 * S,
        30 * S,
        MIN,
        2 * MIN,
        5 * MIN,
        10 * MIN,
        20 * MIN,
        30 * MIN,
        H,
        2 * H,
        6 * H,
        12 * H,
        24 * H,
    ]
};
const TICKS_MAX: u64 = 8;

impl Span {
    fn nanos(self) -> u64 {
        self.end_nanos.saturating_sub(self.begin_nanos)
    }

    /// The moments that an axis names, since the beginning, and their names.
    pub(super) fn ticks(self) -> Vec<(u64, String)> {
        let longest = TICK_NANOS[TICK_NANOS.len() - 1];
        let fits = |step: &&u64| self.nanos() / **step < TICKS_MAX;
        let step = TICK_NANOS
            .iter()
            .find(fits)
            .copied()
            .unwrap_or_else(|| self.nanos().div_ceil(TICKS_MAX).next_multiple_of(longest));
        let name = |at: u64| {
            let time = Duration::from_nanos(at);
            if step >= 1_000_000_000 { units::whole_seconds(time) } else { units::duration(time) }
        };
        (0..=self.nanos() / step).map(|tick| (tick * step, name(tick * step))).collect()
    }
}

impl Strip {
    /// Where a moment is.
    pub(super) fn x(&self, at_nanos: u64) -> f64 {
        let whole = self.span.nanos().max(1) as f64;
        let part = at_nanos.saturating_sub(self.span.begin_nanos) as f64 / whole;
        self.area.x + part.min(1.0) * self.area.width
    }

    /// Where a value is.
    pub(super) fn y(&self, value: f64) -> f64 {
        let part = if self.top > 0.0 { (value / self.top).clamp(0.0, 1.0) } else { 0.0 };
        self.area.y + (1.0 - part) * self.area.height
    }

    /// Fills what is below the steps.
    pub(super) fn fill(&self, svg: &mut Svg, steps: impl Iterator<Item = Step>, class: &str) {
        let bottom = self.y(0.0);
        let mut path = String::new();
        let mut last = None;
        for step in steps {
            if last.is_none() {
                push(&mut path, format_args!("M{:.1} {bottom:.1}", self.x(step.begin_nanos)));
            }
            self.step(&mut path, &mut last, step);
        }
        if let Some((_, x)) = last {
            push(&mut path, format_args!("H{x:.1}V{bottom:.1}Z"));
        }
        svg.path(&path, class);
    }

    /// Draws a line along the steps.
    pub(super) fn trace(&self, svg: &mut Svg, steps: impl Iterator<Item = Step>, class: &str) {
        let mut path = String::new();
        let mut last = None;
        for step in steps {
            if last.is_none() {
                push(&mut path, format_args!("M{:.1} {:.1}", self.x(step.begin_nanos), self.y(step.value)));
            }
            self.step(&mut path, &mut last, step);
        }
        if let Some((_, x)) = last {
            push(&mut path, format_args!("H{x:.1}"));
        }
        svg.path(&path, class);
    }

    /// Goes to the height of a step, unless it is there: a value that holds on costs nothing.
    fn step(&self, path: &mut String, last: &mut Option<(i64, f64)>, step: Step) {
        let y = self.y(step.value);
        let tenths = (y * 10.0).round() as i64;
        if last.is_none_or(|(before, _)| before != tenths) {
            push(path, format_args!("H{:.1}V{y:.1}", self.x(step.begin_nanos)));
        }
        *last = Some((tenths, self.x(step.end_nanos)));
    }
}

fn push(path: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = path.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::{Area, Span, Step, Strip, Svg};

    fn span(end_nanos: u64) -> Span {
        Span { begin_nanos: 0, end_nanos }
    }

    fn drawn(values: &[f64]) -> String {
        let strip = Strip {
            span: span(values.len() as u64),
            area: Area { x: 10.0, y: 0.0, width: 100.0, height: 20.0 },
            top: 2.0,
        };
        let steps =
            values.iter().zip(0..).map(|(&value, at)| Step { begin_nanos: at, end_nanos: at + 1, value });
        let mut svg = Svg::default();
        strip.fill(&mut svg, steps, "fill");
        svg.finish(1.0, 1.0, "", "")
            .lines()
            .find(|line| line.starts_with("<path"))
            .unwrap_or_default()
            .to_owned()
    }

    #[test]
    fn values_are_drawn_as_steps_and_equal_ones_as_one() {
        assert_eq!(
            drawn(&[0.0, 2.0, 2.0, 1.0]),
            "<path d=\"M10.0 20.0H10.0V20.0H35.0V0.0H85.0V10.0H110.0V20.0Z\" class=\"fill\"/>"
        );
        assert_eq!(drawn(&[9.0]), "<path d=\"M10.0 20.0H10.0V0.0H110.0V20.0Z\" class=\"fill\"/>");
        assert_eq!(drawn(&[]), "");
    }

    #[test]
    fn an_axis_names_few_moments_whatever_its_length() {
        let names = |nanos: u64| span(nanos).ticks().into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        assert_eq!(names(0), ["0 ms"]);
        assert_eq!(names(3_100_000), ["0 ms", "1 ms", "2 ms", "3 ms"]);
        assert_eq!(names(1_200_000_000), ["0 ms", "200 ms", "400 ms", "600 ms", "800 ms", "1.0 s", "1.2 s"]);
        assert_eq!(names(10_500_000_000), ["0 s", "2 s", "4 s", "6 s", "8 s", "10 s"]);
        assert_eq!(names(3_700_000_000_000).last().map(String::as_str), Some("1:00:00"));
        for nanos in [1, 7_999_999, 86_400_000_000_000, 40 * 86_400_000_000_000, u64::MAX / 2] {
            assert!(names(nanos).len() <= 9, "{nanos}: {:?}", names(nanos));
        }
    }
}
