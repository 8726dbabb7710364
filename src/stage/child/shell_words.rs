//! Words for a shell on another machine, which reads them as they are.
//! Knows nothing of how they get there.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Words that shells take for their own where a command is expected, spelt as a command may be.
const RESERVED: &[&str] = &[
    "and",
    "begin",
    "case",
    "coproc",
    "do",
    "done",
    "elif",
    "else",
    "end",
    "esac",
    "fi",
    "for",
    "foreach",
    "function",
    "if",
    "in",
    "nocorrect",
    "not",
    "or",
    "repeat",
    "select",
    "switch",
    "then",
    "time",
    "until",
    "while",
];

/// The words of a command for a shell that gets them with spaces between: each is one argument there, and nothing else.
///
/// Bare where that is clear: a machine may allow a command by its text, and that is then the text that was typed.
pub(in crate::stage) fn for_a_shell(words: &[OsString]) -> impl Iterator<Item = OsString> {
    let spelt = |(at, word): (usize, &OsString)| {
        // What begins with it would be an option of the shell.
        let is_option = at == 0 && word.as_bytes().starts_with(b"-");
        if is_clear(word.as_bytes()) && !is_option { word.clone() } else { quoted(word) }
    };
    words.iter().enumerate().map(spelt)
}

/// Whether no shell takes it for anything but itself.
fn is_clear(word: &[u8]) -> bool {
    let is_reserved = RESERVED.iter().any(|reserved| reserved.as_bytes() == word);
    let is_clear = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:,@+".contains(byte);
    !word.is_empty() && word.iter().all(is_clear) && !is_reserved
}

/// A word in quotes, in which a shell reads exactly these bytes (POSIX, XCU §2.2).
///
/// The three signs that leave the quotes are read the same way there by shells that are not POSIX's.
fn quoted(word: &OsStr) -> OsString {
    let mut text = vec![b'\''];
    for &byte in word.as_bytes() {
        match byte {
            b'\'' | b'\\' | b'!' => text.extend([b'\'', b'\\', byte, b'\'']),
            _ => text.push(byte),
        }
    }
    text.push(b'\'');
    OsString::from_vec(text)
}

#[cfg(test)]
mod tests {
    use super::{RESERVED, for_a_shell};
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStringExt;
    use std::process::Command;

    #[test]
    fn a_shell_reads_every_word_as_it_was() {
        let mut words: Vec<Vec<u8>> = (1..=255).map(|byte| vec![byte]).collect();
        words.extend((1..=255).map(|byte| vec![b'a', byte, byte, b'\'', byte, b' ', byte]));
        let ugly =
            ["", "$(id)", "`id`", "''", "\\'", "!!", "!a", "-n", "a=b", "#x", "~root", "/*", "{a,b}", "\\\n"];
        words.extend(ugly.iter().chain(RESERVED).map(|word| word.as_bytes().to_vec()));
        let printf = [b"printf".to_vec(), b"%s\\0".to_vec()].into_iter();
        let call: Vec<OsString> = printf.chain(words.iter().cloned()).map(OsString::from_vec).collect();
        let line = for_a_shell(&call).collect::<Vec<_>>().join(OsStr::new(" "));
        for shell in ["sh", "bash", "dash", "ksh", "zsh"] {
            let Ok(ran) = Command::new(shell).arg("-c").arg(&line).output() else {
                assert_ne!(shell, "sh");
                continue;
            };
            let read = ran.stdout.strip_suffix(b"\0").unwrap().split(|&byte| byte == 0);
            assert!(read.eq(words.iter().map(Vec::as_slice)), "{shell}");
        }
    }

    #[test]
    fn a_word_is_bare_where_it_can_be_nothing_else() {
        let spelt = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            for_a_shell(&words).collect::<Vec<_>>().join(OsStr::new(" ")).into_string().unwrap()
        };
        let clear = ["store", "/usr/bin/tar", "-cf", "a.b:c,d@e+f", "-"];
        assert_eq!(spelt(&clear), clear.join(" "));
        assert_eq!(spelt(&["", "time", "a=b", "~"]), "'' 'time' 'a=b' '~'");
        assert_eq!(spelt(&["it's!\\"]), r"'it'\''s'\!''\\''");
        assert_eq!(spelt(&["--help", "--help"]), "'--help' --help");
    }
}
