//! What is known of one connection: whether it is served or idle, when its peer stirred last, and what it is told to do.
//! Knows nothing of HTTP. Lives in the runtime's thread.

use super::Site;
use super::errand::Errand;
use super::lending::Lending;
use super::socket::Upgrade;
use crate::stage::http_engine::io::WireIo;
use crate::stage::outside::stream::reason;
use crate::stage::server::door::Seat;
use crate::units;
use nix::libc::POLLRDHUP;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How long the head of a request may take from its first byte, and the first of a connection from its beginning.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// How long a connection may be idle between two requests.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// A peer that has said its last word may still listen, or be gone: when it was sent nothing for so long, it is taken for gone.
const FAREWELL_TIME: Duration = Duration::from_secs(5);

/// What a connection is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Go on.
    Stay,
    /// End when the request that is being served has its answer.
    Finish,
    /// End now.
    Leave,
    /// End now, by a reset.
    Cut,
}

/// A connection.
pub(super) struct Guest {
    /// How messages call the peer.
    pub(super) name: String,
    pub(super) site: Arc<Site>,
    /// Its place among the connections; runs that outlive it keep that, too.
    pub(super) seat: Arc<Seat>,
    /// What is going on for the request that is served; idle when it is 0.
    errands: Cell<usize>,
    errand: RefCell<Option<Arc<Errand>>>,
    /// Since when it is idle, or the head of a request has been coming.
    since_nanos: Cell<u64>,
    is_speaking: Cell<bool>,
    /// When the peer last gave or took something, or began to be waited for.
    stirred_nanos: Cell<u64>,
    /// Whether the peer has to take something before it goes on.
    is_full: Cell<bool>,
    /// Whether the peer has to give something before it goes on.
    is_awaited: Cell<bool>,
    /// Whether the end of the answer is that of the connection, and nothing else tells it.
    ends_as_its_answer: Cell<bool>,
    upgrade: RefCell<Option<Upgrade>>,
    order: Cell<Order>,
    waker: RefCell<Option<Waker>>,
    io: RefCell<Weak<RefCell<WireIo>>>,
    /// What is sent of files.
    pub(super) lending: Lending,
}

/// Something that goes on for a request. Dropped, it does no more.
pub(super) struct Busy(Rc<Guest>);

impl Drop for Busy {
    fn drop(&mut self) {
        let left = self.0.errands.get() - 1;
        self.0.errands.set(left);
        if left == 0 {
            self.0.errand.replace(None);
            self.0.is_speaking.set(false);
            self.0.is_awaited.set(false);
            self.0.since_nanos.set(self.0.now_nanos());
        }
    }
}

impl Clone for Busy {
    fn clone(&self) -> Busy {
        self.0.busy()
    }
}

impl Guest {
    /// Of a connection that was just made.
    pub(super) fn new(name: String, site: Arc<Site>, seat: Arc<Seat>, order: Order) -> Guest {
        let now_nanos = site.context.clock().now_nanos();
        Guest {
            name,
            site,
            seat,
            errands: Cell::new(0),
            errand: RefCell::default(),
            since_nanos: Cell::new(now_nanos),
            is_speaking: Cell::new(true),
            stirred_nanos: Cell::new(now_nanos),
            is_full: Cell::new(false),
            is_awaited: Cell::new(false),
            ends_as_its_answer: Cell::new(false),
            upgrade: RefCell::default(),
            order: Cell::new(order),
            waker: RefCell::default(),
            io: RefCell::default(),
            lending: Lending::default(),
        }
    }

    fn now_nanos(&self) -> u64 {
        self.site.context.clock().now_nanos()
    }

    fn silent(&self, since_nanos: u64) -> Duration {
        Duration::from_nanos(self.now_nanos().saturating_sub(since_nanos))
    }

    /// Has it watched, too, whether the peer at the other end of `io` is gone.
    pub(super) fn watch(&self, io: &Rc<RefCell<WireIo>>) {
        self.io.replace(Rc::downgrade(io));
    }

    fn busy(self: &Rc<Self>) -> Busy {
        self.errands.set(self.errands.get() + 1);
        Busy(Rc::clone(self))
    }

    /// A request came.
    pub(super) fn serve(self: &Rc<Self>, errand: Arc<Errand>) -> Busy {
        self.errand.replace(Some(errand));
        self.busy()
    }

    /// The end of the connection will be that of an answer.
    pub(super) fn will_end_as_its_answer(&self) {
        self.ends_as_its_answer.set(true);
    }

