//! The order in which servers are asked: pure, so that every case can be tested.

use crate::upstream::fleet::status::Role;

/// How many transactions a replica may lag before it is asked last. Serials are learned at different
/// moments, so a small lag means nothing.
const LAG_MAX: i64 = 10;

/// What is known of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Whether its last request or check went well.
    pub(super) is_up: bool,
    /// The role it stated; until it has, the first in the configuration counts as primary.
    pub(super) role: Role,
    /// The newest transaction it reported.
    pub(super) serial: Option<i64>,
}

/// Positions in the order of asking: the healthy ones first, in rotation; then replicas that lag; then
/// those that failed, since trying is better than refusing.
pub(super) fn order(standings: &[Standing], turn: usize) -> Vec<usize> {
    let newest = newest(standings);
    let mut positions: Vec<usize> = (0..standings.len()).collect();
    positions.rotate_left(turn % standings.len().max(1));
    positions.sort_by_key(|position| rank(&standings[*position], newest));
    positions
}

/// The position of the primary, if it is up.
pub(super) fn primary(standings: &[Standing]) -> Option<usize> {
    let is_primary = |standing: &Standing| standing.is_up && standing.role == Role::Primary;
    standings.iter().position(is_primary)
}

/// Whether there is a primary and it is down.
pub(super) fn lacks_primary(standings: &[Standing]) -> bool {
    let mut roles = standings.iter().map(|standing| standing.role);
    roles.any(|role| role == Role::Primary) && primary(standings).is_none()
}

/// The serial that counts: the primary's, or without one the newest of those that are up.
pub(super) fn serial(standings: &[Standing]) -> Option<i64> {
    match primary(standings) {
        Some(position) => standings[position].serial,
        None => newest(standings),
    }
}

fn newest(standings: &[Standing]) -> Option<i64> {
    let up = standings.iter().filter(|standing| standing.is_up);
    up.filter_map(|standing| standing.serial).max()
}

fn rank(standing: &Standing, newest: Option<i64>) -> u8 {
    let behind = newest
        .zip(standing.serial)
        .map(|(newest, own)| newest.saturating_sub(own));
    match (standing.is_up, standing.role) {
        (true, Role::Primary) => 0,
        (true, Role::Replica) if behind.is_none_or(|behind| behind <= LAG_MAX) => 0,
        (true, Role::Replica) => 1,
        (false, Role::Primary) => 2,
        (false, Role::Replica) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(is_up: bool, role: Role, serial: i64) -> Standing {
        Standing {
            is_up,
            role,
            serial: Some(serial),
        }
    }

    #[test]
    fn the_healthy_take_turns_and_the_failed_come_last() {
        use Role::{Primary, Replica};
        let table = [
            (
                "all up",
                vec![
                    (true, Primary, 50),
                    (true, Replica, 50),
                    (true, Replica, 45),
                ],
                [vec![0, 1, 2], vec![1, 2, 0], vec![2, 0, 1]],
            ),
            (
                "primary down",
                vec![
                    (false, Primary, 50),
                    (true, Replica, 50),
                    (true, Replica, 45),
                ],
                [vec![1, 2, 0], vec![1, 2, 0], vec![2, 1, 0]],
            ),
            (
                "a replica lags",
                vec![
                    (true, Primary, 50),
                    (true, Replica, 39),
                    (true, Replica, 40),
                ],
                [vec![0, 2, 1], vec![2, 0, 1], vec![2, 0, 1]],
            ),
            (
                "all down",
                vec![
                    (false, Replica, 1),
                    (false, Primary, 9),
                    (false, Replica, 1),
                ],
                [vec![1, 0, 2], vec![1, 2, 0], vec![1, 2, 0]],
            ),
        ];
        for (what, servers, expected) in table {
            let standings: Vec<Standing> = servers
                .into_iter()
                .map(|(is_up, role, serial)| server(is_up, role, serial))
                .collect();
            for (turn, expected) in expected.into_iter().enumerate() {
                assert_eq!(order(&standings, turn), expected, "{what}, turn {turn}");
            }
        }
        assert_eq!(order(&[], 3), Vec::<usize>::new());
    }

    #[test]
    fn the_primarys_serial_counts_as_long_as_it_is_up() {
        let ahead = server(true, Role::Replica, 9);
        let behind = server(true, Role::Primary, 7);
        assert_eq!(serial(&[ahead, behind]), Some(7));
        assert_eq!(primary(&[ahead, behind]), Some(1));
        let down = server(false, Role::Primary, 7);
        assert_eq!(serial(&[ahead, down]), Some(9));
        assert_eq!(primary(&[ahead, down]), None);
        assert_eq!(serial(&[down]), None);
        assert!(lacks_primary(&[ahead, down]));
        assert!(!lacks_primary(&[down, behind]), "another took its place");
        assert!(!lacks_primary(&[ahead, ahead]), "its primary is elsewhere");
    }
}
