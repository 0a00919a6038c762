//! How many connections the open files allow.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{CONNECTIONS_MAX, CONNECTIONS_MIN, DESCRIPTORS_RESERVED};
use crate::settings::ConfigError;

/// The number of connections that the open files allow, after the soft limit was raised; what is wanted, if that is fewer.
pub(crate) fn connections(wanted: Option<usize>) -> Result<usize, ConfigError> {
    let allowed = usize::try_from(raise_descriptors().saturating_sub(DESCRIPTORS_RESERVED)).unwrap_or(usize::MAX);
    let refused = |number| {
        ConfigError::new(format!(
            "{number} connections need {number} + {DESCRIPTORS_RESERVED} open files, and the limit allows {allowed} connections; \
             raise it (ulimit -n, LimitNOFILE) or lower connections_max"
        ))
    };
    if wanted == Some(0) {
        return Err(ConfigError::new("connections_max = 0 would accept nobody; leave it out or set a number"));
    }
    let number = wanted.unwrap_or_else(|| allowed.min(CONNECTIONS_MAX));
    if allowed < CONNECTIONS_MIN {
        return Err(refused(CONNECTIONS_MIN));
    }
    if number > allowed { Err(refused(number)) } else { Ok(number) }
}

fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // failing to raise it is no error: what there is decides
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
