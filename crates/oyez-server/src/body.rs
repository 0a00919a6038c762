//! Request bodies, bounded in bytes and in time.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::bodies::{Bodies, Held};
use crate::limits::{BODY_RATE, BODY_TIME, BODY_WINDOW};
use crate::problem::Problem;

/// A body that has been read.
pub(crate) struct Whole<'a> {
    pub(crate) bytes: Bytes,
    /// It counts among all bodies for as long as this is there.
    pub(crate) held: Held<'a>,
}

/// Reads a body of at most `max` bytes, which `what` names in a refusal. It must be there after [`BODY_TIME`], or come
/// at [`BODY_RATE`] at least, and a large one so from its beginning. Never holds more than `max` bytes and one chunk.
pub(crate) async fn read<'a>(
    mut body: Body,
    headers: &HeaderMap,
    what: &'static str,
    max: usize,
    bodies: &'a Bodies,
) -> Result<Whole<'a>, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max as u64) {
        return Err(Problem::TooLarge { what: what.to_owned(), max });
    }
    let (mut pace, mut held) = (Pace::new(0, Instant::now()), bodies.begin());
    let mut read = Bytes::new();
    let mut gathered = BytesMut::new();
    loop {
        let length = read.len() + gathered.len();
        let Ok(chunk) = timeout_at(pace.due(held.is_large()), next_chunk(&mut body)).await else {
            return Err(pace.too_slow(length));
        };
        let Some(chunk) = chunk? else { break };
        if length + chunk.len() > max {
            return Err(Problem::TooLarge { what: what.to_owned(), max });
        }
        held.set(length + chunk.len())?;
        pace.note(length + chunk.len(), Instant::now());
        // one chunk, the usual case, is not copied
        if length == 0 {
            read = chunk;
        } else {
            gathered.extend_from_slice(&std::mem::take(&mut read));
            gathered.extend_from_slice(&chunk);
        }
    }
    Ok(Whole { bytes: if gathered.is_empty() { read } else { gathered.freeze() }, held })
}

/// How fast something comes, over a window.
pub(crate) struct Pace {
    started: Instant,
    /// When the window began, and how many bytes there were.
    window: (Instant, usize),
}

impl Pace {
    /// So many bytes are there at its beginning.
    pub(crate) fn new(bytes: usize, now: Instant) -> Self {
        Self { started: now, window: (now, bytes) }
    }

    /// So many bytes are there.
    pub(crate) fn note(&mut self, bytes: usize, now: Instant) {
        if bytes.saturating_sub(self.window.1) >= BODY_RATE as usize * BODY_WINDOW.as_secs() as usize {
            self.window = (now, bytes);
        }
    }

    /// Until when more must have come.
    pub(crate) fn due(&self, is_large: bool) -> Instant {
        let window = self.window.0 + BODY_WINDOW;
        if is_large { window } else { window.max(self.started + BODY_TIME) }
    }

    pub(crate) fn too_slow(&self, bytes: usize) -> Problem {
        Problem::TooSlow(format!(
            "{bytes} bytes of the body in {} s, {} of them in the last {}, are too slow; {BODY_RATE} bytes a second are needed",
            self.started.elapsed().as_secs(),
            bytes.saturating_sub(self.window.1),
            self.window.0.elapsed().as_secs()
        ))
    }
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

/// The byte order mark that some programs put in front of a text; what is read as JSON or as lines begins after it.
pub(crate) const BOM: &[u8] = "\u{feff}".as_bytes();

/// The text after the mark, if there is one.
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
    use std::time::Duration;

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

    /// A body that begins with a large piece.
    struct Fast {
        first: Option<Bytes>,
        then: Body,
    }

    impl http_body::Body for Fast {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            match self.first.take() {
                Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
                None => Pin::new(&mut self.then).poll_frame(cx),
            }
        }
    }

    async fn read_trickle(piece_bytes: usize, every: Duration, pieces: usize) -> Result<usize, Problem> {
        let piece = Bytes::from(vec![b'x'; piece_bytes]);
        let body = Body::new(Trickle { clock: interval(every), piece, left: pieces });
        let bodies = Bodies::default();
        read(body, &HeaderMap::new(), "the body", 1 << 20, &bodies).await.map(|whole| whole.bytes.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_refused_and_a_slow_one_is_not() {
        let started = Instant::now();
        let problem = read_trickle(1, Duration::from_secs(10), 1_000).await.unwrap_err();
        assert!(matches!(problem, Problem::TooSlow(_)), "{problem:?}");
        assert!(started.elapsed() < Duration::from_secs(31));
        // what has come before counts for ten seconds
        let started = Instant::now();
        let body = Body::new(Trickle {
            clock: interval(Duration::from_secs(9)),
            piece: Bytes::from_static(b"x"),
            left: 1_000,
        });
        let all_at_once = Body::new(Fast { first: Some(Bytes::from(vec![b'x'; 500_000])), then: body });
        let bodies = Bodies::default();
        let problem = read(all_at_once, &HeaderMap::new(), "the body", 1 << 20, &bodies).await.err();
        assert!(matches!(problem, Some(Problem::TooSlow(_))), "{problem:?}");
        assert!(started.elapsed() < Duration::from_secs(11));
        // 1,100 bytes a second for ten minutes
        assert_eq!(read_trickle(1_100, Duration::from_secs(1), 600).await, Ok(660_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_grows_too_large_is_refused_where_it_does() {
        let problem = read_trickle(1 << 19, Duration::from_secs(1), 1_000).await.unwrap_err();
        assert_eq!(problem, Problem::TooLarge { what: "the body".to_owned(), max: 1 << 20 });
    }
}
