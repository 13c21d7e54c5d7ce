//! `starmap_async`: two calls at once share the workers of one pool.

use sandpool::{AsyncResult, Pool};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(sandpool_examples::naps()).processes(2).build()?;
    let slow = (0..8_i64).map(|x| (x, 1_000_i64, 50_i64));
    let quick = (0..8_i64).map(|x| (x, 100_i64, 1_i64));
    let slow: AsyncResult<Vec<i64>> = pool.starmap_async("slow-add", slow)?;
    let quick: AsyncResult<Vec<i64>> = pool.starmap_async("slow-add", quick)?;

    // The second call need not wait until the first has ended.
    println!("quick: {:?}", quick.get()?);
    println!("the slow one is ready: {}", slow.ready());
    println!("slow: {:?}", slow.get()?);
    Ok(())
}
