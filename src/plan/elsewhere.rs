//! What is typed by habit: the names of other tools, and what does their work here.
//! Pure data.

/// A tool's name and what to type instead.
type Habit = (&'static str, &'static str);

/// Stages that do the same; their arguments may differ.
const STAGES: &[Habit] = &[
    ("age", "encrypt"),
    ("b3sum", "hash blake3"),
    ("bzcat", "bunzip2"),
    ("cat", "read"),
    ("cp", "read"),
    ("curl", "get"),
    ("dd", "read"),
    ("gpg", "encrypt"),
    ("lz4cat", "unlz4"),
    ("mbuffer", "buffer"),
    ("md5sum", "hash md5"),
    ("nc", "tcp"),
    ("netcat", "tcp"),
    ("openssl", "encrypt"),
    ("pigz", "gzip"),
    ("pv", "pass"),
    ("sed", "replace"),
    ("seq", "generate"),
    ("sha1sum", "hash sha1"),
    ("sha256sum", "hash sha256"),
    ("sha512sum", "hash sha512"),
    ("socat", "tcp"),
    ("websocat", "ws"),
    ("wget", "get"),
    ("xzcat", "unxz"),
    ("yes", "generate"),
    ("zcat", "gunzip"),
    ("zstdcat", "unzstd"),
];

/// Programs that no stage stands for.
const PROGRAMS: &[Habit] = &[
    ("awk", "exec awk"),
    ("cut", "exec cut"),
    ("jq", "exec jq"),
    ("paste", "exec paste"),
    ("perl", "exec perl"),
    ("python3", "exec python3"),
    ("sh", "exec sh"),
    ("sort", "exec sort"),
    ("tac", "exec tac"),
    ("tar", "exec tar"),
    ("tr", "exec tr"),
    ("uniq", "exec uniq"),
    ("wc", "exec wc"),
    ("xargs", "exec xargs"),
];

/// Something that does here what `name` does elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instead {
    /// A stage, with its first argument.
    Stage(&'static str),
    /// The program, run by a stage.
    Program(&'static str),
}

/// What to type instead of `name`.
pub(super) fn instead_of(name: &str) -> Option<Instead> {
    let find = |habits: &[Habit]| habits.iter().find(|(tool, _)| *tool == name).map(|(_, typed)| *typed);
    find(STAGES).map(Instead::Stage).or_else(|| find(PROGRAMS).map(Instead::Program))
}

#[cfg(test)]
mod tests {
    use super::{Instead, PROGRAMS, STAGES, instead_of};
    use crate::stage::TABLE;

    #[test]
    fn every_name_is_none_of_ours_and_leads_to_one() {
        let is_ours = |name: &str| TABLE.iter().any(|entry| entry.name == name);
        for (tool, typed) in STAGES.iter().chain(PROGRAMS) {
            let stage = typed.split(' ').next().expect("a word");
            assert!(!is_ours(tool), "{tool}");
            assert!(is_ours(stage) || !cfg!(feature = "web"), "{stage}");
        }
        assert_eq!(instead_of("cat"), Some(Instead::Stage("read")));
        assert_eq!(instead_of("wc"), Some(Instead::Program("exec wc")));
        assert_eq!(instead_of("gzip"), None);
    }
}
