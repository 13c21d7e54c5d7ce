//! `istarmap_unordered`: a search that ends with the first answer, and frees the pool at once.

use sandpool::Pool;
use std::error::Error;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(sandpool_examples::naps()).processes(4).build()?;
    let start = Instant::now();
    // Three of the four would take a minute.
    let items = [(1, 1, 60_000), (2, 2, 60_000), (3, 3, 30), (4, 4, 60_000)];
    let mut sums = pool.function("slow-add")?.chunk_size(1).istarmap_unordered::<_, i64>(items)?;
    if let Some(first) = sums.next() {
        println!("the first answer is {}", first?);
    }
    // Dropping the iterator cancels what it has not yielded.
    drop(sums);
    let sum: i64 = pool.apply("slow-add", &(20, 22, 0))?;
    println!("the pool is free again: {sum}");
    println!("in a second: {}", start.elapsed() < Duration::from_secs(1));
    Ok(())
}
