//! [`Connect`] over TCP and TLS.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use reqwest::{Certificate, Client, redirect};

use crate::limits::{CONNECT_TIMEOUT, IDLE_TIMEOUT};
use crate::{BoxError, Chunks, Connect, ConnectError, Connecting, Error};

/// HTTP/1.1 and HTTP/2 over TCP and TLS, by `reqwest` and `rustls`. Certificates are checked against those that the
/// system trusts. A proxy named by the environment (`HTTPS_PROXY`, `ALL_PROXY`, …) is used, except for this machine
/// itself. Connections are shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct HttpConnect(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    roots: Vec<Certificate>,
    insecure: bool,
    near: Clients, // this machine: never by a proxy
    far: Clients,
}

/// Made when they are needed: reading the certificates of the system takes longer than publishing an event.
#[derive(Debug, Default)]
struct Clients {
    plain: OnceLock<Client>,
    tls: OnceLock<Client>,
}

impl HttpConnect {
    /// With the certificates of the system.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificates in `pem` as well.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when they cannot be read or there are none.
    pub fn root_certificates(self, pem: &[u8]) -> Result<Self, Error> {
        let found = Certificate::from_pem_bundle(pem)
            .map_err(|error| Error::invalid("certificates cannot be read").with_source(error))?;
        if found.is_empty() {
            return Err(Error::invalid("there is no certificate in what should be PEM"));
        }
        let roots = self.0.roots.iter().cloned().chain(found).collect();
        Ok(Self(Arc::new(Shared { roots, insecure: self.0.insecure, ..Shared::default() })))
    }

    /// Checks no certificate: whoever sits between reads and forges everything.
    #[must_use]
    pub fn insecure(self) -> Self {
        Self(Arc::new(Shared { roots: self.0.roots.clone(), insecure: true, ..Shared::default() }))
    }
}

impl Shared {
    fn client(&self, uri: &Uri) -> Result<&Client, reqwest::Error> {
        let (near, tls) = (is_this_machine(uri), uri.scheme() == Some(&Scheme::HTTPS));
        let clients = if near { &self.near } else { &self.far };
        let slot = if tls { &clients.tls } else { &clients.plain };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("oyez/", env!("CARGO_PKG_VERSION")));
        if near {
            builder = builder.no_proxy();
        }
        if tls || !near {
            // a proxy may be reached by TLS although the URL is not
            builder =
                builder.tls_danger_accept_invalid_certs(self.insecure).tls_certs_merge(self.roots.iter().cloned());
        } else {
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build()?;
        Ok(slot.get_or_init(|| client))
    }
}

impl Connect for HttpConnect {
    fn connect(&self, request: Request<Bytes>) -> Connecting {
        // not in the future: making the first client takes a while, which must not count as silence of the server
        send(self.0.client(request.uri()).cloned(), request)
    }
}

/// A client of the caller's own.
pub(crate) struct Given(pub(crate) Client);

impl Connect for Given {
    fn connect(&self, request: Request<Bytes>) -> Connecting {
        send(Ok(self.0.clone()), request)
    }
}

fn send(client: reqwest::Result<Client>, request: Request<Bytes>) -> Connecting {
    let tls = request.uri().scheme() == Some(&Scheme::HTTPS);
    Box::pin(async move {
        let client = client.map_err(ConnectError::before_sending)?;
        let request = reqwest::Request::try_from(request).map_err(ConnectError::before_sending)?;
        let answer = client.execute(request).await.map_err(|error| {
            let wrong_scheme = wrong_scheme(&error, tls);
            let is_final = wrong_scheme.is_some();
            let is_before = error.is_connect() || error.is_builder();
            let source = wrong_scheme.map_or_else(|| error.into(), BoxError::from);
            let error = if is_before { ConnectError::before_sending } else { ConnectError::after_sending };
            error(source).and_final(is_final)
        })?;
        Ok(with_chunks(answer))
    })
}

fn with_chunks(mut answer: reqwest::Response) -> Response<Chunks> {
    let mut head = Response::new(());
    *head.status_mut() = answer.status();
    *head.headers_mut() = std::mem::take(answer.headers_mut());
    head.map(|()| Box::pin(Body(Box::pin(answer.bytes_stream()))) as Chunks)
}

struct Body<S>(Pin<Box<S>>);

impl<S: Stream<Item = reqwest::Result<Bytes>>> Stream for Body<S> {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx).map_err(Into::into)
    }
}

/// The mistake that the libraries below tell in words which only their authors know.
fn wrong_scheme(error: &reqwest::Error, tls: bool) -> Option<&'static str> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if tls && text.contains("InvalidContentType") {
            return Some("no TLS is spoken there; for plain HTTP say http://");
        }
        if !tls && text.contains("invalid HTTP version") {
            return Some("no HTTP is spoken there; for TLS say https://");
        }
        next = cause.source();
    }
    None
}

fn is_this_machine(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host.parse().map_or_else(
        |_| host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost"),
        |address: IpAddr| address.is_loopback(),
    )
}
