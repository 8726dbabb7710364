//! The worker pool of a run, and the ordered parallel map over it.
//! Knows nothing of what is computed.
//!
//! One pool serves all stages of a run, so a chain with several heavy stages does not ask for more cores than there are,
//! and the stage that needs them gets them. Results come out in the order in which the jobs went in, whatever the timing.

use super::gauge::StageGauge;
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads that are started when there is work for them.
#[derive(Debug, Clone)]
pub struct Workers {
    shared: Arc<Shared>,
    /// Dropped with the last handle: tells the threads to end.
    _handle: Arc<Handle>,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    /// 0 is as many as there are cores.
    threads_max: usize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Workers(at most {})", self.threads_max)
    }
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    is_over: bool,
}

#[derive(Debug)]
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_over = true;
        state.jobs.clear();
        drop(state);
        self.0.work.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A job that panics does so outside the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Workers {
    /// A pool of at most `threads_max` threads, none of them started yet; 0 is as many as there are cores.
    pub fn new(threads_max: usize) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), work: Condvar::new(), threads_max });
        Workers { _handle: Arc::new(Handle(Arc::clone(&shared))), shared }
    }

    /// The most threads it uses.
    pub fn threads_max(&self) -> usize {
        worker_threads(self.shared.threads_max)
    }

    fn run(&self, job: Job) {
        let mut state = self.shared.lock();
        state.jobs.push_back(job);
        if state.idle < state.jobs.len() && state.threads < self.threads_max() {
            let shared = Arc::clone(&self.shared);
            let started = thread::Builder::new().name("worker".to_owned()).spawn(move || work(&shared));
            if started.is_ok() {
                state.threads += 1;
            } else if state.threads == 0 {
                // No thread to be had: the caller does the work.
                while let Some(job) = state.jobs.pop_front() {
                    drop(state);
                    job();
                    state = self.shared.lock();
                }
            }
        }
        drop(state);
        self.shared.work.notify_one();
    }
}

/// As many as `wanted`; for 0, as many as there are cores. These are counted once, and only if somebody asks: it takes the
/// system half a dozen files, and most chains never want to know.
pub fn worker_threads(wanted: usize) -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    let count = || thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if wanted == 0 { *CORES.get_or_init(count) } else { wanted }
}

