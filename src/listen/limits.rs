//! What a client may take of a door. The values are the operator's (`limits:` in the configuration, which has
//! the defaults and their reasons).

use std::time::Duration;

/// The limits of one door; zero is never a way to say "none".
#[derive(Debug, Clone)]
pub struct DoorLimits {
    /// Bytes of a request head. Installers send about 500; credentials and cookies of proxies in
    /// front need some air.
    pub head: usize,
    /// Bytes of the request target. The longest real one is a file's, below 1 KiB.
    pub uri: usize,
    /// Bytes of a PROXY protocol header. Two addresses and what load balancers add take a few hundred.
    pub proxy_header: usize,
    /// From a head's first byte to its last, for a TLS handshake, and for a PROXY protocol header. A total, not per read: one byte
    /// now and then does not extend it.
    pub head_timeout: Duration,
    /// How long a connection may rest between requests.
    pub idle_timeout: Duration,
    /// How long a client may take nothing at all of an answer. Counted anew from each byte that it
    /// takes, so a slow reader is not hit; one that has stopped reading, or is gone, is.
    pub send_timeout: Duration,
    /// From a request's head to the last byte of its answer: the largest file over a slow line.
    pub request_timeout: Duration,
    /// Bytes per second below which a reader is cut off. Slower than any modem; a real client on a
    /// bad line is faster, one that holds connections on purpose is not.
    pub min_send_rate: u64,
    /// Bytes per second below which a sender of a body is cut off, as above.
    pub min_receive_rate: u64,
    /// What each piece of an answer, and the whole of a body, may take before the rate is looked at.
    pub send_grace: Duration,
    /// Open connections. Beyond it new ones wait in the kernel's queue until one ends.
    pub connections: usize,
    /// Open connections of one address (of one /64 for IPv6). Beyond it they are closed at once. A CI
    /// fleet behind one address opens hundreds: uv alone uses 50.
    pub connections_per_address: usize,
    /// Requests on one connection before it is closed, which frees what it gathered.
    pub requests_per_connection: u32,
}

#[cfg(test)]
impl DoorLimits {
    /// Bounds that no test of this room comes near.
    pub(super) fn wide() -> Self {
        Self {
            head: 64 << 10,
            uri: 8 << 10,
            proxy_header: 2 << 10,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(1),
            send_timeout: Duration::from_mins(1),
            request_timeout: Duration::from_hours(1),
            min_send_rate: 1 << 10,
            min_receive_rate: 1 << 10,
            send_grace: Self::GRACE,
            connections: 10_000,
            connections_per_address: 1_000,
            requests_per_connection: 10_000,
        }
    }
}

impl DoorLimits {
    /// [`DoorLimits::send_grace`], where nobody says otherwise: no operator's limit, for it only keeps
    /// a rate from being judged by its first bytes.
    pub const GRACE: Duration = Duration::from_secs(10);

    /// How long sending this many bytes may take.
    #[must_use]
    pub fn send_time(&self, bytes: usize) -> Duration {
        let seconds = bytes as f64 / self.min_send_rate.max(1) as f64;
        self.send_grace + Duration::from_secs_f64(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_has_its_grace_and_its_share() {
        let limits = DoorLimits {
            min_send_rate: 1024,
            send_grace: Duration::from_secs(10),
            ..DoorLimits::wide()
        };
        assert_eq!(limits.send_time(0), Duration::from_secs(10));
        assert_eq!(limits.send_time(256 << 10), Duration::from_secs(266));
        let careless = DoorLimits {
            min_send_rate: 0,
            ..limits
        };
        assert_eq!(careless.send_time(5), Duration::from_secs(15));
    }
}
