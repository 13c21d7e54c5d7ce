//! `istarmap`: argument lists, lazily; a time limit costs the item that ran into it, no other.

use sandpool::Pool;
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(sandpool_examples::naps()).processes(2).build()?;
    // x, y, and how long the addition takes, in milliseconds.
    let items = [(1, 1, 0), (2, 2, 60_000), (3, 3, 20), (4, 4, 0)];
    let add = pool.function("slow-add")?.timeout(Duration::from_millis(500));
    for (sum, (x, y, _)) in add.istarmap::<_, i64>(items)?.zip(items) {
        match sum {
            Ok(sum) => println!("{x} + {y} = {sum}"),
            Err(error) => println!("{x} + {y}: {error}"),
        }
    }
    Ok(())
}
