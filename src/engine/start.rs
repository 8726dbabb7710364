//! From a plan to running threads: links, openings, threads, in this order.
//! Knows nothing of how the run goes on.

use super::commits;
use super::orders::Master;
use super::process::Process;
use super::report::{Outcome, Report};
use super::run::{Event, Holdings, Irrevocable, Owned, Running, Teller, Watched};
use super::server::{Guests, Runs};
use super::shared::Shared;
use super::thread::{self, Ends, Place};
use super::wiring;
use crate::diagnostic::printable;
use crate::flow::{Outlet, Reading, Scheme, Workers};
use crate::plan::Plan;
use crate::stage::{
    Body, Calls, Context, GivenEnds, Interrupts, Opening, Registered, Role, Stage, Template, Touch,
};
use nix::errno::Errno;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a run is started with, beside its plan.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Give up when nothing moved for this long.
    pub stall_timeout: Option<Duration>,
    /// The size of the input in bytes, where it is known.
    pub total_bytes: Option<u64>,
    /// The most threads of the worker pool; 0 is as many as there are cores.
    pub threads: usize,
}

/// Opens everything in the order of the chain, then starts one thread for each stage.
///
/// # Errors
/// A report, if something could not be opened: no byte has moved, and nothing is left.
pub fn start<'a>(plan: Plan, process: &'a Process, settings: &Settings) -> Result<Running<'a>, Box<Report>> {
    let workers = Workers::new(settings.threads);
    begin(plan, Master::Process(process), settings, &workers, None)
}

/// The same for any run: with whom it obeys, its workers, and what stands for its standard streams.
pub(super) fn begin<'a>(
    mut plan: Plan,
    master: Master<'a>,
    settings: &Settings,
    workers: &Workers,
    mut ends: Option<GivenEnds>,
) -> Result<Running<'a>, Box<Report>> {
    let scheme = Arc::new(plan.scheme(settings.total_bytes, settings.threads));
    let scopes = wiring::scopes(&plan);
    let input_name = input_name(&plan);
    let wired = wiring::wire(&plan, &master, Arc::clone(&scheme));
    let (shared, loose) = wired.map_err(|error| Box::new(unwired(&scheme, error)))?;
    let served = plan.stages.first_mut().and_then(|planned| planned.served.take());
    let is_server = plan.stages.first().is_some_and(|planned| planned.role() == Role::Server);
    let guests = is_server.then(|| Arc::new(Guests::default()));
    let shared = Arc::new(Shared { server: guests.clone(), ..shared });
    let mut template = guests.map(|guests| {
        let recipe = served.map(|served| served.recipe);
        let (clock, settings) = (Arc::clone(master.clock()), settings.clone());
        let runs = Runs { recipe, guests, settings, workers: workers.clone(), clock, umask: master.umask() };
        Arc::new(runs) as Arc<dyn Template>
    });
    let (teller, hearer) = Teller::new().map_err(|error| Box::new(unwired(&scheme, error)))?;

    let mut holdings = Holdings { is_endless: plan.is_endless(), ..Holdings::default() };
    let mut ready = Vec::new();
    let mut files: Vec<_> = (0..plan.stages.len()).map(|stage| plan.file_of_bytes(stage)).collect();
    // The second half of a duplex, for the row behind it.
    let mut way_back = None;
    for (stage, (planned, loose)) in plan.stages.into_iter().zip(loose).enumerate() {
        let is_duplex = planned.returns.is_some();
        let given = Given {
            branches: loose.branches,
            input: planned.input,
            file: files[stage].take(),
            template: template.take(),
            ends: ends.as_mut(),
        };
        let body = match way_back.take() {
            Some(back) => Body::Source(back),
            None => holdings
                .open(stage, planned.stage, given, &master, &shared)
                .map_err(|error| Box::new(unopened(&shared, stage, &error, &mut holdings, &master)))?,
        };
        let body = match body {
            Body::Duplex { out, back } if is_duplex => {
                way_back = Some(back);
                Body::Sink(out)
            }
            body => body,
        };
        ready.push((body, loose.main));
    }

    // The runs of a server are watched, not the server: it may have nothing to do for long.
    let stall_timeout = settings.stall_timeout.filter(|_| !is_server);
    let mut running = Running::new(Arc::clone(&shared), master, scopes, holdings, hearer, stall_timeout);
    for (stage, (body, ends)) in ready.into_iter().enumerate() {
        let place = Place { stage, input_name: input_name.clone() };
        match spawn(place, body, ends, &shared, workers, teller.clone()) {
            Ok(()) => running.has_started(),
            // The ends of the stages that are left are dropped with them, so those that run find out.
            Err(error) => {
                let error = anyhow::Error::from(error).context("cannot start a thread");
                running.has_failed(stage, thread::failure(Some(stage), &error));
                break;
            }
        }
    }
    Ok(running)
}

