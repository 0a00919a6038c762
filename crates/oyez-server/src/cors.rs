//! What other origins' pages may read: the CORS headers around the routes that they may use.

use http::Method;
use http::header::HeaderName;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::limits::PREFLIGHT_AGE;
use crate::settings::Cors;

/// `None` where they may read nothing.
pub(crate) fn layer(cors: &Cors) -> Option<CorsLayer> {
    let origins = match cors {
        Cors::Off => return None,
        Cors::Any => Any.into(),
        Cors::Origins(origins) => {
            let origins = origins.clone();
            AllowOrigin::predicate(move |origin, _| Cors::has(&origins, origin))
        }
    };
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers(REQUEST_HEADERS.map(HeaderName::from_static))
            .expose_headers(ANSWER_HEADERS.map(HeaderName::from_static))
            .max_age(PREFLIGHT_AGE),
    )
}

const REQUEST_HEADERS: [&str; 7] =
    ["authorization", "cache-control", "content-type", "event-id", "event-type", "idempotency-key", "last-event-id"];
const ANSWER_HEADERS: [&str; 5] = ["idempotent-replayed", "last-event-id", "oyez", "oyez-gap", "retry-after"];
