//! What becomes of each request: it is screened, waits for a place, and is given to what answers it.
//! Knows nothing of how that is done.

use super::Work;
use super::answer::{Refusal, answer, options};
use super::chain::{Input, run_chain};
use super::errand::Errand;
use super::guest::{Busy, Guest};
use super::response::Content;
use super::shelf::{lend, lend_through};
use super::socket::{Upgrade, agree};
use crate::stage::ws_engine::Messages;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode};
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

const FULL: Refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests are being served");

/// Where the requests of a connection come.
pub(super) struct Desk {
    guest: Rc<Guest>,
}

impl Desk {
    pub(super) fn new(guest: Rc<Guest>) -> Desk {
        Desk { guest }
    }
}

impl Service<Request<Incoming>> for Desk {
    type Response = Response<Content>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Content>, Infallible>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (head, body) = request.into_parts();
        let guest = Rc::clone(&self.guest);
        let errand = Arc::new(Errand::new(&head, &guest.name, &guest.site.context));
        let busy = guest.serve(Arc::clone(&errand));
        Box::pin(async move { Ok(serve(head, body, &guest, busy, &errand).await) })
    }
}

async fn serve(
    head: Parts,
    body: Incoming,
    guest: &Rc<Guest>,
    busy: Busy,
    errand: &Arc<Errand>,
) -> Response<Content> {
    if let Err(refusal) = guest.site.rules.screen(&head) {
        return refusal.answer();
    }
    match &guest.site.work {
        Work::Chain => serve_chain(head, body, guest, busy, errand).await,
        Work::Socket(messages) => serve_socket(head, *messages, guest, busy, errand).await,
        Work::Files(directory) => match place(guest).await {
            Some(place) => lend(directory, &head, guest, busy, errand, place),
            None => FULL.answer(),
        },
        Work::FilesThrough(directory) => match place(guest).await {
            Some(place) => lend_through(directory, &head, guest, busy, errand, place).await,
            None => FULL.answer(),
        },
    }
}

async fn serve_chain(
    head: Parts,
    body: Incoming,
    guest: &Rc<Guest>,
    busy: Busy,
    errand: &Arc<Errand>,
) -> Response<Content> {
    if head.method == Method::OPTIONS {
        return options();
    }
    if head.method == Method::HEAD {
        // Nothing is known of what a run would give without a run, and a run is more than a look.
        let mut answer = answer(StatusCode::OK, Content::Over);
        answer.headers_mut().insert(CONTENT_TYPE, guest.site.kind.clone());
        return answer;
    }
    let Some(place) = place(guest).await else { return FULL.answer() };
    run_chain(head.version, Input::Request(body), guest, busy, errand, place).await
}

async fn serve_socket(
    head: Parts,
    messages: Messages,
    guest: &Rc<Guest>,
    busy: Busy,
    errand: &Arc<Errand>,
) -> Response<Content> {
    let agreed = match agree(head) {
        Ok(agreed) => agreed,
        Err(refusal) => return refusal.answer(),
    };
    let Some(place) = place(guest).await else { return FULL.answer() };
    guest.becomes(Upgrade { messages, errand: Arc::clone(errand), place, busy });
    agreed
}

/// A place among the requests that are served at once, waited for as long as anybody is.
async fn place(guest: &Guest) -> Option<OwnedSemaphorePermit> {
    let place = Arc::clone(&guest.site.places).acquire_owned();
    match guest.site.patience {
        Some(patience) => tokio::time::timeout(patience, place).await.ok()?.ok(),
        None => place.await.ok(),
    }
}
