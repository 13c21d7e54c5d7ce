//! The Mandelbrot set as a picture: rows through the pool, written as they come in order.
//!
//! ```text
//! cargo run --bin mandelbrot [WIDTH HEIGHT [FILE]]
//! ```

use sandpool::Pool;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let width: u32 = arguments.next().map_or(Ok(1200), |text| text.parse())?;
    let height: u32 = arguments.next().map_or(Ok(800), |text| text.parse())?;
    let file = match arguments.next() {
        Some(file) => PathBuf::from(file),
        None => sandpool_examples::repository().join("target/mandelbrot.ppm"),
    };

    let pool = Pool::new(sandpool_examples::build_guest("guest-mandelbrot")?)?;
    let start = Instant::now();
    let mut picture = BufWriter::new(File::create(&file)?);
    write!(picture, "P6\n{width} {height}\n255\n")?;
    // Rows in the middle take many times as long as those at the edge; free workers take the next.
    let rows = (0..height).map(move |y| (y, width, height));
    for row in pool.istarmap::<_, Vec<u8>>("row", rows)? {
        for iterations in row? {
            picture.write_all(&colour(iterations))?;
        }
    }
    picture.flush()?;
    println!(
        "{}: {width} × {height} pixels by {} workers in {:.3} s",
        file.display(),
        pool.processes(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Black inside; outside from dark blue to white, the longer a point stayed.
fn colour(iterations: u8) -> [u8; 3] {
    match iterations {
        u8::MAX => [0, 0, 0],
        n => [n.saturating_mul(3), n.saturating_mul(5), n.saturating_mul(9).saturating_add(40)],
    }
}
