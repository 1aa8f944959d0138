//! Turns of load, one server after the other and round after round, and what to make of them.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};

use super::load::{Load, Shape, Turn, turn};
use super::numbers::median;
use super::plain::Request;
use super::process::Server;

/// A server below this part of its core was not the limit.
const SATURATED: f64 = 0.9;

/// A turn in which others took more than this part of a core is taken again.
const DISTURBED: f64 = 0.1;

/// How often at most a turn is taken, usually; the least disturbed counts.
pub(crate) const ATTEMPTS: usize = 3;

/// A server in its turn.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'static str,
    pub(crate) server: &'a Server,
    pub(crate) address: SocketAddr,
    pub(crate) request: Request,
}

/// Lets each have its turn, round after round; who begins changes, so that nobody is always after
/// the same one. The first contender is ours.
pub(crate) fn alternate(
    load: Load<'_>,
    contenders: &[Contender<'_>],
    shape: Shape,
) -> anyhow::Result<Vec<Vec<Turn>>> {
    let mut turns = vec![Vec::new(); contenders.len()];
    for round in 0..load.rounds {
        for position in 0..contenders.len() {
            let at = (round + position) % contenders.len();
            turns[at].push(undisturbed(load, &contenders[at], shape)?);
        }
    }
    Ok(turns)
}

/// The least disturbed of a few turns; a quiet one ends the search.
pub(crate) fn undisturbed(
    load: Load<'_>,
    contender: &Contender<'_>,
    shape: Shape,
) -> anyhow::Result<Turn> {
    let Contender {
        name,
        server,
        address,
        request,
    } = contender;
    let ask = || turn(load, server, *address, request, shape).context(*name);
    let mut best = ask()?;
    for _ in 1..load.attempts {
        if best.disturbed <= DISTURBED {
            break;
        }
        let next = ask()?;
        if next.disturbed < best.disturbed {
            best = next;
        }
    }
    Ok(best)
}

/// wrk counts a short answer as one: the bytes have to add up.
pub(crate) fn whole_answers(turns: &[Vec<Turn>], expected: usize) -> anyhow::Result<()> {
    for turn in turns.iter().flatten() {
        #[expect(clippy::cast_precision_loss, reason = "no answer here has 2^53 bytes")]
        let least = turn.requests * expected as f64;
        if turn.bytes < least {
            bail!(
                "{} answers of {expected} bytes made {} bytes",
                turn.requests,
                turn.bytes
            );
        }
    }
    Ok(())
}

/// For each round, ours over the best peer's: what a second of processor did.
pub(crate) fn per_cpu(turns: &[Vec<Turn>], figure: &dyn Fn(&Turn) -> f64) -> Vec<f64> {
    let rounds = turns.iter().map(Vec::len).min().unwrap_or(0);
    let round = |round: usize| {
        let mut done = turns
            .iter()
            .map(|turns| figure(&turns[round]) / turns[round].busy());
        let ours = done.next().unwrap_or(0.0);
        ours / done.reduce(f64::max).unwrap_or(f64::NAN)
    };
    (0..rounds).map(round).collect()
}

/// Whether some server's usual turn was disturbed: then a rate proves nothing, good or bad.
pub(crate) fn are_disturbed(turns: &[Vec<Turn>]) -> bool {
    let usual = |turns: &Vec<Turn>| median(turns.iter().map(|turn| turn.disturbed));
    turns.iter().any(|turns| usual(turns) > DISTURBED)
}

/// What keeps a rate from speaking of the server alone: a load that was the limit, and strangers.
pub(crate) fn doubts(turns: &[Vec<Turn>]) -> Vec<String> {
    let medians = |part: fn(&Turn) -> f64| -> Vec<f64> {
        turns
            .iter()
            .map(|turns| median(turns.iter().map(part)))
            .collect()
    };
    let percents = |parts: &[f64]| {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| format!("{:.0} %", part * 100.0))
            .collect();
        parts.join(", ")
    };
    let busy = medians(Turn::busy);
    let disturbed = medians(|turn| turn.disturbed);
    let mut doubts = Vec::new();
    if busy.iter().any(|busy| *busy < SATURATED) {
        doubts.push(format!(
            "the servers (ours first) used {} of their core",
            percents(&busy)
        ));
    }
    if are_disturbed(turns) {
        doubts.push(format!(
            "other processes took {} of a core",
            percents(&disturbed)
        ));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(requests: f64, bytes: f64, busy: f64) -> Turn {
        Turn {
            requests,
            bytes,
            seconds: 2.0,
            cpu_seconds: busy * 2.0,
            p50: 0.0,
            p99: 0.0,
            disturbed: 0.0,
        }
    }

    #[test]
    fn short_answers_are_noticed() {
        let whole = vec![vec![turn(10.0, 1000.0, 1.0)]];
        assert!(whole_answers(&whole, 100).is_ok());
        assert!(whole_answers(&whole, 101).is_err());
    }

    #[test]
    fn what_a_second_of_processor_does_is_compared_round_by_round() {
        // Ours did the same in half of the time that nginx's better way took.
        let turns = [
            vec![turn(10.0, 1.0, 0.5), turn(8.0, 1.0, 1.0)],
            vec![turn(10.0, 1.0, 1.0), turn(4.0, 1.0, 1.0)],
            vec![turn(5.0, 1.0, 1.0), turn(2.0, 1.0, 1.0)],
        ];
        assert_eq!(per_cpu(&turns, &Turn::requests_per_second), [2.0, 2.0]);
    }

    #[test]
    fn an_idle_server_and_a_stranger_are_doubts() {
        let fine = turn(1.0, 1.0, 0.95);
        assert!(doubts(&[vec![fine], vec![fine]]).is_empty());
        let disturbed = Turn {
            disturbed: 0.2,
            ..turn(1.0, 1.0, 0.5)
        };
        assert_eq!(
            doubts(&[vec![disturbed], vec![fine]]),
            [
                "the servers (ours first) used 50 %, 95 % of their core",
                "other processes took 20 %, 0 % of a core",
            ]
        );
    }
}
