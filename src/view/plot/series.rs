//! What is kept of a run for its picture: a bounded number of stretches, which grow longer as the run does.
//! Pure. A stretch holds sums over its time, and the greatest fill: two that become one lose nothing but the order of things in
//! them.

use crate::flow::Reading;

/// At most this many stretches are kept; the picture is not much wider in pixels.
pub(in crate::view) const SAMPLES_MAX: usize = 512;

/// A stretch of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::view) struct Sample {
    /// On the run's clock.
    pub(super) begin_nanos: u64,
    pub(super) end_nanos: u64,
    /// What the source took or made.
    pub(super) taken_bytes: u64,
    /// As the scheme's.
    pub(super) stages: Vec<StageSample>,
    pub(super) links: Vec<LinkSample>,
    pub(super) server: ServerSample,
}

/// Busy, waiting, stalled, starved, in nanoseconds.
pub(super) type StageSample = [u64; 4];

/// A link over a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct LinkSample {
    /// The integral of the fill.
    pub(super) byte_seconds: f64,
    /// The greatest fill: of averages over the shortest stretches there were.
    pub(super) peak_bytes: f64,
    /// The high mark; the greatest where it was changed.
    pub(super) high_bytes: u64,
    pub(super) stalled_nanos: u64,
    pub(super) starved_nanos: u64,
}

/// A server over a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ServerSample {
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
    /// The most there were at once.
    pub(super) runs_open: u64,
}

impl Sample {
    /// The stretch from `earlier` to `now`; from the start of the run if there is no earlier reading.
    pub(in crate::view) fn between(now: &Reading, earlier: Option<&Reading>) -> Sample {
        let stage = |stage| {
            let share = now.share(earlier, stage);
            [share.busy_nanos, share.waiting_nanos, share.stalled_nanos, share.starved_nanos]
        };
        let begin_nanos = earlier.map_or(now.started_nanos, |earlier| earlier.at_nanos);
        let link = |link: usize| {
            let reading = &now.links[link];
            let before = earlier.map(|earlier| (&earlier.links[link], earlier.at_nanos));
            let byte_seconds = reading.area(now.at_nanos) - before.map_or(0.0, |(link, at)| link.area(at));
            let since = |total: u64, before: Option<u64>| total.saturating_sub(before.unwrap_or(0));
            let seconds = now.at_nanos.saturating_sub(begin_nanos) as f64 / 1e9;
            LinkSample {
                byte_seconds: byte_seconds.max(0.0),
                peak_bytes: if seconds > 0.0 { (byte_seconds / seconds).max(0.0) } else { 0.0 },
                high_bytes: now.high_bytes(link),
                stalled_nanos: since(
                    reading.stall.total_nanos(now.at_nanos),
                    before.map(|(link, at)| link.stall.total_nanos(at)),
                ),
                starved_nanos: since(
                    reading.starve.total_nanos(now.at_nanos),
                    before.map(|(link, at)| link.starve.total_nanos(at)),
                ),
            }
        };
        let server = now.server.as_ref().map_or_else(ServerSample::default, |server| {
            let before = earlier.and_then(|earlier| earlier.server.as_ref());
            ServerSample {
                bytes_read: server.bytes_read - before.map_or(0, |before| before.bytes_read),
                bytes_written: server.bytes_written - before.map_or(0, |before| before.bytes_written),
                runs_open: server.runs_open,
            }
        });
        Sample {
            begin_nanos,
            end_nanos: now.at_nanos,
            taken_bytes: now.taken_bytes().saturating_sub(earlier.map_or(0, Reading::taken_bytes)),
            stages: (0..now.stages.len()).map(stage).collect(),
            links: (0..now.links.len()).map(link).collect(),
            server,
        }
    }

    /// Its length.
    pub(super) fn seconds(&self) -> f64 {
        self.end_nanos.saturating_sub(self.begin_nanos) as f64 / 1e9
    }

    /// Takes in the stretch that follows.
    fn join(&mut self, next: &Sample) {
        self.end_nanos = next.end_nanos;
        self.taken_bytes += next.taken_bytes;
        for (stage, next) in self.stages.iter_mut().zip(&next.stages) {
            stage.iter_mut().zip(next).for_each(|(nanos, next)| *nanos += next);
        }
        for (link, next) in self.links.iter_mut().zip(&next.links) {
            link.byte_seconds += next.byte_seconds;
            link.peak_bytes = link.peak_bytes.max(next.peak_bytes);
            link.high_bytes = link.high_bytes.max(next.high_bytes);
            link.stalled_nanos += next.stalled_nanos;
            link.starved_nanos += next.starved_nanos;
        }
        self.server.bytes_read += next.server.bytes_read;
        self.server.bytes_written += next.server.bytes_written;
        self.server.runs_open = self.server.runs_open.max(next.server.runs_open);
    }
}

/// The stretches of a run, in order.
#[derive(Debug)]
pub(in crate::view) struct Series {
    kept: Vec<Sample>,
    /// So many samples that came are one that is kept: a power of two.
    joined: usize,
    /// How many the last one holds.
    in_last: usize,
}

