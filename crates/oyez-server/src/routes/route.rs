//! One route: where it is, and what its methods do.

use std::borrow::Cow;

use http::{HeaderMap, Method};

use crate::guard::Pages;
use crate::problem::Problem;
use crate::request::{Form, MediaType, path_topic};

/// A row of the table of routes.
#[derive(Debug)]
pub(crate) struct Route {
    /// Where it is. A last part `{name}` stands for one part of a path, `{*name}` for all that is left of it.
    pub(crate) path: &'static str,
    /// The name under which its requests are counted: few and fixed, never a topic.
    pub(crate) name: &'static str,
    pub(crate) topic: TopicIn,
    /// What other origins' pages may do here.
    pub(crate) pages: Pages,
    /// Only with the demo.
    pub(crate) demo: bool,
    /// The first that fits a request answers it.
    pub(crate) answers: &'static [Answer],
}

/// Where a request to the route has its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicIn {
    /// In the query or in the body, or nowhere.
    Elsewhere,
    /// In the path, in place of the part in braces.
    Path,
    /// It is that of the route.
    Route(&'static str),
}

/// What a method does at a route.
#[derive(Debug)]
pub(crate) struct Answer {
    /// `GET` answers `HEAD` as well.
    pub(crate) method: &'static Method,
    /// What the body must be; `None` for anything.
    pub(crate) body: Option<MediaType>,
    pub(crate) does: Does,
    /// The parameters that it reads.
    pub(crate) reads: &'static Form,
    pub(crate) needs: Right,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Page,
    Stats,
    Subscribe,
    Publish,
    PublishObject,
    PublishBatch,
    Delete,
    Control,
    Health,
    Ready,
    Metrics,
}

/// What a caller must be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    None,
    Publish,
}

impl Route {
    /// The route of `table` at this path.
    pub(crate) fn at(path: &str, table: &'static [Self]) -> Option<&'static Self> {
        table.iter().find(|route| route.is_at(path))
    }

    /// The path as the log may tell it: the id of a stream is for its reader alone, and whoever knows it may end the stream.
    pub(crate) fn logged_path<'a>(route: Option<&'static Self>, path: &'a str) -> &'a str {
        let is_secret = |route: &&Self| route.topic == TopicIn::Elsewhere && route.path.contains('{');
        route.filter(is_secret).map_or(path, |route| route.path)
    }

    fn is_at(&self, path: &str) -> bool {
        let Some((prefix, parameter)) = self.path.split_once('{') else { return path == self.path };
        let value = path.strip_prefix(prefix).unwrap_or_default();
        !value.is_empty() && (parameter.starts_with('*') || !value.contains('/'))
    }

    /// The part of a path that stands where the route has its braces.
    pub(crate) fn part<'a>(&self, path: &'a str) -> &'a str {
        let prefix = self.path.split('{').next().unwrap_or_default();
        path.strip_prefix(prefix).unwrap_or_default()
    }

    /// The topic of a request to this path; `None` where it is elsewhere.
    pub(crate) fn topic_of<'a>(&self, path: &'a str) -> Result<Option<Cow<'a, str>>, Problem> {
        match self.topic {
            TopicIn::Elsewhere => Ok(None),
            TopicIn::Path => path_topic(self.part(path)).map(Some),
            TopicIn::Route(topic) => Ok(Some(Cow::Borrowed(topic))),
        }
    }

    /// What answers a request of this method with these headers.
    pub(crate) fn answer(&self, method: &Method, headers: &HeaderMap) -> Option<&'static Answer> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let fits = |answer: &&Answer| answer.body.as_ref().is_none_or(|body| *body == MediaType::of(headers));
        self.answers.iter().filter(|answer| answer.method == method).find(fits)
    }

    /// The methods that are allowed, for the header `Allow`.
    pub(crate) fn allow(&self) -> String {
        let has = |method: &Method| self.answers.iter().any(|answer| answer.method == method);
        let allowed = METHODS.iter().filter(|method| match **method {
            Method::OPTIONS => true,
            Method::HEAD => has(&Method::GET),
            _ => has(method),
        });
        allowed.map(Method::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// In the order in which `Allow` names them.
const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::OPTIONS, Method::POST, Method::PUT, Method::DELETE];
