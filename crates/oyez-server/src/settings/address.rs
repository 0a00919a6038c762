//! Addresses to listen on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::error::ConfigError;
use super::value::Value;

impl Value<String> for SocketAddr {
    /// A port alone and `localhost` are this machine.
    fn check(key: &str, text: String) -> Result<Self, ConfigError> {
        read(&text).map_err(|why| {
            ConfigError::new(format!("{key} = {text:?} is not an address such as 127.0.0.1:8888: {why}"))
        })
    }
}

fn read(text: &str) -> Result<SocketAddr, &'static str> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err("it has no port");
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return port(text).map(loopback).ok_or("it must be an IP address, a colon and a port, or a port alone");
    };
    let port = self::port(port).ok_or("the part after the colon is not a port, 0 to 65535")?;
    match host {
        "localhost" => Ok(loopback(port)),
        "" => Err("it has no IP address; 127.0.0.1 is this machine only"),
        _ => Err("the part before the colon is not an IP address, and names are not looked up"),
    }
}

fn port(digits: &str) -> Option<u16> {
    // a sign would be a number too
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_people_write_it() {
        for (text, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("9000", "127.0.0.1:9000"),
            ("localhost:9000", "127.0.0.1:9000"),
        ] {
            assert_eq!(read(text), Ok(expected.parse().unwrap()), "{text}");
        }
        for (text, why) in [
            ("127.0.0.1", "it has no port"),
            ("::1", "it has no port"),
            ("", "it must be an IP address, a colon and a port, or a port alone"),
            ("localhost", "it must be an IP address, a colon and a port, or a port alone"),
            ("99999", "it must be an IP address, a colon and a port, or a port alone"),
            ("+80", "it must be an IP address, a colon and a port, or a port alone"),
            (":9000", "it has no IP address; 127.0.0.1 is this machine only"),
            ("127.0.0.1:99999", "the part after the colon is not a port, 0 to 65535"),
            ("localhost:http", "the part after the colon is not a port, 0 to 65535"),
            ("hub.example.com:80", "the part before the colon is not an IP address, and names are not looked up"),
            ("http://127.0.0.1:80", "the part before the colon is not an IP address, and names are not looked up"),
        ] {
            assert_eq!(read(text), Err(why), "{text}");
        }
        let error = <SocketAddr as Value<String>>::check("admin", "::1".to_owned()).unwrap_err().to_string();
        assert_eq!(error, "admin = \"::1\" is not an address such as 127.0.0.1:8888: it has no port");
    }
}
