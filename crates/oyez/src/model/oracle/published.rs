//! An entry as the oracle remembers it.

#[derive(Debug)]
pub(in crate::model) struct Published {
    pub(in crate::model) topics: Vec<&'static str>,
    /// As which topics it can be read: not as those that were deleted.
    pub(super) topic_bits: u16,
    /// As which it is missed when it is gone.
    pub(super) loss_bits: u16,
    pub(in crate::model) id: String,
    pub(in crate::model) time_ms: u64,
    /// A filter lets it pass.
    pub(in crate::model) even: bool,
    pub(super) key: Option<&'static str>,
    /// The class it was written to.
    pub(super) class: usize,
    /// When it left the history, and when the streams that were open then could not read it any more, counted in times that something
    /// did.
    pub(super) left_at: Option<u64>,
    pub(super) gone_at: Option<u64>,
}

impl Published {
    pub(in crate::model) fn has_left(&self) -> bool {
        self.left_at.is_some()
    }

    pub(in crate::model) fn is_gone(&self) -> bool {
        self.gone_at.is_some()
    }

    /// Had it left the history before a stream began, at that time?
    pub(super) fn had_left(&self, began: u64) -> bool {
        self.left_at.is_some_and(|at| at <= began)
    }
}
