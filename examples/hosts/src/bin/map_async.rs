//! `map_async`: the call runs while the caller does something else.

use sandpool::{Callbacks, Pool};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(sandpool_examples::naps()).processes(4).build()?;

    // For a map, the callback gets the whole list, once.
    let callbacks = Callbacks::new()
        .on_value(|naps: &Vec<f64>| println!("callback: {} naps", naps.len()))
        .on_error(|error| println!("callback: {error}"));
    let handle = pool.function("nap")?.map_async_with(0..20, callbacks)?;

    let mut looks = 0;
    while !handle.wait(Some(Duration::from_millis(20))) {
        looks += 1;
    }
    println!("looked {looks} times before it was ready");

    let naps = handle.get()?;
    let longest = naps.iter().copied().fold(0.0, f64::max);
    println!("the longest of {} naps took {longest:.3} s", naps.len());
    Ok(())
}
