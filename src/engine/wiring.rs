//! The links of a plan, and the loose ends that its stages are going to hold.
//! Opens no file and starts no thread.

use super::orders::Master;
use super::shared::{Branch, Scopes, Shared};
use super::thread::Ends;
use crate::flow::{Alarm, Inlet, Link, Outlet, Pool, Scheme, StageGauge, Upstream};
use crate::plan::Plan;
use crate::stage::Role;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};

/// What one stage is going to hold.
pub(super) struct Loose {
    pub(super) main: Ends,
    pub(super) branches: Vec<Outlet>,
}

/// Makes every link of `plan`, with a bell for each stage and a pool for all.
///
/// # Errors
/// When the process has no descriptors left.
pub(super) fn wire(
    plan: &Plan,
    master: &Master<'_>,
    scheme: Arc<Scheme>,
) -> io::Result<(Shared, Vec<Loose>)> {
    let pool = Pool::new(plan.chunk_bytes);
    let mut alarms: Vec<Arc<Alarm>> = Vec::with_capacity(plan.stages.len());
    for planned in &plan.stages {
        // Both ways of a duplex are one stage: who takes no more of the one has no use for the other.
        let alarm =
            planned.outward.map_or_else(|| Alarm::new().map(Arc::new), |row| Ok(Arc::clone(&alarms[row])))?;
        alarms.push(alarm);
    }
    let mut links = Vec::new();
    let mut writers = Vec::new();
    let mut readers = Vec::new();
    for planned in &plan.links {
        let from = &plan.stages[planned.from];
        // A stage with several outputs goes on when one of them hangs up: its bell is not for that.
        let has_one_output = from.outputs.len() == 1;
        let writer_alarm = has_one_output.then(|| Arc::clone(&alarms[planned.from]));
        let reader_alarm = Some(Arc::clone(&alarms[planned.to]));
        let (writer, reader, link) =
            Link::open(planned.bounds, Arc::clone(master.clock()), writer_alarm, reader_alarm);
        links.push(link);
        writers.push(Some(writer));
        readers.push(Some(reader));
    }
    for planned in plan.stages.iter().filter(|planned| !planned.stage.reads_to_the_end()) {
        let Some(input) = planned.input else { continue };
        // What a duplex reads is wanted for as long as what its peer gives is.
        let outputs = &planned.returns.map_or(planned, |row| &plan.stages[row]).outputs;
        let upstream = Upstream::new(Arc::clone(&links[input]), outputs.len());
        outputs.iter().for_each(|&output| links[output].pass_hang_up_on(Arc::clone(&upstream)));
    }
    let mut outlet = |link: usize| writers[link].take().map(|writer| Outlet::new(writer, pool.clone()));
    let mut inlet = |link: usize| readers[link].take().map(Inlet::new);
    let mut loose = Vec::new();
    for planned in &plan.stages {
        let mut outlets = planned.outputs.iter().filter_map(|&link| outlet(link));
        // A sink has no way onward: all that it writes are branches.
        let onward = if planned.role() == Role::Sink { None } else { outlets.next() };
        let main = Ends { inlet: planned.input.and_then(&mut inlet), outlet: onward };
        loose.push(Loose { main, branches: outlets.collect() });
    }
    let gauges = plan.stages.iter().map(|_| Arc::new(StageGauge::default())).collect();
    let knobs = plan.stages.iter().map(|_| OnceLock::new()).collect();
    let clock = Arc::clone(master.clock());
    let started_nanos = clock.now_nanos();
    let ending = master.ending()?;
    let shared = Shared {
        clock,
        scheme,
        started_nanos,
        links,
        gauges,
        alarms,
        knobs,
        pauses: Mutex::default(),
        ending,
        server: None,
    };
    Ok((shared, loose))
}

/// Which failures take which stages with them.
pub(super) fn scopes(plan: &Plan) -> Scopes {
    let mut branches: Vec<Option<Branch>> = Vec::new();
    for (index, planned) in plan.stages.iter().enumerate() {
        if let Some(row) = planned.outward {
            branches.push(branches[row]);
            continue;
        }
        let branch = planned.parent.map(|parent| {
            let fed_by = planned.input.map_or(parent, |link| plan.links[link].from);
            // The first stage of a branch is fed by the stage that has the branch; the others by one of their own.
            let first =
                if fed_by == parent { index } else { branches[fed_by].map_or(index, |branch| branch.first) };
            Branch { parent, first, is_outlived: plan.stages[parent].stage.outlives_its_branches() }
        });
        branches.push(branch);
    }
    Scopes::new(&branches)
}
