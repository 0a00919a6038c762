//! The way by which a stream leaves its response.

use std::sync::{Arc, Weak};

use crate::live::Live;
use crate::sync::Mutex;

/// The stream of a response, for whoever takes it first. It keeps nothing alive: an answer whose body was dropped or
/// replaced cannot be taken.
#[derive(Debug, Clone)]
pub(crate) struct Handover(Weak<Mutex<Option<Live>>>);

impl Handover {
    pub(crate) fn new(live: &Arc<Mutex<Option<Live>>>) -> Self {
        Self(Arc::downgrade(live))
    }

    /// The stream, unless somebody has taken it, its answer is gone, or it has an end.
    pub(crate) fn take(&self) -> Option<Live> {
        let shared = self.0.upgrade()?;
        let mut live = shared.lock();
        // a stream with an end leaves its connection to the next request
        if matches!(&*live, Some(Live::Subscriber(pump)) if pump.is_bounded()) {
            return None;
        }
        live.take()
    }
}
