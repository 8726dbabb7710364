//! Operands put into the places that a chain has for them: one tree for each run.
//! An operand is data from here on; what it may not be taken for, the plan sees by its piece.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::errors;
use super::quote::quote;
use super::tree::{Argument, Call, Chain, Group, Part, Piece, Placeholder, Span, Which, Word};
use crate::diagnostic::Mistake;

/// A chain and the operands it is run with, in one run or many.
#[derive(Debug, Clone)]
pub struct Batch {
    chain: Chain,
    operands: Vec<OsString>,
    /// Operands of each run; `None` when the chain has no place for any.
    taken: Option<usize>,
}

impl Batch {
    /// For operands of the command line: with a place in the chain there must be some.
    ///
    /// # Errors
    /// Operands without a place, a place without operands, or a number of them that leaves a rest.
    pub fn new(chain: Chain, operands: Vec<OsString>) -> Result<Batch, Vec<Mistake>> {
        if let (Some((place, span)), true) = (places(&chain).into_iter().next(), operands.is_empty()) {
            return Err(vec![errors::no_operand(span, place)]);
        }
        Batch::with(chain, operands)
    }

    /// For operands out of a list, which may be empty: there is no run then, and that is a success.
    ///
    /// # Errors
    /// As [`Batch::new`]; and for a chain without a place, whatever the list.
    pub fn from_list(chain: Chain, operands: Vec<OsString>) -> Result<Batch, Vec<Mistake>> {
        if places(&chain).is_empty() {
            return Err(vec![errors::no_place_for_a_list(chain.span.clone())]);
        }
        Batch::with(chain, operands)
    }

    fn with(chain: Chain, operands: Vec<OsString>) -> Result<Batch, Vec<Mistake>> {
        let places = places(&chain);
        let last = places.iter().max_by_key(|(place, _)| match place.which {
            Which::Nth(number) => number,
            Which::Only | Which::All => 1,
        });
        let taken = match (last, operands.first()) {
            (None, None) => None,
            (None, Some(first)) => return Err(vec![without_place(&chain, first, &operands)]),
            (Some((Placeholder { which: Which::Only, .. }, _)), _) => Some(1),
            (Some((Placeholder { which: Which::All, .. }, _)), _) => Some(operands.len().max(1)),
            (Some((Placeholder { which: Which::Nth(number), .. }, span)), _) => {
                if !operands.len().is_multiple_of(*number) {
                    return Err(vec![errors::uneven_operands(span.clone(), *number, operands.len())]);
                }
                Some(*number)
            }
        };
        Ok(Batch { chain, operands, taken })
    }

    /// How many runs there are: 1 without operands, 0 only for an empty list.
    pub fn len(&self) -> usize {
        self.taken.map_or(1, |taken| self.operands.len() / taken)
    }

    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The operands of a run, counted from 0.
    ///
    /// # Panics
    /// When there is no such run.
    pub fn operands(&self, run: usize) -> &[OsString] {
        assert!(run < self.len(), "run {run} of {}", self.len());
        match self.taken {
            Some(taken) => &self.operands[run * taken..(run + 1) * taken],
            None => &[],
        }
    }

    /// The tree of a run, counted from 0, with data where the places were.
    ///
    /// # Panics
    /// When there is no such run.
    pub fn chain(&self, run: usize) -> Chain {
        fill_chain(&self.chain, self.operands(run))
    }
}

/// Every place of a chain, in its order, with the word it is in.
fn places(chain: &Chain) -> Vec<(Placeholder, Span)> {
    let words = chain.words().into_iter();
    let pieces = words.flat_map(|word| word.pieces.iter().map(|piece| (piece, word.span.clone())));
    pieces
        .filter_map(|(piece, span)| match piece {
            Piece::Operand(place) => Some((*place, span)),
            Piece::Text(_) | Piece::Data(_) => None,
        })
        .collect()
}

