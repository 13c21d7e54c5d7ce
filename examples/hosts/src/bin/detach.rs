//! Tasks without a return value that must all run: `detach`, `close`, `join`.

use sandpool::Pool;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(sandpool_examples::naps()).processes(4).build()?;
    // Dropping the iterator would cancel the call; `detach` lets it run to its end.
    pool.imap_unordered::<_, ()>("pause", std::iter::repeat_n(2, 200))?.detach();
    pool.close();
    match pool.apply::<_, ()>("pause", &1) {
        Ok(()) => println!("a closed pool took a call"),
        Err(error) => println!("after close: {error}"),
    }
    pool.join()?;
    let stats = pool.stats();
    println!("{} of {} tasks ran, {} failed", stats.values, stats.submitted, stats.errors);
    Ok(())
}
