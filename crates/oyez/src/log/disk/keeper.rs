//! The thread for work that nobody waits for. It writes the indexes of full segments to files, drops old segments, and prepares
//! files for new segments.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use tracing::warn;

use super::failure::Failure;
use super::store::Store;
use crate::limits::disk::IDLE;
use crate::log::appender::OnDrop;

/// A handle on the thread. Dropping it ends the thread.
pub(crate) struct Keeper {
    call: Arc<KeeperCall>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Wakes the keeper.
#[derive(Default)]
pub(crate) struct KeeperCall {
    state: Mutex<State>,
    called: Condvar,
}

#[derive(Default)]
struct State {
    wanted: bool,
    stop: bool,
}

impl Keeper {
    pub(crate) fn start(
        store: Arc<Store>,
        readers: impl OnDrop + 'static,
        call: Arc<KeeperCall>,
        failure: &Failure,
    ) -> std::io::Result<Self> {
        let own = Arc::clone(&call);
        let broken = failure.of_thread(NAME);
        let thread = std::thread::Builder::new().name(NAME.to_owned()).spawn(move || {
            let _broken = broken;
            let mut was_well = true;
            while own.wait() {
                let kept = store.keep(store.clock.ms(), &readers);
                if let Err(error) = &kept {
                    // it is tried again; missing index files are made at the next start
                    if was_well {
                        warn!(%error, "the history cannot be tidied; this is tried again until it works");
                    }
                }
                was_well = kept.is_ok();
            }
        })?;
        Ok(Self { call, thread: Mutex::new(Some(thread)) })
    }
}

impl KeeperCall {
    pub(crate) fn call(&self) {
        self.lock().wanted = true;
        self.called.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is work; false to end.
    fn wait(&self) -> bool {
        let mut state = self.lock();
        if !state.wanted && !state.stop {
            state = self.called.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.wanted = false;
        !state.stop
    }
}

impl Keeper {
    /// Ends the thread and waits for it.
    pub(crate) fn stop(&self) {
        self.call.lock().stop = true;
        self.call.called.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // the thread itself may drop the last reference to this
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The name of the thread.
const NAME: &str = "oyez-keep";
