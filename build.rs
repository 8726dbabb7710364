//! Links the unwinder into the program where the compiler has it as an archive. Otherwise it is a library of its own, which the
//! loader has to find, map and initialise whenever weir starts: a twentieth of the time that a tiny chain takes. Where the archive is
//! not to be had, nothing changes.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    // What the compiler of this machine has is good for this machine.
    let is_native = variable("HOST") == variable("TARGET");
    let is_glibc = variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu";
    // With the C library in the program, the unwinder is there already.
    let is_static = variable("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static");
    if is_native && is_glibc && !is_static {
        link_unwinder(env::var("RUSTC_LINKER").as_deref().unwrap_or("cc"));
    }
}

fn link_unwinder(linker: &str) {
    let output = Command::new(linker).arg("-print-file-name=libgcc_eh.a").output();
    let Some(answer) = output.ok().and_then(|output| String::from_utf8(output.stdout).ok()) else { return };
    // A compiler that does not have it answers with the bare name.
    let archive = Path::new(answer.trim());
    if let Some(directory) = archive.parent().filter(|_| archive.is_absolute() && archive.is_file()) {
        println!("cargo:rustc-link-search=native={}", directory.display());
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}
