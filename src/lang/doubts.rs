//! Words of a legal chain that look as if a shell were to change them first.
//! Stops nothing: a quoted word is beyond doubt.

use super::errors;
use super::tree::{Chain, Span, Word};
use crate::diagnostic::Mistake;

/// The warnings for a chain and the text it was parsed from: `~/a`, `$HOME/a`, `*.log` and quotes that are none.
pub fn doubts(text: &[u8], chain: &Chain) -> Vec<Mistake> {
    chain.words().into_iter().filter_map(|word| doubt(text, word)).collect()
}

fn doubt(text: &[u8], word: &Word) -> Option<Mistake> {
    let raw = text.get(word.span.clone())?;
    let is_quoted = raw.iter().any(|byte| matches!(byte, b'\'' | b'"' | b'\\'));
    if is_quoted {
        return None;
    }
    let span: Span = word.span.clone();
    if raw == b"~" || raw.starts_with(b"~/") {
        return Some(errors::tilde(span));
    }
    if raw
        .windows(2)
        .any(|pair| pair[0] == b'$' && (pair[1].is_ascii_alphabetic() || b"_(".contains(&pair[1])))
    {
        return Some(errors::variable(span));
    }
    if is_wildcard(raw) {
        return Some(errors::wildcard(span));
    }
    let lookalike = String::from_utf8_lossy(raw).chars().enumerate().find(|&(at, character)| {
        matches!(character, '\u{2018}'..='\u{201f}' | '\u{a0}' | '\u{2007}' | '\u{202f}' | '\u{3000}')
            || (at == 0 && matches!(character, '\u{2010}'..='\u{2015}' | '\u{2212}'))
    });
    lookalike.map(|(_, character)| errors::lookalike(span, character))
}

/// `*`, `dir/*`, `a*.log`; but not `.*`, which is a regular expression.
fn is_wildcard(raw: &[u8]) -> bool {
    (0..raw.len()).filter(|&at| raw[at] == b'*').any(|at| {
        let before = at.checked_sub(1).map(|before| raw[before]);
        let is_name = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        matches!(before, None | Some(b'/')) || (is_name && raw.get(at + 1) == Some(&b'.'))
    })
}

#[cfg(test)]
mod tests {
    use super::doubts;
    use crate::diagnostic::Severity;
    use crate::lang::parse;

    fn found(text: &str) -> Vec<String> {
        let chain = parse(text.as_bytes()).expect("a legal chain");
        let doubts = doubts(text.as_bytes(), &chain);
        assert!(doubts.iter().all(|doubt| doubt.severity == Severity::Warning));
        doubts.into_iter().map(|doubt| doubt.message).collect()
    }

    #[test]
    fn what_a_shell_would_have_changed_is_pointed_at() {
        assert_eq!(found("read ~/a"), ["`~` is taken as it is"]);
        assert_eq!(found("read $HOME/a"), ["`$` is taken as it is"]);
        assert_eq!(found("read $(date)"), ["`$` is taken as it is"]);
        for wildcard in ["*", "*.log", "logs/*", "a*.log"] {
            assert_eq!(found(&format!("read {wildcard}")), ["`*` is taken as it is"], "{wildcard}");
        }
        assert_eq!(found("read “a”"), ["U+201C is a part of this word"]);
        assert_eq!(found("gzip –9"), ["U+2013 is a part of this word"]);
        assert_eq!(found("tee { write ~/a } | write $X").len(), 2);
    }

    #[test]
    fn a_quoted_word_and_a_regular_expression_are_beyond_doubt() {
        for text in
            ["read '~/a' \"$HOME\" \\*", "grep ^a.*b$", "grep a* [0-9]*.", "read a~ ~user", "grep x–y"]
        {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
