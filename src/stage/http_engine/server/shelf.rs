//! Requests that a directory answers: with a file of it as it is, or with what a run makes of one.
//! Knows nothing of how a file is found and what is said of it.

use super::answer::answer;
use super::chain::{Input, run_chain};
use super::errand::Errand;
use super::guest::{Busy, Guest};
use super::response::{Content, Lent};
use crate::flow::{Medium, Outlet};
use crate::stage::contract::{Body, Context};
use crate::stage::fault::Fault;
use crate::stage::http_engine::files::answer::{Answer, Content as Found, Stretch};
use crate::stage::http_engine::files::directory::Directory;
use crate::stage::outside::stream::reason;
use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Answers with a file, or with why there is none.
pub(super) fn lend(
    directory: &Directory,
    head: &Parts,
    guest: &Rc<Guest>,
    busy: Busy,
    errand: &Arc<Errand>,
    place: OwnedSemaphorePermit,
) -> Response<Content> {
    plain(directory.answer(head), |stretch| {
        Content::File(Box::new(Lent::new(stretch, guest, busy, errand, place)))
    })
}

/// Answers with what a run makes of a file.
pub(super) async fn lend_through(
    directory: &Directory,
    head: &Parts,
    guest: &Rc<Guest>,
    busy: Busy,
    errand: &Arc<Errand>,
    place: OwnedSemaphorePermit,
) -> Response<Content> {
    let found = match directory.find(head) {
        Ok(found) => found,
        Err(missing) => return plain(*missing, |_| Content::Over),
    };
    if head.method == Method::HEAD {
        // What a run would give is not known without one.
        let mut answer = answer(StatusCode::OK, Content::Over);
        answer.headers_mut().insert(CONTENT_TYPE, guest.site.kind.clone());
        return answer;
    }
    let stretch = Stretch { file: found.file, offset_bytes: 0, length_bytes: found.length_bytes };
    run_chain(head.version, Input::File(stretch), guest, busy, errand, place).await
}

/// An answer as it was found, with what every answer says.
fn plain(found: Answer, content: impl FnOnce(Stretch) -> Content) -> Response<Content> {
    let content = match found.content {
        Found::None => Content::Over,
        Found::Text(text) => Content::text(Bytes::from(text)),
        Found::File(stretch) => content(stretch),
    };
    let mut answer = answer(found.status, content);
    // Whoever asks again asks on a condition: a copy may be kept.
    answer.headers_mut().remove(CACHE_CONTROL);
    answer.headers_mut().extend(found.headers);
    answer
}

/// The file as the input of a run.
pub(super) fn stdin(stretch: Stretch) -> Body {
    Body::source(move |outlet, context| read(stretch, outlet, context))
}

fn read(mut stretch: Stretch, outlet: &mut Outlet, context: &Context) -> anyhow::Result<()> {
    context.waits_for(Medium::Disk);
    loop {
        let mut chunk = outlet.chunk();
        let count = match stretch.file.read_at(chunk.spare(), stretch.offset_bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let message = format!("read error at byte {}: {}", stretch.offset_bytes, reason(&error));
                return Err(Fault::failed(message).into());
            }
        };
        if count == 0 {
            return Ok(());
        }
        stretch.offset_bytes += count as u64;
        context.gauge().read(count as u64);
        chunk.fill(count);
        outlet.send(chunk)?;
    }
}
