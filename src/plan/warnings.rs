//! Chains that are legal and surely not meant: compressed or encrypted bytes changed, or compressed again, a name that
//! promises what nothing in the chain does, bytes that leave before it is known whether they are the right ones.
//! Judges by what the stage table says of each stage, and by the names of files; looks into none.

use super::Plan;
use crate::diagnostic::{Mistake, printable};
use crate::stage::{Nature, Role, Touch};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Extensions of files that are compressed: compressing them again gains nothing.
const COMPRESSED: &[&str] =
    &["7z", "br", "bz2", "gz", "lz4", "lzma", "tbz2", "tgz", "txz", "tzst", "xz", "zip", "zlib", "zst", "zz"];
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
    /// Encrypted by that stage.
    Encrypted(usize),
    /// Compressed, by its name.
    Named(String),
    /// Changed by a text stage, right before.
    Changed(usize),
    /// Made text of by that stage, whatever it was.
    Encoded(usize),
}

/// Adds what it finds to the plan's warnings, and notes for every stage what compressed its input.
pub(super) fn look_for(plan: &mut Plan) {
    let mut contents: Vec<Content> = Vec::with_capacity(plan.stages.len());
    // For what each stage gives: the stage that will know at its end whether it is the right thing.
    let mut doubts: Vec<Option<usize>> = Vec::with_capacity(plan.stages.len());
    for at in 0..plan.stages.len() {
        if let Some(served) = &mut plan.stages[at].served {
            look_for(&mut served.plan);
            let found = std::mem::take(&mut served.plan.warnings);
            plan.warnings.extend(found);
        }
        let given = plan.writer_of(at).map_or_else(|| source(plan, at), |from| contents[from].clone());
        if let Content::Compressed(by) | Content::Encrypted(by) = given {
            plan.stages[at].compressed_by = Some(by).filter(|&by| !plan.stages[by].stage.gives_text());
        }
        plan.warnings.extend(warning(plan, at, &given));
        let doubted = plan.writer_of(at).and_then(|from| doubts[from]);
        if let Some(by) = doubted {
            plan.warnings.extend(leaves_too_early(plan, at, by));
        }
        let stage = &plan.stages[at].stage;
        doubts.push(match (stage.vouches_at_the_end(), stage.holds_back()) {
            (true, _) => Some(at),
            (_, true) => None,
            _ => doubted,
        });
        contents.push(match plan.stages[at].entry.nature {
            Nature::Neutral => given,
            Nature::Text => Content::Changed(at),
            Nature::Compressor => Content::Compressed(at),
            Nature::Encryptor => Content::Encrypted(at),
            Nature::Decompressor | Nature::Decoder | Nature::Decryptor => Content::Unknown,
            Nature::Encoder => Content::Encoded(at),
        });
    }
}

