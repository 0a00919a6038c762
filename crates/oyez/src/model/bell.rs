//! What wakes the thread of a model.

use std::sync::{Arc, Condvar, Mutex};
use std::task::Wake;
use std::time::Duration;

/// Wakes the thread that waits for a page.
#[derive(Default)]
pub(super) struct Bell(Mutex<bool>, Condvar);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

impl Bell {
    pub(super) fn wait(&self) {
        let rung = self.0.lock().unwrap();
        let (mut rung, late) = self.1.wait_timeout_while(rung, Duration::from_secs(60), |rung| !*rung).unwrap();
        assert!(!late.timed_out(), "nobody says that the page is there");
        *rung = false;
    }
}
