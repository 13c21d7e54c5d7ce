//! The smallest host: ten lines, and nothing in them says that this program is also its own worker.

use sandpool::{Pool, TaskModule};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wat = r#"(module (func (export "square") (param i64) (result i64)
        (i64.mul (local.get 0) (local.get 0))))"#;
    let pool = Pool::builder(TaskModule::from_bytes("square.wat", wat.as_bytes())).build()?;
    for square in pool.imap::<_, i64>("square", 1..=10)? {
        println!("{}", square?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sandpool::{Pool, TaskModule};

    #[test]
    fn the_test_program_is_its_own_worker() {
        let wat = br#"(module (func (export "add") (param i32 i32) (result i32)
            (i32.add (local.get 0) (local.get 1))))"#;
        let module = TaskModule::from_bytes("add.wat", *wat);
        let pool = Pool::builder(module).processes(2).build().expect("a pool");
        let sums: Vec<i32> = pool.starmap("add", (0..100).map(|x| (x, 1))).expect("sums");
        assert!(sums.into_iter().eq(1..=100));
    }
}
