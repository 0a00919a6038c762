//! What a request asks for, read from its head once and without I/O; and the JSON of bodies that say it themselves.

mod bound;
mod deletion;
mod event_template;
mod form;
mod header;
mod json;
mod media_type;
mod publish;
mod query;
mod statistics;
mod subscription;
mod topic;

pub(crate) use bound::Bound;
pub(crate) use deletion::DELETION;
pub(crate) use event_template::{EventTemplate, expire};
pub(crate) use form::Form;
pub(crate) use header::accepts;
pub(crate) use json::{JSON_PUBLISH, JsonPublish};
pub(crate) use media_type::MediaType;
pub(crate) use publish::{PUBLISH, PublishRequest};
pub(crate) use query::Query;
pub(crate) use statistics::{STATISTICS, rows};
pub(crate) use subscription::{SUBSCRIPTION, Start, SubscribeRequest};
pub(crate) use topic::{default_topic, path_topic};
