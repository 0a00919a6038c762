//! How many sockets this process may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::bench::limits::DESCRIPTORS_RESERVED;
use crate::failure::Failure;

/// Raises the soft limit of open files and refuses what does not fit, before anything is opened.
pub(crate) fn check(subscribers: usize) -> Result<(), Failure> {
    let limit = raise();
    let wanted = subscribers.saturating_add(DESCRIPTORS_RESERVED);
    if wanted <= limit {
        return Ok(());
    }
    let fit = limit.saturating_sub(DESCRIPTORS_RESERVED);
    Err(Failure::usage(format!(
        "{subscribers} subscribers need {wanted} open files, and the limit of one process is {limit} here: raise it \
         (ulimit -Hn, LimitNOFILE) or take --subscribers {fit}; the server needs as many"
    )))
}

fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // failing to raise it is no error: what there is decides
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}
