//! What goes in and what comes out: the types of the shop.
//!
//! This module must not price anything.

use sandpool_guest::TaskType;

/// An order as a customer places it: a WIT record.
#[derive(TaskType, Clone, Debug, PartialEq)]
pub struct Order {
    pub customer: String,
    pub lines: Vec<Line>,
    pub coupon: Option<Coupon>,
    pub delivery: Delivery,
}

/// So many of one product.
#[derive(TaskType, Clone, Debug, PartialEq)]
pub struct Line {
    pub product: Product,
    pub quantity: u32,
}

/// What the shop sells: a WIT enum, since no case carries anything.
#[derive(TaskType, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    GreenTea,
    Coffee,
    Mug,
}

/// A reduction: a WIT variant, since some cases carry a value.
#[derive(TaskType, Clone, Debug, PartialEq)]
pub enum Coupon {
    /// Percent off the goods.
    Percent(u8),
    /// Cents off the goods.
    Amount(u64),
    FreeDelivery,
}

/// How the goods leave the shop.
#[derive(TaskType, Clone, Debug, PartialEq)]
pub enum Delivery {
    Pickup,
    Parcel(Address),
    /// Several parts make a tuple: where to, and within how many minutes.
    Courier(Address, u32),
}

/// Where somebody lives.
#[derive(TaskType, Clone, Debug, PartialEq)]
pub struct Address {
    pub street: String,
    pub city: String,
    pub floor: Option<i16>,
}

/// What is to be paid, in cents.
#[derive(TaskType, Clone, Debug, PartialEq)]
pub struct Invoice {
    /// Counts from 1, in the order of the items.
    pub number: u64,
    /// What it is for, and what that costs.
    pub rows: Vec<(String, u64)>,
    pub discount: u64,
    pub total: u64,
}

/// Why an order has no invoice. As the error of a task it becomes the outcome of the item.
#[derive(TaskType, Clone, Debug, PartialEq)]
pub enum Refusal {
    Empty,
    /// The product, and how many there are.
    OutOfStock(Product, u32),
    /// No coupon takes more than everything.
    BadCoupon(Coupon),
    TooExpensive,
}
