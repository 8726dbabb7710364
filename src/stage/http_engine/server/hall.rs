//! All connections of a server: they are let in, looked after, and ended when the server ends or another needs the room.
//! Knows nothing of requests. Lives in the runtime's thread.

use super::Site;
use super::converse::converse;
use super::guest::{Guest, Order};
use crate::stage::http_engine::bridge::Receiver;
use crate::stage::net::wire::Wire;
use crate::stage::server::door::Seat;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::spawn_local;

/// How often the connections are looked after, unless the time limits are shorter than usual.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(20);

/// The connections.
pub(super) struct Hall {
    site: Arc<Site>,
    guests: RefCell<BTreeMap<u64, Rc<Guest>>>,
    /// What those are told that come in.
    order: Cell<Order>,
    has_emptied: Notify,
}

impl Hall {
    pub(super) fn new(site: Arc<Site>) -> Hall {
        let guests = RefCell::default();
        Hall { site, guests, order: Cell::new(Order::Stay), has_emptied: Notify::new() }
    }

    /// Lets in all that arrive, and returns when there will be no more and the last has left.
    pub(super) async fn attend(self: &Rc<Self>, arriving: Receiver<(Wire, Seat)>) {
        let hall = Rc::clone(self);
        spawn_local(async move { hall.look_after().await });
        let hall = Rc::clone(self);
        spawn_local(async move { hall.obey().await });
        while let Some((wire, seat)) = arriving.receive_later().await {
            self.admit(wire, seat);
        }
        while !self.guests.borrow().is_empty() {
            self.has_emptied.notified().await;
        }
    }

    fn admit(self: &Rc<Self>, wire: Wire, seat: Seat) {
        let mut guests = self.guests.borrow_mut();
        let number = guests.last_key_value().map_or(0, |(number, _)| number + 1);
        let site = Arc::clone(&self.site);
        let guest = Rc::new(Guest::new(wire.name().to_owned(), site, Arc::new(seat), self.order.get()));
        guests.insert(number, Rc::clone(&guest));
        // Whoever comes next finds room, unless all are being served.
        if guests.len() >= self.site.connections
            && let Some(idle) = longest_idle(guests.values())
        {
            idle.tell(Order::Leave);
        }
        let hall = Rc::clone(self);
        spawn_local(async move {
            hall.site.template.gauge().connection_begins();
            converse(wire, guest).await;
            hall.site.template.gauge().connection_ends();
            hall.guests.borrow_mut().remove(&number);
            if hall.guests.borrow().is_empty() {
                hall.has_emptied.notify_one();
            }
        });
    }

    async fn look_after(&self) {
        let shortest = self.site.patience.map_or(LOOK_INTERVAL, |patience| patience / 8);
        let interval = shortest.clamp(LOOK_INTERVAL_MIN, LOOK_INTERVAL);
        loop {
            tokio::time::sleep(interval).await;
            self.guests.borrow().values().for_each(|guest| guest.look());
        }
    }

    /// Ends the connections when the server ends: each after its answer, then all of them.
    async fn obey(&self) {
        let orders = &self.site.orders;
        let rung = poll_fn(|task| match orders.given_up.poll_rung(task) {
            std::task::Poll::Ready(()) => std::task::Poll::Ready(Order::Cut),
            std::task::Poll::Pending => orders.ending.poll_rung(task).map(|()| Order::Finish),
        });
        self.tell_all(rung.await);
        poll_fn(|task| orders.given_up.poll_rung(task)).await;
        self.tell_all(Order::Cut);
    }

    fn tell_all(&self, order: Order) {
        self.order.set(order);
        self.guests.borrow().values().for_each(|guest| guest.tell(order));
    }
}

fn longest_idle<'a>(guests: impl Iterator<Item = &'a Rc<Guest>>) -> Option<&'a Rc<Guest>> {
    let idle = guests.filter_map(|guest| Some((guest.idle_since_nanos()?, guest)));
    idle.min_by_key(|(since_nanos, _)| *since_nanos).map(|(_, guest)| guest)
}
