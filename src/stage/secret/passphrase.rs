//! A passphrase: from the environment, a file or the terminal, never from the command line.
//! Knows nothing of what it opens.

use super::{Patient, leave_no_core, name_of, prompt};
use crate::stage::PASSPHRASE_VARIABLE;
use crate::stage::arguments::PathArgument;
use crate::stage::contract::{Opening, Touch};
use crate::stage::fault::Fault;
use crate::stage::outside::stream::reason;
use age::secrecy::SecretString;
use age::secrecy::zeroize::{Zeroize, Zeroizing};
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;

/// More than anybody types; whoever names the wrong file is told.
const PASSPHRASE_BYTES_MAX: usize = 64 * 1024;

/// Where the passphrase comes from, as arguments.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::stage) struct PassphraseArguments {
    /// Use a passphrase: that in WEIR_PASSPHRASE if it is set, else it is asked for on the terminal
    ///
    /// It is asked for before anything is read or written, in a batch for every run. No child process inherits the variable.
    #[arg(short, long, conflicts_with = "passphrase_file")]
    pub(in crate::stage) passphrase: bool,

    /// Use the passphrase in the first line of FILE
    ///
    /// Its line end does not belong to it. It is UTF-8, without NUL, and not empty.
    #[arg(long, value_name = "FILE")]
    pub(in crate::stage) passphrase_file: Option<PathArgument>,
}

/// How often it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) enum Ask {
    /// To open something with: a mistake is found out.
    Once,
    /// To close something with: a mistake would be found out too late.
    Twice,
}

impl PassphraseArguments {
    /// Whether there is to be one.
    pub(in crate::stage) fn is_wanted(&self) -> bool {
        self.passphrase || self.passphrase_file.is_some()
    }

    /// Whether somebody has to type it.
    pub(in crate::stage) fn is_asked_for(&self) -> bool {
        let is_given = self.passphrase_file.is_some() || std::env::var_os(PASSPHRASE_VARIABLE).is_some();
        self.passphrase && !is_given
    }

    /// The file, for preflight.
    pub(in crate::stage) fn touches(&self) -> impl Iterator<Item = Touch> {
        self.passphrase_file.iter().map(|file| Touch::Read(file.path.clone()))
    }

    /// As the view shows it.
    pub(in crate::stage) fn label(&self) -> String {
        match &self.passphrase_file {
            Some(file) => format!("--passphrase-file {file}"),
            None => "-p".to_owned(),
        }
    }

    /// Gets it.
    ///
    /// # Errors
    /// A [`Fault`] for one that is missing, or none; that the run was given up meanwhile.
    pub(in crate::stage) fn get(&self, ask: Ask, opening: &Opening<'_>) -> anyhow::Result<SecretString> {
        leave_no_core();
        if let Some(file) = &self.passphrase_file {
            return Ok(of_file(file, opening)?);
        }
        // A copy of the process's own environment, which nobody can change: this is done where it is asked for.
        if let Some(value) = std::env::var_os(PASSPHRASE_VARIABLE) {
            return Ok(of_variable(value)?);
        }
        let first = prompt::ask("passphrase: ", opening)?;
        if ask == Ask::Twice {
            let second = prompt::ask("the same passphrase again: ", opening)?;
            if *first != *second {
                return Err(Fault::failed("the two passphrases are not the same").into());
            }
        }
        Ok(secret(&first, "the passphrase")?)
    }
}

fn of_variable(value: OsString) -> Result<SecretString, Fault> {
    secret(&Zeroizing::new(value.into_vec()), PASSPHRASE_VARIABLE)
}

