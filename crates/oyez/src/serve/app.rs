//! What answers requests.

use std::convert::Infallible;
use std::future::{Future, poll_fn};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;

use super::body::BoxError;

/// What [`serve`](crate::serve()) takes: an `axum::Router` that has its state, or any tower service that answers a request
/// with a response and never fails. It is implemented for all of these and for nothing else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be served",
    label = "not a service that answers each request",
    note = "a `Router<S>` wants its state first: `.with_state(state)`",
    note = "give the router itself, not `into_make_service()`: each request carries `ConnectInfo` anyway",
    note = "a service is `Clone + Send + 'static`, and its error is `Infallible`"
)]
pub trait App: Clone + Send + 'static {
    /// The body of its responses.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// The response to `request`.
    fn respond(self, request: Request<Body>) -> impl Future<Output = Response<Self::Body>> + Send;
}

#[diagnostic::do_not_recommend]
impl<S, B> App for S
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Body = B;

    async fn respond(mut self, request: Request<Body>) -> Response<B> {
        let Ok(()) = poll_fn(|cx| self.poll_ready(cx)).await;
        let Ok(response) = self.call(request).await;
        response
    }
}
