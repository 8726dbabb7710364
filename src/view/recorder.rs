//! The files about the runs of a call, and the thread that takes readings for them while a run lasts.
//! Nobody waits for it, data least of all: a disk that takes nothing holds this thread, and the end of the call for a moment.

use super::live::Sample as Reader;
use super::plot::{Form, Sample, Series};
use super::trace::{EventArray, RunTrace};
use crate::diagnostic::printable;
use crate::engine::Report;
use crate::flow::Reading;
use crate::stage::{Fault, WholeFile};
use crate::verdict::judge;
use nix::errno::Errno;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// From reading to reading. A reading takes some ten microseconds for each stage, so this costs a thousandth of a core for two of
/// them; and the kernel's account of a thread that computes, which may be 4 ms old, is off by no more than a fifth of it.
const INTERVAL: Duration = Duration::from_millis(20);
const NOT_TAKEN: &str = "what was recorded is not written: the disk does not take it";
/// How long the end of a run waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the end of the call waits for it: a file that replaces another is synced first.
const CLOSING_PATIENCE: Duration = Duration::from_secs(20);

/// A file that is being written, until something goes wrong with it.
#[derive(Debug)]
struct Sheet<W> {
    /// `--trace: trace.json`.
    subject: String,
    /// Or why there is none any more.
    writer: Result<W, String>,
    /// A call in which no run began leaves no file.
    has_run: bool,
}

impl<W> Sheet<W> {
    fn new(option: &str, path: &Path, writer: W) -> Sheet<W> {
        let name = printable(path.as_os_str().as_encoded_bytes());
        Sheet { subject: format!("{option}: {name}"), writer: Ok(writer), has_run: false }
    }

    fn write(&mut self, work: impl FnOnce(&mut W) -> io::Result<()>) {
        self.has_run = true;
        if let Err(error) = self.writer.as_mut().map_or(Ok(()), work) {
            // What has been written of it goes at once: others may need the room.
            self.writer = Err(reason(&error));
        }
    }

    /// Puts the file in place; why it is not, if it is not.
    fn close(self, finish: impl FnOnce(W) -> io::Result<BufWriter<WholeFile>>) -> Option<String> {
        let Sheet { subject, writer, has_run } = self;
        let commit = |writer: W| {
            let file = finish(writer).and_then(|buffer| Ok(buffer.into_inner()?));
            file.map_err(|error| reason(&error))?.commit().map_err(|error| format!("{error:#}"))
        };
        let why = writer.and_then(|writer| if has_run { commit(writer) } else { Ok(()) }).err()?;
        Some(format!("{subject}: not written: {why}"))
    }
}

fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_lowercase(),
        None => error.to_string(),
    }
}

/// The files about the runs of a call: none, one or both.
#[derive(Debug, Default)]
pub struct Records {
    trace: Option<Mutex<Sheet<EventArray<BufWriter<WholeFile>>>>>,
    plot: Option<(Form, Mutex<Sheet<BufWriter<WholeFile>>>)>,
    /// The last number given to a process or a thread of the trace.
    numbers: AtomicU64,
    /// The disk took nothing for so long that nothing more is recorded.
    is_given_up: AtomicBool,
}

impl Records {
    /// Begins the files: a trace, a plot and its form. A file that replaces none gets its mode by `umask`.
    ///
    /// # Errors
    /// Why one of them cannot be written; then there is none.
    pub fn begin(
        trace: Option<&Path>,
        plot: Option<(Form, &Path)>,
        umask: u32,
    ) -> Result<Arc<Records>, Fault> {
        let create = |path: &Path| Ok(BufWriter::with_capacity(64 * 1024, WholeFile::create(path, umask)?));
        let trace = trace.map(|path| Ok(Sheet::new("--trace", path, EventArray::new(create(path)?))));
        let trace = trace.transpose()?.map(Mutex::new);
        let plot = plot.map(|(form, path)| Ok((form, Mutex::new(Sheet::new("--plot", path, create(path)?)))));
        Ok(Arc::new(Records {
            trace,
            plot: plot.transpose()?,
            numbers: AtomicU64::new(0),
            is_given_up: AtomicBool::new(false),
        }))
    }

    fn is_wanted(&self) -> bool {
        (self.trace.is_some() || self.plot.is_some()) && !self.is_given_up.load(Ordering::Relaxed)
    }

