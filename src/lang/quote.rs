//! Words as one would type them: the way back from bytes to text.
//! Knows the language's quoting and the shell's, and no stage.

/// `bytes` as one word of a chain: parsed, it gives the same bytes, as text and never as a group, a place or an operator.
///
/// Bare where that is clear, else in quotes. A NUL is left as it is, and no chain can hold it.
pub fn quote(bytes: &[u8]) -> Vec<u8> {
    if is_plain(bytes) {
        return bytes.to_vec();
    }
    let holds = |sign: u8| bytes.contains(&sign);
    let mut quoted = Vec::with_capacity(bytes.len() + 2);
    // Double quotes first: the chain itself mostly stands in single ones.
    let needs_escapes = holds(b'"') || holds(b'\\');
    if needs_escapes && !holds(b'\'') {
        quoted.push(b'\'');
        quoted.extend_from_slice(bytes);
        quoted.push(b'\'');
        return quoted;
    }
    quoted.push(b'"');
    for &byte in bytes {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(byte);
    }
    quoted.push(b'"');
    quoted
}

/// Whether a word means itself without quotes, in the language and to the eye.
fn is_plain(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let is_clear = |c: char| c.is_alphanumeric() || "_-./:=,+@%^".contains(c);
    !text.is_empty() && text.chars().all(is_clear)
}

/// Text as one word of a POSIX shell: bare where that is clear, else in quotes. An option's sign in front is protected by a path.
pub fn shell_word(text: &str) -> String {
    let path = if text.starts_with('-') { format!("./{text}") } else { text.to_string() };
    if is_plain(path.as_bytes()) { path } else { shell_quote(&path) }
}

/// A chain as one argument of a POSIX shell.
pub(super) fn shell_quote(chain: &str) -> String {
    format!("'{}'", chain.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{quote, shell_quote};
    use crate::lang::parse;
    use proptest::prelude::{prop_assert_eq, proptest};

    #[test]
    fn a_word_is_quoted_only_where_it_must_be() {
        let cases: [(&[u8], &[u8]); 9] = [
            (b"a/b-1.gz", b"a/b-1.gz"),
            ("Übung".as_bytes(), "Übung".as_bytes()),
            (b"", b"\"\""),
            (b"my file", b"\"my file\""),
            (b"say \"x\"", b"'say \"x\"'"),
            (b"don't \"x\"", b"\"don't \\\"x\\\"\""),
            (b"{}", b"\"{}\""),
            (b"\xff", b"\"\xff\""),
            (b"~", b"\"~\""),
        ];
        for (bytes, quoted) in cases {
            assert_eq!(quote(bytes), quoted);
        }
        assert_eq!(shell_quote("read 'a'"), r"'read '\''a'\'''");
    }

    proptest! {
        #[test]
        fn quoted_words_parse_back_to_the_same_bytes(
            words in proptest::collection::vec(proptest::collection::vec(1_u8.., 0..12), 1..6),
            odd in "[\"'\\\\{}|#@ \\n>&;~*$/.0-9a]{0,12}",
        ) {
            let mut words = words;
            words.push(odd.into_bytes());
            let text = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(&b' ');
            let chain = parse(&text).expect("quoted words are a chain");
            let read: Vec<Vec<u8>> = chain.words().iter().map(|word| word.bytes()).collect();
            prop_assert_eq!(read, words);
            prop_assert_eq!(chain.calls.len(), 1);
        }
    }
}
