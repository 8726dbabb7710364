//! The body of a request on its way to the standard input of a run, in bounded pieces.
//! Knows nothing of answers.

use super::guest::{Busy, Guest};
use crate::flow::{Medium, Outlet};
use crate::stage::contract::{Body, Context};
use crate::stage::fault::Fault;
use crate::stage::http_engine::bridge::{Receiver, Sender};
use crate::stage::http_engine::lost::Lost;
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use std::future::poll_fn;
use std::io::Write;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::oneshot;

/// What comes over the bridge. One that ends without [`Part::End`] is a body that is not whole.
pub(super) enum Part {
    /// Some of it.
    Data(Bytes),
    /// This was all.
    End,
    /// There is more, and it will not come.
    Lost(String),
}

/// The run's side.
pub(super) struct Intake {
    pub(super) parts: Receiver<Part>,
    /// Told when a run wants any of it; dropped, when none does.
    pub(super) wanted: oneshot::Sender<()>,
}

impl Intake {
    /// What the body is to a run.
    pub(super) fn stdin(self) -> Body {
        Body::source(move |outlet, context| self.take(outlet, context))
    }

    fn take(self, outlet: &mut Outlet, context: &Context) -> anyhow::Result<()> {
        context.waits_for(Medium::Socket);
        // Nobody is there to hear it when the connection is gone, which shows below.
        let _ = self.wanted.send(());
        loop {
            match self.parts.receive(context)? {
                Some(Part::Data(bytes)) => {
                    context.gauge().read(bytes.len() as u64);
                    outlet.write_all(&bytes)?;
                    outlet.flush()?;
                }
                Some(Part::End) => return Ok(()),
                Some(Part::Lost(why)) => return Err(Fault::failed(why).into()),
                None => return Err(Fault::failed("the connection was ended before the request was").into()),
            }
        }
    }
}

/// The connection's side.
pub(super) struct Pump {
    pub(super) body: Incoming,
    pub(super) parts: Sender<Part>,
    pub(super) wanted: oneshot::Receiver<()>,
    pub(super) guest: Rc<Guest>,
    pub(super) busy: Busy,
    /// Set when the body did not come, or is none.
    pub(super) is_lost: Arc<AtomicBool>,
}

impl Pump {
    /// Passes the body on, when it is wanted, for as long as it is.
    pub(super) async fn run(mut self) {
        let _busy = self.busy.clone();
        if self.wanted_by_nobody().await {
            return;
        }
        let mut came_bytes = 0;
        loop {
            let next = poll_fn(|task| {
                let next = Pin::new(&mut self.body).poll_frame(task);
                self.guest.awaits(next.is_pending());
                next
            });
            let part = match next.await {
                None => Part::End,
                Some(Err(error)) => Part::Lost(self.lost(&error, came_bytes)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => Part::Data(bytes),
                    // Trailers say nothing that a stage could take.
                    Err(_) => continue,
                },
            };
            let Part::Data(bytes) = &part else { return self.parts.send_last(part) };
            came_bytes += bytes.len() as u64;
            self.guest.site.template.gauge().read(bytes.len() as u64);
            if self.parts.send_later(part).await.is_err() {
                return;
            }
        }
    }

    async fn wanted_by_nobody(&mut self) -> bool {
        (&mut self.wanted).await.is_err()
    }

    fn lost(&self, error: &hyper::Error, came_bytes: u64) -> String {
        let lost = Lost::of(error);
        self.is_lost.store(true, Ordering::Relaxed);
        format!("{} after {came_bytes} bytes", what(&lost))
    }
}

fn what(lost: &Lost) -> String {
    match lost {
        Lost::Garbled(why) => format!("the body of the request is no HTTP: {why}"),
        Lost::Reset => "the peer has reset the connection in the body of its request".to_owned(),
        _ => "the body of the request ended".to_owned(),
    }
}
