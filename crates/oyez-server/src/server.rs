//! The two listeners, from start to drain.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use oyez::{Event, Hub};
use tokio::net::TcpListener;
use tracing::info;

use crate::app::App;
use crate::config::Config;
use crate::cors;
use crate::demo;
use crate::door::Door;
use crate::limits::FAILED_PAUSE;
use crate::routes::{ADMIN, PUBLIC};

/// A hub over HTTP, bound to its addresses and ready to run.
pub struct Server {
    app: Arc<App>,
    public: TcpListener,
    admin: TcpListener,
}

impl Server {
    /// Binds both listeners.
    ///
    /// # Errors
    /// When the history cannot be opened, or an address cannot be bound; the error names it.
    pub async fn bind(config: Config) -> Result<Self, ServerError> {
        let (listen, admin) = (config.settings.listen, config.settings.admin);
        // first what another process may have
        let app = Arc::new(App::new(config).map_err(ServerError::History)?);
        let public = bind("listen", listen).await?;
        let admin = bind("admin", admin).await?;
        Ok(Self { app, public, admin })
    }

    /// The address that takes subscribers and publishers.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.public.local_addr()
    }

    /// The address of health, readiness and metrics.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// The hub, for publishers and subscribers in this process.
    #[must_use]
    pub fn hub(&self) -> Hub<Event> {
        self.app.hub.clone()
    }

    /// What the public listener answers, as a service: for tests without sockets, and for listeners of your own. Each
    /// request carries the caller's address as `axum::extract::ConnectInfo<SocketAddr>`; the rules for hosts are those
    /// of [`Server::address`].
    ///
    /// # Errors
    /// When the system does not tell that address.
    pub fn app(&self) -> io::Result<Router> {
        Ok(Router::new().fallback_service(public(&self.app, self.address()?)))
    }

    /// Serves until `stop` resolves, then drains: streams end at a frame border spread over the configured time, publishes
    /// that are under way are finished, and the admin listener tells it until the end. Dropping the future ends everything at once.
    ///
    /// # Errors
    /// When a listener fails for good, or the disk does: then nothing more was acknowledged, and the process should end.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServerError> {
        let Self { app, public, admin } = self;
        let (window, connections) = (app.config.settings.drain, app.config.connections_max);
        let stopping = {
            let app = Arc::clone(&app);
            async move {
                stop.await;
                info!(seconds = window.as_secs(), streams = app.hub.stats().subscribers, "drains");
                app.draining.send_replace(true);
            }
        };
        let address = |listener: &TcpListener| listener.local_addr().map_err(ServerError::Listener);
        let public_app = self::public(&app, address(&public)?);
        let admin_app = Door::new(Arc::clone(&app), address(&admin)?, &ADMIN, None);
        let public = oyez::serve(public, public_app)
            .connections_max(connections)
            .drain(window)
            .count_in(&app.metrics.traffic)
            .with_graceful_shutdown(stopping);
        let admin = oyez::serve(admin, admin_app);
        let demo = async {
            if app.config.demo() {
                demo::run(app.hub.clone()).await;
            }
            std::future::pending::<()>().await;
        };
        let failed = async {
            let reason = app.hub.failed().await;
            app.failed.store(true, Ordering::SeqCst);
            // whoever watches is to see it
            tokio::time::sleep(FAILED_PAUSE).await;
            ServerError::Storage(reason)
        };
        let served = tokio::select! {
            error = failed => return Err(error),
            served = public => served,
            served = admin => served,
            () = demo => Ok(()),
            () = app.stats.run() => Ok(()),
        };
        app.hub.close().await;
        served.map_err(ServerError::Listener)
    }
}

/// What the public listener at `address` answers.
fn public(app: &Arc<App>, address: SocketAddr) -> Door {
    Door::new(Arc::clone(app), address, &PUBLIC, cors::layer(&app.config.settings.cors))
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|error| ServerError::Bind { what, address, error })
}

/// Why a server does not run, or runs no more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The history cannot be opened.
    #[error("{0}")]
    History(oyez::Error),
    /// An address cannot be listened on.
    #[error("cannot bind {what} = {address}: {error}")]
    Bind {
        /// Which one: `listen` or `admin`.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// A listener has failed for good.
    #[error("{0}")]
    Listener(io::Error),
    /// The disk has failed. What was acknowledged is there; nothing was acknowledged since.
    #[error("{0}")]
    Storage(String),
}
