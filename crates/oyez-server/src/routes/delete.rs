//! `DELETE /events/{topic…}`: what the topic had is hidden.

use std::net::SocketAddr;

use axum::extract::Request;
use axum::response::Response;
use oyez::Topic;
use serde_json::json;

use super::publish::check_caller;
use crate::app::App;
use crate::problem::Problem;
use crate::request::read_delete;
use crate::retry::retry;

/// Whoever may publish to a topic may delete it; one that nobody has published to is deleted as well.
pub(super) async fn answer(
    app: &App,
    peer: SocketAddr,
    topic: Result<Topic, Problem>,
    request: Request,
) -> Result<Response, Problem> {
    check_caller(app, peer, request.headers())?;
    let topic = topic?;
    read_delete(request.uri())?;
    let id = app.hub.delete(&topic).await.map_err(|error| Problem::from_hub(&error, retry()))?;
    Ok(super::json_answer(&json!({ "id": &*id })))
}
