//! Did you mean: the known word nearest to a mistyped one.
//! Knows letters only, not what the words stand for.

/// The candidate that was probably meant by `word`, if one is near enough: one whose beginning it is, or that begins it, or one that a few slips
/// (a letter missing, added, changed, or two exchanged) turn into it. Case does not count. Of equals the first.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed: Vec<char> = word.to_lowercase().chars().collect();
    let near = candidates.into_iter().filter_map(|candidate| {
        let known: Vec<char> = candidate.to_lowercase().chars().collect();
        let slips = slips(&typed, &known);
        let longer = typed.len().max(known.len());
        // Doubled, so that the beginning of a word comes between equal words and a single slip.
        match () {
            () if slips == 0 => Some((0, known.len(), candidate)),
            () if typed.len() >= 2 && known.starts_with(&typed) => Some((1, known.len(), candidate)),
            () if typed.len() >= 2 && slips <= (longer / 3).max(1) => Some((2 * slips, 0, candidate)),
            // `uppercase`, `gunzip2`: the whole of a known word, and more.
            () if known.len() >= 4 && typed.starts_with(&known) => {
                Some((longer, typed.len() - known.len(), candidate))
            }
            () => None,
        }
    });
    near.min_by_key(|(distance, length, _)| (*distance, *length)).map(|(_, _, candidate)| candidate)
}

/// The optimal string alignment distance.
fn slips(from: &[char], to: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, &a) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &b) in to.iter().enumerate() {
            let mut best =
                (last[column] + usize::from(a != b)).min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && a == to[column - 1] && from[row - 1] == b {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::suggest;

    const STAGES: [&str; 9] = ["read", "gzip", "gunzip", "write", "tac", "throttle", "xz", "hash", "head"];

    #[test]
    fn a_slip_of_the_fingers_finds_its_word() {
        let cases = [
            ("gzpi", "gzip"),
            ("GZIP", "gzip"),
            ("wirte", "write"),
            ("reed", "read"),
            ("throtle", "throttle"),
        ];
        for (typed, meant) in cases {
            assert_eq!(suggest(typed, STAGES), Some(meant), "{typed}");
        }
    }

    #[test]
    fn the_beginning_of_a_word_finds_it_before_a_slip_does() {
        assert_eq!(suggest("gz", STAGES), Some("gzip"));
        assert_eq!(suggest("gun", STAGES), Some("gunzip"));
        assert_eq!(suggest("hashsum", STAGES), Some("hash"));
    }

    #[test]
    fn what_is_far_from_all_gets_no_advice() {
        for typed in ["", "a", "cat", "frobnicate", "\u{1b}"] {
            assert_eq!(suggest(typed, STAGES), None, "{typed}");
        }
    }
}
