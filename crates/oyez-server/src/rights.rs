//! Who may do what.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::caller::Caller;
use crate::metrics::Metrics;
use crate::problem::Problem;

/// No keys yet: programs on this machine may publish, unless `public_urls` is set.
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
            "publishing is off: public_urls is set, and this version has no keys"
        } else if !caller.is_local() {
            "only programs on this machine may publish, and this request came through a proxy or from another machine"
        } else {
            return Ok(());
        };
        self.metrics.refused("publish");
        Err(Problem::PublishDenied(reason))
    }
}
