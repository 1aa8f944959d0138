//! Addresses to listen on, as operators write them: `host:port`, `:port`, `port`, `unix:/path`, `off`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::language::{Misread, Word};

/// Longest path of a Unix socket, in bytes: what the kernel's address holds, less its final zero.
const UNIX_PATH_MAX: usize = 107;

/// An address as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// `off`.
    Off,
    /// A port alone, at the door's default address.
    Port(u16),
    /// An IP address and port; port 0 lets the system pick one.
    Socket(SocketAddr),
    /// `unix:` and an absolute path.
    Unix(PathBuf),
}

impl Word for Address {
    fn wanted() -> String {
        "an address such as \"127.0.0.1:4040\", \":4040\", \"unix:/path\" or \"off\"".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::Off);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return read_unix(path);
        }
        let wrong = || Misread::new(format!("{text:?} is not {}", Self::wanted()));
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let Ok(port) = port.parse() else {
            return Err(Misread::new(format!("{port} is not a port")).hint("ports end at 65535"));
        };
        let host = match host {
            "" => return Ok(Self::Port(port)),
            "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            // The resolver is not asked: an address that depends on it may differ at the next start.
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            name => match name.trim_start_matches('[').trim_end_matches(']').parse() {
                Ok(IpAddr::V6(_)) if !name.starts_with('[') => {
                    return Err(wrong().hint("put the IPv6 address in brackets"));
                }
                Ok(address) => address,
                Err(_) => return Err(wrong().hint("name the host by its IP address")),
            },
        };
        Ok(Self::Socket(SocketAddr::new(host, port)))
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": ["string", "integer", "boolean"] })
    }
}

fn read_unix(path: &str) -> Result<Address, Misread> {
    if !path.starts_with('/') || path.contains('\0') {
        let what = format!("{path:?} is not an absolute path");
        return Err(Misread::new(what).hint("write unix:/path"));
    }
    if path.len() > UNIX_PATH_MAX {
        let what = format!("the path of a Unix socket has at most {UNIX_PATH_MAX} bytes");
        return Err(Misread::new(what));
    }
    Ok(Address::Unix(path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_an_address() {
        let socket = |text: &str| Address::Socket(text.parse().unwrap());
        let table = [
            ("off", Address::Off),
            ("OFF", Address::Off),
            ("4040", Address::Port(4040)),
            (":4040", Address::Port(4040)),
            ("0", Address::Port(0)),
            ("0.0.0.0:4040", socket("0.0.0.0:4040")),
            ("*:4040", socket("0.0.0.0:4040")),
            ("localhost:0", socket("127.0.0.1:0")),
            ("[::1]:3141", socket("[::1]:3141")),
            (
                "unix:/run/cheesecloth/manage",
                Address::Unix("/run/cheesecloth/manage".into()),
            ),
        ];
        for (text, wanted) in table {
            assert_eq!(Address::read(text), Ok(wanted), "{text:?}");
        }
    }

    #[test]
    fn what_nobody_can_listen_on_is_refused() {
        let long = format!("unix:/{}", "x".repeat(UNIX_PATH_MAX));
        for text in [
            "",
            ":",
            "here",
            "devpi:4040",
            "::1:4040",
            "1.2.3:80",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:70000",
            "127.0.0.1:-1",
            "unix:",
            "unix:run",
            &long,
        ] {
            assert!(Address::read(text).is_err(), "{text:?}");
        }
    }
}
