//! `imap_unordered`: random sleeps; whichever task ends first is printed first.

use sandpool::Pool;
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(sandpool_examples::naps()).processes(4).build()?;
    let start = Instant::now();
    // `indexed` tells which item a result belongs to.
    for step in pool.imap_unordered::<_, f64>("nap", 0..10)?.indexed() {
        let (identifier, nap) = step?;
        let at = start.elapsed().as_secs_f64();
        println!("at {at:.3} s: task {identifier} slept for {:.3} s", nap?);
    }
    Ok(())
}
