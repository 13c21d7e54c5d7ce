//! The tasks as plain functions: natively, without a pool.

use super::*;
use crate::order::Address;

fn order(quantity: u32, coupon: Option<Coupon>) -> Order {
    Order {
        customer: "Ada".to_owned(),
        lines: vec![Line { product: Product::Coffee, quantity }],
        coupon,
        delivery: Delivery::Pickup,
    }
}

fn address() -> Address {
    Address { street: "Mill Lane 3".to_owned(), city: "Ely".to_owned(), floor: Some(-2) }
}

#[test]
fn goods_and_delivery_are_added_and_the_coupon_is_taken_off() {
    let mut order = order(2, Some(Coupon::FreeDelivery));
    order.delivery = Delivery::Courier(address(), 30);
    let invoice = price(order).expect("it is in stock");
    assert_eq!(invoice.number, 1);
    assert_eq!(invoice.rows.last().map(|(_, cost)| *cost), Some(1_600));
    assert_eq!((invoice.discount, invoice.total), (1_600, 1_560));
}

#[test]
fn refusals_say_why() {
    let refusal = |order| price(order).expect_err("it is refused");
    assert_eq!(refusal(Order { lines: Vec::new(), ..order(1, None) }), Refusal::Empty);
    assert_eq!(refusal(order(401, None)), Refusal::OutOfStock(Product::Coffee, 400));
    let coupon = Coupon::Percent(101);
    assert_eq!(refusal(order(1, Some(coupon.clone()))), Refusal::BadCoupon(coupon));
}

#[test]
fn a_batch_keeps_its_order_and_its_refusals() {
    let orders = vec![order(3, None), order(401, None), order(1, Some(Coupon::Amount(80)))];
    let refused = Refusal::OutOfStock(Product::Coffee, 400);
    assert_eq!(audit(orders.clone()), [Ok(2_340), Err(refused), Ok(700)]);
    assert_eq!(
        cheapest(orders).map(|(position, invoice)| (position, invoice.total)),
        Some((2, 700))
    );
    assert_eq!(cheapest(Vec::new()), None);
}

#[test]
fn a_split_gives_everything_away() {
    assert_eq!(split(100, 3), Ok(vec![34, 33, 33]));
    assert_eq!(split(2, 4), Ok(vec![1, 1, 0, 0]));
    assert!(split(1, 0).is_err());
}

#[test]
fn parcels_have_a_weight_and_customers_a_letter() {
    let line = |quantity| vec![Line { product: Product::Mug, quantity }];
    assert_eq!(weight(Vec::new()), (0.2, true));
    assert!(!weight(line(60)).1);
    assert_eq!(file_under("“Élodie”".to_owned()), Some('É'));
    assert_eq!(file_under("…".to_owned()), None);
}
