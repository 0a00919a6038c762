//! Request bodies, bounded in bytes and in time.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::limits::{BODY_RATE, BODY_TIME};
use crate::problem::Problem;

/// Reads a body of at most `max` bytes, which `what` names in a refusal. It must be there after [`BODY_TIME`], or come
/// at [`BODY_RATE`] at least. Never holds more than `max` bytes and one chunk.
pub(crate) async fn read(
    mut body: Body,
    headers: &HeaderMap,
    what: &'static str,
    max: usize,
) -> Result<Bytes, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max as u64) {
        return Err(Problem::TooLarge { what: what.to_owned(), max });
    }
    let started = Instant::now();
    let mut read = Bytes::new();
    let mut gathered = BytesMut::new();
    loop {
        let length = read.len() + gathered.len();
        let allowance = Duration::from_secs(1) * u32::try_from(length).unwrap_or(u32::MAX) / BODY_RATE;
        let Ok(chunk) = timeout_at(started + BODY_TIME + allowance, next_chunk(&mut body)).await else {
            return Err(Problem::TooSlow(format!(
                "{length} bytes of the body in {} s are too slow; {BODY_RATE} bytes a second are needed",
                started.elapsed().as_secs()
            )));
        };
        let Some(chunk) = chunk? else { break };
        if length + chunk.len() > max {
            return Err(Problem::TooLarge { what: what.to_owned(), max });
        }
        // one chunk, the usual case, is not copied
        if length == 0 {
            read = chunk;
        } else {
            gathered.extend_from_slice(&std::mem::take(&mut read));
            gathered.extend_from_slice(&chunk);
        }
    }
    Ok(if gathered.is_empty() { read } else { gathered.freeze() })
}

/// The next bytes of a body; `None` at its end.
pub(crate) async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                Err(_trailers) => {}
            },
            Some(Err(error)) => return Err(broken(&error)),
        }
    }
}

fn broken(error: &axum::Error) -> Problem {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        let io = cause.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
            return Problem::TooSlow(cause.to_string());
        }
        source = cause.source();
    }
    Problem::BrokenBody(format!("the body ended early: {error}"))
}

/// The byte order mark that some programs put in front of a text; what is read as JSON or as lines begins behind it.
pub(crate) const BOM: &[u8] = "\u{feff}".as_bytes();

/// The text behind the mark, if there is one.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The text of a body.
pub(crate) fn text(bytes: Bytes, what: &str) -> Result<String, Problem> {
    // a body that came in one piece is its own text, without a copy
    String::from_utf8(Vec::from(bytes)).map_err(|_| Problem::NotText { what: what.to_owned(), done: String::new() })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;
    use tokio::time::{Interval, interval};

    use super::*;

    /// A body of `left` pieces, one each time its clock ticks.
    struct Trickle {
        clock: Interval,
        piece: Bytes,
        left: usize,
    }

    impl http_body::Body for Trickle {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            self.clock.poll_tick(cx).map(|_| {
                self.left -= 1;
                Some(Ok(Frame::data(self.piece.clone())))
            })
        }
    }

    async fn read_trickle(piece_bytes: usize, every: Duration, pieces: usize) -> Result<usize, Problem> {
        let piece = Bytes::from(vec![b'x'; piece_bytes]);
        let body = Body::new(Trickle { clock: interval(every), piece, left: pieces });
        read(body, &HeaderMap::new(), "the body", 1 << 20).await.map(|read| read.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_refused_and_a_slow_one_is_not() {
        let started = Instant::now();
        let problem = read_trickle(1, Duration::from_secs(10), 1_000).await.unwrap_err();
        assert!(matches!(problem, Problem::TooSlow(_)), "{problem:?}");
        assert!(started.elapsed() < Duration::from_secs(31));
        // 1,100 bytes a second for ten minutes
        assert_eq!(read_trickle(1_100, Duration::from_secs(1), 600).await, Ok(660_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_grows_too_large_is_refused_where_it_does() {
        let problem = read_trickle(1 << 19, Duration::from_secs(1), 1_000).await.unwrap_err();
        assert_eq!(problem, Problem::TooLarge { what: "the body".to_owned(), max: 1 << 20 });
    }
}
