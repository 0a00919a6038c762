//! How long each side of a connection may take.

use std::time::Duration;

use crate::limits::serve::{BODY_TIMEOUT, HEADER_TIMEOUT, IDLE_TIMEOUT, STALL_TIMEOUT};

/// See the methods of [`Serve`](crate::Serve) that set them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    pub(crate) body: Duration,
    pub(crate) stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { header: HEADER_TIMEOUT, idle: IDLE_TIMEOUT, body: BODY_TIMEOUT, stall: STALL_TIMEOUT }
    }
}
