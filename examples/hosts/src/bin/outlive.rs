//! An iterator that is consumed after its pool value is gone. In Python this hangs: leaving the
//! `with` block terminates the pool, and nobody tells the iterator.

use sandpool::{Imap, Pool};
use std::error::Error;

fn naps() -> Result<Imap<f64>, Box<dyn Error>> {
    let pool = Pool::builder(sandpool_examples::naps()).processes(2).build()?;
    Ok(pool.imap_unordered("nap", 0..10)?)
    // Here the pool value is dropped: it takes no new calls, and finishes this one.
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut count = 0;
    for nap in naps()? {
        nap?;
        count += 1;
        println!("result {count}, from a pool that is out of scope");
    }
    println!("all {count} results are here");
    Ok(())
}
