//! A publish that has been acknowledged.

use oyez::{ErrorKind, EventId, IdempotencyKey, Publish};
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
    let published = published.map_err(|error| refused(app, &error))?;
    app.metrics.published(started.elapsed());
    Ok(published)
}

/// An error of the hub is an answer; a full disk is counted too.
pub(super) fn refused(app: &App, error: &oyez::Error) -> Problem {
    if error.kind() == ErrorKind::Full {
        app.metrics.refused("full");
    }
    Problem::from_hub(error, retry())
}
