//! How many streams each address has open.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::caller::Caller;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::retry::retry;

/// Counts streams by address; an address without streams takes no memory, so there are never more than streams.
#[derive(Debug)]
pub(crate) struct Places {
    streams: Streams,
    max: usize,
    metrics: Metrics,
}

/// One stream's place under its address's maximum, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Place {
    streams: Streams,
    address: IpAddr,
}

#[derive(Debug, Clone, Default)]
struct Streams(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Places {
    pub(crate) fn new(max: usize, metrics: Metrics) -> Self {
        Self { streams: Streams::default(), max, metrics }
    }

    /// Takes a place for a stream of this caller. Callers on this machine need none.
    pub(crate) fn take(&self, caller: Caller) -> Result<Option<Place>, Problem> {
        if caller.is_local() {
            return Ok(None);
        }
        let place = self.at(caller.address()).ok_or_else(|| {
            self.metrics.refused("address");
            Problem::busy(format!("this address has {} open streams, the most that it may have", self.max), retry())
        })?;
        Ok(Some(place))
    }

    /// `None` when the address has all it may have.
    fn at(&self, address: IpAddr) -> Option<Place> {
        let mut streams = self.streams.lock();
        let number = streams.get(&address).copied().unwrap_or_default();
        if number >= self.max {
            return None;
        }
        streams.insert(address, number + 1);
        Some(Place { streams: self.streams.clone(), address })
    }
}

impl Streams {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut streams = self.streams.lock();
        match streams.get_mut(&self.address) {
            Some(number) if *number > 1 => *number -= 1,
            _ => {
                streams.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_and_addresses_are_forgotten() {
        let places = Places::new(2, Metrics::new());
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let (first, second) = (places.at(address), places.at(address));
        assert!(first.is_some() && second.is_some() && places.at(address).is_none());
        assert!(places.at("10.0.0.2".parse().unwrap()).is_some());
        drop(first);
        let third = places.at(address);
        assert!(third.is_some());
        drop((second, third));
        assert!(places.streams.lock().is_empty());
    }
}
