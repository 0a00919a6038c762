//! Which topics a subscription selects.

#[expect(clippy::module_inception, reason = "it owns `Matcher`, and the module is that with what several make")]
mod matcher;
mod matchers;
mod pattern;

pub use matcher::Matcher;
pub(crate) use matchers::Matchers;
pub(crate) use pattern::Pattern;
#[cfg(test)]
pub(crate) use pattern::{COMPARED, selects};
