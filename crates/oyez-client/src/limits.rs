//! The bounds of this crate, each with its reason.

use std::time::Duration;

/// How long a TCP and TLS handshake may take.
// Ten seconds cover three lost SYNs; whoever has not answered by then is tried again like any failed attempt.
#[cfg(feature = "reqwest")]
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the headers of an attempt may take that are asked for.
// A token comes from a server of its own within seconds; one that is stuck must look like any failed attempt.
pub(crate) const HEADERS_TIMEOUT: Duration = Duration::from_secs(30);

/// How many there may be of them, and their bytes.
// More than servers take: 100 lines (Apache), and 8 to 64 KiB in all.
pub(crate) const HEADERS_MAX: usize = 100;
pub(crate) const HEADER_BYTES_MAX: usize = 64 * 1024;

/// How long an unused connection is kept for the next request.
// Servers close theirs after 5 s (Node) to 75 s (nginx). A publish that meets a connection just being closed has an
// unknown outcome, so ours is closed first.
#[cfg(feature = "reqwest")]
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a stream may be silent before it is given up, unless the caller says otherwise.
// TCP keep-alives find a dead peer in about a minute, but not a proxy that lost its upstream. Twenty of the hub's
// keep-alives (15 s), and longer than the idle limits of common proxies (1 to 4 minutes): a stream that is silent
// for so long would hardly have survived, and if it has, a reconnection resumes it.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// How long a publish may take until its outcome counts as unknown.
// The hub answers within a commit, or refuses; a minute leaves room for slow uplinks.
pub(crate) const PUBLISH_TIMEOUT: Duration = Duration::from_secs(60);

/// What is read of the body of a refusal, and for how long, to find out what it says.
pub(crate) const REFUSAL_BYTES_MAX: usize = 16 * 1024;
pub(crate) const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// How much of a refusal's text is told.
pub(crate) const DETAIL_CHARS_MAX: usize = 300;

/// What is read of the answer to a publish.
// 1,000 ids of at most 128 bytes and their punctuation, eight times over.
pub(crate) const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// How many cookies a reader keeps, and how long a header may be that sets one.
// What RFC 6265 asks of browsers for one domain; load balancers set one or two.
pub(crate) const COOKIES_MAX: usize = 50;
pub(crate) const COOKIE_BYTES_MAX: usize = 4096;

/// How much is told of a body that should have been an acknowledgement.
// A title, which says whose page it is.
pub(crate) const FIRST_WORDS_CHARS_MAX: usize = 60;

/// The longest wait that a server may ask for.
// After that a reader asks again by itself: a mistake of a server must not send all its readers away for ever.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// How long the name of a publish may be.
// What the hub takes; four UUIDs long.
pub(crate) const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// The floor of the waits between the attempts of one publish.
// A hub that was killed is back within a second. A publisher is not one of a crowd of browsers, so this is far below
// the 3 s of streams; it grows to 30 s like theirs.
pub(crate) const PUBLISH_AGAIN_AFTER: Duration = Duration::from_millis(200);
