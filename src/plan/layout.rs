//! Checked stages to a flat plan: one row for each stage, in the order of the text, and the links between them.
//! Finds no mistakes: what comes here is right.

use super::check::Checked;
use super::{LinkPlan, Plan, Planned, Recipe, Served, Settings};
use crate::flow::Bounds;
use crate::stage::{Body, Entry, Opening, Peer, Stage};

/// Lays the chain out; `written` stages of the text stand before it.
pub(super) fn lay_out(
    chain: Vec<Checked>,
    table: &'static [Entry],
    settings: Settings,
    written: usize,
) -> Plan {
    let plan = Plan {
        stages: Vec::new(),
        links: Vec::new(),
        chunk_bytes: settings.chunk_bytes,
        warnings: Vec::new(),
    };
    let mut layout = Layout { plan, table, settings, written };
    layout.chain(chain, 0, None);
    layout.plan
}

struct Layout {
    plan: Plan,
    table: &'static [Entry],
    settings: Settings,
    /// Stages of the text so far.
    written: usize,
}

impl Layout {
    /// A chain whose first stage reads the copy that `parent` makes, if there is one.
    fn chain(&mut self, chain: Vec<Checked>, depth: usize, parent: Option<usize>) {
        let mut before = None;
        for checked in chain {
            let Checked { entry, stage, span, is_written, branches, served } = checked;
            self.written += usize::from(is_written);
            let at = self.plan.stages.len();
            self.plan.stages.push(Planned {
                name: entry.name,
                label: stage.label(),
                span,
                number: is_written.then_some(self.written),
                depth,
                parent,
                input: None,
                outputs: Vec::new(),
                returns: None,
                outward: None,
                compressed_by: None,
                served: None,
                entry,
                stage,
            });
            match (before, parent) {
                (Some(from), _) => {
                    let link = self.link(from, at);
                    self.plan.stages[from].outputs.insert(0, link);
                }
                (None, Some(from)) => {
                    let link = self.link(from, at);
                    self.plan.stages[from].outputs.push(link);
                }
                (None, None) => {}
            }
            for branch in branches {
                self.chain(branch, depth + 1, Some(at));
            }
            if let Some((chain, checked)) = served {
                let settings = self.settings.for_a_connection();
                let plan = lay_out(checked, self.table, settings, self.written);
                let recipe = Recipe { chain, table: self.table, settings, written: self.written };
                let served = Served { plan: Box::new(plan), recipe };
                self.written += served
                    .plan
                    .stages
                    .iter()
                    .filter(|planned| planned.number.is_some() && planned.outward.is_none())
                    .count();
                self.plan.stages[at].served = Some(served);
            }
            before = Some(self.way_back(at).unwrap_or(at));
        }
    }

    /// The second row of a duplex, right behind the first; a peer that is given nothing needs none.
    fn way_back(&mut self, at: usize) -> Option<usize> {
        let row = self.plan.stages.len();
        let outward = &mut self.plan.stages[at];
        if outward.entry.peer == Peer::None || outward.input.is_none() {
            return None;
        }
        outward.returns = Some(row);
        let returning = Planned {
            label: outward.label.clone(),
            span: outward.span.clone(),
            input: None,
            outputs: Vec::new(),
            returns: None,
            outward: Some(at),
            served: None,
            stage: Box::new(WayBack),
            ..*outward
        };
        self.plan.stages.push(returning);
        Some(row)
    }

    fn link(&mut self, from: usize, to: usize) -> usize {
        let feed = self.plan.stages[to].stage.feed();
        let high_bytes = feed.high_bytes.unwrap_or(self.settings.buffer_bytes);
        let mut bounds = Bounds::new(high_bytes, self.settings.chunk_bytes);
        // In 128 bits, so that no size overflows; a percentage above 100 could never be reached.
        let start = bounds.high_bytes as u128 * u128::from(feed.start_percent.min(100)) / 100;
        bounds.start_bytes = usize::try_from(start).unwrap_or(bounds.high_bytes);
        let link = self.plan.links.len();
        self.plan.links.push(LinkPlan { from, to, bounds });
        self.plan.stages[to].input = Some(link);
        link
    }
}

/// What stands in the second row of a duplex: nothing that could be asked or opened, all of that is the first row's.
struct WayBack;

impl Stage for WayBack {
    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        anyhow::bail!("internal error: the way back from a peer was opened by itself")
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::trial::plan;
    use crate::plan::{Plan, Settings};

