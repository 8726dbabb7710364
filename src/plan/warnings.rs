//! Chains that are legal and surely not meant: compressed bytes changed, or compressed again, or a name that promises what
//! nothing in the chain does.
//! Judges by what the stage table says of each stage, and by the names of files; looks into none.

use super::Plan;
use crate::diagnostic::{Mistake, printable};
use crate::stage::{Nature, Role, Touch};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Extensions of files that are compressed: compressing them again gains nothing.
const COMPRESSED: &[&str] =
    &["7z", "br", "bz2", "gz", "lz4", "lzma", "tbz2", "tgz", "txz", "tzst", "xz", "zip", "zst"];
/// Extensions of files that are certainly not.
const PLAIN: &[&str] = &["csv", "html", "json", "log", "md", "sql", "tar", "tsv", "txt", "xml"];

/// What is known of the bytes that a stage gives.
#[derive(Clone, PartialEq, Eq)]
enum Content {
    Unknown,
    /// Not compressed.
    Plain,
    /// Compressed by that stage.
    Compressed(usize),
    /// Compressed, by its name.
    Named(String),
    /// Changed by a text stage, right before.
    Changed(usize),
}

/// Adds what it finds to the plan's warnings, and notes for every stage what compressed its input.
pub(super) fn look_for(plan: &mut Plan) {
    let mut contents: Vec<Content> = Vec::with_capacity(plan.stages.len());
    for at in 0..plan.stages.len() {
        let given = plan.writer_of(at).map_or_else(|| source(plan, at), |from| contents[from].clone());
        if let Content::Compressed(by) = given {
            plan.stages[at].compressed_by = Some(by);
        }
        plan.warnings.extend(warning(plan, at, &given));
        contents.push(match plan.stages[at].entry.nature {
            Nature::Neutral => given,
            Nature::Text => Content::Changed(at),
            Nature::Compressor => Content::Compressed(at),
            Nature::Decompressor => Content::Unknown,
        });
    }
}

/// What a source gives, as far as the names of its files tell.
fn source(plan: &Plan, at: usize) -> Content {
    let touches = plan.stages[at].stage.touches();
    let names = touches.iter().map(|touch| match touch {
        Touch::Read(path) => Some(path),
        Touch::Stdin | Touch::Write(_) | Touch::Stdout { .. } | Touch::Child(_) => None,
    });
    let Some(names) = names.collect::<Option<Vec<_>>>() else { return Content::Unknown };
    match names.first() {
        Some(first) if names.iter().all(|name| has_extension(name, COMPRESSED)) => {
            Content::Named(printable(first.as_os_str().as_bytes()))
        }
        Some(_) if names.iter().all(|name| has_extension(name, PLAIN)) => Content::Plain,
        _ => Content::Unknown,
    }
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| extensions.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// What is odd about the stage at `at` when it is given such bytes.
fn warning(plan: &Plan, at: usize, given: &Content) -> Option<Mistake> {
    let stage = &plan.stages[at];
    let span = stage.span.clone()?;
    let name = stage.name;
    let also = |mistake: Mistake, other: usize, label: &str| match &plan.stages[other].span {
        Some(span) => mistake.also(span.clone(), label),
        None => mistake,
    };
    match (stage.entry.nature, given) {
        (Nature::Text, Content::Compressed(by)) => {
            let by_name = plan.stages[*by].name;
            let mistake = Mistake::warning(span, format!("`{name}` changes what `{by_name}` compressed"))
                .label("the result cannot be decompressed")
                .help(format!("put `{name}` in front of `{by_name}`"));
            Some(also(mistake, *by, "compressed from here on"))
        }
        (Nature::Text, Content::Named(file)) => Some(
            Mistake::warning(span, format!("`{name}` changes compressed bytes, by the name of `{file}`"))
                .label("the result cannot be decompressed")
                .help(format!("put a stage that decompresses in front of `{name}`")),
        ),
        (Nature::Compressor, Content::Compressed(by)) => {
            let by_name = plan.stages[*by].name;
            let mistake =
                Mistake::warning(span, format!("`{name}` compresses what `{by_name}` has compressed"))
                    .label("gains nothing");
            Some(also(mistake, *by, "compressed from here on"))
        }
        (Nature::Compressor, Content::Named(file)) => Some(
            Mistake::warning(span, format!("`{name}` compresses `{file}`, which is compressed, by its name"))
                .label("gains nothing")
                .help(format!("for another format, put a stage that decompresses in front of `{name}`")),
        ),
        (Nature::Decompressor, Content::Changed(by)) => {
            let by_name = plan.stages[*by].name;
            let mistake = Mistake::warning(span, format!("`{name}` gets bytes that `{by_name}` has changed"))
                .label("cannot be decompressed any more")
                .help(format!("put `{name}` in front of `{by_name}`"));
            Some(also(mistake, *by, "changed here"))
        }
        (_, Content::Plain | Content::Changed(_)) if stage.role() == Role::Sink => {
            let promise = stage.stage.touches().into_iter().find_map(|touch| match touch {
                Touch::Write(destination) if has_extension(&destination.path, COMPRESSED) => {
                    Some(destination.path)
                }
                _ => None,
            })?;
            let file = printable(promise.as_os_str().as_bytes());
            Some(
                Mistake::warning(span, format!("`{file}` will not be compressed, whatever its name says"))
                    .label("nothing in front of it compresses"),
            )
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::{Colour, render};
    use crate::plan::trial::plan;

    fn warnings(text: &str) -> Vec<String> {
        plan(text).expect("a plan").warnings.into_iter().map(|warning| warning.message).collect()
    }

    #[test]
    fn compressed_bytes_that_are_changed_are_told() {
        let text = "read README.md | gzip | upper | write /tmp/out";
        let warnings = plan(text).expect("a plan").warnings;
        let expected = "\
weir: warning: `upper` changes what `gzip` compressed
 |
 | read README.md | gzip | upper | write /tmp/out
 |                  ----   ^^^^^ the result cannot be decompressed
 |                  |
 |                  compressed from here on
 |
 = help: put `upper` in front of `gzip`
";
        assert_eq!(render(text.as_bytes(), &warnings, Colour::Never), expected);
    }

    #[test]
    fn what_is_compressed_already_is_told() {
        assert_eq!(
            warnings("read a.gz | gzip | write b")[0],
            "`gzip` compresses `a.gz`, which is compressed, by its name"
        );
        assert_eq!(warnings("gzip | gzip"), ["`gzip` compresses what `gzip` has compressed"]);
        assert_eq!(
            warnings("read a.tgz | upper")[0],
            "`upper` changes compressed bytes, by the name of `a.tgz`"
        );
    }

    #[test]
    fn a_branch_is_given_what_its_stage_is_given() {
        assert_eq!(warnings("gzip | tee { upper | write b } | write c.gz").len(), 1);
    }

    #[test]
    fn a_name_that_promises_compression_is_told() {
        assert_eq!(warnings("read a.log | write a.log.gz").len(), 1);
        assert_eq!(warnings("upper | write a.gz").len(), 1);
    }

    #[test]
    fn what_may_well_be_meant_is_left_alone() {
        for text in [
            "read a.gz | gunzip | upper | gzip | write a.gz",
            "upper | gzip | write a.gz",
            "read a.gz | write b.gz",
            "read a | write b.gz",
            "write b.gz",
            "read a.gz | gunzip | gzip",
            "gzip | gunzip | upper",
        ] {
            assert_eq!(warnings(text), [""; 0], "{text}");
        }
        assert_eq!(warnings("upper | gunzip").len(), 1);
    }
}