fn work(shared: &Shared) {
    let mut state = shared.lock();
    while !state.is_over {
        match state.jobs.pop_front() {
            Some(job) => {
                drop(state);
                job();
                state = shared.lock();
            }
            None => {
                state.idle += 1;
                state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

/// A job's result on its way back.
struct Slot<T> {
    result: Mutex<Option<Result<T, Box<dyn Any + Send>>>>,
    done: Condvar,
}

/// A stage's jobs on the pool: submitted in order, taken in the same order.
///
/// Dropped, it forgets them: those that have not begun never do.
pub struct Ordered<'a, T> {
    workers: &'a Workers,
    gauge: &'a Arc<StageGauge>,
    pending: VecDeque<Arc<Slot<T>>>,
}

impl<'a, T: Send + 'static> Ordered<'a, T> {
    /// None submitted yet. The time in [`Ordered::take`], and what the workers compute, is accounted to `gauge`.
    pub fn new(workers: &'a Workers, gauge: &'a Arc<StageGauge>) -> Self {
        Ordered { workers, gauge, pending: VecDeque::new() }
    }

    /// How many jobs to have under way at once: enough that no worker waits for the stage, and no more.
    pub fn pending_max(&self) -> usize {
        2 * self.workers.threads_max() + 2
    }

    /// Whether as many as that are under way: [`Ordered::take`] one first.
    pub fn is_full(&self) -> bool {
        self.pending.len() >= self.pending_max()
    }

    /// Has `job` done.
    pub fn submit(&mut self, job: impl FnOnce() -> T + Send + 'static) {
        let slot = Arc::new(Slot { result: Mutex::new(None), done: Condvar::new() });
        self.pending.push_back(Arc::clone(&slot));
        let gauge = Arc::clone(self.gauge);
        self.workers.run(Box::new(move || {
            if Arc::strong_count(&slot) == 1 {
                // Nobody will take it.
                return;
            }
            let begin = Instant::now();
            let result = panic::catch_unwind(AssertUnwindSafe(job));
            gauge.worked(begin.elapsed());
            *slot.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            slot.done.notify_one();
        }));
    }

    /// The result of the oldest job that was not taken yet, waiting for it; `None` if there is none. A panic in the job goes
    /// on in the caller.
    pub fn take(&mut self) -> Option<T> {
        let slot = self.pending.pop_front()?;
        let mut result = slot.result.lock().unwrap_or_else(PoisonError::into_inner);
        if result.is_none() {
            let begin = Instant::now();
            while result.is_none() {
                result = slot.done.wait(result).unwrap_or_else(PoisonError::into_inner);
            }
            self.gauge.waited_for_workers(begin.elapsed());
        }
        match result.take() {
            Some(Ok(value)) => Some(value),
            Some(Err(payload)) => panic::resume_unwind(payload),
            None => None,
        }
    }

    /// As [`Ordered::take`], but only if that one is done.
    pub fn take_done(&mut self) -> Option<T> {
        let is_done = {
            let slot = self.pending.front()?;
            slot.result.lock().unwrap_or_else(PoisonError::into_inner).is_some()
        };
        if is_done { self.take() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ordered, Workers};
    use crate::flow::StageGauge;
    use std::sync::{Arc, Barrier, mpsc};

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let (workers, gauge) = (Workers::new(3), Arc::new(StageGauge::default()));
        let mut ordered = Ordered::new(&workers, &gauge);
        let mut taken = Vec::new();
        for number in 0..1000_u64 {
            if ordered.is_full() {
                taken.extend(ordered.take());
            }
            ordered
                .submit(move || (0..(number * 7919) % 1000).fold(number, |sum, _| std::hint::black_box(sum)));
        }
        while let Some(number) = ordered.take() {
            taken.push(number);
        }
        assert_eq!(taken, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn jobs_run_side_by_side() {
        let (workers, gauge) = (Workers::new(2), Arc::new(StageGauge::default()));
        let mut ordered = Ordered::new(&workers, &gauge);
        let gate = Arc::new(Barrier::new(2));
        for _ in 0..2 {
            let gate = Arc::clone(&gate);
            ordered.submit(move || gate.wait().is_leader());
        }
        assert_ne!(ordered.take(), ordered.take());
    }

    #[test]
    fn a_panic_in_a_job_goes_on_in_the_stage() {
        let (workers, gauge) = (Workers::new(1), Arc::new(StageGauge::default()));
        let mut ordered = Ordered::new(&workers, &gauge);
        ordered.submit(|| assert_eq!(1, 2, "on purpose"));
        ordered.submit(|| ());
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ordered.take()));
        assert!(caught.is_err());
        assert_eq!(ordered.take(), Some(()));
    }

    #[test]
    fn forgotten_jobs_never_begin() {
        let (workers, gauge) = (Workers::new(1), Arc::new(StageGauge::default()));
        let (began, has_begun) = mpsc::channel();
        let gate = Arc::new(Barrier::new(2));
        let mut forgotten = Ordered::new(&workers, &gauge);
        let held = Arc::clone(&gate);
        forgotten.submit(move || {
            held.wait();
            held.wait();
        });
        forgotten.submit(move || began.send(()).unwrap());
        // The first has begun, and holds the only worker until the second is forgotten.
        gate.wait();
        drop(forgotten);
        gate.wait();
        let mut ordered = Ordered::new(&workers, &gauge);
        ordered.submit(|| ());
        assert_eq!(ordered.take(), Some(()));
        assert!(has_begun.try_recv().is_err());
    }
}
