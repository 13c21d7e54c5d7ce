use sandpool::*;
use std::time::Instant;
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wat = r#"(module
      (func (export "square") (param i64) (result i64) (i64.mul (local.get 0) (local.get 0)))
      (func (export "spin") (param i64) (result i64) (loop (br 0)) (i64.const 1))
      (func (export "trap") (param i64) (result i64) unreachable))"#;
    let t = Instant::now();
    let pool = Pool::builder(TaskModule::from_bytes("square.wat", wat.as_bytes()))
        .processes(2)
        .instance(if std::env::args().len() > 1 { Instance::Reuse } else { Instance::Fresh })
        .build()?;
    println!("built in {:?}", t.elapsed());
    let x: i64 = pool.apply("square", &7)?;
    println!("{x}");
    println!("{:?}", pool.apply::<_, i64>("trap", &7));
    let t = Instant::now();
    for i in 0..1000 {
        let y: i64 = pool.apply("square", &i)?;
        assert_eq!(y, i * i);
    }
    println!("apply {:?}", t.elapsed() / 1000);
    for n in [1000_i64, 1_000_000] {
        let t = Instant::now();
        let v: Vec<i64> = pool.map("square", 0..n)?;
        assert_eq!(v.len() as i64, n);
        assert!(v.iter().enumerate().all(|(i, v)| (i * i) as i64 == *v));
        println!("map {n}: {:?} per item", t.elapsed() / n as u32);
        let t = Instant::now();
        let mut k = 0;
        for (i, r) in pool.imap::<_, i64>("square", 0..n)?.enumerate() {
            assert_eq!(r?, (i * i) as i64);
            k += 1;
        }
        assert_eq!(k, n);
        println!("imap {n}: {:?} per item", t.elapsed() / n as u32);
        let t = Instant::now();
        let s: i64 = pool.imap_unordered::<_, i64>("square", 0..n)?.map(|r| r.unwrap()).sum();
        println!("unordered {n}: {:?} per item {s}", t.elapsed() / n as u32);
    }
    let f = pool.function("spin")?.timeout(std::time::Duration::from_millis(100));
    let t = Instant::now();
    println!("{:?} after {:?}", f.apply::<_, i64>(&1), t.elapsed());
    let t = Instant::now();
    let x: i64 = pool.apply("square", &7)?;
    println!("{x} {:?}", t.elapsed());
    println!("{:#?}", pool.stats());
    let t = Instant::now();
    pool.close();
    pool.join()?;
    println!("joined {:?}", t.elapsed());
    Ok(())
}