impl Default for Series {
    fn default() -> Series {
        Series { kept: Vec::new(), joined: 1, in_last: 0 }
    }
}

impl Series {
    /// Adds the stretch that follows.
    pub(in crate::view) fn push(&mut self, sample: Sample) {
        if let Some(last) = self.kept.last_mut().filter(|_| self.in_last < self.joined) {
            last.join(&sample);
            self.in_last += 1;
            return;
        }
        if self.kept.len() == SAMPLES_MAX {
            self.halve();
        }
        self.kept.push(sample);
        self.in_last = 1;
    }

    /// Makes one of every two.
    fn halve(&mut self) {
        let mut halved: Vec<Sample> = Vec::with_capacity(SAMPLES_MAX);
        for (at, sample) in self.kept.drain(..).enumerate() {
            match halved.last_mut().filter(|_| at % 2 == 1) {
                Some(first) => first.join(&sample),
                None => halved.push(sample),
            }
        }
        self.kept = halved;
        self.joined *= 2;
    }

    /// What there is.
    pub(super) fn samples(&self) -> &[Sample] {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::{LinkSample, SAMPLES_MAX, Sample, Series};
    use crate::flow::Episodes;
    use crate::verdict::planted::{Part, START_NANOS, chain};

    fn sample(number: u64) -> Sample {
        let link = LinkSample {
            byte_seconds: 1.0,
            peak_bytes: (number % 1000) as f64,
            high_bytes: 1000,
            stalled_nanos: 3,
            starved_nanos: 4,
        };
        Sample {
            begin_nanos: number * 10,
            end_nanos: number * 10 + 10,
            taken_bytes: 1,
            stages: vec![[1, 2, 3, 4]],
            links: vec![link],
            ..Sample::default()
        }
    }

    #[test]
    fn however_long_a_run_is_the_series_is_short_and_nothing_is_lost() {
        for length in [1, SAMPLES_MAX as u64, SAMPLES_MAX as u64 + 1, 12_345, 100_000] {
            let mut series = Series::default();
            (0..length).for_each(|number| series.push(sample(number)));
            let kept = series.samples();
            assert!(kept.len() <= SAMPLES_MAX && kept.len() as u64 >= length.min(SAMPLES_MAX as u64 / 2));
            assert!(kept.windows(2).all(|pair| pair[0].end_nanos == pair[1].begin_nanos), "no gaps");
            assert_eq!((kept[0].begin_nanos, kept[kept.len() - 1].end_nanos), (0, length * 10));
            assert_eq!(kept.iter().map(|sample| sample.taken_bytes).sum::<u64>(), length);
            assert_eq!(kept.iter().map(|sample| sample.stages[0][3]).sum::<u64>(), length * 4);
            let peak = kept.iter().map(|sample| sample.links[0].peak_bytes).fold(0.0, f64::max);
            assert!((peak - (length.min(1000) - 1) as f64).abs() < 1e-9, "{peak}");
            // All but the last are equally long.
            let lengths: Vec<u64> = kept.iter().map(|sample| sample.end_nanos - sample.begin_nanos).collect();
            assert!(lengths[..lengths.len() - 1].iter().all(|length| *length == lengths[0]));
        }
    }

    #[test]
    fn a_stretch_holds_what_happened_in_it() {
        let parts = [Part::new("read", [0.2, 0.0, 0.8, 0.0]), Part::new("gzip", [1.0, 0.0, 0.0, 0.0])];
        let now = chain(4.0, &parts);
        let whole = Sample::between(&now, None);
        assert_eq!((whole.begin_nanos, whole.end_nanos), (START_NANOS, START_NANOS + 4_000_000_000));
        assert_eq!(whole.taken_bytes, 64 << 20);
        assert_eq!(whole.stages, [[800_000_000, 0, 3_200_000_000, 0], [4_000_000_000, 0, 0, 0]]);
        assert_eq!(whole.links[0].stalled_nanos, 3_200_000_000);
        assert!((whole.links[0].peak_bytes - 0.8 * f64::from(1 << 20)).abs() < 1.0);
        let nothing = Sample::between(&now, Some(&now));
        let empty = LinkSample { high_bytes: 1 << 20, ..LinkSample::default() };
        assert_eq!((nothing.taken_bytes, nothing.links[0]), (0, empty));
    }

    #[test]
    fn an_open_wait_counts_in_every_stretch_it_lasts() {
        let mut first = chain(1.0, &[Part::new("read", [0.0; 4]), Part::new("gzip", [0.0; 4])]);
        first.links[0].starve = Episodes { count: 1, nanos: 0, since_nanos: START_NANOS };
        let mut second = first.clone();
        second.at_nanos += 500;
        assert_eq!(Sample::between(&first, None).links[0].starved_nanos, 1_000_000_000);
        assert_eq!(Sample::between(&second, Some(&first)).links[0].starved_nanos, 500);
    }
}
