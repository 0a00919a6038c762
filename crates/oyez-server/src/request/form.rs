//! Which parameters a request may have.

/// The parameters of one kind of request.
#[derive(Debug)]
pub(crate) struct Form {
    /// Those that it reads.
    pub(crate) known: &'static [&'static str],
    /// Those that the design has and this build does not.
    pub(crate) not_yet: &'static [&'static str],
    pub(crate) others: Others,
}

/// What becomes of a parameter that nobody knows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Others {
    /// It is passed over.
    Pass,
    /// The query is not looked at.
    Unread,
    /// It is refused, and those that are known are named.
    Refuse,
    /// It is refused in these words: none is known.
    NoneKnown(&'static str),
}

impl Form {
    /// Of what takes any query, since it does not look at it.
    pub(crate) const UNREAD: Self = Self { known: &[], not_yet: &[], others: Others::Unread };
}