/// The mistake of a chain that takes operands in more than one way.
pub(super) fn mixed(chain: &Chain) -> Option<Mistake> {
    let mut places = places(chain).into_iter();
    let first = places.next()?;
    let is_other = |(place, _): &(Placeholder, Span)| {
        std::mem::discriminant(&place.which) != std::mem::discriminant(&first.0.which)
    };
    let other = places.find(is_other)?;
    Some(errors::mixed_places(first, other))
}

fn without_place(chain: &Chain, first: &OsStr, operands: &[OsString]) -> Mistake {
    let span = chain.span.clone();
    let mistake = errors::no_place(span.clone(), first.as_bytes());
    let [Call { name, arguments, .. }] = chain.calls.as_slice() else { return mistake };
    if !arguments.is_empty() {
        return mistake;
    }
    // One bare word: the quotes around the chain were forgotten, and this is what they would have held.
    let mut meant = quote(&name.bytes());
    for operand in operands {
        meant.push(b' ');
        match operand.as_bytes() {
            sign @ (b"|" | b"{" | b"}") => meant.extend_from_slice(sign),
            word => meant.extend(quote(word)),
        }
    }
    if operands.iter().any(|operand| operand == "|") {
        return errors::unquoted_chain(span, &meant);
    }
    errors::maybe_unquoted_chain(mistake, &meant)
}

fn fill_chain(chain: &Chain, operands: &[OsString]) -> Chain {
    let calls = chain.calls.iter().map(|call| Call {
        name: call.name.clone(),
        arguments: call.arguments.iter().flat_map(|argument| fill_argument(argument, operands)).collect(),
        span: call.span.clone(),
    });
    Chain { calls: calls.collect(), span: chain.span.clone() }
}

fn fill_argument(argument: &Argument, operands: &[OsString]) -> Vec<Argument> {
    let word = match argument {
        Argument::Word(word) => word,
        Argument::Group(group) => {
            let chain = fill_chain(&group.chain, operands);
            return vec![Argument::Group(Group { chain, span: group.span.clone() })];
        }
    };
    let with_pieces = |pieces: Vec<Piece>| Argument::Word(Word { pieces, span: word.span.clone() });
    if let [Piece::Operand(Placeholder { which: Which::All, .. })] = word.pieces.as_slice() {
        return operands
            .iter()
            .map(|operand| with_pieces(vec![Piece::Data(operand.as_bytes().to_vec())]))
            .collect();
    }
    vec![with_pieces(word.pieces.iter().map(|piece| fill_piece(piece, operands)).collect())]
}

fn fill_piece(piece: &Piece, operands: &[OsString]) -> Piece {
    let Piece::Operand(place) = piece else { return piece.clone() };
    let number = match place.which {
        Which::Nth(number) => number,
        Which::Only | Which::All => 1,
    };
    match number.checked_sub(1).and_then(|at| operands.get(at)) {
        Some(operand) => Piece::Data(place.part.of(operand.as_bytes()).to_vec()),
        None => piece.clone(),
    }
}

impl Part {
    /// This part of a path.
    ///
    /// Slashes at the end do not count but for the whole; the root is its own base name and directory. An extension begins at the last
    /// dot of the base name, unless there are only dots before it: `.bashrc` and `..` have none, `a.tar.gz` has `.gz`.
    pub fn of(self, path: &[u8]) -> &[u8] {
        let trimmed = trim_slashes(path);
        let base_start = trimmed.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
        // The root alone ends in a slash after trimming.
        let base_start = if trimmed == b"/" { 0 } else { base_start };
        let stem_end = trimmed.len() - extension_bytes(&trimmed[base_start..]);
        match self {
            Part::Whole => path,
            Part::Base => &trimmed[base_start..],
            Part::Stem => &trimmed[..stem_end],
            Part::BaseStem => &trimmed[base_start..stem_end],
            Part::Directory if trimmed == b"/" => trimmed,
            Part::Directory if base_start == 0 => b".",
            Part::Directory => trim_slashes(&trimmed[..base_start]),
        }
    }
}

