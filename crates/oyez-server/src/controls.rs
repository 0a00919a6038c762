//! Open streams by the id that only their reader knows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use oyez::StreamControl;

use crate::problem::Problem;

/// The streams that asked for an id to control them by. One entry for each, gone with the stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Controls(Arc<Mutex<HashMap<u128, StreamControl>>>);

/// One stream's entry, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Registration {
    controls: Controls,
    id: u128,
}

impl Controls {
    /// Enters a stream. Its id is drawn from 128 bits: who knows it is its reader, or was told by it.
    pub(crate) fn enter(&self, control: StreamControl) -> Result<Registration, Problem> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| Problem::internal(format!("no random numbers: {error}")))?;
        let id = u128::from_ne_bytes(id);
        self.lock().insert(id, control);
        Ok(Registration { controls: self.clone(), id })
    }

    /// The stream with this id.
    pub(crate) fn find(&self, id: &str) -> Option<StreamControl> {
        // a sign would be a number too
        let is_id = id.len() == ID_DIGITS && id.bytes().all(|digit| digit.is_ascii_hexdigit());
        let id = u128::from_str_radix(Some(id).filter(|_| is_id)?, 16).ok()?;
        self.lock().get(&id).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u128, StreamControl>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    /// The id as readers know it.
    pub(crate) fn id(&self) -> String {
        format!("{:0width$x}", self.id, width = ID_DIGITS)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.controls.lock().remove(&self.id);
    }
}

/// 128 bits in hexadecimal digits.
const ID_DIGITS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_is_no_digit() {
        let controls = Controls::default();
        controls.lock().insert(7, StreamControl::new());
        let id = format!("{:032x}", 7);
        assert!(controls.find(&id).is_some());
        assert!(controls.find(&format!("+{}", &id[1..])).is_none());
    }

    #[test]
    fn a_stream_is_found_by_its_id_until_it_is_gone() {
        let controls = Controls::default();
        let control = StreamControl::new();
        let registration = controls.enter(control.clone()).unwrap();
        let other = controls.enter(StreamControl::new()).unwrap();
        let id = registration.id();
        assert_eq!(controls.find(&id).unwrap().number(), control.number());
        for wrong in ["", "1", &id[1..], &format!("+{}", &id[1..]), &format!("{id}0"), "é", &"f".repeat(32)] {
            assert!(controls.find(wrong).is_none(), "{wrong}");
        }
        drop(registration);
        assert!(controls.find(&id).is_none() && controls.find(&other.id()).is_some());
        drop(other);
        assert!(controls.lock().is_empty());
    }
}
