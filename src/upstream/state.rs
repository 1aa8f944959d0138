//! How an upstream is doing, as its own requests found it: nothing is asked for the sake of it.

use std::time::Duration;

use tokio::time::Instant;

use crate::upstream::client::Upstream;

/// How an upstream is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamState {
    /// It was not asked since this process started, or its settings changed.
    Unasked,
    /// It answered what it was asked last.
    Answers,
    /// It has not answered for so long.
    Failing(Duration),
    /// It is a fleet; so many of its servers are up, of so many.
    Servers(usize, usize),
}

impl Upstream {
    /// How it is doing. Hosts that only files are at do not count.
    #[must_use]
    pub fn state(&self) -> UpstreamState {
        if let Some(fleet) = &self.fleet {
            let (up, all) = fleet.servers_up();
            return UpstreamState::Servers(up, all);
        }
        let origin = self.url.origin().ascii_serialization();
        self.breakers.state_of(&origin, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UpstreamLimits;
    use crate::upstream::breaker::Outcome;
    use crate::upstream::exchange::Breakers;

    #[test]
    fn an_upstream_is_failing_since_it_did_not_answer() {
        let (pages, files) = ("https://upstream.example", "https://files.example");
        let breakers = Breakers::new(&UpstreamLimits::default());
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let state = |at| breakers.state_of(pages, at);
        let record = |at, outcome| breakers.record(pages.to_owned(), at, outcome);
        assert_eq!(state(start), UpstreamState::Unasked);
        record(start, Outcome::Answered);
        breakers.record(files.to_owned(), later(1), Outcome::Unreachable);
        assert_eq!(state(later(1)), UpstreamState::Answers);
        // A page that is broken there says nothing about the others.
        record(later(2), Outcome::Failed(7));
        assert_eq!(state(later(3)), UpstreamState::Answers);
        for at in 4..9 {
            record(later(at), Outcome::Unreachable);
        }
        let failing = UpstreamState::Failing(Duration::from_secs(8));
        assert_eq!(state(later(10)), failing);
        record(later(11), Outcome::Answered);
        assert_eq!(state(later(11)), UpstreamState::Answers);
    }
}
