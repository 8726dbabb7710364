//! The chain and its operands, from wherever the command line says.
//! Does not look into either.

use crate::cli::Cli;
use crate::diagnostic::printable;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// What the placeholders of the chain stand for.
pub(super) enum Operands {
    /// Words of the command line.
    Given(Vec<OsString>),
    /// Items of a list, which may be empty.
    Listed(Vec<OsString>),
}

/// The chain's text and its operands.
///
/// # Errors
/// What to say when a file cannot be read, or there is no chain.
pub(super) fn read(arguments: &Cli) -> Result<(Vec<u8>, Operands), String> {
    let mut words = arguments.chain.iter().chain(&arguments.operands).cloned();
    let text = match &arguments.file {
        Some(path) => contents(path)?,
        None => words
            .next()
            .map(OsString::into_vec)
            .ok_or("no chain; try: weir 'read FILE | gzip | write FILE.gz'")?,
    };
    let given: Vec<OsString> = words.collect();
    match &arguments.files0_from {
        None => Ok((text, Operands::Given(given))),
        Some(_) if !given.is_empty() => {
            Err("operands come from `--files0-from` or the command line, not both".to_owned())
        }
        Some(path) => {
            let list = contents(path)?;
            if is_of_lines(&list) {
                let name = match path.as_os_str().as_bytes() {
                    b"-" => "standard input".to_owned(),
                    path => printable(path),
                };
                return Err(format!(
                    "{name}: has no NUL in it: `find … -print0` lists names as they are read here"
                ));
            }
            Ok((text, Operands::Listed(split(list))))
        }
    }
}

/// A whole file; `-` is standard input.
fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let read = || -> io::Result<Vec<u8>> {
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes)?;
            return Ok(bytes);
        }
        // Opened once: of a FIFO, what was written meanwhile would be lost with the first end. A directory refuses the read.
        let mut bytes = Vec::new();
        File::open(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error| {
        let cause = nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0)).desc().to_lowercase();
        format!("{}: {cause}", printable(path.as_os_str().as_bytes()))
    })
}

/// Whether a list has lines where NULs should be. A single name may have a line feed in it, and then there is such a file.
fn is_of_lines(list: &[u8]) -> bool {
    !list.contains(&0) && list.contains(&b'\n') && !Path::new(OsStr::from_bytes(list)).exists()
}

/// The items of a NUL-separated list; a NUL at its end closes the last item and begins none.
fn split(list: Vec<u8>) -> Vec<OsString> {
    let list = list.strip_suffix(b"\0").map(<[u8]>::to_vec).unwrap_or(list);
    if list.is_empty() {
        return Vec::new();
    }
    list.split(|&byte| byte == 0).map(|item| OsString::from_vec(item.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_list_is_split_at_its_nuls() {
        let items = |list: &[u8]| split(list.into()).len();
        assert_eq!((items(b""), items(b"a"), items(b"a\0"), items(b"a\0b\nc\0")), (0, 1, 1, 2));
    }
}
