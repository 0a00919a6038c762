//! Who sleeps is woken, and who does not is left alone.

use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Whether a thread sleeps that others may have something for. It says so *before* it looks for the last time, and they
/// ring *behind* what they have done: so either it sees that, or they see it lie.
#[derive(Debug, Default)]
pub(crate) struct Doorbell {
    asleep: AtomicBool,
}

impl Doorbell {
    /// From here on the sleeper is to be woken. It looks once more before it does sleep.
    pub(crate) fn lie_down(&self) {
        self.asleep.store(true, SeqCst);
    }

    pub(crate) fn get_up(&self) {
        self.asleep.store(false, SeqCst);
    }

    /// True when the sleeper has to be woken, which is told to one caller.
    pub(crate) fn ring(&self) -> bool {
        self.asleep.load(SeqCst) && self.asleep.swap(false, SeqCst)
    }
}
