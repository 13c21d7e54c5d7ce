//! `imap`: random sleeps; every result is printed as soon as it and those before it are there.

use sandpool::Pool;
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(sandpool_examples::naps()).processes(4).build()?;
    let start = Instant::now();
    let naps = pool.imap::<_, f64>("nap", 0..10)?;
    for (identifier, nap) in naps.enumerate() {
        let at = start.elapsed().as_secs_f64();
        println!("at {at:.3} s: task {identifier} slept for {:.3} s", nap?);
    }

    // Lazy on both sides: of an endless input, no more than the window is ever pulled.
    let mut naps = pool.function("nap")?.window(8).imap::<_, f64>(0_i64..)?;
    for nap in naps.by_ref().take(3) {
        nap?;
    }
    println!("took 3 of an endless input; at most 11 were pulled: {}", naps.pulled() <= 11);
    Ok(())
}
