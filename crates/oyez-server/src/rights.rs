//! Who may do what.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::caller::Caller;
use crate::metrics::Metrics;
use crate::problem::Problem;

/// Nobody has a key in this build: who is on this machine may publish, unless the hub is meant for others as well.
pub(crate) struct Rights {
    anonymous_publish: bool,
    metrics: Metrics,
}

impl Rights {
    pub(crate) fn new(anonymous_publish: bool, metrics: Metrics) -> Self {
        Self { anonymous_publish, metrics }
    }

    /// Whether a caller may publish, end and delete. It is asked before anything else is looked at: who may not is not told
    /// what is wrong with the request.
    pub(crate) fn publish(&self, caller: Caller, headers: &HeaderMap) -> Result<(), Problem> {
        if headers.contains_key(AUTHORIZATION) {
            return Err(Problem::NotYet { what: "the header Authorization".to_owned() });
        }
        let reason = if !self.anonymous_publish {
            "publishing without a key is off, because public_urls is set"
        } else if !caller.is_local() {
            "only callers on this machine may publish without a key, and a proxy's callers may be anyone"
        } else {
            return Ok(());
        };
        self.metrics.refused("publish");
        Err(Problem::PublishDenied(reason))
    }
}