fn of_file(file: &PathArgument, opening: &Opening<'_>) -> Result<SecretString, Fault> {
    let failed = |error| Fault::failed(reason(&error)).of(name_of(file));
    let mut opened = Patient::open(file, opening).map_err(failed)?;
    let mut line = Zeroizing::new(Vec::with_capacity(PASSPHRASE_BYTES_MAX + 2));
    let mut part = Zeroizing::new([0; 4096]);
    // By hand, as far as the line goes: more of a pipe may belong to others, and a device has no end.
    while line.len() <= PASSPHRASE_BYTES_MAX && !line.contains(&b'\n') {
        match opened.read(&mut part[..]) {
            Ok(0) => break,
            Ok(count) => {
                let room = line.capacity() - line.len();
                line.extend_from_slice(&part[..count.min(room)]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let end = line.iter().position(|&byte| byte == b'\n');
    if let Some(end) = end {
        line.truncate(end);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    if line.len() > PASSPHRASE_BYTES_MAX {
        return Err(Fault::refused("the first line is longer than 64 KiB: no passphrase").of(name_of(file)));
    }
    secret(&line, "the first line").map_err(|fault| fault.of(name_of(file)))
}

/// The bytes as a passphrase; messages call them `name`.
fn secret(bytes: &[u8], name: &str) -> Result<SecretString, Fault> {
    let refused = |what| Err(Fault::refused(format!("{name} {what}")));
    match std::str::from_utf8(bytes) {
        Ok("") => refused("is empty: no passphrase"),
        Ok(text) if text.contains('\0') => refused("holds a NUL: no passphrase"),
        Ok(text) => {
            let mut text = text.to_owned();
            let secret = SecretString::from(text.as_str());
            text.zeroize();
            Ok(secret)
        }
        Err(_) => refused("is no UTF-8: no passphrase"),
    }
}

#[cfg(test)]
mod tests {
    use super::{PASSPHRASE_BYTES_MAX, of_file, of_variable, secret};
    use crate::stage::arguments::PathArgument;
    use crate::stage::contract::{Opening, Registered};
    use age::secrecy::ExposeSecret;
    use clap::Parser;
    use std::ffi::OsString;
    use std::io::Write;

    fn first_line(bytes: &[u8]) -> Result<String, String> {
        #[derive(Parser)]
        #[command(no_binary_name = true)]
        struct File {
            file: PathArgument,
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let argument = File::try_parse_from([file.path()]).unwrap().file;
        let mut registered = Registered::default();
        let opening = Opening::new(0, Vec::new(), &mut registered);
        let secret = of_file(&argument, &opening).map_err(|fault| fault.message)?;
        Ok(secret.expose_secret().to_owned())
    }

    #[test]
    fn a_file_gives_its_first_line_without_the_end() {
        for bytes in ["pass phrase", "pass phrase\n", "pass phrase\r\n", "pass phrase\nand more\n"] {
            assert_eq!(first_line(bytes.as_bytes()).as_deref(), Ok("pass phrase"), "{bytes:?}");
        }
        assert_eq!(first_line(" Grüße \n".as_bytes()).as_deref(), Ok(" Grüße "));
        let longest = "x".repeat(PASSPHRASE_BYTES_MAX);
        assert_eq!(first_line(longest.as_bytes()).map(|line| line.len()), Ok(PASSPHRASE_BYTES_MAX));
        assert_eq!(
            first_line(format!("{longest}\r\n").as_bytes()).map(|line| line.len()),
            Ok(PASSPHRASE_BYTES_MAX)
        );
    }

    #[test]
    fn what_is_no_passphrase_is_refused() {
        let told = |bytes: &[u8]| first_line(bytes).unwrap_err();
        assert_eq!(told(b""), "the first line is empty: no passphrase");
        assert_eq!(told(b"\nsecond"), "the first line is empty: no passphrase");
        assert_eq!(told(b"a\0b"), "the first line holds a NUL: no passphrase");
        assert_eq!(told(b"\xff\n"), "the first line is no UTF-8: no passphrase");
        let long = vec![b'x'; PASSPHRASE_BYTES_MAX + 1];
        assert_eq!(told(&long), "the first line is longer than 64 KiB: no passphrase");
        assert_eq!(told(&vec![b'x'; 1 << 20]), "the first line is longer than 64 KiB: no passphrase");
        assert_eq!(
            of_variable(OsString::new()).unwrap_err().message,
            "WEIR_PASSPHRASE is empty: no passphrase"
        );
    }

    #[test]
    fn a_passphrase_does_not_show_itself() {
        let shown = format!("{:?}", secret(b"open sesame", "it").unwrap());
        assert!(!shown.contains("sesame"), "{shown}");
    }
}
