//! plotters' bitmap with letters of 8 by 8 dots: fonts of the system differ, or are not there.

use anyhow::Context as _;
use font8x8::legacy::BASIC_LEGACY;
use plotters::prelude::{BitMapBackend, DrawingBackend};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind,
};

/// Dots of a letter in either direction.
const LETTER: i32 = 8;

/// A picture in memory, three bytes for each dot.
pub(crate) struct Canvas<'a>(BitMapBackend<'a>);

impl<'a> Canvas<'a> {
    /// Draws over these dots.
    pub(crate) fn over(dots: &'a mut [u8], size: (u32, u32)) -> Self {
        Self(BitMapBackend::with_buffer(dots, size))
    }
}

/// The dots as a PNG.
pub(crate) fn png(dots: &[u8], (width, height): (u32, u32)) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().context("begin a picture")?;
    writer.write_image_data(dots).context("write a picture")?;
    writer.finish().context("end a picture")?;
    Ok(bytes)
}

/// The size of a font whose letters plotters takes to be as wide as ours; it asks no backend for that
/// where it draws a frame around a text.
pub(crate) const ONCE: f64 = 17.6;

/// How many dots wide and high a text is, and how many times a letter's dots are repeated.
fn measures(text: &str, style: &impl BackendTextStyle) -> (i32, i32, i32) {
    #[expect(clippy::cast_possible_truncation, reason = "sizes of letters")]
    let times = ((style.size() / ONCE).round() as i32).max(1);
    let letters = i32::try_from(text.chars().count()).unwrap_or(0);
    (letters * LETTER * times, LETTER * times, times)
}

type Drawn<'a> = Result<(), DrawingErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

impl<'a> DrawingBackend for Canvas<'a> {
    type ErrorType = <BitMapBackend<'a> as DrawingBackend>::ErrorType;

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Drawn<'a> {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Drawn<'a> {
        self.0.present()
    }

    fn draw_pixel(&mut self, point: BackendCoord, colour: BackendColor) -> Drawn<'a> {
        self.0.draw_pixel(point, colour)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn<'a> {
        self.0.draw_rect(upper_left, bottom_right, style, fill)
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        (x, y): BackendCoord,
    ) -> Drawn<'a> {
        let (width, height, times) = measures(text, style);
        let left = match style.anchor().h_pos {
            HPos::Left => 0,
            HPos::Right => -width,
            HPos::Center => -width / 2,
        };
        let top = match style.anchor().v_pos {
            VPos::Top => 0,
            VPos::Center => -height / 2,
            VPos::Bottom => -height,
        };
        for (letter, column) in text
            .chars()
            .zip((0..).step_by(LETTER.unsigned_abs() as usize))
        {
            let rows = BASIC_LEGACY.get(letter as usize).unwrap_or(&[0; 8]);
            for (row, bits) in (0..).zip(rows) {
                for dot in (0..LETTER).filter(|dot| bits & (1 << dot) != 0) {
                    let (left, top) = (x + left + (column + dot) * times, y + top + row * times);
                    for at in 0..times * times {
                        let point = (left + at % times, top + at / times);
                        self.draw_pixel(point, style.color())?;
                    }
                }
            }
        }
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Self::ErrorType>> {
        let (width, height, _) = measures(text, style);
        Ok((width.unsigned_abs(), height.unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use plotters::prelude::{BLACK, Color as _, IntoFont as _};

    use super::*;

    #[test]
    fn letters_are_drawn_where_they_are_told_and_a_picture_is_a_png() {
        let size = (40, 20);
        let mut dots = vec![255; 3 * 40 * 20];
        let mut canvas = Canvas::over(&mut dots, size);
        let style = ("", ONCE).into_font().color(&BLACK.to_rgba());
        canvas.draw_text("I", &style, (16, 8)).unwrap();
        drop(canvas);
        let dark = |(x, y): (usize, usize)| dots[3 * (40 * y + x)] == 0;
        let all = (0..40).flat_map(|x| (0..20).map(move |y| (x, y)));
        let dark: Vec<_> = all.filter(|at| dark(*at)).collect();
        assert!(dark.len() > 8);
        assert!(
            dark.iter()
                .all(|(x, y)| (16..24).contains(x) && (8..16).contains(y))
        );
        assert!(png(&dots, size).unwrap().starts_with(b"\x89PNG"));
    }
}
