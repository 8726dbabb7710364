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

    /// The file of what the first stage called `name` is given.
    fn file(text: &str, name: &str) -> Option<String> {
        let plan = plan(text).expect("a plan");
        let stage =
            plan.stages.iter().position(|planned| planned.name == name).expect("a stage of that name");
        plan.file_of_bytes(stage).map(|path| path.display().to_string())
    }

    #[test]
    fn what_is_read_has_the_name_of_its_file() {
        for text in
            ["read d/a | tee b", "read d/a | buffer 1M | tee b", "read d/a | buffer 1M | tee b | gzip"]
        {
            assert_eq!(file(text, "tee").as_deref(), Some("d/a"), "{text}");
        }
        assert_eq!(file("read a | tee { buffer 1M | tee c } | write b", "buffer").as_deref(), Some("a"));
    }

    #[test]
    fn what_was_changed_has_the_name_that_it_is_written_to() {
        assert_eq!(file("read a | gzip | tee | write a.gz", "tee").as_deref(), Some("a.gz"));
        assert_eq!(file("generate 5 | tee { upper | write b } c", "tee").as_deref(), Some("c"));
        assert_eq!(file("read a b | tee | buffer 1M | write c", "tee").as_deref(), Some("c"));
    }

    #[test]
    fn what_no_file_holds_has_no_name() {
        for text in [
            "read a | gzip | tee | gunzip | write b",
            "read a | gzip | tee | write --append b",
            "read a | gzip | tee | write /dev/null",
            "read a b | tee",
            "tee",
        ] {
            assert_eq!(file(text, "tee"), None, "{text}");
        }
    }
}
