//! Memory does not grow with the input: the peak of a run, as the kernel counts it, at two sizes.
//! Linux only: the peak is read from /proc while the run lasts, and never falls.

use crate::harness::{Patience, World, skipped};
use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// How many short runs are compared with a long one.
const SMALL_RUNS_MAX: usize = 5;

/// By how much the peaks of two runs may differ by chance: how far their links happened to fill. The large inputs are larger by
/// far more than this.
const CHANCE_BYTES: u64 = 8 * MIB;

/// How often the peak is read. A run is at its peak long before its end, so the last moment is not missed.
const INTERVAL: Duration = Duration::from_millis(2);

/// The highest resident size that a process has had so far; `None` when it has ended.
fn peak_bytes(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Sees a run to its end and tells its peak.
#[track_caller]
fn watch(mut child: Child) -> u64 {
    let guard = Patience::with(&child);
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(peak_bytes(&child).unwrap_or(0));
        thread::sleep(INTERVAL);
    }
    drop(guard);
    assert!(child.wait().unwrap().success());
    assert!(peak > MIB, "the peak was not seen");
    peak
}

#[track_caller]
fn peak_of(chain: &str, options: &[&str]) -> u64 {
    let world = World::new();
    let call = world.weir(chain).args(options);
    watch(call.spawn(|command| command.stdin(Stdio::null()).stdout(Stdio::null())))
}

fn is_linux() -> bool {
    let is_linux = cfg!(target_os = "linux");
    if !is_linux {
        skipped("peaks are read from /proc");
    }
    is_linux
}

/// The peak for the large input is that for the small one. How far the links of a short run fill is chance, so it may have
/// several; what grows with the input outgrows them all.
#[track_caller]
fn assert_no_more(what: &str, large: u64, mut run_small: impl FnMut() -> u64) {
    let mut smalls = vec![run_small()];
    while smalls.len() < SMALL_RUNS_MAX && smalls.iter().all(|small| large > small + CHANCE_BYTES) {
        smalls.push(run_small());
    }
    assert!(
        smalls.iter().any(|small| large <= small + CHANCE_BYTES),
        "`{what}`: {large} bytes, and {smalls:?} for a quarter as much"
    );
}

/// A chain with `SIZE` in it, run at `mebibytes` and at four times as much.
#[track_caller]
fn assert_flat(chain: &str, options: &[&str], mebibytes: u64, limit_mebibytes: u64) {
    if !is_linux() {
        return;
    }
    let run = |mebibytes: u64| peak_of(&chain.replace("SIZE", &format!("{mebibytes}M")), options);
    let large = run(4 * mebibytes);
    assert!(large <= limit_mebibytes * MIB, "`{chain}`: {large} bytes; {limit_mebibytes} MiB are allowed");
    assert_no_more(chain, large, || run(mebibytes));
}

#[test]
fn a_copy_takes_no_more_for_a_gibibyte() {
    assert_flat("generate random SIZE | write /dev/null", &[], 256, 16);
}

#[test]
fn compressing_and_decompressing_takes_no_more_for_a_large_input() {
    assert_flat("generate text SIZE | gzip -1 | gunzip | discard", &[], 32, 48);
}

#[cfg(all(feature = "xz", feature = "zstd"))]
#[test]
fn the_threads_of_zstd_and_xz_take_no_more_for_a_large_input() {
    assert_flat("generate text SIZE | zstd -1 | unzstd | discard", &["-T", "2"], 16, 48);
    assert_flat("generate text SIZE | xz -0 | unxz | discard", &["-T", "2"], 4, 40);
}

#[test]
fn text_stages_take_no_more_for_a_large_input() {
    assert_flat("generate text SIZE | upper | lower | head -c 1T | discard", &[], 16, 20);
}

#[test]
fn links_of_one_byte_take_no_more_than_others() {
    assert_flat("generate zeros SIZE | pass | discard", &["-B", "1"], 16, 16);
}

#[test]
fn three_branches_share_what_they_are_given() {
    assert_flat(
        "generate random SIZE | tee { pass | discard } { head -c 1T | discard } { discard } | discard",
        &[],
        64,
        20,
    );
}

#[test]
fn a_branch_that_is_slower_holds_no_more_than_its_link() {
    assert_flat("generate zeros SIZE | tee { throttle 24M | discard } | discard", &[], 6, 16);
}

#[test]
fn single_bytes_take_no_more_than_others() {
    if !is_linux() {
        return;
    }
    let run = |bytes: usize| {
        let world = World::new();
        let mut child = world
            .weir("pass | upper | discard")
            .spawn(|command| command.stdin(Stdio::piped()).stdout(Stdio::null()));
        let mut stdin = child.stdin.take().unwrap();
        let feeder = thread::spawn(move || {
            for _ in 0..bytes {
                stdin.write_all(b"x").unwrap();
            }
        });
        let peak = watch(child);
        feeder.join().unwrap();
        peak
    };
    let large = run(400_000);
    assert!(large <= 16 * MIB, "{large} bytes");
    assert_no_more("single bytes", large, || run(100_000));
}

#[test]
fn a_reader_that_never_reads_is_waited_for_in_constant_memory() {
    if !is_linux() {
        return;
    }
    let world = World::new();
    let mut child = world.weir("read /dev/zero | pass").spawn(|command| command.stdout(Stdio::piped()));
    let stdout = child.stdout.take().unwrap();
    let guard = Patience::with(&child);
    // At rest: the peak does not change any more while the links and the pipe are full.
    let mut peaks = vec![0, 1];
    while peaks[peaks.len() - 2] != peaks[peaks.len() - 1] {
        thread::sleep(Duration::from_millis(300));
        peaks.push(peak_bytes(&child).unwrap());
    }
    drop(stdout);
    child.wait().unwrap();
    drop(guard);
    assert!(peaks.iter().all(|&peak| peak <= 16 * MIB), "{peaks:?}");
}