/// Without the slashes at the end, the root's own excepted.
fn trim_slashes(path: &[u8]) -> &[u8] {
    let length = path.iter().rposition(|&byte| byte != b'/').map_or(path.len().min(1), |at| at + 1);
    &path[..length]
}

/// The length of a base name's extension, dot included.
fn extension_bytes(base: &[u8]) -> usize {
    match base.iter().rposition(|&byte| byte == b'.') {
        Some(dot) if base[..dot].iter().any(|&byte| byte != b'.') => base.len() - dot,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Part};
    use crate::diagnostic::Mistake;
    use crate::lang::{Piece, parse};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    fn batch(text: &str, operands: &[&str]) -> Result<Batch, Vec<Mistake>> {
        let chain = parse(text.as_bytes()).expect("a legal chain");
        Batch::new(chain, operands.iter().map(OsString::from).collect())
    }

    /// The words of every run.
    fn runs(text: &str, operands: &[&str]) -> Vec<String> {
        let batch = batch(text, operands).expect("a legal batch");
        let words =
            |run| batch.chain(run).words().iter().map(|word| word.bytes()).collect::<Vec<_>>().join(&b' ');
        (0..batch.len()).map(|run| String::from_utf8(words(run)).expect("UTF-8")).collect()
    }

    fn refusal(text: &str, operands: &[&str]) -> Mistake {
        let mut mistakes = batch(text, operands).expect_err("a mistake");
        assert_eq!(mistakes.len(), 1);
        mistakes.remove(0)
    }

    #[test]
    fn operands_come_one_at_a_time_several_at_a_time_or_all_at_once() {
        assert_eq!(runs("read a", &[]), ["read a"]);
        assert_eq!(
            runs("read {} | write {.}.gz", &["a.b", "c"]),
            ["read a.b write a.gz", "read c write c.gz"]
        );
        assert_eq!(
            runs("read {1} | tee { write {2/} }", &["a", "x/b", "c", "d"]),
            ["read a tee write b", "read c tee write d"]
        );
        assert_eq!(runs("read {2}", &["a", "b"]), ["read b"]);
        assert_eq!(runs("read -v {@} | gzip", &["a", "b c"]), ["read -v a b c gzip"]);
    }

    #[test]
    fn all_operands_are_a_word_each() {
        let chain = batch("read {@}", &["a", "b c"]).expect("legal").chain(0);
        assert_eq!(chain.calls[0].arguments.len(), 2);
        assert_eq!(chain.words()[2].pieces, [Piece::Data(b"b c".to_vec())]);
        assert_eq!(chain.words()[2].span, 5..8);
    }

    #[test]
    fn an_operand_is_data_whatever_its_bytes() {
        for operand in ["-9", "-", "", "{}", "{@}", "a | b", "'", "#", "{"] {
            let chain = batch("write {} x{} {}y", &[operand]).expect("legal").chain(0);
            let words = chain.words();
            assert_eq!(words[1].pieces, [Piece::Data(operand.as_bytes().to_vec())]);
            assert!(words[1].begins_with_data() && words[3].begins_with_data());
            assert!(!words[2].begins_with_data());
            assert_eq!(words[2].bytes(), format!("x{operand}").as_bytes());
        }
    }

    #[test]
    fn operands_without_a_place_and_places_without_operands_are_refused() {
        let mistake = refusal("read a | gzip", &["b"]);
        assert_eq!(mistake.message, "the operand `b` has no place in the chain");
        let mistake = refusal("read {/}", &[]);
        assert_eq!((mistake.message.as_str(), mistake.span), ("no operand for `{/}`", 5..8));
    }

    #[test]
    fn a_chain_without_quotes_is_shown_with_them() {
        let mistake = refusal("read", &["my file", "|", "gzip", "-9"]);
        assert_eq!(mistake.message, "the chain is in several arguments; it is one, in quotes");
        assert_eq!(mistake.helps, ["type: weir 'read \"my file\" | gzip -9'"]);
        let mistake = refusal("read", &["a"]);
        assert!(mistake.helps.iter().any(|help| help.ends_with("weir 'read a'")), "{mistake:?}");
    }

    #[test]
    fn operands_that_leave_a_rest_are_refused() {
        let mistake = refusal("read {1} | write {3}", &["a", "b", "c", "d"]);
        assert_eq!(mistake.message, "operands are taken 3 at a time, and there are 4");
        assert_eq!(mistake.helps, ["give 3 or 6 of them"]);
        assert_eq!(refusal("read {1} | write {2}", &["a"]).helps, ["give 2 of them"]);
    }

    #[test]
    fn an_empty_list_is_no_run_and_no_mistake() {
        let chain = |text: &str| parse(text.as_bytes()).expect("legal");
        for text in ["read {}", "read {1} {2}", "read {@}"] {
            let batch = Batch::from_list(chain(text), Vec::new()).expect("an empty list");
            assert_eq!((batch.len(), batch.is_empty()), (0, true), "{text}");
        }
        assert!(Batch::from_list(chain("read a"), Vec::new()).is_err());
        assert_eq!(Batch::from_list(chain("read {}"), vec!["a".into(), "b".into()]).expect("two").len(), 2);
    }

    #[test]
    fn the_parts_of_a_path_are_those_of_its_last_name() {
        // Path, base name, directory, without extension, both.
        let cases = [
            ("a/b.tar.gz", "b.tar.gz", "a", "a/b.tar", "b.tar"),
            ("b", "b", ".", "b", "b"),
            ("/b.c", "b.c", "/", "/b", "b"),
            ("a/b.c/", "b.c", "a", "a/b", "b"),
            ("a//b.c//", "b.c", "a", "a//b", "b"),
            ("a.b/c", "c", "a.b", "a.b/c", "c"),
            ("d/.bashrc", ".bashrc", "d", "d/.bashrc", ".bashrc"),
            (".a.b", ".a.b", ".", ".a", ".a"),
            ("a.", "a.", ".", "a", "a"),
            ("..", "..", ".", "..", ".."),
            ("../...", "...", "..", "../...", "..."),
            ("..a", "..a", ".", "..a", "..a"),
            ("/", "/", "/", "/", "/"),
            ("//", "/", "/", "/", "/"),
            ("", "", ".", "", ""),
        ];
        for (path, base, directory, stem, base_stem) in cases {
            let parts = [Part::Base, Part::Directory, Part::Stem, Part::BaseStem];
            let found = parts.map(|part| str::from_utf8(part.of(path.as_bytes())).expect("UTF-8"));
            assert_eq!(found, [base, directory, stem, base_stem], "{path:?}");
            assert_eq!(Part::Whole.of(path.as_bytes()), path.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn no_operand_changes_the_shape_of_the_chain(operands in proptest::collection::vec(any::<Vec<u8>>(), 1..5)) {
            let chain = parse(b"read {} | tee { write {.}x{/} } | write {//}/{/.}").expect("legal");
            let count = operands.len();
            let batch = Batch::new(chain.clone(), operands.iter().cloned().map(OsString::from_vec).collect());
            let batch = batch.expect("legal");
            prop_assert_eq!(batch.len(), count);
            for (run, operand) in operands.iter().enumerate() {
                let filled = batch.chain(run);
                prop_assert_eq!(&filled.words()[1].bytes(), operand);
                let spans = |chain: &crate::lang::Chain| chain.words().iter().map(|word| word.span.clone()).collect::<Vec<_>>();
                prop_assert_eq!(spans(&filled), spans(&chain));
            }
        }

        #[test]
        fn directory_and_base_name_make_the_path_again(path in "[a./]{1,12}") {
            let bytes = path.as_bytes();
            let (directory, base) = (Part::Directory.of(bytes), Part::Base.of(bytes));
            prop_assert!(!directory.is_empty() && !base.is_empty());
            prop_assert!(base == b"/" || !base.contains(&b'/'));
            let stem = Part::BaseStem.of(bytes);
            prop_assert!(base.starts_with(stem) && !stem.is_empty());
        }
    }
}
