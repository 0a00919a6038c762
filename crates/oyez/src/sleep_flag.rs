//! Who sleeps is woken, and who does not is left alone.

use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Whether a thread sleeps that others may have something for. It sets the flag *before* it looks for the last time, and
/// they take it *after* what they have done: so either it sees that, or they see that it sleeps.
#[derive(Debug, Default)]
pub(crate) struct SleepFlag(AtomicBool);

impl SleepFlag {
    /// From here on the sleeper is to be woken. It looks once more before it does sleep.
    pub(crate) fn set(&self) {
        self.0.store(true, SeqCst);
    }

    /// The sleeper is awake.
    pub(crate) fn clear(&self) {
        self.0.store(false, SeqCst);
    }

    /// True when the sleeper has to be woken, which is told to one caller.
    pub(crate) fn take(&self) -> bool {
        self.0.load(SeqCst) && self.0.swap(false, SeqCst)
    }
}
