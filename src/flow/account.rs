//! What the kernel accounts to a thread: time on a core, time in which it found none, time inside system calls.
//! Knows nothing of stages.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::gettid;
use std::fs::File;
use std::io::Read;

/// A thread that lived shorter is not asked how long it was queued for a core: that takes longer than all that a tiny chain
/// does, and nothing is judged of so short a time.
const QUEUED_MATTERS_NANOS: u64 = 20_000_000;

/// What the kernel accounts to a thread.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Account {
    pub(super) on_core_nanos: u64,
    pub(super) queued_nanos: u64,
    pub(super) system_nanos: u64,
}

impl Account {
    /// Of the calling thread, which ends and has lived so long.
    pub(super) fn of_this_thread(lived_nanos: u64) -> Option<Account> {
        let thread = u64::from(gettid().as_raw().unsigned_abs());
        if lived_nanos >= QUEUED_MATTERS_NANOS {
            return Account::of_thread(thread);
        }
        let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok()?;
        let on_core_nanos = u64::try_from(time.num_nanoseconds()).unwrap_or(0);
        let usage = getrusage(UsageWho::RUSAGE_THREAD).ok()?;
        let micros = |time: TimeVal| u64::try_from(time.num_microseconds()).unwrap_or(0);
        let (user, system) = (micros(usage.user_time()), micros(usage.system_time()));
        Some(Account { on_core_nanos, queued_nanos: 0, system_nanos: share(on_core_nanos, system, user) })
    }

    /// Reads `schedstat` (time on a core, time queued for one: proc(5)) and `stat` (of which in the system) of a
    /// thread of this process. `None` where the kernel does not tell or the thread is gone.
    pub(super) fn of_thread(thread: u64) -> Option<Account> {
        // Both are a few hundred bytes at most, and given whole by one read: this is asked ten times a second and more.
        let mut buffer = [0; 1024];
        let schedstat = text_of(&format!("/proc/self/task/{thread}/schedstat"), &mut buffer)?;
        let mut numbers = schedstat.split_ascii_whitespace().map_while(|word| word.parse::<u64>().ok());
        let (on_core_nanos, queued_nanos) = (numbers.next()?, numbers.next()?);
        let stat = text_of(&format!("/proc/self/task/{thread}/stat"), &mut buffer)?;
        // The name, in parentheses, may hold anything; utime and stime are the 12th and 13th words behind it.
        let mut ticks = stat.rsplit(')').next()?.split_ascii_whitespace().skip(11);
        let mut next = || ticks.next()?.parse::<u64>().ok();
        let (user, system) = (next()?, next()?);
        Some(Account { on_core_nanos, queued_nanos, system_nanos: share(on_core_nanos, system, user) })
    }
}

/// The part of `nanos` that was spent in the system. Ticks are coarse: only their proportion is used.
fn share(nanos: u64, system: u64, user: u64) -> u64 {
    let share = if user + system == 0 { 0.0 } else { system as f64 / (user + system) as f64 };
    (nanos as f64 * share) as u64
}

fn text_of<'a>(path: &str, buffer: &'a mut [u8]) -> Option<&'a str> {
    let count = File::open(path).and_then(|mut file| file.read(buffer)).ok()?;
    std::str::from_utf8(buffer.get(..count)?).ok()
}
