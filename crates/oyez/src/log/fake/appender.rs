//! The server, as who makes entries durable.

use std::sync::Arc;

use super::server::{Server, refusal};
use crate::Error;
use crate::log::appender::{Appender, Promise, Visible};
use crate::log::step::give_way;
use crate::log::{Admission, Batch, Published};

/// The way to the server from a hub.
pub(crate) struct ToServer<V> {
    server: Arc<Server>,
    shown: V,
}

impl<V: Visible> ToServer<V> {
    pub(crate) fn new(server: Arc<Server>, shown: V) -> Self {
        Self { server, shown }
    }

    /// Publishes are not kept for a server that is away: they are refused, and whoever has one comes again.
    async fn append_now(&self, batch: Batch) -> Result<Published, Error> {
        give_way().await;
        let Self { server, shown } = self;
        if server.is_away() {
            return Err(refusal("the server is away; try again"));
        }
        if let Admission::Replayed { first } = shown.admit(&batch, server.now_ms())? {
            return Ok(Published { ids: batch.event_ids(server.epoch, first), replayed: true });
        }
        let entries = server.append(batch);
        let ids = entries.iter().map(|entry| entry.event_id(server.epoch)).collect();
        shown.show(entries);
        shown.trim(server.now_ms());
        Ok(Published { ids, replayed: false })
    }
}

impl<V: Visible> Appender for ToServer<V> {
    fn append(&self, batch: Batch) -> Promise<'_, Result<Published, Error>> {
        Box::pin(self.append_now(batch))
    }

    fn close(&self) -> Promise<'_, ()> {
        Box::pin(async {})
    }

    fn failed(&self) -> Promise<'_, String> {
        Box::pin(std::future::pending())
    }
}