    /// Records a run while it lasts.
    pub fn record(self: &Arc<Records>, reader: Reader) -> Recorder {
        let mut thread = None;
        if self.is_wanted() {
            let (end, ended) = mpsc::channel();
            let (farewell, gone) = mpsc::channel();
            let run = Run::new(Arc::clone(self));
            let body = move || {
                run.follow(&reader, &ended);
                // When what it shares with others is let go of.
                drop::<mpsc::Sender<()>>(farewell);
            };
            // Without a thread to spare the run goes on unrecorded, but for its end.
            let is_started = thread::Builder::new().name("recorder".to_string()).spawn(body).is_ok();
            thread = is_started.then_some(RecorderThread { end, gone });
        }
        Recorder { records: Arc::clone(self), thread }
    }

    /// Records a run of which there is nothing but its end.
    pub fn note(self: &Arc<Records>, report: &Report) {
        let reading = report.reading.clone();
        self.record(Arc::new(move || reading.clone())).finish(report);
    }

    /// Puts the files in place when all runs are over; what is to be told of those that are not there. Waits for at most 20 s;
    /// not at all for a disk that took nothing before.
    pub fn finish(self: Arc<Records>) -> Vec<String> {
        if self.trace.is_none() && self.plot.is_none() {
            return Vec::new();
        }
        if self.is_given_up.load(Ordering::Relaxed) {
            return vec![NOT_TAKEN.to_string()];
        }
        let (tell, told) = mpsc::channel();
        let body = move || drop(tell.send(self.close()));
        if let Err(error) = thread::Builder::new().name("recorder".to_string()).spawn(body) {
            return vec![format!("what was recorded is not written: {}", reason(&error))];
        }
        told.recv_timeout(CLOSING_PATIENCE).unwrap_or_else(|_| {
            vec![format!(
                "what was recorded is not written: the disk did not take it in {} s",
                CLOSING_PATIENCE.as_secs()
            )]
        })
    }

    fn close(self: Arc<Records>) -> Vec<String> {
        // A recorder that was given up may still hold them: then it does not come to an end either.
        let Ok(records) = Arc::try_unwrap(self) else {
            return vec![NOT_TAKEN.to_string()];
        };
        let trace = records.trace.and_then(|sheet| unlocked(sheet).close(EventArray::finish));
        let plot = records.plot.and_then(|(_, sheet)| unlocked(sheet).close(Ok));
        trace.into_iter().chain(plot).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unlocked<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What records a run, until [`Recorder::finish`].
#[derive(Debug)]
pub struct Recorder {
    records: Arc<Records>,
    thread: Option<RecorderThread>,
}

#[derive(Debug)]
struct RecorderThread {
    end: mpsc::Sender<Report>,
    /// Closed when the thread is gone.
    gone: mpsc::Receiver<()>,
}

impl Recorder {
    /// The run is over. Waits for at most 2 s.
    pub fn finish(self, report: &Report) {
        match self.thread {
            Some(RecorderThread { end, gone }) => {
                // To a thread that is gone nothing can be told.
                let _ = end.send(report.clone());
                if gone.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                    self.records.is_given_up.store(true, Ordering::Relaxed);
                }
            }
            // Without a thread to spare.
            None if self.records.is_wanted() => Run::new(self.records).end(report),
            None => {}
        }
    }
}

/// A run being recorded.
struct Run {
    records: Arc<Records>,
    trace: Option<RunTrace>,
    series: Series,
    previous: Option<Reading>,
}

impl Run {
    fn new(records: Arc<Records>) -> Run {
        Run { records, trace: None, series: Series::default(), previous: None }
    }

    /// Takes readings until it is told how the run ended.
    fn follow(mut self, reader: &Reader, ended: &mpsc::Receiver<Report>) {
        let mut due = Instant::now();
        loop {
            due = (due + INTERVAL).max(Instant::now() + INTERVAL / 2);
            match ended.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(report) => return self.end(&report),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => self.take(reader()),
            }
        }
    }

