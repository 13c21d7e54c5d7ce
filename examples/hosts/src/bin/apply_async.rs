//! `apply_async`: the cube of a number, with callbacks, and with a handle to wait on.

use sandpool::{Callbacks, Pool};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(sandpool_examples::numbers()).processes(2).build()?;
    let cube = pool.function("cube")?;

    // Exactly one of the two is called, before the handle turns ready.
    let callbacks = Callbacks::new()
        .on_value(|cube: &i64| println!("callback: {cube}"))
        .on_error(|error| println!("callback: {error}"));
    let handle = cube.apply_async_with(&4, callbacks)?;
    println!("get: {}", handle.get()?);
    println!("successful: {}", handle.successful()?);

    // The error callback, for an item that traps.
    let callbacks = Callbacks::new()
        .on_value(|quotient: &i64| println!("callback: {quotient}"))
        .on_error(|error| println!("error callback: {error}"));
    let handle = pool.function("divide")?.apply_async_with(&(1, 0), callbacks)?;
    handle.wait(None);
    println!("successful: {}", handle.successful()?);

    // Many at once: every handle is asked when its turn comes.
    let handles: Result<Vec<_>, _> = (1..=5).map(|x| cube.apply_async::<i64, i64>(&x)).collect();
    for handle in handles? {
        match handle.get_timeout(Duration::from_secs(10)) {
            Some(cube) => println!("one of many: {}", cube?),
            None => println!("still running"),
        }
    }
    Ok(())
}
