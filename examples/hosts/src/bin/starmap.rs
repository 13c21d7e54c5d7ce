//! `starmap`: every item is a list of arguments, here of an adder.

use sandpool::Pool;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(sandpool_examples::numbers()).processes(2).build()?;
    let pairs = [(1, 2), (3, 4), (5, 6)];
    let sums: Vec<i64> = pool.starmap("add", pairs)?;
    for ((x, y), sum) in pairs.iter().zip(sums) {
        println!("{x} + {y} = {sum}");
    }

    // A list of one argument is a list all the same.
    let squares: Vec<i64> = pool.starmap("square", [(2,), (3,)])?;
    println!("squares: {squares:?}");
    Ok(())
}
