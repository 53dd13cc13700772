//! How many connections there may be, in all and from one address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::mutex::lock;

/// A bounded number of places for connections.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    total_max: usize,
    per_ip_max: usize,
    taken: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSlot {
    /// All are taken.
    Total,
    /// The address has as many as one may have.
    PerIp,
}

/// One taken place, free again when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    source: IpAddr,
    slots: Slots,
}

impl Slots {
    pub(crate) fn new(total_max: usize, per_ip_max: usize) -> Self {
        Self { total_max, per_ip_max, taken: Arc::default() }
    }

    /// Takes a place for a connection from `ip`.
    pub(crate) fn take(&self, ip: IpAddr) -> Result<Slot, NoSlot> {
        let source = source_of(ip);
        let mut taken = self.lock();
        if taken.values().sum::<usize>() >= self.total_max {
            return Err(NoSlot::Total);
        }
        let count = taken.entry(source).or_default();
        if *count >= self.per_ip_max {
            return Err(NoSlot::PerIp);
        }
        *count += 1;
        Ok(Slot { source, slots: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        lock(&self.taken)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        match taken.get_mut(&self.source) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = taken.remove(&self.source),
        }
    }
}

/// One subscriber: an IPv4 address, or the /64 that an IPv6 address is in.
fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_all_and_by_source_and_frees_on_drop() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let slots = Slots::new(3, 2);
        let first = slots.take(ip("192.0.2.1")).unwrap();
        let _second = slots.take(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(slots.take(ip("192.0.2.1")).unwrap_err(), NoSlot::PerIp);
        let _third = slots.take(ip("2001:db8::1")).unwrap();
        assert_eq!(slots.take(ip("192.0.2.2")).unwrap_err(), NoSlot::Total);
        drop(first);
        let _fourth = slots.take(ip("2001:db8::2")).unwrap();
        assert_eq!(slots.lock().len(), 2, "both IPv6 addresses are in one /64");
        drop((_second, _third, _fourth));
        assert!(slots.lock().is_empty());
    }
}
