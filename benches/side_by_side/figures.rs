//! From the rounds of a scenario to one row: medians, the ratio, and whether the floor is met.

use serde::Serialize;

use crate::rig::load::Turn;
use crate::rig::numbers::median;

/// What a scenario must reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) enum Floor {
    /// The ratio is at least this.
    RatioAtLeast(f64),
    /// The ratio is at most this.
    RatioAtMost(f64),
    /// The ratio differs from 1 by at most this.
    RatioWithin(f64),
    /// Our own figure is at most this.
    FigureAtMost(f64),
}

/// Which direction is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Better {
    /// Requests per second.
    High,
    /// Seconds, bytes of memory.
    Low,
}

/// One turn of every server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Round {
    /// The peers, in the order of the row's names.
    pub(crate) peers: Vec<f64>,
    pub(crate) ours: f64,
}

/// One measured scenario.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) scenario: String,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    /// The names of the peers; empty if our figure stands alone.
    pub(crate) peers: Vec<&'static str>,
    pub(crate) rounds: Vec<Round>,
    pub(crate) floor: Floor,
    /// The ratios by what a second of the server's processor did, which are valid on a shared
    /// machine too and where the load is the limit; empty where they say nothing.
    pub(crate) per_cpu: Vec<f64>,
    /// Every turn of every server, ours first; empty if wrk did not make the load.
    pub(crate) turns: Vec<Vec<Turn>>,
    /// What a reader of the row has to know, such as that the load was the limit.
    pub(crate) notes: Vec<String>,
    /// Conditions other than the ratio that were not met; any of them makes the row fail.
    pub(crate) broken: Vec<String>,
}

impl Round {
    /// Applies `figure` to the turns of each round.
    pub(crate) fn all(turns: &[Vec<Turn>], figure: &dyn Fn(&Turn) -> f64) -> Vec<Self> {
        let rounds = turns.iter().map(Vec::len).min().unwrap_or(0);
        let round = |round: usize| {
            let mut figures = turns.iter().map(|turns| figure(&turns[round]));
            let ours = figures.next().unwrap_or(0.0);
            let peers = figures.collect();
            Self { peers, ours }
        };
        (0..rounds).map(round).collect()
    }

    /// Ours over the best peer's; `None` without a peer.
    pub(crate) fn ratio(&self, better: Better) -> Option<f64> {
        let best = match better {
            Better::High => self.peers.iter().copied().reduce(f64::max),
            Better::Low => self.peers.iter().copied().reduce(f64::min),
        };
        best.filter(|best| *best > 0.0).map(|best| self.ours / best)
    }
}

impl Row {
    /// A row without figures yet, and without a peer.
    pub(crate) fn new(
        scenario: impl Into<String>,
        unit: &'static str,
        better: Better,
        floor: Floor,
    ) -> Self {
        Self {
            scenario: scenario.into(),
            unit,
            better,
            peers: Vec::new(),
            rounds: Vec::new(),
            floor,
            per_cpu: Vec::new(),
            turns: Vec::new(),
            notes: Vec::new(),
            broken: Vec::new(),
        }
    }

    /// A row that could not be measured, and why.
    pub(crate) fn failed(scenario: impl Into<String>, error: &anyhow::Error) -> Self {
        Self {
            broken: vec![format!("not measured: {error:#}")],
            ..Self::new(scenario, "", Better::Low, Floor::FigureAtMost(0.0))
        }
    }

    /// Whether there is nothing to compare.
    pub(crate) fn is_failed(&self) -> bool {
        self.rounds.is_empty()
    }

    pub(crate) fn ours(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.ours))
    }

    /// The median figure of each peer.
    pub(crate) fn peer_figures(&self) -> Vec<f64> {
        let peer = |at: usize| median(self.rounds.iter().map(|round| round.peers[at]));
        (0..self.peers.len()).map(peer).collect()
    }

    /// The ratios of the rounds, if there is a peer.
    pub(crate) fn ratios(&self) -> Vec<f64> {
        self.rounds
            .iter()
            .filter_map(|round| round.ratio(self.better))
            .collect()
    }

    /// The median of the rounds' ratios.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let ratios = self.ratios();
        (!ratios.is_empty()).then(|| median(ratios.into_iter()))
    }

    /// Whether the floor and all conditions are met.
    pub(crate) fn holds(&self) -> bool {
        let ratio = |test: &dyn Fn(f64) -> bool| self.ratio().is_some_and(test);
        let held = match self.floor {
            Floor::RatioAtLeast(least) => ratio(&|ratio| ratio >= least),
            Floor::RatioAtMost(most) => ratio(&|ratio| ratio <= most),
            Floor::RatioWithin(part) => ratio(&|ratio| (ratio - 1.0).abs() <= part),
            Floor::FigureAtMost(most) => self.ours() <= most,
        };
        held && self.broken.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(better: Better, floor: Floor, rounds: &[(&[f64], f64)]) -> Row {
        let peers = rounds[0].0.len();
        Row {
            scenario: "page".to_owned(),
            unit: "req/s",
            better,
            peers: ["nginx", "nginx, no sendfile"][..peers].to_vec(),
            rounds: rounds
                .iter()
                .map(|(peers, ours)| Round {
                    peers: peers.to_vec(),
                    ours: *ours,
                })
                .collect(),
            floor,
            per_cpu: Vec::new(),
            turns: Vec::new(),
            notes: Vec::new(),
            broken: Vec::new(),
        }
    }

    #[test]
    fn the_ratio_is_taken_within_a_round_and_against_the_better_peer() {
        // Everything halves in the second round, and the ratios stay the same.
        let rounds: &[(&[f64], f64)] = &[(&[100.0, 200.0], 300.0), (&[50.0, 100.0], 150.0)];
        let high = row(Better::High, Floor::RatioAtLeast(1.4), rounds);
        assert_eq!(high.ratios(), [1.5, 1.5]);
        assert!(high.holds());
        let low = row(Better::Low, Floor::RatioAtMost(1.4), rounds);
        assert_eq!(low.ratio(), Some(3.0));
        assert!(!low.holds());
        assert_eq!(low.peer_figures(), [75.0, 150.0]);
    }

    #[test]
    fn each_floor_asks_its_own_question() {
        let rounds: &[(&[f64], f64)] = &[(&[100.0], 98.0)];
        for (floor, expected) in [
            (Floor::RatioAtLeast(0.98), true),
            (Floor::RatioAtLeast(0.99), false),
            (Floor::RatioAtMost(0.97), false),
            (Floor::RatioWithin(0.03), true),
            (Floor::RatioWithin(0.01), false),
            (Floor::FigureAtMost(98.0), true),
            (Floor::FigureAtMost(97.0), false),
        ] {
            assert_eq!(
                row(Better::High, floor, rounds).holds(),
                expected,
                "{floor:?}"
            );
        }
    }

    #[test]
    fn a_broken_condition_fails_a_good_ratio() {
        let mut row = row(Better::Low, Floor::RatioAtMost(1.0), &[(&[2.0], 1.0)]);
        row.broken.push("the upstream was asked twice".to_owned());
        assert!(!row.holds());
    }

    #[test]
    fn without_a_peer_there_is_no_ratio() {
        let alone = row(Better::Low, Floor::RatioAtMost(1.0), &[(&[], 1.0)]);
        assert_eq!(alone.ratio(), None);
        assert!(!alone.holds());
    }
}
