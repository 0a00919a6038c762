//! Every route, once: where it is, its name, where its topic is, what each method does, reads and needs.

use http::Method;

use super::route::{Answer, Does, Right, Route, TopicIn};
use crate::guard::Pages;
use crate::request::{DELETION, Form, JSON_PUBLISH, MediaType, PUBLISH, STATISTICS, SUBSCRIPTION};

/// What a listener answers.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) routes: &'static [Route],
    /// Where there is something, for those who ask where there is nothing.
    pub(crate) there: &'static str,
    /// A request of HTTP/1.0 needs no `Host`: what watches a hub may say none.
    pub(crate) hostless: bool,
}

/// The public listener.
pub(crate) static PUBLIC: Table =
    Table { routes: PUBLIC_ROUTES, there: "publish and subscribe at /events/TOPIC", hostless: false };

/// The admin listener: for the operator and for machines that watch.
pub(crate) static ADMIN: Table = Table {
    routes: ADMIN_ROUTES,
    there: "this is the admin listener, with /healthz, /readyz and /metrics; everything else is at the address of listen",
    hostless: true,
};

/// A table of our own in place of a router: a publish passes it each time, and a router takes the path apart for handlers, which takes as
/// long as all that the hub does with the event.
const PUBLIC_ROUTES: &[Route] = &[
    Route { path: "/events/{*topic}", name: "events", topic: TopicIn::Path, answers: TOPIC, ..ROUTE },
    Route { path: "/events", name: "events", answers: TOPICS, ..ROUTE },
    Route { path: "/events/", name: "events", answers: TOPICS, ..ROUTE },
    Route { path: "/clock", name: "demo", topic: TopicIn::Route("clock"), demo: true, answers: TOPIC, ..ROUTE },
    Route { path: "/stock", name: "demo", topic: TopicIn::Route("stock"), demo: true, answers: TOPIC, ..ROUTE },
    Route { path: "/control/{connection}", name: "control", answers: &[on(POST, Does::Control)], ..ROUTE },
    Route { path: "/stats", name: "stats", pages: Pages::Nothing, answers: STATS, ..ROUTE },
    Route { path: "/", name: "page", pages: Pages::Link, answers: &[on(GET, Does::Page)], ..ROUTE },
];

const ADMIN_ROUTES: &[Route] = &[
    Route { path: "/healthz", name: "health", pages: Pages::Link, answers: &[on(GET, Does::Health)], ..ROUTE },
    Route { path: "/readyz", name: "ready", pages: Pages::Link, answers: &[on(GET, Does::Ready)], ..ROUTE },
    Route { path: "/metrics", name: "metrics", pages: Pages::Link, answers: &[on(GET, Does::Metrics)], ..ROUTE },
];

/// What is done with one topic.
const TOPIC: &[Answer] = &[
    Answer { reads: &SUBSCRIPTION, ..on(GET, Does::Subscribe) },
    Answer { reads: &PUBLISH, needs: Right::Publish, ..on(POST, Does::Publish) },
    Answer { reads: &PUBLISH, needs: Right::Publish, ..on(PUT, Does::Publish) },
    Answer { reads: &DELETION, needs: Right::Publish, ..on(DELETE, Does::Delete) },
];

/// What is done with any topics, or with the plain broadcast.
const TOPICS: &[Answer] = &[
    Answer { reads: &SUBSCRIPTION, ..on(GET, Does::Subscribe) },
    Answer { body: Some(MediaType::Json), ..JSON },
    Answer { body: Some(MediaType::JsonLines), does: Does::PublishBatch, ..JSON },
    Answer { reads: &PUBLISH, needs: Right::Publish, ..on(POST, Does::Publish) },
];

/// A body that says all of a publish.
const JSON: Answer = Answer { reads: &JSON_PUBLISH, needs: Right::Publish, ..on(POST, Does::PublishObject) };

const STATS: &[Answer] = &[Answer { reads: &STATISTICS, ..on(GET, Does::Stats) }];

/// A route that other origins' pages may read.
const ROUTE: Route =
    Route { path: "", name: "", topic: TopicIn::Elsewhere, pages: Pages::Read, demo: false, answers: &[] };

/// A method that anyone may use, whatever the query and the body are.
const fn on(method: &'static Method, does: Does) -> Answer {
    Answer { method, body: None, does, reads: &Form::UNREAD, needs: Right::None }
}

const GET: &Method = &Method::GET;
const POST: &Method = &Method::POST;
const PUT: &Method = &Method::PUT;
const DELETE: &Method = &Method::DELETE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_one_route() {
        for (path, expected) in [
            ("/", Some("/")),
            ("/events", Some("/events")),
            ("/events/", Some("/events/")),
            ("/events/a/b", Some("/events/{*topic}")),
            ("/control/1", Some("/control/{connection}")),
            ("/control/", None),
            ("/control/1/2", None),
            ("/eventss", None),
            ("/stats/", None),
            ("", None),
        ] {
            assert_eq!(Route::at(path, PUBLIC_ROUTES).map(|route| route.path), expected, "{path}");
        }
    }

    #[test]
    fn the_log_has_no_id_that_a_stream_is_controlled_by() {
        let logged = |path: &'static str| Route::logged_path(Route::at(path, PUBLIC_ROUTES), path);
        assert_eq!(logged("/control/0123456789abcdef"), "/control/{connection}");
        for path in ["/events/a/b", "/events", "/nowhere", "/"] {
            assert_eq!(logged(path), path);
        }
    }

    #[test]
    fn what_changes_something_needs_a_right_or_an_id_that_only_its_reader_knows() {
        for answer in PUBLIC_ROUTES.iter().chain(ADMIN_ROUTES).flat_map(|route| route.answers) {
            let changes = answer.method != Method::GET && answer.does != Does::Control;
            assert_eq!(answer.needs == Right::Publish, changes, "{answer:?}");
        }
    }

    #[test]
    fn allowed_methods_are_those_of_the_answers() {
        let allow = |path| Route::at(path, PUBLIC_ROUTES).unwrap().allow();
        assert_eq!(allow("/events/a"), "GET, HEAD, OPTIONS, POST, PUT, DELETE");
        assert_eq!(allow("/events"), "GET, HEAD, OPTIONS, POST");
        assert_eq!(allow("/control/1"), "OPTIONS, POST");
        assert_eq!(allow("/"), "GET, HEAD, OPTIONS");
    }
}
