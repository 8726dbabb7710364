//! One stage on one thread: runs it, tells its end from an abort, keeps its account.
//! Knows nothing of the other stages.

use super::report::Failure;
use crate::exit::Exit;
use crate::flow::{Closed, Inlet, Outlet};
use crate::stage::{Body, Context, Fault};
use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

/// How a stage ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Its output is complete.
    Well,
    /// A link end made it stop: a consequence of something that is reported elsewhere, or of nobody wanting more.
    Stopped(Closed),
    /// It failed by itself.
    Failed(Failure),
}

/// A stage's ends.
pub(super) struct Ends {
    pub(super) inlet: Option<Inlet>,
    pub(super) outlet: Option<Outlet>,
}

/// Where a stage stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// As an index of the scheme's stages.
    pub(super) stage: usize,
    /// The file that the run reads, if it is one: what a stage refuses comes from there.
    pub(super) input_name: Option<String>,
}

/// Runs a stage; `tell` hears how it ended before its neighbours can notice anything.
///
/// Only a stage that returned well has its outlet finished; a panic, an error, a missing end are aborts.
pub(super) fn run(body: Body, mut ends: Ends, place: &Place, context: &Context, tell: impl FnOnce(Ended)) {
    let clock = context.clock();
    context.gauge().start(clock.now_nanos());
    let result = panic::catch_unwind(AssertUnwindSafe(|| match (body, &mut ends.inlet, &mut ends.outlet) {
        (Body::Source(run), None, Some(outlet)) => run(outlet, context),
        (Body::Filter(run), Some(inlet), Some(outlet)) => run(inlet, outlet, context),
        (Body::Sink(run), Some(inlet), None) => run(inlet, context),
        (Body::Server(run), None, None) => run(context),
        _ => Err(Fault { exit: Exit::Internal, ..Fault::failed("the plan gave it the wrong ends") }.into()),
    }));
    let ended = match result {
        Ok(Ok(())) => Ended::Well,
        Ok(Err(error)) => classify(place, &error),
        Err(payload) => Ended::Failed(panicked(place.stage, payload.as_ref())),
    };
    let is_well = matches!(ended, Ended::Well);
    tell(ended);
    match ends.outlet {
        Some(outlet) if is_well => outlet.finish(),
        outlet => drop(outlet),
    }
    drop(ends.inlet);
    context.gauge().end(clock.now_nanos());
}

/// Tells a failure from a consequence.
fn classify(place: &Place, error: &anyhow::Error) -> Ended {
    if let Some(closed) = Closed::cause_of(error.as_ref()) {
        return Ended::Stopped(closed);
    }
    let mut failure = failure(Some(place.stage), error);
    let fault = error.chain().find_map(|cause| cause.downcast_ref::<Fault>());
    let is_about_the_data = fault.is_some_and(|fault| fault.exit == Exit::Refused && fault.subject.is_none());
    if let (true, Some(name)) = (is_about_the_data, &place.input_name) {
        failure.message = format!("{name}: {}", failure.message);
    }
    Ended::Failed(failure)
}

/// An error in words, with its class.
pub(super) fn failure(stage: Option<usize>, error: &anyhow::Error) -> Failure {
    let fault = error.chain().find_map(|cause| cause.downcast_ref::<Fault>());
    Failure {
        stage,
        exit: fault.map_or(Exit::Failed, |fault| fault.exit),
        message: plain(&format!("{error:#}")),
        help: fault.and_then(|fault| fault.help.clone()),
    }
}

/// The system's words without their number: `(os error 28)` tells nobody anything.
fn plain(message: &str) -> String {
    let mut plain = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(begin) = rest.find(" (os error ") {
        let end = rest[begin..].find(')').map_or(rest.len(), |length| begin + length + 1);
        plain.push_str(&rest[..begin]);
        rest = &rest[end..];
    }
    plain.push_str(rest);
    plain
}

fn panicked(stage: usize, payload: &(dyn Any + Send)) -> Failure {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    let place = PLACE.with(RefCell::take);
    Failure {
        stage: Some(stage),
        exit: Exit::Internal,
        message: format!("internal error: {text}{place}"),
        help: Some("this is a bug in weir; please report it with the chain".to_owned()),
    }
}

thread_local! {
    /// Where this thread panicked last: the hook knows, the payload does not.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps the place of a panic instead of printing it: the one message of a run is its report's.
pub fn quiet_panics() {
    panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let place = info.location().map(|location| format!(" (at {location})")).unwrap_or_default();
        PLACE.with(|kept| *kept.borrow_mut() = place);
    }));
}

#[cfg(test)]
mod tests {
    use super::{Ended, Place, classify, plain};
    use crate::exit::Exit;
    use crate::flow::Closed;
    use crate::stage::Fault;
    use anyhow::Context as _;
    use std::io;

    fn place(stage: usize, input_name: Option<&str>) -> Place {
        Place { stage, input_name: input_name.map(str::to_owned) }
    }

    #[test]
    fn what_is_refused_is_named_after_the_input() {
        let told = |error: Fault| match classify(&place(1, Some("in.gz")), &error.into()) {
            Ended::Failed(failure) => failure.message,
            other => panic!("{other:?}"),
        };
        assert_eq!(told(Fault::refused("corrupt")), "in.gz: corrupt");
        assert_eq!(told(Fault::refused("corrupt").of("list")), "list: corrupt");
        assert_eq!(told(Fault::failed("no space")), "no space");
    }

    #[test]
    fn a_link_end_is_a_consequence_however_deep_it_is_wrapped() {
        let inner = io::Error::from(Closed::Aborted);
        let wrapped = io::Error::new(io::ErrorKind::InvalidData, io::Error::other(inner));
        let error = anyhow::Error::from(wrapped).context("while reading");
        assert!(matches!(classify(&place(0, None), &error), Ended::Stopped(Closed::Aborted)));
    }

    #[test]
    fn a_fault_keeps_its_class_and_help_through_context() {
        let error =
            Err::<(), _>(Fault::refused("corrupt").help("try another")).context("data.gz").unwrap_err();
        let Ended::Failed(failure) = classify(&place(3, None), &error) else { panic!("not a failure") };
        assert_eq!((failure.stage, failure.exit), (Some(3), Exit::Refused));
        assert_eq!(failure.message, "data.gz: corrupt");
        assert_eq!(failure.help.as_deref(), Some("try another"));
    }

    #[test]
    fn the_number_of_a_system_error_is_left_out() {
        let error = io::Error::from_raw_os_error(28);
        assert_eq!(
            plain(&format!("f: {error}; g: {error}")),
            "f: No space left on device; g: No space left on device"
        );
    }
}
