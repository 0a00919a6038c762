//! The head of a request for statistics.

use super::form::{Form, Others};
use super::query::Query;
use crate::problem::Problem;

pub(crate) const STATISTICS: Form = Form { known: &["rows"], not_yet: &[], others: Others::RefuseButCacheBusters };

/// How many rows of streams are wanted: `rows=N`.
pub(crate) fn rows(query: &Query<'_>) -> Result<Option<usize>, Problem> {
    query.number("rows")
}
