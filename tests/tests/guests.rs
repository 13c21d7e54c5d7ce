//! The guests of `examples/guests`, built as a user builds them, through a real pool: every kind of
//! module, the SDK's types both ways, logs and context, the error of a function as a value.

use sandpool::{Form, Pool, TaskErrorKind, TaskModule};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

fn pool(guest: &str) -> Pool {
    let path = sandpool_examples::build_guest(guest).expect("the guest builds");
    let module = TaskModule::from_file(path).expect("the guest can be read");
    Pool::builder(module)
        .processes(2)
        .cache(sandpool_tests::scene::cache())
        .build()
        .expect("the pool can be built")
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Product {
    GreenTea,
    Coffee,
    Mug,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    product: Product,
    quantity: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Coupon {
    Percent(u8),
    Amount(u64),
    FreeDelivery,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Refusal {
    Empty,
    OutOfStock(Product, u32),
    TooExpensive,
    BadCoupon(Coupon),
}

#[derive(Clone, Debug, Serialize)]
enum Delivery {
    Pickup,
}

#[derive(Clone, Debug, Serialize)]
struct Order {
    customer: String,
    lines: Vec<Line>,
    coupon: Option<Coupon>,
    delivery: Delivery,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Invoice {
    number: u64,
    rows: Vec<(String, u64)>,
    discount: u64,
    total: u64,
}

fn order(product: Product, quantity: u32, coupon: Option<Coupon>) -> Order {
    let lines = vec![Line { product, quantity }];
    Order { customer: "Ada".into(), lines, coupon, delivery: Delivery::Pickup }
}

#[test]
fn records_variants_and_errors_cross_as_rust_values() {
    let pool = pool("guest-typed");
    let price = pool.function("price").expect("it is there");
    let orders = [
        order(Product::GreenTea, 2, Some(Coupon::Percent(10))),
        order(Product::Mug, 1000, None),
        Order { lines: Vec::new(), ..order(Product::Coffee, 1, None) },
        order(Product::Coffee, 1, Some(Coupon::Amount(1_000_000))),
        order(Product::Coffee, 1, Some(Coupon::FreeDelivery)),
    ];
    let outcomes = price.map_outcomes::<_, Invoice>(&orders).expect("the call ends");
    let first = outcomes[0].as_ref().expect("a price");
    assert_eq!((first.number, first.discount, first.total), (1, 90, 810));
    assert_eq!(first.rows.len(), 1);
    let refusals: Vec<Refusal> = outcomes[1..4]
        .iter()
        .map(|outcome| {
            let error = outcome.as_ref().expect_err("a refusal");
            assert_eq!(error.kind(), TaskErrorKind::Failed);
            price.error_value(error).expect("the error is a value")
        })
        .collect();
    let bad = Refusal::BadCoupon(Coupon::Amount(1_000_000));
    assert_eq!(refusals, [Refusal::OutOfStock(Product::Mug, 24), Refusal::Empty, bad]);
    // The number is the item's index in its call, which the guest asked for.
    assert_eq!(outcomes[4].as_ref().map(|invoice| invoice.number).ok(), Some(5));

    let nested: Vec<Result<u64, Refusal>> = pool.apply("audit", &orders[..3]).expect("a value");
    assert_eq!(nested[0], Ok(810));
    assert_eq!(nested[2], Err(Refusal::Empty));
    let letters: Vec<Option<char>> =
        pool.map("file-under", ["  ada", "!?", "Émile"]).expect("values");
    assert_eq!(letters, [Some('a'), None, Some('É')]);
    let shares: Vec<Vec<u64>> = pool.starmap("split", [(10_u64, 3_u32)]).expect("values");
    assert_eq!(shares, [[4, 3, 3]]);
}

#[test]
fn logs_of_an_item_come_with_its_outcome() {
    let pool = pool("guest-typed");
    let orders = vec![order(Product::Mug, 1, None)];
    let mut prices = pool.imap::<_, Invoice>("price", orders).expect("it runs");
    let outcome = prices.next_outcome().expect("one").expect("the call is fine");
    let text = String::from_utf8_lossy(&outcome.logs.stderr).into_owned();
    assert!(text.contains("Ada pays 1290 cents"), "{text:?}");
}

#[test]
fn the_same_function_speaks_json() {
    let pool = pool("guest-typed");
    let price = pool.function("price").expect("it is there").documents(Form::Json);
    let item = br#"{"customer":"Bob","lines":[{"product":"mug","quantity":1}],
                    "coupon":{"percent":50},"delivery":"pickup"}"#;
    let invoice: serde_json::Value =
        serde_json::from_slice(&price.apply(item).expect("a price")).expect("JSON");
    assert_eq!(invoice["total"], 645);
    let misfit = price.apply(br#"{"customer":"Bob","lines":[{"product":"mugs","quantity":1}]}"#);
    let error = misfit.expect_err("no such product");
    let error = error.task().expect("the item's error");
    assert_eq!(error.kind(), TaskErrorKind::BadInput);
    assert!(error.message().contains("$.lines[0].product"), "{}", error.message());
}

#[test]
fn markdown_becomes_html() {
    let pool = pool("guest-markdown");
    let html: Vec<String> = pool.map("render", ["# A *b*", "- c"]).expect("values");
    assert_eq!(html[0].trim(), "<h1>A <em>b</em></h1>");
    assert!(html[1].contains("<li>c</li>"));
}

#[test]
fn thumbnails_are_small_pngs_and_garbage_is_the_functions_error() {
    let pool = pool("guest-thumbnail");
    let function = pool.default_function().expect("one function");
    let error = function.apply::<_, Vec<u8>>(&b"no picture"[..]).expect_err("garbage");
    assert_eq!(error.task().map(|error| error.kind()), Some(TaskErrorKind::Failed));
    // The smallest PNG there is: one pixel.
    let pixel =
        b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\
        \x00\x01\x08\x02\x00\x00\x00\x90\x77\x53\xde\x00\x00\x00\x0c\x49\x44\x41\x54\x78\x9c\x63\
        \xf8\xcf\xc0\x00\x00\x03\x01\x01\x00\xc9\xfe\x92\xef\x00\x00\x00\x00\x49\x45\x4e\x44\xae\
        \x42\x60\x82";
    let thumbnail: Vec<u8> = function.apply(&pixel[..]).expect("a picture");
    assert!(thumbnail.starts_with(b"\x89PNG"));
}

#[test]
fn mandelbrot_rows_are_all_there() {
    let pool = pool("guest-mandelbrot");
    let rows: Vec<Vec<u8>> =
        pool.starmap("row", (0..24_u32).map(|y| (y, 48_u32, 24_u32))).expect("rows");
    assert!(rows.len() == 24 && rows.iter().all(|row| row.len() == 48));
    let shades: BTreeMap<u8, usize> = rows.iter().flatten().fold(BTreeMap::new(), |mut map, s| {
        *map.entry(*s).or_default() += 1;
        map
    });
    assert!(shades.len() > 3, "a picture has more than a few shades: {shades:?}");
}

#[test]
fn an_ordinary_command_maps_standard_input_to_standard_output() {
    let pool = pool("guest-wordcount");
    let function = pool.default_function().expect("the command").documents(Form::Raw);
    let counts = function.apply(b"one two\nthree\n").expect("counts");
    assert_eq!(&*counts, b"1\tone\n1\tthree\n1\ttwo\n");
}
