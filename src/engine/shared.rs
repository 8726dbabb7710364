//! What all threads of a run share: links, gauges, alarms, and who belongs to which scope.
//! Holds no control flow.

use super::server::Guests;
use crate::flow::{Alarm, Clock, Link, Reading, Scheme, StageGauge};
use crate::stage::Knob;
use crate::units;
use std::sync::{Arc, Mutex, OnceLock};

/// A run as its threads and its watchers see it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Arc<Clock>,
    pub(super) scheme: Arc<Scheme>,
    pub(super) started_nanos: u64,
    pub(super) links: Vec<Arc<Link>>,
    pub(super) gauges: Vec<Arc<StageGauge>>,
    pub(super) alarms: Vec<Arc<Alarm>>,
    /// What the stages have offered to be changed, each once it is open.
    pub(super) knobs: Vec<OnceLock<Arc<Knob>>>,
    /// Held while a stage is paused or resumed.
    pub(super) pauses: Mutex<()>,
    /// Rung when an endless source is to end.
    pub(super) ending: Arc<Alarm>,
    /// For the run of a server: the runs that it starts.
    pub(super) server: Option<Arc<Guests>>,
}

impl Shared {
    pub(super) fn reading(&self) -> Reading {
        Reading {
            started_nanos: self.started_nanos,
            stages: self.gauges.iter().map(|gauge| gauge.reading()).collect(),
            links: self.links.iter().map(|link| link.gauge().reading()).collect(),
            server: self.server.as_ref().map(|server| server.reading()),
            batch: None,
            scheme: self.scheme_now(),
            // Last: what was counted meanwhile began before it.
            at_nanos: self.clock.now_nanos(),
        }
    }

    /// The scheme, with what has been turned in place of what was typed.
    fn scheme_now(&self) -> Arc<Scheme> {
        let mut scheme = Arc::clone(&self.scheme);
        for (stage, knob) in self.knobs.iter().enumerate() {
            if let Some(value) = knob.get().and_then(|knob| knob.turned()) {
                Arc::make_mut(&mut scheme).stages[stage].label = units::rate(value as f64);
            }
        }
        scheme
    }

    /// Gives everything up.
    pub(super) fn cancel(&self) {
        self.links.iter().for_each(|link| link.cancel());
        self.alarms.iter().for_each(|alarm| alarm.ring());
    }

    /// Gives up all but what hears of the failure of `stage` by itself: the stages behind it, which first take what it
    /// had still given.
    pub(super) fn cancel_beside(&self, stage: usize, is_concerned: impl Fn(usize) -> bool) {
        let behind = self.behind(stage);
        for (info, link) in self.scheme.links.iter().zip(&self.links) {
            let leads_on = info.from == stage || behind.contains(&info.from);
            if !leads_on && is_concerned(info.from) {
                link.cancel();
            }
        }
        for (index, alarm) in self.alarms.iter().enumerate() {
            if index != stage && !behind.contains(&index) && is_concerned(index) {
                alarm.ring();
            }
        }
    }

    /// Whether all that the source gave came to `stage`, at its pace: every stage up to it found the end of its input.
    pub(super) fn was_taken_whole(&self, stage: usize) -> bool {
        let Some(link) = self.scheme.feed_of(stage) else { return true };
        self.links[link].was_read_to_its_end() && self.was_taken_whole(self.scheme.links[link].from)
    }

    /// The stages that `stage` feeds, directly or not, through a peer as well.
    fn behind(&self, stage: usize) -> Vec<usize> {
        let mut behind = Vec::new();
        let mut next = vec![stage];
        while let Some(from) = next.pop() {
            let linked = self.scheme.links.iter().filter(|info| info.from == from).map(|info| info.to);
            let fed: Vec<usize> = linked.chain(self.scheme.stages[from].returns).collect();
            behind.extend(&fed);
            next.extend(fed);
        }
        behind
    }

    /// The way out to a peer ended before its time: nothing that comes back can be relied on.
    pub(super) fn peer_was_given_up(&self, stage: usize) {
        if self.scheme.stages[stage].returns.is_some() {
            self.alarms[stage].ring();
        }
    }