    /// Whether the end of the connection would be taken for that of an answer.
    pub(super) fn ends_as_its_answer(&self) -> bool {
        self.ends_as_its_answer.get()
    }

    /// The connection will become something else, when it has been answered.
    pub(super) fn becomes(&self, upgrade: Upgrade) {
        self.upgrade.replace(Some(upgrade));
    }

    /// What it is to become.
    pub(super) fn upgrade(&self) -> Option<Upgrade> {
        self.upgrade.take()
    }

    /// Whether no request is served, and every answer is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.errands.get() == 0 && !self.is_full.get()
    }

    /// Since when it is idle, unless it is served.
    pub(super) fn idle_since_nanos(&self) -> Option<u64> {
        self.is_idle().then(|| self.since_nanos.get())
    }

    /// The peer gave something.
    pub(super) fn gave(&self) {
        self.stirred_nanos.set(self.now_nanos());
        if self.is_idle() && !self.is_speaking.replace(true) {
            self.since_nanos.set(self.now_nanos());
        }
    }

    /// The peer took something.
    pub(super) fn took(&self) {
        self.stirred_nanos.set(self.now_nanos());
        self.is_full.set(false);
        if self.is_idle() && !self.is_speaking.get() {
            self.since_nanos.set(self.now_nanos());
        }
    }

    /// A part of a file was sent, or could not be.
    pub(super) fn sent(&self, sent: &Poll<io::Result<usize>>) {
        match sent {
            Poll::Ready(Ok(count)) => {
                self.lending.sent(*count);
                self.site.template.gauge().wrote(*count as u64);
            }
            // A peer that has left wants no more, and that is no failure of ours.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                if let Some(errand) = &*self.errand.borrow() {
                    errand.fails(&reason(error));
                }
            }
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
    }

    /// The peer takes nothing for now.
    pub(super) fn is_full(&self) {
        if !self.is_full.replace(true) {
            self.stirred_nanos.set(self.now_nanos());
        }
    }

    /// The peer is waited for, or not any more.
    pub(super) fn awaits(&self, is_awaited: bool) {
        if !self.is_awaited.replace(is_awaited) && is_awaited {
            self.stirred_nanos.set(self.now_nanos());
        }
    }

    /// What it has been told. `task` is woken when it is told something else.
    pub(super) fn obey(&self, task: &Context<'_>) -> Order {
        self.waker.replace(Some(task.waker().clone()));
        self.order.get()
    }

    /// Tells it to do something; what it was told before stands when that was more.
    pub(super) fn tell(&self, order: Order) {
        if order > self.order.get() {
            self.order.set(order);
            self.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Ends it if it has lasted too long as it is.
    pub(super) fn look(&self) {
        let silent = self.silent(self.stirred_nanos.get());
        let is_overdue = self.site.patience.is_some_and(|patience| silent >= patience);
        if is_overdue && self.is_full.get() {
            return self.lose_patience("took", silent);
        }
        if !self.is_idle() {
            if is_overdue && self.is_awaited.get() {
                self.lose_patience("gave", silent);
            } else if self.is_gone(silent) {
                self.tell(Order::Cut);
            }
            return;
        }
        let limit = if self.is_speaking.get() { HEAD_TIME } else { IDLE_TIME };
        if self.silent(self.since_nanos.get()) >= limit {
            self.tell(Order::Leave);
        }
    }

    fn lose_patience(&self, did: &str, silent: Duration) {
        if let Some(errand) = &*self.errand.borrow() {
            errand.fails(&format!("the peer {did} nothing for {}", units::whole_seconds(silent)));
        }
        self.tell(Order::Cut);
    }

    /// Whether nobody is at the other end any more, as far as that shows.
    fn is_gone(&self, silent: Duration) -> bool {
        let Some(io) = self.io.borrow().upgrade() else { return false };
        let io = io.borrow();
        // Only errors and hang-ups are asked for, and those are always reported.
        let mut polled = [PollFd::new(io.socket(), PollFlags::empty())];
        if poll(&mut polled, PollTimeout::ZERO).is_ok_and(|count| count > 0) {
            return true;
        }
        silent >= FAREWELL_TIME && has_said_all(io.socket())
    }
}

/// Whether the peer has ended its side of a connection, whatever it said before that is still to be read.
pub(super) fn has_said_all(socket: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::from_bits_retain(POLLRDHUP))];
    // The bit has no name there, so that what shows it is not known.
    poll(&mut polled, PollTimeout::ZERO).is_ok_and(|count| count > 0) && polled[0].any() != Some(false)
}
