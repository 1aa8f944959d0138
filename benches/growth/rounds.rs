//! The rounds of an axis: every point in its turn, and what each costs beside the smallest.

use serde::Serialize;

use super::axis::Axis;
use super::point::{House, Point};
use crate::rig::load::Load;
use crate::rig::numbers::median;
use crate::rig::turns::undisturbed;

/// Changes of a turn, each followed by the page.
const CHANGES: usize = 5;

/// What is counted at every point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// Answers per second.
    HotPage,
    /// The same, for each second of the server's processor.
    HotPagePerCpu,
    /// Answers per second to somebody who has the page already.
    NotModified,
    /// Milliseconds.
    Upload,
    /// Milliseconds until the page is whole.
    FirstPage,
}

/// One measure along an axis.
#[derive(Debug)]
pub(crate) struct Curve {
    pub(crate) measure: Measure,
    pub(crate) sizes: Vec<usize>,
    /// Of every point, the figure of each round.
    figures: Vec<Vec<f64>>,
}

/// A median with its extremes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Measure {
    const ALL: [Self; 5] = [
        Self::HotPage,
        Self::HotPagePerCpu,
        Self::NotModified,
        Self::Upload,
        Self::FirstPage,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HotPage => "hot page",
            Self::HotPagePerCpu => "hot page, per CPU",
            Self::NotModified => "304",
            Self::Upload => "upload",
            Self::FirstPage => "first page after a change",
        }
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::HotPage | Self::NotModified => "req/s",
            Self::HotPagePerCpu => "req/CPU-s",
            Self::Upload | Self::FirstPage => "ms",
        }
    }

    fn is_rate(self) -> bool {
        match self {
            Self::HotPage | Self::HotPagePerCpu | Self::NotModified => true,
            Self::Upload | Self::FirstPage => false,
        }
    }
}

impl Curve {
    fn new(measure: Measure, sizes: &[usize]) -> Self {
        Self {
            measure,
            sizes: sizes.to_vec(),
            figures: vec![Vec::new(); sizes.len()],
        }
    }

    /// The figures of a point, round by round.
    pub(crate) fn figures(&self, at: usize) -> &[f64] {
        &self.figures[at]
    }

    /// What a point costs, in every round beside the smallest point of that round: time, where a
    /// rate is the figure. The smallest costs 1.
    pub(crate) fn costs(&self, at: usize) -> Vec<f64> {
        let beside = self.figures[at].iter().zip(&self.figures[0]);
        let cost = |(own, smallest): (&f64, &f64)| match self.measure.is_rate() {
            true => smallest / own,
            false => own / smallest,
        };
        beside.map(cost).collect()
    }
}

impl Spread {
    pub(crate) fn of(values: &[f64]) -> Self {
        Self {
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            median: median(values.iter().copied()),
            most: values.iter().copied().fold(0.0, f64::max),
        }
    }
}

/// Measures an axis; who begins a round changes.
pub(crate) fn measure(
    axis: Axis,
    sizes: &[usize],
    house: &House<'_>,
    load: Load<'_>,
) -> anyhow::Result<Vec<Curve>> {
    let mut points = Point::all(axis, sizes, house)?;
    for point in &points {
        let bytes = point.page_bytes()?;
        eprintln!("  {}: the hot page has {bytes} bytes", point.size);
    }
    let mut curves = Measure::ALL.map(|measure| Curve::new(measure, sizes));
    for round in 0..load.rounds {
        for position in 0..points.len() {
            let at = (round + position) % points.len();
            for (measure, figure) in turn(axis, &mut points[at], load)? {
                let mut curves = curves.iter_mut();
                if let Some(curve) = curves.find(|curve| curve.measure == measure) {
                    curve.figures[at].push(figure);
                }
            }
        }
    }
    let measured = |curve: &Curve| !curve.figures[0].is_empty();
    Ok(curves.into_iter().filter(measured).collect())
}

/// One turn of a point.
fn turn(axis: Axis, point: &mut Point, load: Load<'_>) -> anyhow::Result<Vec<(Measure, f64)>> {
    let hot = undisturbed(load, &point.hot(), point.shape())?;
    let mut figures = vec![
        (Measure::HotPage, hot.requests_per_second()),
        (
            Measure::HotPagePerCpu,
            hot.requests_per_second() / hot.busy(),
        ),
    ];
    // Its page grows, and so do the bytes of every answer: without them, nothing may.
    if axis == Axis::Files {
        let turn = undisturbed(load, &point.not_modified()?, point.shape())?;
        figures.push((Measure::NotModified, turn.requests_per_second()));
    }
    let held = point.hold()?;
    let changes = (0..CHANGES).map(|_| point.change());
    let changes = changes.collect::<Result<Vec<_>, _>>()?;
    drop(held);
    let uploads: Vec<f64> = changes.iter().filter_map(|change| change.upload).collect();
    if !uploads.is_empty() {
        figures.push((Measure::Upload, median(uploads.into_iter())));
    }
    let first = changes.iter().map(|change| change.first_page);
    figures.push((Measure::FirstPage, median(first)));
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_taken_beside_the_smallest_point_of_the_same_round() {
        // In the second round everything takes twice as long.
        let rate = Curve {
            figures: vec![vec![100.0, 50.0], vec![50.0, 25.0]],
            ..Curve::new(Measure::HotPage, &[1, 10])
        };
        assert_eq!(rate.costs(0), [1.0, 1.0]);
        assert_eq!(rate.costs(1), [2.0, 2.0]);
        let time = Curve {
            figures: vec![vec![1.0, 2.0], vec![3.0, 6.0]],
            ..Curve::new(Measure::Upload, &[1, 10])
        };
        assert_eq!(time.costs(1), [3.0, 3.0]);
    }

    #[test]
    fn extremes_are_kept_beside_the_median() {
        let spread = Spread::of(&[3.0, 1.0, 2.0]);
        let expected = Spread {
            least: 1.0,
            median: 2.0,
            most: 3.0,
        };
        assert_eq!(spread, expected);
    }
}
