//! One connection: hyper, its timeouts, and its part in a drain.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::header::TRANSFER_ENCODING;
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tracing::debug;

use super::app::App;
use super::body::{BodyTimeout, RequestBody, Unread};
use super::drain::{Drain, Listed};
use super::fanout::{Handed, Inbox};
use super::half_heads::HalfHeads;
use super::handover::{Asked, Leaving, begun};
use super::socket::Socket;
use super::timeouts::Timeouts;
use super::traffic::Traffic;
use super::transport::{CurrentStream, Transport, Unflushed, Upgraded};
use crate::control::StreamControl;
use crate::last_event_id::LastEventId;
use crate::limits::serve::{BUFFER_BYTES, HEAD_BYTES_MAX, HEAD_FIELDS_MAX, LINGER_DRAINING};
use crate::sync::Mutex;

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) timeouts: Timeouts,
    pub(crate) half_heads: HalfHeads,
    pub(crate) drain: Drain,
    pub(crate) traffic: Traffic,
}

/// Serves `app` on one connection until either side has had enough.
pub(crate) async fn run<A, P>(socket: Socket, peer: P, app: A, shared: Shared, fanout: Arc<Inbox>)
where
    A: App,
    P: Clone + Send + Sync + 'static,
{
    let Shared { timeouts, half_heads, drain, traffic } = shared;
    let mut transport = Transport::new(socket, timeouts, half_heads, traffic);
    match first_head(&mut transport, &drain).await {
        // apart: a connection that asks nothing does without the room for it
        Ok(true) => Box::pin(serve(transport, peer, app, timeouts, drain, fanout)).await,
        Ok(false) => {}
        Err(error) => debug!(%error, "no request came"),
    }
}

/// Waits for the first request. False when there is none, because the peer has closed, or because there is a drain.
async fn first_head(transport: &mut Transport, drain: &Drain) -> io::Result<bool> {
    tokio::select! {
        // what has come before the drain is answered
        biased;
        head = poll_fn(|cx| transport.poll_first_head(cx)) => return head,
        () = drain.started() => {}
    }
    if !transport.is_in_head() {
        return Ok(false);
    }
    poll_fn(|cx| transport.poll_first_head(cx)).await
}

