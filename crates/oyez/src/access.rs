//! What a caller may hear.

use crate::{Matcher, Topic};

/// Decides what one subscriber may hear: the place for a token check. Asked once when it subscribes, and again for
/// every entry, replayed or live, so that neither a wide pattern nor an old id opens more than the caller may have.
///
/// It is called on the path of every event: it must not block. A panic in it ends that stream only. A stream that has one reads
/// by itself, where others share what is made for all of them; rights that are a list of topics are better a
/// [`Grant`](crate::Grant), which costs nothing.
///
/// A closure over the topics of an entry is an `Access`:
/// ```
/// use oyez::{Access, Topic};
/// fn only_public(topics: &[Topic]) -> bool {
///     topics.iter().any(|topic| topic.starts_with("public/"))
/// }
/// fn check(access: impl Access) -> bool {
///     access.may_read(&[Topic::new("public/news").unwrap()])
/// }
/// assert!(check(only_public));
/// ```
pub trait Access: Send + Sync + 'static {
    /// May the caller ask for `matcher` at all? A refusal is answered with 403 and no stream.
    fn may_subscribe(&self, matcher: &Matcher) -> bool {
        let _ = matcher;
        true
    }

    /// May the caller have an entry that was published to `topics`?
    fn may_read(&self, topics: &[Topic]) -> bool;
}

impl<F> Access for F
where
    F: Fn(&[Topic]) -> bool + Send + Sync + 'static,
{
    fn may_read(&self, topics: &[Topic]) -> bool {
        self(topics)
    }
}
