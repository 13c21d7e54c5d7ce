//! `apply`: one item, and the caller waits for its outcome.

use sandpool::{CallError, Pool};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(sandpool_examples::numbers()).processes(1).build()?;

    let square: i64 = pool.apply("square", &12)?;
    println!("12 squared is {square}");

    // Several parameters are one tuple.
    let sum: i64 = pool.apply("add", &(40, 2))?;
    println!("40 and 2 is {sum}");

    // What goes wrong in the guest is an error of this item, and of nothing else.
    let outcome: Result<i64, CallError> = pool.apply("divide", &(1, 0));
    if let Err(error) = outcome {
        println!("1 by 0: {error}");
    }
    let quotient: i64 = pool.apply("divide", &(84, 2))?;
    println!("84 by 2 is {quotient}");
    Ok(())
}
