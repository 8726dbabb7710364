//! What stages of one chain ask of each other: an end for what appears only there, something that lasts for an input that
//! is removed, one file for what takes after it.
//! Judges by what the stages say of themselves; looks at no file.

use super::{Plan, Planned};
use crate::diagnostic::{Mistake, printable};
use crate::stage::{Destination, How, Role, Touch};
use std::os::unix::ffi::OsStrExt;

/// Every rule that `plan` breaks, in the order of its text.
pub(super) fn broken(plan: &Plan) -> Vec<Mistake> {
    let Some(source) = plan.stages.first() else { return Vec::new() };
    let mut mistakes: Vec<Mistake> = Vec::new();
    mistakes.extend(nothing_lasts(plan, source));
    for planned in &plan.stages {
        mistakes.extend(never_appears(source, planned));
        mistakes.extend(takes_after_no_file(source, planned));
    }
    let served = plan.stages.iter().filter_map(|planned| planned.served.as_ref());
    mistakes.extend(served.flat_map(|served| broken(&served.plan)));
    mistakes
}

/// The files that a stage writes.
fn written(planned: &Planned) -> Vec<Destination> {
    let touches = planned.stage.touches().into_iter();
    let written = touches.filter_map(|touch| match touch {
        Touch::Write(destination) => Some(destination),
        _ => None,
    });
    written.collect()
}

/// An endless source, and a file that is put in place only at the end.
fn never_appears(source: &Planned, planned: &Planned) -> Option<Mistake> {
    let span = planned.span.clone()?;
    let destination = written(planned).into_iter().find(|written| written.how == How::Replace)?;
    // What a filter writes beside its output, such as a digest, is for the end in any case.
    if !source.stage.is_endless() || planned.role() != Role::Sink {
        return None;
    }
    let file = printable(destination.path.as_os_str().as_bytes());
    let mistake =
        Mistake::error(span, format!("`{file}` would appear only at the end, and this chain has none"))
            .label("put in place at the end");
    let remedy = format!("{} --append {file}", planned.name);
    let help = match planned.number {
        Some(_) => format!("write as it comes: `{remedy}`"),
        None => format!("write as it comes, in a branch: `{{ {remedy} }}`"),
    };
    Some(also(mistake, source, "goes on until it is told to end").help(help))
}

/// An input that is removed, and no output that lasts.
fn nothing_lasts(plan: &Plan, source: &Planned) -> Option<Mistake> {
    let span = source.span.clone()?;
    // What a filter writes beside its output, such as a digest, does not hold what was read.
    let lasts = |planned: &Planned| planned.role() == Role::Sink && !written(planned).is_empty();
    if !source.stage.removes_its_input() || plan.stages.iter().any(lasts) {
        return None;
    }
    let mistake = Mistake::error(span, format!("what `{}` removes would be lost", source.name))
        .label("removed in the end")
        .help("keep what is made of it, with `| write FILE`, or leave `--remove` out");
    // A sink that has branches keeps what they keep.
    let is_last = |planned: &&Planned| planned.role() == Role::Sink && planned.outputs.is_empty();
    let sinks = plan.stages.iter().filter(is_last);
    Some(sinks.fold(mistake, |mistake, sink| also(mistake, sink, "keeps nothing")))
}

/// An output that takes after the file that the chain reads, in a chain that does not read one.
fn takes_after_no_file(source: &Planned, planned: &Planned) -> Option<Mistake> {
    let (span, option) = (planned.span.clone()?, planned.stage.needs_one_file()?);
    let reads = match &source.stage.touches()[..] {
        [Touch::Read(_)] => return None,
        [_, _, ..] => "several",
        [Touch::Stdin] => "standard input",
        _ => "none",
    };
    let message = format!("`{option}` takes after the one file that is read, and this chain reads {reads}");
    let mistake = Mistake::error(span, message)
        .label("which file is not known")
        .help(format!("leave `{option}` out, or read one file: `read FILE | …`"));
    Some(also(mistake, source, "the source"))
}

fn also(mistake: Mistake, planned: &Planned, label: &str) -> Mistake {
    match &planned.span {
        Some(span) => mistake.also(span.clone(), label),
        None => mistake,
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::trial::{plan, report};

    #[test]
    fn an_endless_source_needs_a_sink_that_shows_what_comes() {
        let expected = "\
weir: `b` would appear only at the end, and this chain has none
 |
 | read --follow a | write b
 | ---------------   ^^^^^^^ put in place at the end
 | |
 | goes on until it is told to end
 |
 = help: write as it comes: `write --append b`
";
        assert_eq!(report("read --follow a | write b"), expected);
        let argument = report("read --follow a | tee copy | write --append b");
        assert!(argument.contains("in a branch: `{ write --append copy }`"), "{argument}");
        for text in ["read --follow a | write --append b", "read --follow a | write --in-place b"] {
            assert!(plan(text).is_ok_and(|plan| plan.is_endless()), "{text}");
        }
        assert!(plan("read --follow a").is_ok() && plan("read a | write b").is_ok());
    }

    #[test]
    fn an_input_is_removed_only_if_something_lasts() {
        let expected = "\
weir: what `read` removes would be lost
 |
 | read --remove a | upper | stdout
 | ^^^^^^^^^^^^^^^           ------ keeps nothing
 | |
 | removed in the end
 |
 = help: keep what is made of it, with `| write FILE`, or leave `--remove` out
";
        assert_eq!(report("read --remove a | upper | stdout"), expected);
        assert!(report("read --remove a").contains("would be lost"));
        for text in ["read --remove a | write b", "read --remove a | tee { upper | write b } | stdout"] {
            assert!(plan(text).is_ok_and(|plan| plan.removes_its_input()), "{text}");
        }
    }

    #[test]
    fn what_takes_after_a_file_needs_one() {
        let expected = "\
weir: `--preserve` takes after the one file that is read, and this chain reads several
 |
 | read a b | write --preserve c
 | --------   ^^^^^^^^^^^^^^^^^^ which file is not known
 | |
 | the source
 |
 = help: leave `--preserve` out, or read one file: `read FILE | …`
";
        assert_eq!(report("read a b | write --preserve c"), expected);
        assert!(report("upper | write --preserve c").contains("reads standard input"));
        assert!(report("generate 5 | write --preserve c").contains("reads none"));
        assert!(plan("read a | tee { upper | write --preserve c } | stdout").is_ok());
    }
}
