//! `POST /control/{connection}`: a reader, or who acts for it, changes its open stream.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::asked::Asked;
use crate::app::App;
use crate::body;
use crate::limits::CONTROL_BYTES_MAX;
use crate::problem::Problem;

pub(super) async fn answer(app: &App, asked: Asked<'_>) -> Result<Response, Problem> {
    let Asked { part: id, head, body, .. } = asked;
    let read = body::read(body, &head.headers, "the body", CONTROL_BYTES_MAX, &app.bodies).await?;
    let text = body::text(read.bytes, "the body")?;
    let Change::Drop = Change::read(&text)?;
    let control = app.controls.find(id).ok_or_else(|| Problem::NoConnection { id: id.to_owned() })?;
    control.end_at(Instant::now().into_std());
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What is to be done with a stream.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// It ends at a frame border; its reader comes back by itself.
    Drop,
}

impl Change {
    fn read(text: &str) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            drop: Option<bool>,
            topics: Option<Value>,
            token: Option<Value>,
        }
        let fields: Fields = serde_json::from_str(body::without_mark(text))
            .map_err(|error| Problem::invalid(format!("the body is not a change such as {EXAMPLE}: {error}")))?;
        let not_yet = |what: &str| Err(Problem::NotYet { what: format!("{what} of an open stream to be changed") });
        match fields {
            Fields { topics: Some(_), .. } => not_yet("topics"),
            Fields { token: Some(_), .. } => not_yet("token"),
            Fields { drop: Some(true), .. } => Ok(Self::Drop),
            Fields { .. } => Err(Problem::invalid(format!("the body changes nothing; send {EXAMPLE}"))),
        }
    }
}

const EXAMPLE: &str = r#"{"drop":true}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_or_refused_in_words() {
        let check = |text: &str, expected: &str| {
            let problem = Change::read(text).unwrap_err().to_string();
            assert!(problem.contains(expected), "{text}: {problem}");
        };
        assert_eq!(Change::read(r#" {"drop": true} "#).unwrap(), Change::Drop);
        assert_eq!(Change::read("\u{feff}{\"drop\":true}").unwrap(), Change::Drop);
        check("", "not a change such as");
        check("{}", "changes nothing");
        check(r#"{"drop":false}"#, "changes nothing");
        check(r#"{"drop":1}"#, "expected a boolean");
        check(r#"{"drop":true,"drip":true}"#, "`drip`");
        check(r#"{"topics":["a"],"drop":true}"#, "topics of an open stream to be changed is not in this build yet");
        check(r#"{"token":"x"}"#, "token of an open stream");
    }
}
