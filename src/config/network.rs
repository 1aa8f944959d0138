//! Networks, as operators write them: `10.0.0.0/8`, or one address.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::language::{Misread, Word};

/// A network as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network(pub(super) IpNet);

impl Word for Network {
    fn wanted() -> String {
        "an address or a network such as \"10.0.0.0/8\"".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        let text = text.trim();
        let network = match text.parse::<IpAddr>() {
            Ok(address) => Some(IpNet::from(address)),
            Err(_) => text.parse().ok(),
        };
        let wrong = || Misread::new(format!("{text:?} is not {}", Self::wanted()));
        network.map(Self).ok_or_else(wrong)
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_network_of_one() {
        let read = |text| Network::read(text).map(|network| network.0.to_string());
        assert_eq!(read("10.0.0.0/8").ok().as_deref(), Some("10.0.0.0/8"));
        assert_eq!(read(" 192.0.2.1 ").ok().as_deref(), Some("192.0.2.1/32"));
        assert_eq!(read("::1").ok().as_deref(), Some("::1/128"));
        for wrong in ["10.0.0.0/33", "10.0.0", "proxy", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
