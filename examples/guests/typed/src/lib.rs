//! A task module with types of its own: it prices the orders of a small shop.
//!
//! Every `#[task]` is a function that the pool can call. Items are written as JSON, and converted
//! by the types of the function:
//!
//! ```text
//! cargo build --release --target wasm32-wasip2 --package guest-typed
//! cat > orders.jsonl <<'END'
//! {"customer":"Ada","lines":[{"product":"green-tea","quantity":2}],"coupon":{"percent":10},"delivery":"pickup"}
//! {"customer":"Bob","lines":[],"coupon":null,"delivery":"pickup"}
//! END
//! sandpool inspect target/wasm32-wasip2/release/guest_typed.wasm
//! sandpool imap target/wasm32-wasip2/release/guest_typed.wasm --function price orders.jsonl
//! ```
//!
//! The first order gives an invoice; the second is refused, which ends that item and no other.
//! The functions are ordinary ones, so `cargo test --package guest-typed` tests them natively.

mod order;

#[cfg(test)]
mod tests;

use order::{Coupon, Delivery, Invoice, Line, Order, Product, Refusal};
use sandpool_guest::{context, log, task};

/// Prices one order. Its number in the books is the item's number in the call.
#[task]
fn price(order: Order) -> Result<Invoice, Refusal> {
    let invoice = invoice(&order, context::index() + 1)?;
    log::info!("{} pays {} cents", order.customer, invoice.total);
    Ok(invoice)
}

/// What each order of a batch costs, or why it is refused: a result is a value like any other.
#[task]
fn audit(orders: Vec<Order>) -> Vec<Result<u64, Refusal>> {
    orders.iter().map(|order| Ok(invoice(order, 1)?.total)).collect()
}

/// The cheapest of some orders, with its position; none if none can be priced.
#[task]
fn cheapest(orders: Vec<Order>) -> Option<(u32, Invoice)> {
    let invoices = (0..).zip(&orders).filter_map(|(position, order)| {
        let invoice = invoice(order, 1);
        if let Err(refusal) = &invoice {
            log::warn!("order {position} does not compete: {refusal:?}");
        }
        Some((position, invoice.ok()?))
    });
    invoices.min_by_key(|(_, invoice)| invoice.total)
}

/// Divides a sum among friends: nobody pays over one cent more than another.
#[task]
fn split(total: u64, ways: u32) -> Result<Vec<u64>, String> {
    let ways = u64::from(ways);
    let (Some(share), Some(rest)) = (total.checked_div(ways), total.checked_rem(ways)) else {
        return Err("`ways` is 0, and somebody has to pay".to_owned());
    };
    Ok((0..ways).map(|friend| share + u64::from(friend < rest)).collect())
}

/// The weight of a parcel in kilograms, with its packaging, and whether one person can carry it.
#[task]
fn weight(lines: Vec<Line>) -> (f64, bool) {
    let goods = lines.iter().map(|line| line.product.weight() * f64::from(line.quantity));
    let weight = goods.sum::<f64>() + 0.2;
    (weight, weight < 20.0)
}

/// The letter under which a customer is filed.
#[task]
fn file_under(customer: String) -> Option<char> {
    customer.chars().find(|character| character.is_alphanumeric())
}

impl Product {
    fn price(self) -> u64 {
        match self {
            Self::GreenTea => 450,
            Self::Coffee => 780,
            Self::Mug => 1_290,
        }
    }

    fn weight(self) -> f64 {
        match self {
            Self::GreenTea => 0.1,
            Self::Coffee => 0.5,
            Self::Mug => 0.35,
        }
    }

    fn stock(self) -> u32 {
        match self {
            Self::GreenTea => 1_000,
            Self::Coffee => 400,
            Self::Mug => 24,
        }
    }
}

impl Delivery {
    /// What it is called on an invoice, and what it costs.
    fn row(&self) -> Option<(String, u64)> {
        match self {
            Self::Pickup => None,
            Self::Parcel(to) => Some((format!("parcel to {}", to.city), 490)),
            Self::Courier(to, minutes) => {
                let stairs = to.floor.map_or(0, |floor| u64::from(floor.unsigned_abs()));
                let hurry = if *minutes < 60 { 1_500 } else { 900 };
                Some((format!("courier to {}, {}", to.street, to.city), hurry + 50 * stairs))
            }
        }
    }
}

fn invoice(order: &Order, number: u64) -> Result<Invoice, Refusal> {
    if order.lines.is_empty() {
        return Err(Refusal::Empty);
    }
    let mut rows = Vec::new();
    let mut goods = 0_u64;
    for &Line { product, quantity } in &order.lines {
        if quantity > product.stock() {
            return Err(Refusal::OutOfStock(product, product.stock()));
        }
        let amount = product.price() * u64::from(quantity);
        goods = goods.checked_add(amount).ok_or(Refusal::TooExpensive)?;
        rows.push((format!("{quantity} × {product:?}"), amount));
    }
    let delivery = order.delivery.row();
    let delivery_cost = delivery.as_ref().map_or(0, |(_, cost)| *cost);
    rows.extend(delivery);
    let discount = match &order.coupon {
        None => 0,
        Some(Coupon::Percent(percent @ 0..=100)) => {
            // Divided in two parts, since the product of all of it could overflow.
            let percent = u64::from(*percent);
            goods / 100 * percent + goods % 100 * percent / 100
        }
        Some(Coupon::Amount(amount)) if *amount <= goods => *amount,
        Some(Coupon::FreeDelivery) => delivery_cost,
        Some(coupon) => return Err(Refusal::BadCoupon(coupon.clone())),
    };
    let total = goods.checked_add(delivery_cost).ok_or(Refusal::TooExpensive)? - discount;
    Ok(Invoice { number, rows, discount, total })
}
