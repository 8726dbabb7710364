//! Which file holds the very bytes that a stage is given, as far as the chain's words tell.
//! Looks at no file.

use super::Plan;
use crate::stage::{How, Role, Touch};
use std::path::PathBuf;

impl Plan {
    /// The file that holds what `stage` is given, byte for byte, as the chain calls it: the one that is read, if nothing
    /// between changes it; else the one that the stages behind it write without changing it.
    pub fn file_of_bytes(&self, stage: usize) -> Option<PathBuf> {
        self.file_read(stage).or_else(|| self.file_written(stage))
    }

    fn file_read(&self, stage: usize) -> Option<PathBuf> {
        let from = self.writer_of(stage)?;
        let planned = &self.stages[from];
        if planned.input.is_some() {
            return if planned.stage.passes_unchanged() { self.file_read(from) } else { None };
        }
        match &planned.stage.touches()[..] {
            [Touch::Read(path)] => Some(path.clone()),
            _ => None,
        }
    }

    fn file_written(&self, stage: usize) -> Option<PathBuf> {
        let planned = &self.stages[stage];
        if planned.role() == Role::Sink && planned.outputs.is_empty() {
            return match &planned.stage.touches()[..] {
                // What is appended to holds more.
                [Touch::Write(to)] if to.how != How::Append && !to.path.starts_with("/dev") => {
                    Some(to.path.clone())
                }
                _ => None,
            };
        }
        let passes = planned.stage.passes_unchanged();
        let next = planned.outputs.iter().map(|&link| self.links[link].to);
        passes.then(|| next.filter_map(|next| self.file_written(next)).next()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::trial::plan;

    /// The file of what the stage `vouch` is given.
    fn file(text: &str) -> Option<String> {
        let plan = plan(text).expect("a plan");
        let stage = plan.stages.iter().position(|planned| planned.name == "vouch").expect("such a stage");
        plan.file_of_bytes(stage).map(|path| path.display().to_string())
    }

    #[test]
    fn what_is_read_has_the_name_of_its_file() {
        for text in [
            "read d/a | vouch",
            "read d/a | buffer 1M | vouch | write b",
            "read d/a | tee { gzip | write b } | vouch | gzip",
            "read d/a | tee { vouch | write b } | write c",
        ] {
            assert_eq!(file(text).as_deref(), Some("d/a"), "{text}");
        }
    }

    #[test]
    fn what_was_changed_has_the_name_that_it_is_written_to() {
        for text in [
            "read a | gzip | vouch | write a.gz",
            "generate 5 | vouch | tee { upper | write b } a.gz | upper",
            "read a b | vouch | buffer 1M | write a.gz",
            "read a | tee { gzip | vouch | write a.gz } | write b",
        ] {
            assert_eq!(file(text).as_deref(), Some("a.gz"), "{text}");
        }
    }

    #[test]
    fn what_no_file_holds_has_no_name() {
        for text in [
            "read a | gzip | vouch | gunzip | write b",
            "read a | gzip | vouch | write --append b",
            "read a | gzip | vouch | write /dev/null",
            "read a b | vouch",
            "vouch",
        ] {
            assert_eq!(file(text), None, "{text}");
        }
    }
}
