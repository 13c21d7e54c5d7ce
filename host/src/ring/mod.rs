//! The shared memory between one keeper and one worker: an item ring, a result ring, one claim word.
//!
//! This module must not know what items mean, and the host side must never use a byte that the
//! worker can change without copying it first and checking it.
//!
//! # Protocol
//!
//! 1. The host appends items to the item stream, then publishes them in the claim word.
//! 2. The worker claims the next item by a compare-and-swap on the claim word. The same swap ends
//!    the item before it; so a result is always published before the next claim.
//! 3. The worker appends the result to the result stream and publishes it by its tail.
//! 4. The host takes back unclaimed items by lowering the limit in the claim word ([`word`]).
//! 5. The host condemns the running item by a compare-and-swap before it kills the worker for it.
//!    If it loses, that item has just ended and there is no kill.
//!
//! Items and results lie in rows: side by side if all are of one size, else in frames. Where a row of
//! items begins is told in a table ([`row`]), where a row of results begins in its stream, and where
//! it ends in a word beside that ([`inbox`]).
//!
//! Both streams are byte streams: a frame larger than its arena travels in pieces. A side that has
//! to wait says so in a flag, looks once more, and blocks on its pipe; the other side rings that
//! pipe only when the flag is up ([`bell`]).

pub(crate) mod bell;
pub(crate) mod frame;
pub(crate) mod host;
pub(crate) mod inbox;
pub(crate) mod map;
pub(crate) mod row;
pub(crate) mod sync;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests start what they like")]
mod tests;

pub(crate) mod word;
pub(crate) mod worker;

pub(crate) use host::{HostRing, Violation};
pub(crate) use inbox::Inbox;
pub(crate) use map::Region;
pub(crate) use worker::WorkerRing;
