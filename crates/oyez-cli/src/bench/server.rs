//! The server that is measured: where it is, and what requests to it look like.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use url::Url;

use crate::bench::template::{TOPIC, Template};
use crate::failure::Failure;
use crate::web_address::{meant, shown};

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) subscribe: Endpoint,
    pub(crate) subscribe_headers: Headers,
    pub(crate) publish: Option<PublishRequest>,
}

/// A URL, whose path or query may hold a place for the topic.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    host: String,
    pub(crate) target: Template,
}

#[derive(Debug)]
pub(crate) struct PublishRequest {
    pub(crate) endpoint: Endpoint,
    pub(crate) method: Method,
    pub(crate) headers: Headers,
    /// Once for each event of a batch.
    pub(crate) body: Template,
}

impl Server {
    /// The request for the stream of `topic`, resumed after an id if there is one.
    pub(crate) fn subscribe_request(&self, topic: &str, last_event_id: Option<&[u8]>) -> Vec<u8> {
        let mut request = Vec::new();
        self.subscribe.request_line("GET", topic, &mut request);
        let headers = self.subscribe_headers.clone().or("Accept", "text/event-stream").or("Cache-Control", "no-cache");
        headers.write(&mut request);
        if let Some(id) = last_event_id {
            request.extend_from_slice(b"Last-Event-ID: ");
            request.extend_from_slice(id);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request
    }
}

impl PublishRequest {
    /// Writes the request that publishes what `body` holds. The topic is for the URL.
    pub(crate) fn write_request(&self, topic: &str, body: &[u8], out: &mut Vec<u8>) {
        self.endpoint.request_line(self.method.as_str(), topic, out);
        self.headers.write(out);
        out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        out.extend_from_slice(body);
    }
}

impl Endpoint {
    /// Reads a URL and looks up its host.
    pub(crate) fn new(url: &str) -> Result<Self, Failure> {
        let url = &meant(url)?;
        let refused = |why: &str| Failure::usage(format!("not a URL that can be measured: {:?}: {why}", shown(url)));
        // braces would be percent-encoded
        let parsed = Url::parse(&url.replace(TOPIC, PLACE)).map_err(|error| refused(&error.to_string()))?;
        if parsed.scheme() != "http" {
            return Err(refused(
                "its scheme is not http; TLS is not supported, because it would be measured with the server",
            ));
        }
        let host = parsed.host_str().ok_or_else(|| refused("it has no host"))?;
        if host.contains(PLACE) {
            return Err(refused("the topic can be in its path and query only"));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(refused("give the credential with -H 'Authorization: …'"));
        }
        let port = parsed.port().unwrap_or(80);
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = (name, port).to_socket_addrs();
        let addresses = addresses.map_err(|error| Failure::failed(format!("no address of {host}: {error}")))?;
        let address = reachable(&addresses.collect::<Vec<_>>());
        let address = address.ok_or_else(|| Failure::failed(format!("no address of {host}")))?;
        let query = parsed.query().map(|query| format!("?{query}")).unwrap_or_default();
        let target = Template::new(&format!("{}{query}", parsed.path()).replace(PLACE, TOPIC));
        Ok(Self { url: url.to_owned(), address, host: parsed.authority().to_owned(), target })
    }

    fn request_line(&self, method: &str, topic: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{method} ").as_bytes());
        self.target.write(topic, b"", out);
        out.extend_from_slice(format!(" HTTP/1.1\r\nHost: {}\r\n", self.host).as_bytes());
    }
}

/// Of several addresses, as `localhost` has them, the first one where someone listens.
fn reachable(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let listens = |address: &&SocketAddr| TcpStream::connect_timeout(address, PATIENCE).is_ok();
    let found = if addresses.len() > 1 { addresses.iter().find(listens) } else { None };
    found.or_else(|| addresses.first()).copied()
}

/// Headers that a request can carry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Headers(Vec<(HeaderName, HeaderValue)>);

impl Headers {
    /// Reads headers of the form `Name: value`.
    pub(crate) fn parse(lines: &[String]) -> Result<Self, Failure> {
        let refused = |line: &String| Failure::usage(format!("not a header, which is 'Name: value': {line:?}"));
        let parse = |line: &String| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
        };
        lines.iter().map(|line| parse(line).ok_or_else(|| refused(line))).collect::<Result<_, _>>().map(Self)
    }

    /// These, and of the others those whose names are not among these.
    pub(crate) fn over(mut self, others: &Self) -> Self {
        let more: Vec<_> = others.0.iter().filter(|(name, _)| !self.has(name)).cloned().collect();
        self.0.extend(more);
        self
    }

    pub(crate) fn or(mut self, name: &'static str, value: &'static str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name of ours");
        if !self.has(&name) {
            self.0.push((name, HeaderValue::from_static(value)));
        }
        self
    }

    fn has(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.0 {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(1); // for one of several addresses; loopback answers at once
const PLACE: &str = "0oyez-topic0"; // stays itself in a URL

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str, headers: &[&str]) -> Server {
        let lines: Vec<String> = headers.iter().map(|line| (*line).to_owned()).collect();
        let subscribe = Endpoint::new(url).unwrap();
        Server { subscribe, subscribe_headers: Headers::parse(&lines).unwrap(), publish: None }
    }

    #[track_caller]
    fn check(url: &str, headers: &[&str], id: Option<&[u8]>, expected: &str) {
        let request = server(url, headers).subscribe_request("bench-1", id);
        assert_eq!(String::from_utf8(request).unwrap(), expected);
    }

    #[test]
    fn a_subscribe_is_what_a_browser_would_send() {
        check(
            "http://127.0.0.1:8888/events/{topic}",
            &[],
            None,
            "GET /events/bench-1 HTTP/1.1\r\nHost: 127.0.0.1:8888\r\naccept: text/event-stream\r\ncache-control: no-cache\r\n\r\n",
        );
        check(
            "http://[::1]/x%20y?topic={topic}&z",
            &["Authorization: Bearer a:b", "Accept: */*"],
            Some(b"k:7"),
            "GET /x%20y?topic=bench-1&z HTTP/1.1\r\nHost: [::1]\r\nauthorization: Bearer a:b\r\naccept: */*\r\n\
             cache-control: no-cache\r\nLast-Event-ID: k:7\r\n\r\n",
        );
    }

    #[test]
    fn a_publish_has_its_own_headers_over_the_shared() {
        let lines =
            |lines: &[&str]| Headers::parse(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()).unwrap();
        let headers = lines(&["Authorization: own"])
            .over(&lines(&["authorization: shared", "X: y"]))
            .or("Content-Type", "text/plain");
        let endpoint = Endpoint::new("http://127.0.0.1:1/p").unwrap();
        let publish = PublishRequest { endpoint, method: Method::PUT, headers, body: Template::new("") };
        let mut out = Vec::new();
        publish.write_request("t", b"hello", &mut out);
        let expected = "PUT /p HTTP/1.1\r\nHost: 127.0.0.1:1\r\nauthorization: own\r\nx: y\r\ncontent-type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        for url in
            ["nowhere", "https://127.0.0.1/", "ftp://127.0.0.1/", "http://{topic}.localhost/", "http://u:p@127.0.0.1/"]
        {
            assert!(Endpoint::new(url).is_err(), "{url}");
        }
        assert!(Headers::parse(&["nothing".to_owned()]).is_err());
        assert!(Headers::parse(&["a: b\nc: d".to_owned()]).is_err());
    }
}