    /// `name depth parent<-input->outputs` of every stage.
    fn rows(plan: &Plan) -> Vec<String> {
        let row = |stage: &crate::plan::Planned| {
            let input = stage.input.map(|link| plan.links[link].from);
            let outputs: Vec<usize> = stage.outputs.iter().map(|&link| plan.links[link].to).collect();
            format!(
                "{} #{:?} depth {} of {:?}: {input:?} > {outputs:?}",
                stage.name, stage.number, stage.depth, stage.parent
            )
            .replace("Some", "")
        };
        plan.stages.iter().map(row).collect()
    }

    #[test]
    fn missing_ends_are_the_standard_streams() {
        let plan = plan("upper").expect("a plan");
        assert_eq!(
            rows(&plan),
            [
                "stdin #None depth 0 of None: None > [1]",
                "upper #(1) depth 0 of None: (0) > [2]",
                "stdout #None depth 0 of None: (1) > []",
            ]
        );
        assert!(plan.stages[0].is_implied() && !plan.stages[1].is_implied());
    }

    #[test]
    fn branches_stand_after_their_stage_and_its_onward_link_comes_first() {
        let plan = plan("read a | tee { upper | write b } c { write d } | write e").expect("a plan");
        assert_eq!(
            rows(&plan),
            [
                "read #(1) depth 0 of None: None > [1]",
                "tee #(2) depth 0 of None: (0) > [6, 2, 4, 5]",
                "upper #(3) depth 1 of (1): (1) > [3]",
                "write #(4) depth 1 of (1): (2) > []",
                "write #None depth 1 of (1): (1) > []",
                "write #(5) depth 1 of (1): (1) > []",
                "write #(6) depth 0 of None: (1) > []",
            ]
        );
        assert_eq!(plan.stages[4].span, Some(33..34));
        for (at, link) in plan.links.iter().enumerate() {
            assert!(link.from < link.to);
            assert!(plan.stages[link.from].outputs.contains(&at) && plan.stages[link.to].input == Some(at));
        }
    }

    #[test]
    fn a_stage_with_a_peer_has_a_row_for_each_way() {
        let plan = plan("read a | tee { talk | write b } | talk | write c").expect("a plan");
        assert_eq!(
            rows(&plan),
            [
                "read #(1) depth 0 of None: None > [1]",
                "tee #(2) depth 0 of None: (0) > [5, 2]",
                "talk #(3) depth 1 of (1): (1) > []",
                "talk #(3) depth 1 of (1): None > [4]",
                "write #(4) depth 1 of (1): (3) > []",
                "talk #(5) depth 0 of None: (1) > []",
                "talk #(5) depth 0 of None: None > [7]",
                "write #(6) depth 0 of None: (6) > []",
            ]
        );
        assert_eq!((plan.stages[2].returns, plan.stages[3].outward), (Some(3), Some(2)));
        assert_eq!(plan.place(6), "talk (stage 5)");
        assert_eq!(plan.sizes(Some(7))[5..], [Some(7), None, None]);
        assert_eq!(plan.scheme(None, 1).stages[5].returns, Some(6));
    }

    #[test]
    fn a_peer_that_begins_a_chain_is_given_nothing_unless_stdin_is_written() {
        assert_eq!(
            rows(&plan("talk | write c").expect("a plan")),
            ["talk #(1) depth 0 of None: None > [1]", "write #(2) depth 0 of None: (0) > []"]
        );
        let given = plan("stdin | talk").expect("a plan");
        assert_eq!(
            rows(&given)[1..3],
            ["talk #(2) depth 0 of None: (0) > []", "talk #(2) depth 0 of None: None > [3]",]
        );
    }

    #[test]
    fn a_stage_may_ask_for_its_link() {
        let plan = plan("read a | buffer 8M --start 50 | write b").expect("a plan");
        assert_eq!(plan.links[0].bounds.high_bytes, 8 << 20);
        assert_eq!(plan.links[0].bounds.start_bytes, 4 << 20);
        assert_eq!(plan.links[1].bounds.high_bytes, Settings::default().buffer_bytes);
    }

    #[test]
    fn a_size_is_known_as_far_as_every_stage_knows_it() {
        let plan = plan("read a | tee { gzip | write c } | write b").expect("a plan");
        assert_eq!(plan.sizes(Some(70)), [Some(70), Some(70), Some(70), None, Some(70)]);
        assert_eq!(plan.sizes(None), [None; 5]);
    }
}
