//! What `oyez bench` can do, one file each, and what several of them share.

pub(crate) mod churn;
pub(crate) mod fanout;
pub(crate) mod idle;
mod load;
mod meter;
pub(crate) mod observe;
pub(crate) mod preflight;
pub(crate) mod resume;
pub(crate) mod slow;