    /// The way back from a peer has ended: nothing can be given to that peer any more.
    pub(super) fn peer_has_ended(&self, stage: usize) {
        let Some(outward) = self.scheme.outward_of(stage) else { return };
        if let Some(input) = self.scheme.stages[outward].input {
            self.links[input].hang_up();
        }
        self.alarms[outward].ring();
    }
}

/// Looks at a run from any thread, for as long as it likes; a run never waits for it.
#[derive(Debug, Clone)]
pub struct Monitor(pub(super) Arc<Shared>);

impl Monitor {
    /// All counters as they stand.
    pub fn reading(&self) -> Reading {
        self.0.reading()
    }
}

/// Which failures take which stages with them.
///
/// Scope 0 is the run. A branch of a stage that outlives its branches is a scope of its own, named after its first stage:
/// its failure stays in it.
#[derive(Debug)]
pub(super) struct Scopes {
    of_stage: Vec<usize>,
    /// For each scope, the one around it.
    around: Vec<usize>,
    failed: Vec<bool>,
}

impl Scopes {
    pub(super) const RUN: usize = 0;

    /// From each stage's parent (the stage in whose branch it stands) and whether that stage outlives its branches.
    ///
    /// `parents[stage]` is the stage before the branch, and the first stage of the branch.
    pub(super) fn new(parents: &[Option<Branch>]) -> Self {
        let mut of_stage: Vec<usize> = Vec::with_capacity(parents.len());
        let mut around = vec![Scopes::RUN; parents.len().max(1)];
        for parent in parents {
            let scope = match parent {
                None => Scopes::RUN,
                Some(branch) if branch.is_outlived => {
                    around[branch.first] = of_stage[branch.parent];
                    branch.first
                }
                Some(branch) => of_stage[branch.parent],
            };
            of_stage.push(scope);
        }
        Scopes { of_stage, failed: vec![false; around.len()], around }
    }

    pub(super) fn of(&self, stage: usize) -> usize {
        self.of_stage[stage]
    }

    pub(super) fn fail(&mut self, scope: usize) {
        self.failed[scope] = true;
    }

    /// Whether `scope` or one around it has failed.
    pub(super) fn has_failed(&self, scope: usize) -> bool {
        self.failed[scope] || (scope != Scopes::RUN && self.has_failed(self.around[scope]))
    }

    /// Whether `stage` stands in `scope`, at any depth.
    pub(super) fn contains(&self, scope: usize, stage: usize) -> bool {
        let mut inner = self.of(stage);
        while inner != scope && inner != Scopes::RUN {
            inner = self.around[inner];
        }
        inner == scope
    }
}

/// Where a stage of a branch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Branch {
    /// The stage that feeds the branch.
    pub(super) parent: usize,
    /// The first stage of the branch.
    pub(super) first: usize,
    /// Whether the parent goes on without it.
    pub(super) is_outlived: bool,
}

#[cfg(test)]
mod tests {
    use super::{Branch, Scopes};

    /// `0 | 1 { 2 | 3 { 4 } } { 5 } | 6`, of which 1 and 3 outlive their branches or not.
    fn scopes(outer: bool, inner: bool) -> Scopes {
        let branch = |parent, first, is_outlived| Some(Branch { parent, first, is_outlived });
        Scopes::new(&[
            None,
            None,
            branch(1, 2, outer),
            branch(1, 2, outer),
            branch(3, 4, inner),
            branch(1, 5, outer),
            None,
        ])
    }

    #[test]
    fn a_branch_that_may_fail_alone_is_a_scope() {
        let mut scopes = scopes(true, true);
        assert_eq!([2, 3, 4, 5, 6].map(|stage| scopes.of(stage)), [2, 2, 4, 5, Scopes::RUN]);
        assert!(scopes.contains(2, 4) && !scopes.contains(2, 5) && scopes.contains(Scopes::RUN, 4));
        scopes.fail(2);
        assert!(scopes.has_failed(4) && scopes.has_failed(2) && !scopes.has_failed(5));
        assert!(!scopes.has_failed(Scopes::RUN));
    }

    #[test]
    fn a_branch_that_may_not_fail_alone_belongs_to_what_feeds_it() {
        let scopes = scopes(false, false);
        assert_eq!([2, 3, 4, 5].map(|stage| scopes.of(stage)), [Scopes::RUN; 4]);
    }
}
