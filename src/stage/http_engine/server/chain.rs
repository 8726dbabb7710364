//! A request that is answered by a run of the chain: what it sends is the input, what the chain gives is the answer.
//! Decides the head of the answer when the first of it is there, or the end of the run.

use super::Site;
use super::answer::{Refusal, answer};
use super::errand::Errand;
use super::guest::{Busy, Guest};
use super::request::{Intake, Pump};
use super::response::{Content, Output, stdout};
use super::shelf;
use crate::flow::Chunk;
use crate::stage::http_engine::bridge::bridge;
use crate::stage::http_engine::files::answer::Stretch;
use crate::stage::serving::{Ends, Served};
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Response, StatusCode, Version};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::spawn_local;

/// So many pieces are on their way between a connection and its run, in each direction.
const SLOTS: usize = 2;

const FAILED: Refusal = Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be served");
const LOST: Refusal = Refusal::new(StatusCode::BAD_REQUEST, "the body of the request is not whole");
const GIVEN_UP: Refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server ends");
const SCARCE: Refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server has too much to do");

/// A run as the connection sees it.
struct Begun {
    output: Output,
    /// How many bytes it will give: known before it gives any.
    announced_bytes: Arc<OnceLock<u64>>,
    is_lost: Arc<AtomicBool>,
}

/// What a run reads.
pub(super) enum Input {
    /// What the request brings.
    Request(Incoming),
    /// A file that it asks for.
    File(Stretch),
}

/// Answers a request.
pub(super) async fn run_chain(
    version: Version,
    input: Input,
    guest: &Rc<Guest>,
    busy: Busy,
    errand: &Arc<Errand>,
    place: OwnedSemaphorePermit,
) -> Response<Content> {
    let Begun { mut output, announced_bytes, is_lost } = match begin(input, guest, busy, errand, place) {
        Ok(begun) => begun,
        Err(error) => {
            errand.fails(&format!("cannot be served: {error}"));
            return SCARCE.answer();
        }
    };
    let first = loop {
        match poll_fn(|task| output.chunks.poll_receive(task)).await {
            Some(chunk) if chunk.is_empty() => {}
            first => break first,
        }
    };
    let content = match first {
        Some(_) => {
            output.first = first;
            output.announced_bytes = announced_bytes.get().copied();
            if version == Version::HTTP_10 && output.announced_bytes.is_none() {
                guest.will_end_as_its_answer();
            }
            Content::Run(Box::new(output))
        }
        None => match (&mut output.outcome).await {
            Ok(Served::Done | Served::HungUp) => Content::Over,
            Ok(Served::GivenUp) => return GIVEN_UP.answer(),
            Ok(Served::Failed(_)) | Err(_) if is_lost.load(Ordering::Relaxed) => return LOST.answer(),
            Ok(Served::Failed(_)) | Err(_) => return FAILED.answer(),
        },
    };
    let mut answer = answer(StatusCode::OK, content);
    answer.headers_mut().insert(CONTENT_TYPE, guest.site.kind.clone());
    answer
}

/// Starts the run, and what passes the request's body to it.
fn begin(
    input: Input,
    guest: &Rc<Guest>,
    busy: Busy,
    errand: &Arc<Errand>,
    place: OwnedSemaphorePermit,
) -> io::Result<Begun> {
    let is_lost = Arc::new(AtomicBool::new(false));
    let (stdin, stdin_bytes) = match &input {
        Input::Request(body) => (None, body.size_hint().exact()),
        Input::File(stretch) => (Some(shelf::stdin(stretch.clone())), Some(stretch.length_bytes)),
    };
    let (parts, intake) = bridge(SLOTS)?;
    let (sender, chunks) = bridge::<Chunk>(SLOTS)?;
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let (want, wanted) = oneshot::channel();
    let (tell, outcome) = oneshot::channel();
    let announced_bytes = Arc::new(OnceLock::new());
    let (announced, name) = (Arc::clone(&announced_bytes), guest.name.clone());
    let ends = Ends {
        name: errand.title().to_owned(),
        stdin: stdin.unwrap_or_else(|| Intake { parts: intake, wanted: want }.stdin()),
        stdin_bytes,
        stdout: Box::new(move |bytes| {
            if let Some(bytes) = bytes {
                // It is said once.
                let _ = announced.set(bytes);
            }
            stdout(sender, name)
        }),
        takes_extents: false,
        reader: Some(writer),
    };
    let (site, seat, errand_of_run) = (Arc::clone(&guest.site), Arc::clone(&guest.seat), Arc::clone(errand));
    thread::Builder::new().name("request".to_owned()).spawn(move || {
        let served = see_through(&site, ends, &errand_of_run);
        // Nobody hears it when the connection is gone.
        let _ = tell.send(served);
        drop((place, seat));
    })?;
    if let Input::Request(body) = input {
        let (guest, busy, is_lost) = (Rc::clone(guest), busy.clone(), Arc::clone(&is_lost));
        spawn_local(Pump { body, parts, wanted, guest, busy, is_lost }.run());
    }
    let output = Output {
        chunks,
        outcome,
        first: None,
        last: None,
        announced_bytes: None,
        given_bytes: 0,
        _reader: reader,
        guest: Rc::clone(guest),
        _busy: busy,
    };
    Ok(Begun { output, announced_bytes, is_lost })
}

/// Sees a run to its end, on its own thread.
pub(super) fn see_through(site: &Site, ends: Ends, errand: &Errand) -> Served {
    let served = site.template.run(ends, &site.orders, &mut |saying| errand.says(saying));
    if let Served::Failed(message) = &served {
        errand.fails(message);
    }
    served
}
