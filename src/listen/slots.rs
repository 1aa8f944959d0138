//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::client_network;
use crate::telemetry::{HeldPermits, Permits, WaitMeter};

/// The room for connections at one door.
#[derive(Debug)]
pub(super) struct Slots {
    total: Permits,
    per_address: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// Room for one connection, free again when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    address: Option<IpAddr>,
    permit: Option<HeldPermits>,
}

impl Slots {
    pub(super) fn new(total: usize, per_address: usize, meter: WaitMeter) -> Arc<Self> {
        Arc::new(Self {
            total: Permits::new(total, meter),
            per_address: per_address.max(1),
            taken: Mutex::default(),
        })
    }

    /// Takes room for this peer, waiting until there is any; `None` if its address has used its share.
    /// A Unix socket has no address and no share.
    pub(super) async fn take(self: &Arc<Self>, peer: Option<IpAddr>) -> Option<Slot> {
        let address = peer.map(client_network);
        if let Some(address) = address
            && !self.count(address)
        {
            return None;
        }
        // From here on the share is given back even if the caller stops waiting for the rest.
        let mut slot = Slot {
            slots: Arc::clone(self),
            address,
            permit: None,
        };
        slot.permit = Some(self.total.take().await);
        Some(slot)
    }

    /// Takes a share for this address, if it has any left.
    fn count(&self, address: IpAddr) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        let has_room = *count < self.per_address;
        *count += usize::from(has_room);
        has_room
    }

    /// Waits until every connection has ended.
    pub(super) async fn empty(&self) {
        self.total.all_returned().await;
    }
}

impl Slot {
    /// Counts a connection whose peer is known only now; false if its address has used its share.
    pub(super) fn is_for(&mut self, peer: IpAddr) -> bool {
        debug_assert!(self.address.is_none(), "counted already");
        let address = client_network(peer);
        let has_room = self.slots.count(address);
        self.address = has_room.then_some(address);
        has_room
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(address) = self.address else {
            return;
        };
        let mut taken = self
            .slots
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn take(slots: &Arc<Slots>, peer: &str) -> Option<Slot> {
        let taking = slots.take(Some(peer.parse().unwrap()));
        taking.now_or_never().expect("there is room")
    }

    #[test]
    fn one_address_has_its_share() {
        let slots = Slots::new(10, 2, WaitMeter::default());
        let first = take(&slots, "192.0.2.1").unwrap();
        let _second = take(&slots, "::ffff:192.0.2.1").unwrap();
        assert!(take(&slots, "192.0.2.1").is_none());
        assert!(take(&slots, "192.0.2.2").is_some());
        drop(first);
        assert!(take(&slots, "192.0.2.1").is_some());
    }

    #[test]
    fn a_household_is_one_address() {
        let slots = Slots::new(10, 1, WaitMeter::default());
        let _one = take(&slots, "2001:db8::1").unwrap();
        assert!(take(&slots, "2001:db8::ffff").is_none());
        assert!(take(&slots, "2001:db8:0:1::1").is_some());
    }

    #[test]
    fn a_peer_that_is_known_later_has_its_share_as_well() {
        let slots = Slots::new(10, 1, WaitMeter::default());
        let unknown = || slots.take(None).now_or_never().unwrap().unwrap();
        let peer = "192.0.2.1".parse().unwrap();
        let (mut first, mut second) = (unknown(), unknown());
        assert!(first.is_for(peer));
        assert!(!second.is_for(peer));
        drop(second);
        assert!(take(&slots, "192.0.2.1").is_none());
        drop(first);
        assert!(take(&slots, "192.0.2.1").is_some());
    }

    #[test]
    fn the_total_is_waited_for() {
        let slots = Slots::new(1, 10, WaitMeter::default());
        let only = take(&slots, "192.0.2.1").unwrap();
        assert!(slots.take(None).now_or_never().is_none());
        assert!(
            slots
                .take(Some([192, 0, 2, 2].into()))
                .now_or_never()
                .is_none()
        );
        assert!(slots.empty().now_or_never().is_none());
        drop(only);
        assert!(take(&slots, "192.0.2.2").is_some());
        assert!(slots.empty().now_or_never().is_some());
        assert!(slots.taken.lock().unwrap().is_empty());
    }
}
