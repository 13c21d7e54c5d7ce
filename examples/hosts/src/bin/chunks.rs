//! 40 items on 4 workers with chunks of 1, 2 and 10: an economy that is not visible in results.

use sandpool::Pool;
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(sandpool_examples::naps()).processes(4).build()?;
    let items: Vec<(i64, i64, i64)> = (0..40).map(|x| (x, x, 5)).collect();
    for chunk_size in [1, 2, 10] {
        let start = Instant::now();
        let add = pool.function("slow-add")?.chunk_size(chunk_size);
        let doubles: Vec<i64> = add.starmap(&items)?;
        let right = doubles.iter().zip(0..).all(|(double, x)| *double == 2 * x);
        println!(
            "chunks of {chunk_size}: {} results in order: {right}, in {:.3} s",
            doubles.len(),
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