/// Serves what comes after the first head.
async fn serve<A, P>(transport: Transport, peer: P, app: A, timeouts: Timeouts, drain: Drain, fanout: Arc<Inbox>)
where
    A: App,
    P: Clone + Send + Sync + 'static,
{
    let left = Arc::new(Mutex::new(None));
    let unread = Unread::default();
    let service = ConnectionService {
        app,
        peer,
        body_timeout: timeouts.body,
        drain: drain.clone(),
        current: transport.current(),
        listed: Arc::default(),
        unread: unread.clone(),
        upgraded: transport.upgraded(),
        unflushed: transport.unflushed(),
        left: Arc::clone(&left),
        fanout: transport.can_leave().then(|| Arc::clone(&fanout)),
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // hyper's header timeout runs from the answer before: it is the bound on idle connections
        .header_read_timeout(timeouts.idle.max(timeouts.header))
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEAD_FIELDS_MAX)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(transport, service)
        .with_upgrades();

    let mut drain_started = pin!(drain.started());
    let mut draining = false;
    let ended = loop {
        tokio::select! {
            // the first head has come: a drain that has begun does not close before hyper has read it
            biased;
            ended = &mut connection => break ended,
            () = &mut drain_started, if !draining => {
                draining = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let left = left.lock().take();
    // an upgraded connection is its handler's
    let Some(http1::Parts { io, read_buf, .. }) = connection.into_parts() else { return };
    if let Some(left) = left {
        match left {
            Left::Stream(leaving, listed) => {
                let discarded = read_buf.len() + io.kept();
                hand_over(leaving, listed, io, discarded, &fanout);
            }
            Left::Refused(answer) => read_on(io, answer, &drain).await,
        }
        return;
    }
    let is_refused = ended.as_ref().is_err_and(|error| error.is_parse());
    if let Err(error) = ended {
        debug!(%error, "connection ended");
    }
    // the answer came before the end of the request
    if is_refused || unread.is_set() {
        read_on(io, &[], &drain).await;
    }
}

/// Reads on after an early answer; a drain does not wait long for who still sends.
async fn read_on(transport: Transport, answer: &[u8], drain: &Drain) {
    let drained = async {
        drain.started().await;
        tokio::time::sleep(LINGER_DRAINING).await;
    };
    tokio::select! {
        () = transport.read_on(answer) => {}
        () = drained => {}
    }
}

/// The answer has left hyper: its socket follows.
fn hand_over(leaving: Leaving, listed: Listed, transport: Transport, discarded: usize, fanout: &Inbox) {
    match transport.into_socket() {
        Ok((socket, open)) => {
            let Leaving { head, chunked, live } = leaving;
            let socket = mio::net::TcpStream::from_std(socket);
            fanout.hand(Handed { socket, head, chunked, live, listed, discarded });
            // from here on it counts as a stream
            drop(open);
        }
        Err(error) => debug!(%error, "a stream cannot leave the runtime"),
    }
}

/// What is answered without hyper.
enum Left {
    /// By a stream, which goes to the fan-out thread.
    Stream(Leaving, Listed),
    /// By these bytes, and the end of the connection.
    Refused(&'static [u8]),
}

/// The app as hyper calls it for one connection.
struct ConnectionService<A, P> {
    app: A,
    peer: P,
    body_timeout: std::time::Duration,
    drain: Drain,
    current: CurrentStream,
    /// The stream of the answer before the next request, listed for the drain.
    listed: Arc<Mutex<Option<Listed>>>,
    unread: Unread,
    upgraded: Upgraded,
    unflushed: Unflushed,
    /// What has left, for whoever drives the connection.
    left: Arc<Mutex<Option<Left>>>,
    /// Where streams go, if this socket can.
    fanout: Option<Arc<Inbox>>,
}

/// The answer is not hyper's to give: it stops before it has written a byte of it.
#[derive(Debug)]
struct HasLeft;

impl fmt::Display for HasLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stream has left hyper")
    }
}

impl std::error::Error for HasLeft {}

/// The answer to a body that comes in another way than in chunks: hyper takes the last coding for all of them.
///
/// Source: RFC 9112, 6.1.
fn refused_coding(headers: &HeaderMap) -> Option<&'static [u8]> {
    let mut codings =
        headers.get_all(TRANSFER_ENCODING).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let first = codings.next()?;
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    let second = codings.next();
    (!is_chunked(first) || second.is_some()).then_some(OTHER_CODING)
}

const OTHER_CODING: &[u8] =
    b"HTTP/1.1 501 Not Implemented\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 73\r\n\
    connection: close\r\n\r\nTransfer-Encoding may be chunked and nothing else; send the body as it is";

impl<A, P> hyper::service::Service<Request<Incoming>> for ConnectionService<A, P>
where
    A: App,
    P: Clone + Send + Sync + 'static,
{
    type Response = Response<A::Body>;
    type Error = HasLeft;
    type Future = Pin<Box<dyn Future<Output = Result<Response<A::Body>, HasLeft>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if let Some(answer) = refused_coding(request.headers()) {
            *self.left.lock() = Some(Left::Refused(answer));
            return Box::pin(async { Err(HasLeft) });
        }
        let asked = Asked::of(&request);
        let reader = LastEventId::none_of(request.headers());
        let timeout = BodyTimeout::new(self.body_timeout);
        let mut request = request.map(|body| Body::new(RequestBody::new(body, timeout.clone(), self.unread.clone())));
        request.extensions_mut().insert(ConnectInfo(self.peer.clone()));
        request.extensions_mut().insert(timeout);
        let app = self.app.clone();
        let (drain, current, listed) = (self.drain.clone(), self.current.clone(), Arc::clone(&self.listed));
        let (unflushed, left, fanout) = (self.unflushed.clone(), Arc::clone(&self.left), self.fanout.clone());
        let upgraded = self.upgraded.clone();
        Box::pin(async move {
            let mut response = app.respond(request).await;
            begun(&mut response, &reader).await;
            let stream = response.extensions_mut().remove::<StreamControl>();
            let place = stream.as_ref().map(|stream| drain.list(stream));
            // what hyper has still to write of an earlier answer would be lost with it
            let may_leave = !unflushed.is_set() && fanout.is_some_and(|fanout| fanout.is_open());
            let leaving = if may_leave { asked.leave(&mut response, SystemTime::now()) } else { None };
            if let Some(leaving) = leaving {
                *left.lock() = place.map(|place| Left::Stream(leaving, place));
                return Err(HasLeft);
            }
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                upgraded.set();
            }
            *listed.lock() = place;
            current.set(stream);
            Ok(response)
        })
    }
}
