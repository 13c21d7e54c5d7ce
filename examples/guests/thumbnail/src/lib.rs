//! A task module that makes thumbnails: the bytes of a PNG or a JPEG in, a small PNG out.
//!
//! It exports exactly the world `sandpool:task/task`, the one for bytes. Decoders of pictures are
//! where hostile input has paid off for decades; here they run behind two walls.
//!
//! ```text
//! cargo build --release --target wasm32-wasip2 --package guest-thumbnail
//! ls photos/*.jpg | sandpool imap target/wasm32-wasip2/release/guest_thumbnail.wasm \
//!     --input files --output json
//! ```
//!
//! With `--output json` each result is a base64 string; an embedder gets the bytes themselves.

use image::{ImageFormat, ImageReader, Limits};
use sandpool_guest::{log, task};
use std::io::Cursor;

/// The longest side of a thumbnail, in pixels.
const LONGEST: u32 = 128;

/// What decoding may allocate. A picture can claim any size in a few bytes; this is refused with a
/// message, where the pool's memory limit would only trap.
const MOST_BYTES: u64 = 192 * 1024 * 1024;

/// Shrinks one picture. Pictures that are small enough keep their size.
#[task]
fn run(input: Vec<u8>) -> Result<Vec<u8>, String> {
    let mut reader = ImageReader::new(Cursor::new(input))
        .with_guessed_format()
        .map_err(|error| format!("cannot read the picture: {error}"))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let picture = reader.decode().map_err(|error| format!("cannot decode the picture: {error}"))?;
    let (width, height) = (picture.width(), picture.height());
    let small = if width.max(height) > LONGEST {
        // Keeps the proportions, and one pixel where a side would vanish.
        picture.thumbnail(LONGEST, LONGEST)
    } else {
        picture
    };
    log::debug!("{width} × {height} became {} × {}", small.width(), small.height());
    let mut png = Cursor::new(Vec::new());
    small
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|error| format!("cannot encode the thumbnail: {error}"))?;
    Ok(png.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, Rgb, RgbImage};

    fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let gradient = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 90]));
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::from(gradient).write_to(&mut bytes, format).expect("memory takes it");
        bytes.into_inner()
    }

    fn size_of_thumbnail(picture: Vec<u8>) -> (u32, u32) {
        let png = run(picture).expect("it is a picture");
        let small = image::load_from_memory_with_format(&png, ImageFormat::Png).expect("a PNG");
        (small.width(), small.height())
    }

    #[test]
    fn the_longest_side_becomes_128_and_the_proportions_stay() {
        assert_eq!(size_of_thumbnail(picture(512, 256, ImageFormat::Png)), (128, 64));
        assert_eq!(size_of_thumbnail(picture(300, 600, ImageFormat::Jpeg)), (64, 128));
        assert_eq!(size_of_thumbnail(picture(1_000, 1, ImageFormat::Png)), (128, 1));
    }

    #[test]
    fn small_pictures_keep_their_size() {
        assert_eq!(size_of_thumbnail(picture(40, 30, ImageFormat::Png)), (40, 30));
    }

    #[test]
    fn what_is_no_picture_is_an_error() {
        let error = run(b"<svg/>".to_vec()).expect_err("not a picture");
        assert!(error.starts_with("cannot decode the picture"), "{error}");
        let mut cut = picture(64, 64, ImageFormat::Png);
        cut.truncate(100);
        assert!(run(cut).is_err());
    }

    /// A header that promises 60 000 × 60 000 pixels, in 33 bytes.
    #[test]
    fn a_decompression_bomb_is_refused_before_it_is_unpacked() {
        let mut bomb = picture(1, 1, ImageFormat::Png);
        bomb[16..24].copy_from_slice(&[0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60]);
        // The checksum of the changed header.
        let checksum = crc32(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&checksum.to_be_bytes());
        let error = run(bomb).expect_err("it is too big");
        assert!(error.contains("limit") || error.contains("Limit"), "{error}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 }
            })
        })
    }
}
