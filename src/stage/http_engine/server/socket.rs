//! A request that becomes a conversation over a WebSocket: the answer to its handshake, then a run whose standard streams are the
//! messages.
//! Knows nothing of the protocol behind the handshake.

use super::answer::{Refusal, say};
use super::chain::see_through;
use super::errand::Errand;
use super::guest::{Busy, Guest, Order, has_said_all};
use super::response::Content;
use crate::flow::StageGauge;
use crate::stage::contract::Body;
use crate::stage::http_engine::io::WireIo;
use crate::stage::serving::{Ends, Served};
use crate::stage::ws_engine::{Messages, WireStream, config, talk_as_server};
use crate::units;
use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use nix::fcntl::OFlag;
use nix::sys::socket::{Shutdown, shutdown};
use nix::unistd::pipe2;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tungstenite::handshake::server::create_response_with_body;
use tungstenite::protocol::{Role, WebSocket};

/// How often a conversation is looked after, unless its time limit is shorter than usual.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A peer that has ended its side of the connection is taken for gone after this time, unless something is still sent.
const FAREWELL_TIME: Duration = Duration::from_secs(5);

const NO_HANDSHAKE: Refusal = Refusal::new(StatusCode::UPGRADE_REQUIRED, "WebSocket is spoken here");

/// What a connection becomes.
pub(super) struct Upgrade {
    pub(super) messages: Messages,
    pub(super) errand: Arc<Errand>,
    pub(super) place: OwnedSemaphorePermit,
    /// It is served until the end.
    pub(super) busy: Busy,
}

/// The answer to a handshake.
///
/// # Errors
/// The answer to what is none.
pub(super) fn agree(head: Parts) -> Result<Response<Content>, Refusal> {
    let agreed = create_response_with_body(&Request::from_parts(head, ()), || Content::Over);
    let mut agreed = agreed.map_err(|_| NO_HANDSHAKE)?;
    say(&mut agreed);
    Ok(agreed)
}

/// Has the conversation that was agreed upon, to its end. `rest` came behind the handshake.
pub(super) async fn have(upgrade: Upgrade, io: WireIo, rest: Bytes, guest: Rc<Guest>) {
    let Upgrade { messages, errand, place, busy } = upgrade;
    match begin(messages, io, &rest, &guest, &errand, place) {
        Ok(talking) => talking.watch(&guest, &errand).await,
        Err(error) => errand.fails(&format!("cannot be served: {error}")),
    }
    drop(busy);
}

/// A conversation, from outside.
struct Talking {
    outcome: oneshot::Receiver<()>,
    /// The connection, to look at and to end.
    socket: OwnedFd,
    /// Closed, it tells the run that nobody wants more.
    reader: Option<OwnedFd>,
    /// Both ways as their stages count them, if the chain has them.
    back: Arc<OnceLock<Arc<StageGauge>>>,
    out: Arc<OnceLock<Arc<StageGauge>>>,
}

fn begin(
    messages: Messages,
    io: WireIo,
    rest: &[u8],
    guest: &Rc<Guest>,
    errand: &Arc<Errand>,
    place: OwnedSemaphorePermit,
) -> io::Result<Talking> {
    let wire = io.into_wire()?;
    let socket = wire.as_fd().try_clone_to_owned()?;
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let stream = WireStream::new(wire);
    let stream = WebSocket::from_partially_read(stream, rest.to_vec(), Role::Server, Some(config()));
    let (way_out, way_back, parting) = talk_as_server(stream, messages);
    let (back, out) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
    let (tell, outcome) = oneshot::channel();
    let (back_gauge, out_gauge) = (Arc::clone(&back), Arc::clone(&out));
    let stdout = Body::sink(move |inlet, context| {
        out_gauge.get_or_init(|| Arc::clone(context.gauge()));
        way_out.run(inlet, context)
    });
    let ends = Ends {
        name: errand.title().to_owned(),
        stdin: Body::source(move |outlet, context| {
            back_gauge.get_or_init(|| Arc::clone(context.gauge()));
            way_back.run(outlet, context)
        }),
        stdin_bytes: None,
        stdout: Box::new(move |_| stdout),
        takes_extents: false,
        reader: Some(writer),
    };
    let (site, seat, errand) = (Arc::clone(&guest.site), Arc::clone(&guest.seat), Arc::clone(errand));
    thread::Builder::new().name("websocket".to_owned()).spawn(move || {
        match see_through(&site, ends, &errand) {
            Served::Done | Served::HungUp => parting.well(&site.context),
            Served::GivenUp | Served::Failed(_) => parting.badly(),
        }
        // Nobody hears it when the server is given up.
        let _ = tell.send(());
        drop((place, seat));
    })?;
    Ok(Talking { outcome, socket, reader: Some(reader), back, out })
}

impl Talking {
    /// Returns when the run has ended, or the connection is to. A peer that is waited for and does nothing for too long is cut off.
    async fn watch(mut self, guest: &Guest, errand: &Errand) {
        let template = &guest.site.template;
        let patience = guest.site.patience;
        let interval = patience
            .map_or(LOOK_INTERVAL, |patience| LOOK_INTERVAL.min(patience / 8 + Duration::from_millis(1)));
        let (mut read_bytes, mut written_bytes) = (0, 0);
        let mut stirred = Instant::now();
        while !self.ended_within(interval, guest).await {
            let (read, written) = (counted(&self.back).0, counted(&self.out).1);
            if (read, written) != (read_bytes, written_bytes) {
                template.gauge().read(read - read_bytes);
                template.gauge().wrote(written - written_bytes);
                (read_bytes, written_bytes) = (read, written);
                stirred = Instant::now();
            }
            let silent = stirred.elapsed();
            if self.back.get().is_some() && patience.is_some_and(|patience| silent >= patience) {
                errand.fails(&format!("the peer gave nothing for {}", units::whole_seconds(silent)));
                // Both ways find the connection cut.
                let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
            }
            if silent >= FAREWELL_TIME && has_said_all(self.socket.as_fd()) {
                self.reader = None;
            }
        }
        template.gauge().read(counted(&self.back).0 - read_bytes);
        template.gauge().wrote(counted(&self.out).1 - written_bytes);
    }

    async fn ended_within(&mut self, time: Duration, guest: &Guest) -> bool {
        let mut over = pin!(tokio::time::sleep(time));
        poll_fn(|task| {
            if guest.obey(task) == Order::Cut || Pin::new(&mut self.outcome).poll(task).is_ready() {
                return Poll::Ready(true);
            }
            over.as_mut().poll(task).map(|()| false)
        })
        .await
    }
}

/// Bytes read and written by a stage that may not have begun.
fn counted(gauge: &OnceLock<Arc<StageGauge>>) -> (u64, u64) {
    gauge.get().map_or((0, 0), |gauge| {
        let reading = gauge.reading();
        (reading.bytes_read, reading.bytes_written)
    })
}
