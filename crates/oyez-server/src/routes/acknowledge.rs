//! A publish that has been acknowledged.

use oyez::{EventId, IdempotencyKey, Publish};
use tokio::time::Instant;

use crate::app::App;
use crate::problem::Problem;
use crate::retry::retry;

/// What a publish has come to.
pub(super) struct Published {
    pub(super) ids: Vec<EventId>,
    /// It was published before, and this is what it came to then.
    pub(super) replayed: bool,
}

/// With a key it is published once.
pub(super) async fn publish(app: &App, batch: Vec<Publish>, key: Option<IdempotencyKey>) -> Result<Published, Problem> {
    let started = Instant::now();
    let published = match key {
        Some(key) => app
            .hub
            .publish_once(key, batch)
            .await
            .map(|oyez::Published { ids, replayed, .. }| Published { ids, replayed }),
        None => app.hub.publish_batch(batch).await.map(|ids| Published { ids, replayed: false }),
    };
    let published = published.map_err(|error| Problem::from_hub(&error, retry()))?;
    app.metrics.published(started.elapsed());
    Ok(published)
}
