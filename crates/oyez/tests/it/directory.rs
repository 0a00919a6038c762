//! A place for a history that goes with its test.

use std::path::PathBuf;

use oyez::{Durability, Hub, Storage};

/// A directory that goes with the test.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    /// `name` is that of the test's own.
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("oyez-it-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    pub(crate) fn storage(&self) -> Storage {
        Storage::new(&self.0).durability(Durability::Flush)
    }

    pub(crate) fn open(&self) -> Hub {
        Hub::builder().open(self.storage()).unwrap()
    }

    /// A hub that keeps no more than that.
    pub(crate) fn keeping(&self, retention: oyez::Retention) -> Hub {
        Hub::builder().open(self.storage().keep(retention)).unwrap()
    }

    /// Stops the hub and starts it again.
    pub(crate) async fn restart(&self, hub: Hub) -> Hub {
        hub.close().await;
        drop(hub);
        self.open()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
