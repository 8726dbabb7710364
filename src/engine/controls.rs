//! What people may change of a run while it lasts: pause it, resize its links, turn what a stage offers.
//! Knows nothing of who does so.

use super::shared::Shared;
use crate::stage::Knob;
use std::sync::{Arc, PoisonError};

/// Changes a run from any thread; after its end that changes nothing any more.
#[derive(Debug, Clone)]
pub struct Controls(pub(super) Arc<Shared>);

impl Controls {
    /// Has a stage move nothing until it is resumed. It stops when it next takes from a link or gives to one; what it does until
    /// then, and its workers, goes on.
    pub fn pause(&self, stage: usize) {
        self.set(stage, true);
    }

    /// Has a stage go on.
    pub fn resume(&self, stage: usize) {
        self.set(stage, false);
    }

    /// Pauses every stage.
    pub fn pause_all(&self) {
        (0..self.0.gauges.len()).for_each(|stage| self.pause(stage));
    }

    /// Resumes every stage.
    pub fn resume_all(&self) {
        (0..self.0.gauges.len()).for_each(|stage| self.resume(stage));
    }

    /// Whether a stage is paused.
    pub fn is_paused(&self, stage: usize) -> bool {
        self.0.gauges[stage].is_paused()
    }

    /// The gauge and the links of a stage agree, whoever else pauses and resumes it at the same time.
    fn set(&self, stage: usize, is_paused: bool) {
        let _alone = self.0.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        // First, so that nobody sees it wait for anything else.
        self.0.gauges[stage].pause(is_paused);
        for (info, link) in self.0.scheme.links.iter().zip(&self.0.links) {
            if info.from == stage {
                link.pause_writer(is_paused);
            }
            if info.to == stage {
                link.pause_reader(is_paused);
            }
        }
    }

    /// The high mark of a link, in bytes.
    pub fn high_bytes(&self, link: usize) -> u64 {
        self.0.links[link].bounds().high_bytes as u64
    }

    /// Gives a link another high mark, in bytes.
    pub fn resize(&self, link: usize, high_bytes: u64) {
        self.0.links[link].resize(usize::try_from(high_bytes).unwrap_or(usize::MAX));
    }

    /// What a stage offers to be changed.
    pub fn knob(&self, stage: usize) -> Option<&Knob> {
        self.0.knobs[stage].get().map(Arc::as_ref)
    }
}
