//! What a run would do, as text: its stages, the links between them, what becomes of each output.
//! Pure; decides nothing, and what it says is what the run is given.

use super::facts::{Facts, Fate};
use super::{Plan, Planned};
use crate::units::size;
use std::fmt::Write;

/// The text of `--dry-run`. Each line ends with a line feed.
pub fn dry_run(plan: &Plan, facts: &Facts) -> String {
    if let Some(name) = &facts.skip {
        return format!("nothing to do: {name} is there already\n");
    }
    let mut text = String::new();
    stages(&mut text, plan, 0);
    text.push('\n');
    if let Some(bytes) = facts.total_bytes {
        line(&mut text, &format!("input: {}", size(bytes)));
    }
    if plan.is_endless() {
        line(&mut text, "input: endless; the first INT or TERM ends it, and what came is kept");
    }
    let held = plan.links.iter().fold(0_u64, |sum, link| sum.saturating_add(link.bounds.high_bytes as u64));
    line(&mut text, &format!("links: {}, at most {} in all", plan.links.len(), size(held)));
    for output in &facts.outputs {
        let place = plan.place(output.stage);
        let preserved = match plan.stages[output.stage].stage.needs_one_file() {
            Some(_) if !output.fate.is_passing() => {
                format!(", with mode, owner and times of {}", plan.stages[0].label)
            }
            _ => String::new(),
        };
        line(&mut text, &format!("{place}: {} {}{preserved}", output.name, becomes(output.fate)));
    }
    if plan.removes_its_input() {
        let (place, label) = (plan.place(0), &plan.stages[0].label);
        line(&mut text, &format!("{place}: {label} is removed when every output is in place and synced"));
    }
    for notice in &facts.notices {
        line(&mut text, notice);
    }
    text
}

/// A line for each stage and each link, those of a server's chain with it.
fn stages(text: &mut String, plan: &Plan, depth: usize) {
    for at in 0..plan.stages.len() {
        link_line(text, plan, at, depth);
        // Both rows of a duplex are one stage.
        if plan.stages[at].outward.is_some() {
            continue;
        }
        stage_line(text, &plan.stages[at], depth);
        if let Some(served) = &plan.stages[at].served {
            let words = format!("     {}for each connection:", indent(depth + 1));
            line(text, &words);
            stages(text, &served.plan, depth + 1);
        }
    }
}

fn line(text: &mut String, words: &str) {
    text.push_str(words);
    text.push('\n');
}

fn indent(depth: usize) -> String {
    "    ".repeat(depth)
}

fn stage_line(text: &mut String, planned: &Planned, depth: usize) {
    let number = planned.number.map_or_else(|| "-".to_string(), |number| number.to_string());
    let words = format!("{number:>3}  {}{} {}", indent(depth + planned.depth), planned.name, planned.label);
    line(text, words.trim_end());
}

/// The link that the stage at `at` reads.
fn link_line(text: &mut String, plan: &Plan, at: usize, depth: usize) {
    let Some(link) = plan.stages[at].input.map(|link| &plan.links[link]) else { return };
    let mut words =
        format!("     {}| {}", indent(depth + plan.stages[at].depth), size(link.bounds.high_bytes as u64));
    // Writing to a string cannot fail.
    if link.bounds.start_bytes > 0 {
        let _ = write!(words, ", waits for {} after it ran empty", size(link.bounds.start_bytes as u64));
    }
    if link.from + 1 != at {
        let _ = write!(words, ", from {}", plan.place(link.from));
    }
    line(text, &words);
}

fn becomes(fate: Fate) -> String {
    match fate {
        Fate::Create => "is created when all has succeeded".to_string(),
        Fate::Replace { old_bytes } => format!("({}) is replaced when all has succeeded", size(old_bytes)),
        Fate::Append { old_bytes } => {
            format!("({}) is appended to, and cut back on failure", size(old_bytes))
        }
        Fate::Overwrite => "is written over as it comes; this cannot be undone".to_string(),
        Fate::Child => "is started; what it does cannot be undone".to_string(),
        Fate::Peer => "is sent the bytes as they come; this cannot be undone".to_string(),
        Fate::Direct => "gets the bytes as they come; this cannot be undone".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::dry_run;
    use crate::plan::trial::plan;
    use crate::plan::{Facts, Fate, OutputFact};

    #[test]
    fn stages_links_and_what_becomes_of_each_output_are_told() {
        let plan = plan("read a | tee { gzip | write b.gz } | buffer 8M --start 50").expect("a plan");
        let output =
            |stage, name: &str, fate| OutputFact { stage, name: name.to_string(), fate, identity: None };
        let facts = Facts {
            total_bytes: Some(3 << 30),
            outputs: vec![
                output(3, "b.gz", Fate::Replace { old_bytes: 318 << 20 }),
                output(5, "standard output", Fate::Direct),
            ],
            ..Facts::default()
        };
        let expected = "  1  read a
     | 2.00 MiB
  2  tee
         | 2.00 MiB
  3      gzip -6
         | 2.00 MiB
  4      write b.gz
     | 8.00 MiB, waits for 4.00 MiB after it ran empty, from tee (stage 2)
  5  buffer
     | 2.00 MiB
  -  stdout

input: 3.00 GiB
links: 5, at most 16.0 MiB in all
write (stage 4): b.gz (318 MiB) is replaced when all has succeeded
stdout: standard output gets the bytes as they come; this cannot be undone
";
        assert_eq!(dry_run(&plan, &facts), expected);
    }

    #[test]
    fn a_stage_with_a_peer_is_one_line() {
        let plan = plan("read a | talk | write b").expect("a plan");
        let child = OutputFact { stage: 1, name: "parrot".to_string(), fate: Fate::Child, identity: None };
        let text = dry_run(&plan, &Facts { outputs: vec![child], ..Facts::default() });
        let expected = "  1  read a
     | 2.00 MiB
  2  talk
     | 2.00 MiB
  3  write b

links: 2, at most 4.00 MiB in all
talk (stage 2): parrot is started; what it does cannot be undone
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_run_that_is_left_out_says_why() {
        let facts = Facts { skip: Some("out.gz".to_string()), ..Facts::default() };
        assert_eq!(
            dry_run(&plan("upper").expect("a plan"), &facts),
            "nothing to do: out.gz is there already\n"
        );
    }
}