/// What a source gives, as far as the names of its files tell.
fn source(plan: &Plan, at: usize) -> Content {
    let touches = plan.stages[at].stage.touches();
    let names = touches.iter().map(|touch| match touch {
        Touch::Read(path) => Some(path),
        _ => None,
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
        (Nature::Text, Content::Encrypted(by)) => {
            let by_name = plan.stages[*by].name;
            let mistake = Mistake::warning(span, format!("`{name}` changes what `{by_name}` encrypted"))
                .label("the result cannot be decrypted")
                .help(format!("put `{name}` in front of `{by_name}`"));
            Some(also(mistake, *by, "encrypted from here on"))
        }
        (Nature::Compressor, Content::Encrypted(by)) if !plan.stages[*by].stage.gives_text() => {
            let by_name = plan.stages[*by].name;
            let mistake =
                Mistake::warning(span, format!("`{name}` compresses what `{by_name}` has encrypted"))
                    .label("gains nothing")
                    .help(format!("put `{name}` in front of `{by_name}`"));
            Some(also(mistake, *by, "encrypted from here on"))
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
        (Nature::Decryptor, Content::Changed(by)) => {
            let by_name = plan.stages[*by].name;
            let mistake = Mistake::warning(span, format!("`{name}` gets bytes that `{by_name}` has changed"))
                .label("cannot be decrypted any more")
                .help(format!("put `{name}` in front of `{by_name}`"));
            Some(also(mistake, *by, "changed here"))
        }
        (Nature::Decompressor, Content::Changed(by)) => {
            let by_name = plan.stages[*by].name;
            let mistake = Mistake::warning(span, format!("`{name}` gets bytes that `{by_name}` has changed"))
                .label("cannot be decompressed any more")
                .help(format!("put `{name}` in front of `{by_name}`"));
            Some(also(mistake, *by, "changed here"))
        }
        (Nature::Decompressor, Content::Encoded(by)) => {
            let by_name = plan.stages[*by].name;
            let mistake = Mistake::warning(span, format!("`{name}` gets the text that `{by_name}` has made"))
                .label("cannot be decompressed as it is");
            Some(also(mistake, *by, "made text here"))
        }
        (Nature::Decoder, Content::Compressed(by)) => {
            let by_name = plan.stages[*by].name;
            let mistake = Mistake::warning(span, format!("`{name}` decodes what `{by_name}` has compressed"))
                .label("text is expected")
                .help(format!("put `{name}` in front of `{by_name}`"));
            Some(also(mistake, *by, "compressed from here on"))
        }
        (_, Content::Plain | Content::Changed(_) | Content::Encoded(_)) if stage.role() == Role::Sink => {
            let promise = stage.stage.touches().into_iter().find_map(|touch| match touch {
                Touch::Write(destination) if has_extension(&destination.path, COMPRESSED) => {
                    Some(destination.path)
                }
                _ => None,
            })?;
            let file = printable(promise.as_os_str().as_bytes());
            let warning =
                Mistake::warning(span, format!("`{file}` will not be compressed, whatever its name says"));
            Some(match given {
                Content::Encoded(by) => {
                    also(warning.label("the name of something else"), *by, "text from here on")
                }
                _ => warning.label("nothing in front of it compresses"),
            })
        }
        _ => None,
    }
}

/// What is odd about the stage at `at` when only the end will tell the stage `by` whether its bytes are right.
fn leaves_too_early(plan: &Plan, at: usize, by: usize) -> Option<Mistake> {
    let stage = &plan.stages[at];
    let goes_out = |touch: &Touch| matches!(touch, Touch::Stdout { .. } | Touch::Child(_) | Touch::Send(_));
    if !stage.stage.touches().iter().any(goes_out) {
        return None;
    }
    let (name, by_name) = (stage.name, plan.stages[by].name);
    let span = plan.stages[by].span.clone()?;
    let mistake =
        Mistake::warning(span, format!("`{name}` gets the bytes before `{by_name}` has checked them"))
            .label("it knows at the end only")
            .help(format!("put `spool` behind `{by_name}`: it lets nothing through before that"));
    Some(match &stage.span {
        Some(span) => mistake.also(span.clone(), "they leave here at once"),
        None => mistake,
    })
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
    fn encrypted_bytes_neither_compress_nor_bear_a_change() {
        assert_eq!(warnings("encrypt | gzip"), ["`gzip` compresses what `encrypt` has encrypted"]);
        assert_eq!(warnings("encrypt --armor | upper"), ["`upper` changes what `encrypt` encrypted"]);
        assert_eq!(warnings("upper | decrypt"), ["`decrypt` gets bytes that `upper` has changed"]);
        for text in ["gzip | encrypt", "encrypt --armor | gzip", "encrypt | decrypt | upper | gzip"] {
            assert_eq!(warnings(text), [""; 0], "{text}");
        }
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
    fn what_leaves_before_it_is_known_to_be_right_is_told() {
        for text in [
            "read a | vouch",
            "read a | vouch | upper | stdout",
            "read a | vouch | tee { stdout } | write b",
            "spool | vouch | stdout",
        ] {
            let expected = "`stdout` gets the bytes before `vouch` has checked them";
            assert_eq!(warnings(text), [expected], "{text}");
        }
        assert_eq!(
            warnings("vouch | talk | write a"),
            ["`talk` gets the bytes before `vouch` has checked them"]
        );
        assert_eq!(warnings("vouch | spool | talk | write a"), [""; 0]);
        let text = "vouch | stdout";
        let expected = "\
weir: warning: `stdout` gets the bytes before `vouch` has checked them
 |
 | vouch | stdout
 | ^^^^^   ------ they leave here at once
 | |
 | it knows at the end only
 |
 = help: put `spool` behind `vouch`: it lets nothing through before that
";
        let warnings = plan(text).expect("a plan").warnings;
        assert_eq!(render(text.as_bytes(), &warnings, Colour::Never), expected);
    }

    #[test]
    fn text_in_the_place_of_compressed_bytes_is_told() {
        assert_eq!(warnings("gzip | base64 | gunzip"), ["`gunzip` gets the text that `base64` has made"]);
        assert_eq!(warnings("gzip | unbase64"), ["`unbase64` decodes what `gzip` has compressed"]);
        assert_eq!(
            warnings("gzip | base64 | write a.gz"),
            ["`a.gz` will not be compressed, whatever its name says"]
        );
        assert_eq!(warnings("base64 | upper | gunzip").len(), 1);
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
            "vouch | write b",
            "vouch | spool | upper",
            "tee { vouch | write a } | stdout",
            "gzip | base64 | upper",
            "gzip | base64 | gzip",
            "gzip | base64 | upper | unbase64 | gunzip",
            "gzip | base64 | unbase64 | gunzip | upper",
            "base64 | write b.txt",
            "read a.b64 | upper | unbase64 | gunzip | write b",
            "gzip | base64 | write b.gz.b64",
        ] {
            assert_eq!(warnings(text), [""; 0], "{text}");
        }
        assert_eq!(warnings("upper | gunzip").len(), 1);
    }
}
