//! The two listeners, from start to drain.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use oyez::{Event, Hub};
use tokio::net::TcpListener;
use tracing::info;

use crate::app::App;
use crate::config::Config;
use crate::demo;

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
    /// When an address cannot be bound; the error names it.
    pub async fn bind(config: Config) -> io::Result<Self> {
        let public = bind("listen", config.listen).await?;
        let admin = bind("admin", config.admin).await?;
        let app = Arc::new(App::new(config));
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
        Ok(Router::new().fallback_service(self.app.public(self.address()?)))
    }

    /// Serves until `stop` resolves, then drains: streams end at a frame border spread over the configured time, publishes
    /// that are under way are finished, and the admin listener tells it until the end. Dropping the future ends everything at once.
    ///
    /// # Errors
    /// When a listener fails for good.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let Self { app, public, admin } = self;
        let (window, connections) = (app.config.drain, app.config.connections_max);
        let stopping = {
            let app = Arc::clone(&app);
            async move {
                stop.await;
                info!(seconds = window.as_secs(), streams = app.hub.stats().subscribers, "drains");
                app.draining.send_replace(true);
            }
        };
        let (public_app, admin_app) = (app.public(public.local_addr()?), app.admin(admin.local_addr()?));
        let public =
            oyez::serve(public, public_app).connections_max(connections).drain(window).with_graceful_shutdown(stopping);
        let admin = oyez::serve(admin, admin_app);
        let demo = async {
            if app.config.demo {
                demo::run(app.hub.clone()).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            served = public => served,
            served = admin => served,
            () = demo => Ok(()),
            () = app.stats.run() => Ok(()),
        }
    }
}

async fn bind(what: &str, address: SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| io::Error::new(error.kind(), format!("cannot bind {what} = {address}: {error}")))
}
