//! A request that has found its route becomes an answer.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, HeaderValue};
use http::{Method, StatusCode};

use super::asked::Asked;
use super::route::{Answer, Does, Right, Route};
use super::table::Table;
use super::{admin, control, delete, page, publish, stats, subscribe};
use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::request::Query;

/// Answers a request to `route` of a table, which is none where nothing is at its path.
pub(crate) async fn answer(
    app: &App,
    table: &'static Table,
    route: Option<&'static Route>,
    request: Request,
) -> Response {
    let answered = match route.filter(|route| app.config.settings.demo || !route.demo) {
        Some(route) => at(app, table, route, request).await,
        None => Err(nowhere(request.uri().path(), table)),
    };
    answered.unwrap_or_else(IntoResponse::into_response)
}

async fn at(app: &App, table: &'static Table, route: &'static Route, request: Request) -> Result<Response, Problem> {
    let (method, headers) = (request.method(), request.headers());
    let Some(answer) = route.answer(method, headers) else { return without(table, route, method) };
    let caller = Caller::of(&request)?;
    // who may not publish is not told what is wrong with the topic or the query
    if answer.needs == Right::Publish {
        app.rights.publish(caller, headers)?;
    }
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let (part, topic) = (route.part(path), route.topic_of(path)?);
    let query = Query::read(&head.uri, answer.reads)?;
    does(app, answer, Asked { caller, part, topic, query, head: &head, body }).await
}

async fn does(app: &App, answer: &Answer, asked: Asked<'_>) -> Result<Response, Problem> {
    match answer.does {
        Does::Page => Ok(page::answer(app)),
        Does::Stats => stats::answer(app, &asked),
        Does::Subscribe => Ok(subscribe::answer(app, asked).await),
        Does::Publish => publish::data(app, asked).await,
        Does::PublishObject => publish::object(app, asked).await,
        Does::PublishBatch => publish::batch(app, asked).await,
        Does::Delete => delete::answer(app, asked).await,
        Does::Control => control::answer(app, asked).await,
        Does::Health => Ok(admin::health()),
        Does::Ready => Ok(admin::ready(app)),
        Does::Metrics => Ok(admin::metrics(app).await),
    }
}

/// The answer to a method that does nothing here.
fn without(table: &'static Table, route: &Route, method: &Method) -> Result<Response, Problem> {
    let (method, allow) = (method.clone(), route.allow());
    if method != Method::OPTIONS {
        // who publishes in the wrong place is told the right one
        let there = matches!(method, Method::POST | Method::PUT).then_some(table.there);
        return Err(Problem::Method { method, allow, there });
    }
    let allow = HeaderValue::from_str(&allow).expect("names of methods are header text");
    Ok((StatusCode::NO_CONTENT, [(ALLOW, allow)]).into_response())
}

fn nowhere(path: &str, table: &'static Table) -> Problem {
    let path = path.to_owned();
    if path.starts_with("/.well-known/mercure") {
        return Problem::RouteNotYet { path, what: "(the Mercure protocol)" };
    }
    Problem::NoRoute { path, there: table.there }
}
