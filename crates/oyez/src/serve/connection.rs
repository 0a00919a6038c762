//! One connection: hyper, its timeouts, and its part in a drain.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;
use tower_service::Service;
use tracing::debug;

use super::body::{BodyTimeout, RequestBody};
use super::drain::{Drain, Listed};
use super::transport::{CurrentStream, Transport};
use super::{BoxError, Timeouts};
use crate::control::StreamControl;
use crate::limits::serve::{BUFFER_BYTES, HEAD_BYTES_MAX, HEAD_FIELDS_MAX};
use crate::sync::Mutex;

/// Serves `app` on one connection until either side has had enough.
pub(crate) async fn run<S, B>(stream: TcpStream, peer: SocketAddr, app: S, timeouts: Timeouts, drain: Drain)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let current = CurrentStream::default();
    let asked = Arc::new(AtomicBool::new(false));
    let service = ConnectionService {
        app,
        peer,
        body_timeout: timeouts.body,
        drain: drain.clone(),
        asked: Arc::clone(&asked),
        current: current.clone(),
        listed: Arc::default(),
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // hyper's header timeout runs from the answer before: it is the bound on idle connections as well
        .header_read_timeout(timeouts.idle.max(timeouts.header))
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEAD_FIELDS_MAX)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(Transport::new(stream, timeouts.stall, current), service);
    let mut connection = pin!(connection);

    let header_timeout = async {
        tokio::time::sleep(timeouts.header).await;
        if asked.load(Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let mut header_timeout = pin!(header_timeout);
    let mut drain_started = pin!(drain.started());
    let mut draining = false;
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            () = &mut header_timeout => {
                debug!(%peer, "no request came in time");
                return;
            }
            () = &mut drain_started, if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "connection ended");
    }
}

/// The app as hyper calls it for one connection.
struct ConnectionService<S> {
    app: S,
    peer: SocketAddr,
    body_timeout: std::time::Duration,
    drain: Drain,
    asked: Arc<AtomicBool>,
    current: CurrentStream,
    /// The stream of the answer before the next request, listed for the drain.
    listed: Arc<Mutex<Option<Listed>>>,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for ConnectionService<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.asked.store(true, Relaxed);
        let timeout = BodyTimeout::new(self.body_timeout);
        let mut request = request.map(|body| Body::new(RequestBody::new(body, timeout.clone())));
        request.extensions_mut().insert(ConnectInfo(self.peer));
        request.extensions_mut().insert(timeout);
        let mut app = self.app.clone();
        let (drain, current, listed) = (self.drain.clone(), self.current.clone(), Arc::clone(&self.listed));
        Box::pin(async move {
            poll_fn(|cx| app.poll_ready(cx)).await?;
            let mut response = app.call(request).await?;
            let stream = response.extensions_mut().remove::<StreamControl>();
            *listed.lock() = stream.as_ref().map(|stream| drain.list(stream));
            current.set(stream);
            Ok(response)
        })
    }
}
