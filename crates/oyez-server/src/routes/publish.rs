//! `POST` and `PUT /events…`: bodies become entries.

use axum::response::Response;
use http::{HeaderName, HeaderValue};
use oyez::Publish;
use serde::Serialize;

use super::acknowledge::{Published, publish};
use super::asked::Asked;
use super::json::json_answer;
use super::lines::Lines;
use crate::app::App;
use crate::bodies::Held;
use crate::body::{self, Whole};
use crate::limits::{BATCH_BYTES_MAX, DATA_BYTES_MAX};
use crate::problem::Problem;
use crate::request::{EventTemplate, JsonPublish, MediaType, PublishRequest, expire};

/// The body is the data of one event, or each of its lines is.
pub(super) async fn data(app: &App, asked: Asked<'_>) -> Result<Response, Problem> {
    let has_topic = asked.topic.is_some();
    MediaType::refuse_as_data(asked.headers(), has_topic)?;
    let wanted = PublishRequest::read(asked.topic()?, &asked.query, asked.headers())?;
    if wanted.lines {
        return Lines::new(app, wanted).answer(asked).await;
    }
    let (data, _held) = text(app, asked, DATA_BYTES_MAX).await?;
    if !has_topic {
        JsonPublish::refuse_as_data(&data)?;
    }
    let PublishRequest { topic, mut template, end, key, .. } = wanted;
    if !end {
        return Ok(one_id(&publish(app, vec![template.publish(topic, data)?], key).await?));
    }
    let end = expire(Publish::end(topic.clone()), template.ttl.take())?;
    if data.is_empty() && template != EventTemplate::default() {
        return Err(Problem::invalid("event, id, key and retry belong to a last event, but the body is empty"));
    }
    let last = (!data.is_empty()).then(|| template.publish(topic, data)).transpose()?;
    Ok(end_ids(&publish(app, last.into_iter().chain([end]).collect(), key).await?))
}

/// The body says all about one event.
pub(super) async fn object(app: &App, asked: Asked<'_>) -> Result<Response, Problem> {
    let wanted = JsonPublish::read(asked.headers())?;
    let (text, _held) = text(app, asked, DATA_BYTES_MAX).await?;
    let event = JsonPublish::object(&text)?;
    Ok(one_id(&publish(app, vec![event], wanted.key).await?))
}

/// The body has an object a line, published together.
pub(super) async fn batch(app: &App, asked: Asked<'_>) -> Result<Response, Problem> {
    let wanted = JsonPublish::read(asked.headers())?;
    let (text, _held) = text(app, asked, BATCH_BYTES_MAX).await?;
    let batch = JsonPublish::batch(&text)?;
    Ok(all_ids(&publish(app, batch, wanted.key).await?))
}

/// The text of a body, which counts among all bodies for as long as the other part is there.
async fn text<'a>(app: &'a App, asked: Asked<'_>, max: usize) -> Result<(String, Held<'a>), Problem> {
    let Asked { head, body, .. } = asked;
    let Whole { bytes, held } = body::read(body, &head.headers, "the body", max, &app.bodies).await?;
    Ok((body::text(bytes, "the body")?, held))
}

fn one_id(published: &Published) -> Response {
    #[derive(Serialize)]
    struct Id<'a> {
        id: Option<&'a str>,
    }
    answer(published, &Id { id: published.ids.first().map(|id| &**id) })
}

/// The answer to an end, and perhaps to an event before it.
fn end_ids(published: &Published) -> Response {
    #[derive(Serialize)]
    struct Ids<'a> {
        id: Option<&'a str>,
        end: Option<&'a str>,
    }
    let (first, last) = (published.ids.first(), published.ids.last());
    answer(published, &Ids { id: first.map(|id| &**id), end: last.map(|id| &**id) })
}

/// The answer to a batch.
fn all_ids(published: &Published) -> Response {
    #[derive(Serialize)]
    struct Ids<'a> {
        ids: Vec<&'a str>,
    }
    answer(published, &Ids { ids: published.ids.iter().map(|id| &**id).collect() })
}

fn answer(published: &Published, body: &impl Serialize) -> Response {
    let mut response = json_answer(body);
    if published.replayed {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Says that nothing was published now: the answer is that of the first time.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
