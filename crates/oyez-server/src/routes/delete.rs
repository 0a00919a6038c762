//! `DELETE /events/{topic…}`: what the topic had is hidden.

use axum::response::Response;
use serde_json::json;

use super::acknowledge::refused;
use super::asked::Asked;
use super::json::json_answer;
use crate::app::App;
use crate::problem::Problem;

/// One that nobody has published to is deleted as well.
pub(super) async fn answer(app: &App, asked: Asked<'_>) -> Result<Response, Problem> {
    let topic = asked.topic()?;
    let id = app.hub.delete(&topic).await.map_err(|error| refused(app, &error))?;
    Ok(json_answer(&json!({ "id": &*id })))
}
