//! Who calls.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Once;

use axum::extract::{ConnectInfo, Request};
use http::HeaderMap;
use http::header::{FORWARDED, VIA};
use tracing::warn;

use crate::problem::Problem;

/// The caller of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    peer: SocketAddr,
    local: bool,
}

impl Caller {
    /// Who sends this request, which a listener has noted in it.
    pub(crate) fn of(request: &Request) -> Result<Self, Problem> {
        let peer = peer(request).ok_or_else(|| {
            Problem::internal("the listener does not tell who calls: serve with ConnectInfo<SocketAddr>")
        })?;
        Ok(Self::new(peer, request.headers()))
    }

    fn new(peer: SocketAddr, headers: &HeaderMap) -> Self {
        let forwarded = is_forwarded(headers);
        if forwarded {
            warn_of_proxy(peer);
        }
        Self { peer, local: !forwarded && peer.ip().to_canonical().is_loopback() }
    }

    /// The other end of the connection.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Is it a program on this machine? One that a proxy speaks for is not, wherever the proxy is.
    pub(crate) fn is_local(&self) -> bool {
        self.local
    }

    /// Its address for counting: an IPv6 network of /64 is one, since it is one customer's.
    pub(crate) fn address(&self) -> IpAddr {
        match self.peer.ip().to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        }
    }
}

/// The other end of the connection, where the listener tells it.
pub(crate) fn peer(request: &Request) -> Option<SocketAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0)
}

/// Did a proxy pass the request on? Then the peer's address says nothing of the caller, even if it is loopback.
fn is_forwarded(headers: &HeaderMap) -> bool {
    let known = headers.contains_key(FORWARDED) || headers.contains_key(VIA) || headers.contains_key("x-real-ip");
    known || headers.keys().any(|name| name.as_str().starts_with("x-forwarded-"))
}

fn warn_of_proxy(peer: SocketAddr) {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        warn!(%peer, "a proxy forwards requests; its callers count as one address, and cannot publish without a key");
    });
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn caller(peer: &str) -> Caller {
        Caller::new(peer.parse().unwrap(), &HeaderMap::new())
    }

    #[test]
    fn a_caller_that_a_proxy_speaks_for_is_not_local() {
        assert!(caller("127.0.0.1:1").is_local() && caller("[::ffff:127.0.0.1]:1").is_local());
        assert!(!caller("10.0.0.1:1").is_local());
        for name in ["forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-proto"] {
            let headers = [(name.parse::<HeaderName>().unwrap(), "x".parse().unwrap())].into_iter().collect();
            assert!(!Caller::new("127.0.0.1:1".parse().unwrap(), &headers).is_local(), "{name}");
        }
    }

    #[test]
    fn an_ipv6_network_is_one_caller() {
        let address = |peer: &str| caller(peer).address();
        assert_eq!(address("[2001:db8::1]:1"), address("[2001:db8::ffff:2]:2"));
        assert_ne!(address("[2001:db8:0:1::1]:1"), address("[2001:db8::1]:1"));
        assert_eq!(address("[::ffff:10.0.0.1]:1"), address("10.0.0.1:2"));
    }
}