/// What a stage is given beside its arguments.
struct Given<'a> {
    branches: Vec<Outlet>,
    /// The link it reads.
    input: Option<usize>,
    /// The file that holds what it reads.
    file: Option<PathBuf>,
    /// For a server: its chain.
    template: Option<Arc<dyn Template>>,
    /// What stands for the standard streams.
    ends: Option<&'a mut GivenEnds>,
}

impl Holdings {
    fn open(
        &mut self,
        index: usize,
        stage: Box<dyn Stage>,
        given: Given<'_>,
        master: &Master<'_>,
        shared: &Shared,
    ) -> anyhow::Result<Body> {
        let mut registered = Registered::default();
        let opening = Opening::new(master.umask(), given.branches, &mut registered);
        let opening = opening.with_input(given.input.is_some()).reading(self.source.clone());
        let mut opening = opening.interrupted_by(master).between(given.ends);
        opening.file_of_bytes = given.file;
        opening.template = given.template;
        let body = stage.open(&mut opening);
        drop(opening);
        if let Some(source) = registered.source {
            self.source = Some(Arc::new(source));
        }
        if let Some(knob) = registered.knob {
            // Each stage is opened once.
            let _ = shared.knobs[index].set(knob);
        }
        self.removals.extend(registered.removals);
        self.notes.push((index, registered.notes));
        self.owned.extend(registered.commits.into_iter().map(|commit| Owned { stage: index, commit }));
        self.irrevocable
            .extend(registered.irrevocable.into_iter().map(|name| Irrevocable { stage: index, name }));
        let input = given.input.map(|link| &shared.links[link]);
        if let Some(link) = input.filter(|_| registered.takes_extents) {
            link.take_extents();
        }
        self.watched.extend(
            registered
                .streams
                .into_iter()
                .filter_map(|stream| Some(Watched { stream, input: Arc::clone(input?) })),
        );
        body
    }
}

/// The file that the chain reads, if it is one, or the peer it all comes from.
fn input_name(plan: &Plan) -> Option<String> {
    match &plan.stages.first()?.stage.touches()[..] {
        [Touch::Read(path)] => Some(printable(path.as_os_str().as_encoded_bytes())),
        [Touch::Receive(name)] => Some(name.clone()),
        _ => None,
    }
}

fn spawn(
    place: Place,
    body: Body,
    ends: Ends,
    shared: &Shared,
    workers: &Workers,
    teller: Teller,
) -> io::Result<()> {
    let stage = place.stage;
    let context = Context::new(
        Arc::clone(&shared.alarms[stage]),
        Arc::clone(&shared.clock),
        Arc::clone(&shared.gauges[stage]),
        workers.clone(),
    );
    let sayings = teller.clone();
    let say = move |saying| sayings.say(stage, saying);
    let context = context.with_calls(Calls::new(Arc::clone(&shared.ending), say));
    let name = shared.scheme.stages[stage].name.clone();
    std::thread::Builder::new().name(name).spawn(move || {
        thread::run(body, ends, &place, &context, |ended| {
            let at_nanos = context.clock().now_nanos();
            teller.tell(Event::Ended { stage, at_nanos, ended });
        });
        teller.tell(Event::Gone);
    })?;
    Ok(())
}

fn unopened(
    shared: &Shared,
    stage: usize,
    error: &anyhow::Error,
    holdings: &mut Holdings,
    master: &Master<'_>,
) -> Report {
    let mut failure = thread::failure(Some(stage), error);
    let mut commits: Vec<_> = holdings.owned.drain(..).map(|owned| owned.commit).collect();
    for left in commits::discard(&mut commits) {
        failure.message = format!("{}; {left:#}", failure.message);
    }
    let outputs = commits::outputs(&commits);
    // Whoever was asked something, and answered with a signal, knows why the run does not start.
    let ending = if master.is_given_up() { master.take().first().copied() } else { None };
    let (outcome, failures) = match ending {
        Some(signal) => (Outcome::Cancelled(signal as i32), Vec::new()),
        None => (Outcome::Failed(failure.exit), vec![failure]),
    };
    Report { outcome, failures, outputs, notes: Vec::new(), reading: shared.reading() }
}

fn unwired(scheme: &Arc<Scheme>, error: io::Error) -> Report {
    let is_out_of_files = error.raw_os_error() == Some(Errno::EMFILE as i32);
    let mut failure = thread::failure(None, &anyhow::Error::from(error).context("cannot set up the links"));
    if is_out_of_files {
        let help = "`ulimit -n` allows this process no more open files: have fewer runs at once, or raise it";
        failure.help = Some(help.to_owned());
    }
    let reading = Reading::before(Arc::clone(scheme));
    Report {
        outcome: Outcome::Failed(failure.exit),
        failures: vec![failure],
        outputs: Vec::new(),
        notes: Vec::new(),
        reading,
    }
}
