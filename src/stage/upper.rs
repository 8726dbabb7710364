//! `upper`: small letters to capital ones.
//! The mapping itself is in `case`.

use super::case::Mapping;
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};

/// Map letters to upper case
///
/// Takes UTF-8 and maps the letters of every script, as Unicode does: `ß` becomes `SS`, so the length may change. Bytes
/// that are no UTF-8 pass unchanged, and so do letters that have no upper case.
#[derive(Debug, clap::Parser)]
pub(super) struct Upper {
    /// Map a-z only; every other byte stays as it is
    #[arg(long)]
    ascii: bool,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Text,
    examples: &[
        Example { chain: "upper", input: "straße\n".as_bytes(), output: b"STRASSE\n" },
        Example { chain: "upper --ascii", input: "straße\n".as_bytes(), output: "STRAßE\n".as_bytes() },
    ],
    ..Entry::of::<Upper>("upper", Role::Filter)
};

impl Stage for Upper {
    fn label(&self) -> String {
        if self.ascii { "--ascii".to_owned() } else { String::new() }
    }

    fn size_after(&self, input: Option<u64>) -> Option<u64> {
        input.filter(|_| self.ascii)
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(if self.ascii { Mapping::Upper.ascii_body() } else { Mapping::Upper.unicode_body() })
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Trial, assert_gives, stage};

    #[test]
    fn letters_of_every_script_grow() {
        assert_gives(
            "upper",
            "plain, ärger, straße, ﬁn, я, 日本\n".as_bytes(),
            "PLAIN, ÄRGER, STRASSE, FIN, Я, 日本\n".as_bytes(),
        );
    }

    #[test]
    fn with_ascii_no_other_byte_changes() {
        let all: Vec<u8> = (0..=255).collect();
        assert_gives("upper --ascii", &all, &all.to_ascii_uppercase());
    }

    #[test]
    fn bytes_that_are_no_text_pass() {
        assert_gives("upper", b"a\xff\xfeb\xc3", b"A\xff\xfeB\xc3");
    }

    #[test]
    fn a_chunk_is_sent_on_before_the_next_one_is_asked_for() {
        let outcome = Trial::of("upper").run(&["é".as_bytes(), b"ab", "é".as_bytes()]);
        assert_eq!(outcome.output, "ÉABÉ".as_bytes());
        assert!(outcome.lengths.iter().all(|&length| length > 0));
    }

    #[test]
    fn only_ascii_keeps_the_size() {
        assert_eq!(stage("upper").unwrap().size_after(Some(3)), None);
        assert_eq!(stage("upper --ascii").unwrap().size_after(Some(3)), Some(3));
    }
}