    /// Takes a reading, unless the run's clock has not moved since the last one.
    fn take(&mut self, now: Reading) {
        let earlier = self.previous.as_ref();
        if now.at_nanos <= earlier.map_or(now.started_nanos, |earlier| earlier.at_nanos) {
            return;
        }
        if self.records.plot.is_some() {
            self.series.push(Sample::between(&now, earlier));
        }
        let (records, previous) = (Arc::clone(&self.records), self.previous.take());
        if let Some(sheet) = &records.trace {
            let (trace, mut events) = self.trace(&now);
            events.extend(trace.take(&now, previous.as_ref()));
            lock(sheet).write(|array| array.push(&events));
        }
        self.previous = Some(now);
    }

    fn end(mut self, report: &Report) {
        self.take(report.reading.clone());
        let verdict = judge(&report.reading, None);
        let records = Arc::clone(&self.records);
        if let Some(sheet) = &records.trace {
            let (trace, mut events) = self.trace(&report.reading);
            events.extend(trace.end(report, &verdict));
            lock(sheet).write(|array| array.push(&events));
        }
        if let Some((form, sheet)) = &records.plot {
            let text = form.draw(report, &verdict, &self.series);
            lock(sheet).write(|writer| writer.write_all(text.as_bytes()));
        }
    }

    /// The run's trace, and what has to be said first where it begins.
    fn trace(&mut self, reading: &Reading) -> (&mut RunTrace, Vec<serde_json::Value>) {
        let mut events = Vec::new();
        let trace = self.trace.get_or_insert_with(|| {
            let numbers = RunTrace::numbers(reading.scheme.stages.len());
            let process = self.records.numbers.fetch_add(numbers, Ordering::Relaxed) + 1;
            let (trace, begun) = RunTrace::begin(process, reading);
            events = begun;
            trace
        });
        (trace, events)
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, Records};
    use crate::engine::{Outcome, Report};
    use crate::flow::Reading;
    use crate::verdict::planted::{Part, alter, chain};
    use std::fs::OpenOptions;
    use std::sync::{Arc, mpsc};
    use std::time::{Duration, Instant};

    fn reading(seconds: f64) -> Reading {
        chain(seconds, &[Part::new("read", [0.1, 0.0, 0.9, 0.0]), Part::new("gzip", [1.0, 0.0, 0.0, 0.0])])
    }

    fn ended(reading: Reading) -> Report {
        let (failures, outputs, notes) = (Vec::new(), Vec::new(), Vec::new());
        Report { outcome: Outcome::Done, failures, outputs, notes, reading }
    }

    #[test]
    fn readings_are_taken_until_the_end_and_the_files_are_there_after_it() {
        let directory = tempfile::tempdir().unwrap();
        let (trace, plot) = (directory.path().join("trace"), directory.path().join("plot"));
        let records = Records::begin(Some(&trace), Some((Form::Picture, &plot)), 0o022).unwrap();
        let (tell, told) = mpsc::channel();
        let tell = std::sync::Mutex::new(tell);
        let recorder = records.record(Arc::new(move || {
            let _ = tell.lock().unwrap().send(());
            reading(1.0)
        }));
        (0..3).for_each(|_| told.recv().unwrap());
        recorder.finish(&ended(reading(2.0)));
        assert!(!trace.exists() && !plot.exists());
        assert_eq!(records.finish(), Vec::<String>::new());
        let trace = std::fs::read_to_string(trace).unwrap();
        // The clock stood still from the first reading to the end: each track has a value for it, and none for the repetition.
        assert_eq!(trace.matches("\"01 read: time, %\"").count(), 2, "{trace}");
        assert!(std::fs::read_to_string(plot).unwrap().starts_with("<svg"));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_disk_that_takes_nothing_holds_the_end_for_a_moment_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Open at both ends, and nobody reads.
        let fifo = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let records = Records::begin(Some(&path), None, 0o022).unwrap();
        let mut last = reading(1.0);
        alter(&mut last, |scheme| scheme.stages[0].label = "x".repeat(4 << 20));
        let begun = Instant::now();
        let sampled = last.clone();
        records.record(Arc::new(move || sampled.clone())).finish(&ended(last));
        let told = records.finish();
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert!(matches!(&told[..], [line] if line.contains("the disk does not take it")), "{told:?}");
        drop(fifo);
    }

    #[test]
    fn nothing_wanted_is_nothing_done() {
        let records = Records::begin(None, None, 0o022).unwrap();
        let recorder = records.record(Arc::new(|| panic!("a reading that nobody wants")));
        recorder.finish(&ended(reading(1.0)));
        assert!(records.finish().is_empty());
    }
}
