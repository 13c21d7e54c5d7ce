//! A library that uses a pool inside: whoever calls it need not know.

use sandpool::{CallError, Pool, TaskModule};

/// The cubes of some numbers, each computed in a sandbox.
///
/// ```
/// assert_eq!(embed_sandpool::cubes(&[1, 2, 3])?, [1, 8, 27]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If there can be no pool, or an item has no value.
pub fn cubes(of: &[i64]) -> Result<Vec<i64>, Box<dyn std::error::Error>> {
    let wat = br#"(module (func (export "cube") (param i64) (result i64)
        (i64.mul (local.get 0) (i64.mul (local.get 0) (local.get 0)))))"#;
    let pool = Pool::builder(TaskModule::from_bytes("cube.wat", *wat)).processes(1).build()?;
    let cubes: Result<Vec<i64>, CallError> = pool.map("cube", of);
    Ok(cubes?)
}
