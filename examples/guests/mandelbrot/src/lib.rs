//! A task module that computes the Mandelbrot set: one item, one row of pixels.
//!
//! The rows near the middle take many times as long as those at the edge, so this is also a small
//! test of how a pool shares out uneven work. A result is the iterations per pixel, 0 to 255; 255
//! means that the point never left.
//!
//! ```text
//! cargo build --release --target wasm32-wasip2 --package guest-mandelbrot
//! seq 0 599 | sed 's/.*/[&,800,600]/' |
//!     sandpool istarmap target/wasm32-wasip2/release/guest_mandelbrot.wasm --function row
//! ```
//!
//! With `--output raw` in the place of JSON the rows make a picture: put the header
//! `P5 800 600 255` before them, and it is a PGM file.

use sandpool_guest::{TaskType, task};

/// A part of the plane, and how it is cut into pixels.
#[derive(TaskType, Clone, Debug)]
pub struct View {
    /// The point in the middle: real and imaginary part.
    centre: (f64, f64),
    /// The width of the part.
    span: f64,
    width: u32,
    height: u32,
    /// After how many iterations a point counts as inside; none means 255, the most.
    limit: Option<u8>,
}

/// Row `y` of the whole set in a picture of `width` × `height`.
#[task]
fn row(y: u32, width: u32, height: u32) -> Vec<u8> {
    zoomed_row(y, View { centre: (-0.75, 0.0), span: 3.5, width, height, limit: None })
}

/// Row `y` of a part of the set.
#[task]
fn zoomed_row(y: u32, view: View) -> Vec<u8> {
    let View { centre: (re, im), span, width, height, limit } = view;
    let limit = limit.unwrap_or(u8::MAX);
    let pixel = span / f64::from(width);
    // Pixels are measured at their middle, so that the picture is symmetric.
    let at = |position: u32, size: u32| f64::from(position) + 0.5 - f64::from(size) / 2.0;
    let im = im + at(y, height) * pixel;
    (0..width).map(|x| iterations(re + at(x, width) * pixel, im, limit)).collect()
}

/// How often `z² + c` is applied until it leaves the circle of radius 2, at most `limit`.
fn iterations(re: f64, im: f64, limit: u8) -> u8 {
    let (mut z_re, mut z_im) = (0.0, 0.0);
    for count in 0..limit {
        let (re_squared, im_squared) = (z_re * z_re, z_im * z_im);
        if re_squared + im_squared > 4.0 {
            return count;
        }
        (z_re, z_im) = (re_squared - im_squared + re, 2.0 * z_re * z_im + im);
    }
    limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_is_symmetric_and_has_an_inside() {
        let (upper, lower) = (row(20, 80, 60), row(39, 80, 60));
        assert_eq!(upper.len(), 80);
        assert_eq!(upper, lower);
        assert!(row(30, 80, 60).contains(&255));
        assert!(!row(0, 80, 60).contains(&255));
    }

    #[test]
    fn the_limit_is_the_most_there_is() {
        let view = View { centre: (0.0, 0.0), span: 0.1, width: 8, height: 8, limit: Some(9) };
        assert_eq!(zoomed_row(4, view), [9; 8]);
    }

    #[test]
    fn an_empty_picture_has_empty_rows() {
        assert_eq!(row(0, 0, 0), []);
    }
}
