//! How many streams each address has open.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts streams by address; an address without streams takes no memory, so there are never more than streams.
#[derive(Debug, Clone)]
pub(crate) struct Callers {
    streams: Arc<Mutex<HashMap<IpAddr, usize>>>,
    max: usize,
}

/// One stream's place under its address's maximum, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Place {
    callers: Callers,
    address: IpAddr,
}

impl Callers {
    pub(crate) fn new(max: usize) -> Self {
        Self { streams: Arc::default(), max }
    }

    /// Takes a place; `None` when the address has all it may have.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Place> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let number = streams.get(&address).copied().unwrap_or_default();
        if number >= self.max {
            return None;
        }
        streams.insert(address, number + 1);
        Some(Place { callers: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut streams = self.callers.streams.lock().unwrap_or_else(PoisonError::into_inner);
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
        let callers = Callers::new(2);
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let (first, second) = (callers.take(address), callers.take(address));
        assert!(first.is_some() && second.is_some() && callers.take(address).is_none());
        assert!(callers.take("10.0.0.2".parse().unwrap()).is_some());
        drop(first);
        let third = callers.take(address);
        assert!(third.is_some());
        drop((second, third));
        assert!(callers.streams.lock().unwrap().is_empty());
    }
}
