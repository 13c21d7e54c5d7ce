//! `map`: random sleeps; all results come together, in the order of the input.

use sandpool::Pool;
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(sandpool_examples::naps()).processes(4).build()?;
    let start = Instant::now();
    let naps: Vec<f64> = pool.map("nap", 0..10)?;
    for (identifier, nap) in naps.iter().enumerate() {
        println!("task {identifier} slept for {nap:.3} s");
    }
    let total: f64 = naps.iter().sum();
    println!("{total:.3} s of sleep in {:.3} s", start.elapsed().as_secs_f64());
    Ok(())
}
