//! `lower`: capital letters to small ones.
//! The mapping itself is in `case`.

use super::case::Mapping;
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};

/// Map letters to lower case
///
/// Takes UTF-8 and maps the letters of every script, as Unicode does, so the length may change. `Σ` becomes `ς` at the end
/// of a word and `σ` elsewhere; when more than 1024 bytes of marks, apostrophes and dots follow it, that is the end of the
/// word. Bytes that are no UTF-8 end a word and pass unchanged.
#[derive(Debug, clap::Parser)]
pub(super) struct Lower {
    /// Map A-Z only; every other byte stays as it is
    #[arg(long)]
    ascii: bool,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Text,
    examples: &[
        Example {
            chain: "lower", input: "ΟΔΟΣ ΣΕΛ\n".as_bytes(), output: "οδος σελ\n".as_bytes()
        },
        Example { chain: "lower --ascii", input: "ÄRGER\n".as_bytes(), output: "Ärger\n".as_bytes() },
    ],
    ..Entry::of::<Lower>("lower", Role::Filter)
};

impl Stage for Lower {
    fn label(&self) -> String {
        if self.ascii { "--ascii".to_owned() } else { String::new() }
    }

    fn size_after(&self, input: Option<u64>) -> Option<u64> {
        input.filter(|_| self.ascii)
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(if self.ascii { Mapping::Lower.ascii_body() } else { Mapping::Lower.unicode_body() })
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{assert_gives, stage};

    #[test]
    fn letters_of_every_script_shrink() {
        let text = "PLAIN ÄRGER İ Я ΌΣΟΣ Σ. ΑΣ'Α ΑΣ' ΑΣ";
        assert_gives("lower", text.as_bytes(), text.to_lowercase().as_bytes());
    }

    #[test]
    fn with_ascii_no_other_byte_changes() {
        let all: Vec<u8> = (0..=255).collect();
        assert_gives("lower --ascii", &all, &all.to_ascii_lowercase());
    }

    #[test]
    fn only_ascii_keeps_the_size() {
        assert_eq!(stage("lower").unwrap().size_after(Some(3)), None);
        assert_eq!(stage("lower --ascii").unwrap().size_after(Some(3)), Some(3));
    }
}
