//! The head of a request that deletes a topic.

use super::form::{Form, Others};

pub(crate) const DELETION: Form = Form { known: &[], not_yet: &[], others: Others::NoneKnown("DELETE has none") };
