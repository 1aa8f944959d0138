//! Internet addresses: whose share of a limit one counts towards, and where one leads.

// Addresses only: what opens sockets is in `std`.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network that counts as one client: a single IPv6 customer has a whole /64.
#[must_use]
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// Where an address leads, seen from this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To nothing that an index can be at: the link itself, where clouds hand out a machine's own
    /// credentials to anything that asks from it; to many machines at once; or to no machine.
    Special,
    /// To this machine.
    Loopback,
    /// To a private network.
    Private,
    /// To the public internet.
    Public,
}

/// Addresses outside the link-local networks at which clouds answer a machine's questions about itself:
/// AWS by IPv6, Alibaba, Oracle, Azure.
const METADATA: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
];

impl Reach {
    /// Where an address leads, according to the registries of special-purpose addresses (RFC 6890).
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        if METADATA.contains(&address) {
            return Self::Special;
        }
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, c, _] = address.octets();
        if address.is_link_local() || address.is_multicast() || address.is_broadcast() || a == 0 {
            return Self::Special;
        }
        if address.is_loopback() {
            return Self::Loopback;
        }
        let is_shared = a == 100 && (64..128).contains(&b);
        let is_of_protocols = (a, b, c) == (192, 0, 0);
        let is_of_benchmarks = a == 198 && (18..20).contains(&b);
        let is_reserved = a >= 240;
        if address.is_private()
            || address.is_documentation()
            || is_shared
            || is_of_protocols
            || is_of_benchmarks
            || is_reserved
        {
            return Self::Private;
        }
        Self::Public
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let segments = address.segments();
        if address.is_loopback() {
            return Self::Loopback;
        }
        if address.is_unspecified() || address.is_multicast() || address.is_unicast_link_local() {
            return Self::Special;
        }
        if let Some(embedded) = embedded(address) {
            return Self::of(embedded.into());
        }
        let is_site_local = segments[0] & 0xffc0 == 0xfec0;
        // Nothing in 2001::/23 is an index: tunnels, benchmarks, identifiers.
        let is_of_protocols = segments[0] == 0x2001 && segments[1] < 0x200;
        let is_documentation = (segments[0], segments[1]) == (0x2001, 0xdb8)
            || (segments[0] == 0x3fff && segments[1] < 0x1000);
        let is_local_translation = segments[..3] == [0x64, 0xff9b, 1];
        let is_global_unicast = segments[0] & 0xe000 == 0x2000;
        if address.is_unique_local()
            || is_site_local
            || is_of_protocols
            || is_documentation
            || is_local_translation
            || !is_global_unicast
        {
            return Self::Private;
        }
        Self::Public
    }
}

/// The IPv4 address that a translator makes of an IPv6 one: RFC 6052's prefix, 6to4, and the obsolete
/// compatible form.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let (high, low) = match [a, b, c, d, e, f] {
        [0x64, 0xff9b, 0, 0, 0, 0] | [0, 0, 0, 0, 0, 0] => (g, h),
        [0x2002, ..] => (b, c),
        _ => return None,
    };
    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_household_is_one_client() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            let network = client_network(address.parse().unwrap());
            assert_eq!(network, expected.parse::<IpAddr>().unwrap());
        }
    }

    #[test]
    fn every_address_leads_somewhere() {
        let table = [
            (
                Reach::Special,
                "169.254.169.254 169.254.0.1 0.0.0.0 0.1.2.3 255.255.255.255 224.0.0.1 \
                 100.100.100.200 192.0.0.192 168.63.129.16 fe80::1 febf::1 :: ff02::1 \
                 fd00:ec2::254 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1 \
                 ::169.254.169.254",
            ),
            (
                Reach::Loopback,
                "127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::",
            ),
            (
                Reach::Private,
                "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 198.18.0.1 192.0.2.1 \
                 203.0.113.9 192.0.0.8 240.0.0.1 fc00::1 fd12::1 fec0::1 2001:db8::1 2001::1 \
                 64:ff9b:1::1 3fff::1 100::1 ::ffff:10.0.0.1 2002:a00:1::",
            ),
            (
                Reach::Public,
                "1.1.1.1 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 2606:4700::1 2a00::1 \
                 ::ffff:1.1.1.1 64:ff9b::101:101",
            ),
        ];
        for (expected, addresses) in table {
            for address in addresses.split_whitespace() {
                let reach = Reach::of(address.parse().unwrap());
                assert_eq!(reach, expected, "{address}");
            }
        }
    }
}
