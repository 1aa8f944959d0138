//! The curves of an axis as a picture: sizes and costs on scales of powers, so that a cost that grows
//! with the size is a diagonal, and one that does not is flat.

use std::ops::Range;

use anyhow::{Context as _, anyhow};
use plotters::prelude::{
    BLACK, ChartBuilder, Circle, IntoDrawingArea as _, IntoLogRange as _, LineSeries, PathElement,
    RGBColor, WHITE,
};
use plotters::style::Color as _;

use super::axis::Axis;
use super::canvas::{Canvas, ONCE, png};
use super::rounds::{Curve, Spread};

/// Dots.
const SIZE: (u32, u32) = (960, 600);

/// Letters of twice their dots.
const LETTERS: f64 = 2.0 * ONCE;

/// Labels below a curve.
const LABELS: usize = 5;

/// One for each measure; told apart also where red and green are not.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
];

/// The range of costs that is always shown.
const COSTS: Range<f64> = 0.5..4.0;

/// Draws an axis, as PNG.
pub(crate) fn draw(axis: Axis, curves: &[Curve]) -> anyhow::Result<Vec<u8>> {
    let (width, height) = SIZE;
    let mut dots = vec![0; 3 * width as usize * height as usize];
    draw_on(&mut dots, axis, curves).map_err(|error| anyhow!("draw {}: {error}", axis.name()))?;
    png(&dots, SIZE)
}

/// The costs of a point with its size.
type Spot = (f64, Spread);

fn draw_on(
    dots: &mut [u8],
    axis: Axis,
    curves: &[Curve],
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let spots: Vec<Vec<Spot>> = curves.iter().map(spots).collect();
    let (sizes, costs) = ranges(&spots).context("nothing to draw")?;
    let area = Canvas::over(dots, SIZE).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&area)
        .caption(
            format!("cost by {}, the smallest point being 1", axis.name()),
            ("", LETTERS),
        )
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(sizes.log_scale(), costs.log_scale())
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(LABELS)
        .x_desc(axis.name())
        .x_label_formatter(&|size| format!("{size:.0}"))
        .y_label_formatter(&|cost| format!("{cost}"))
        .label_style(("", LETTERS))
        .draw()
        .map_err(|error| failed(&error))?;
    for (curve, spots) in curves.iter().zip(&spots) {
        let colour = COLOURS[curve.measure as usize];
        let line = spots.iter().map(|(size, cost)| (*size, cost.median));
        let series = chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))
            .map_err(|error| failed(&error))?;
        series
            .label(curve.measure.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
        for (size, cost) in spots {
            let extremes = [(*size, cost.least), (*size, cost.most)];
            let bar = PathElement::new(extremes, colour);
            chart.draw_series([bar]).map_err(|error| failed(&error))?;
            let dot = Circle::new((*size, cost.median), 4, colour.filled());
            chart.draw_series([dot]).map_err(|error| failed(&error))?;
        }
    }
    chart
        .configure_series_labels()
        .position(plotters::chart::SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(BLACK)
        .label_font(("", LETTERS))
        .draw()
        .map_err(|error| failed(&error))?;
    area.present().map_err(|error| failed(&error))?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "at most 100,000")]
fn spots(curve: &Curve) -> Vec<Spot> {
    let sizes = curve.sizes.iter().enumerate();
    sizes
        .map(|(at, size)| (*size as f64, Spread::of(&curve.costs(at))))
        .collect()
}

/// From the smallest to the largest size, and all costs.
fn ranges(spots: &[Vec<Spot>]) -> Option<(Range<f64>, Range<f64>)> {
    let all = || spots.iter().flatten();
    let least = all().map(|(size, _)| *size).reduce(f64::min)?;
    let most = all().map(|(size, _)| *size).reduce(f64::max)?;
    let lowest = all()
        .map(|(_, cost)| cost.least)
        .fold(COSTS.start, f64::min);
    let highest = all().map(|(_, cost)| cost.most).fold(COSTS.end, f64::max);
    // Room beside the first and the last point.
    Some((least * 0.8..most * 1.25, lowest * 0.9..highest * 1.1))
}
