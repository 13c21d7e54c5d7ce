//! Bringing the input in: a feeder thread for lazy calls, the caller's own for eager ones.
//!
//! This module must not pull an item that the window has no room for, and must not let a panic of
//! the input out of its call.

use super::block::Block;
use super::wait::Room;
use super::{Call, Stop};
use crate::buffers::Buffer;
use crate::description::Form;
use crate::fences;
use crate::outcome::Failure;
use crate::pool::error::{InputError, PoolError};
use crate::ring::frame::append;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What pulling one item gave.
pub(crate) enum Step {
    /// The item was written to the buffer.
    Item,
    /// There was an item, and it cannot be encoded.
    Misfit(Box<Failure>),
    /// The input is over.
    End,
    /// The input failed.
    Failed(Box<InputError>),
}

/// An input that encodes its own items.
pub(crate) trait Source {
    /// Pulls one item and appends it, encoded, to `out`.
    fn pull(&mut self, out: &mut Vec<u8>) -> Step;
}

impl<F: FnMut(&mut Vec<u8>) -> Step> Source for F {
    fn pull(&mut self, out: &mut Vec<u8>) -> Step {
        self(out)
    }
}

/// Starts the feeder thread of a lazy call. A failed start ends the call with its cause.
pub(crate) fn start(call: &Arc<Call>, mut source: impl Source + Send + 'static) {
    fences::prepare_beside();
    let fed = Arc::clone(call);
    let name = "sandpool-feeder".to_owned();
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        // Whatever happens here, the call must learn that its input is over.
        let _ended = EndOnUnwind(&fed);
        let error = feed(&fed, &mut source);
        // The input is dropped first: what its drop does belongs to the call as well.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(source))).err();
        let error = error.or_else(|| dropped.map(|panic| InputError::panicked(&*panic)));
        fed.end_input(error);
    });
    if let Err(error) = thread {
        call.stop(Stop::Failed(PoolError::system("cannot start a feeder thread", &error)));
    }
}

fn feed(call: &Arc<Call>, source: &mut impl Source) -> Option<InputError> {
    let mut item = Buffer::default();
    while let Some(room) = call.await_room() {
        // The source is not used again after a panic.
        let stride = AssertUnwindSafe(|| pull_stride(call, source, room, &mut item));
        match catch_unwind(stride) {
            Ok(Stride::Over) => {}
            Ok(Stride::End(error)) => return error,
            Err(panic) => return Some(InputError::panicked(&*panic)),
        }
    }
    None
}

/// What pulling some items ended with.
enum Stride {
    /// There may be more, but not without asking for room.
    Over,
    /// No more will come, as the input ended or failed, or nobody wants them.
    End(Option<InputError>),
}

/// Pulls items as long as there is room for them. Each is shown before the next is pulled.
fn pull_stride(
    call: &Arc<Call>,
    source: &mut impl Source,
    room: Room,
    item: &mut Buffer,
) -> Stride {
    let Room { mut items, mut bytes } = room;
    while items > 0 && bytes > 0 && !call.calls_feeder() {
        item.clear();
        let bare = call.shows_bytes();
        let step = if bare { source.pull(item) } else { pull_frame(source, item) };
        let len = item.len() as u64;
        match step {
            Step::Item if bare && call.show_bytes(item) => {}
            Step::Item if !bare && call.show(item) => {}
            Step::Item => return Stride::End(None),
            // The type is wrong, not this one value: nothing of this call can fit.
            Step::Misfit(failure) if call.spec.form == Form::Binary && call.accepted() == 0 => {
                call.stop(Stop::Failed(PoolError::mismatch(failure.message)));
                return Stride::End(None);
            }
            Step::Misfit(failure) => {
                if !call.accept_failed(*failure) {
                    return Stride::End(None);
                }
            }
            Step::End => return Stride::End(None),
            Step::Failed(error) => return Stride::End(Some(*error)),
        }
        items -= 1;
        bytes = bytes.saturating_sub(len);
    }
    Stride::Over
}

/// Pulls an item into a frame.
fn pull_frame(source: &mut impl Source, frame: &mut Buffer) -> Step {
    let mut step = Step::End;
    // If it is no item, the frame is not used.
    let _ = append(frame, |out| {
        step = source.pull(out);
        if matches!(step, Step::Item) { Ok(()) } else { Err(()) }
    });
    step
}

/// Brings the whole input of an eager call in, on the caller's thread. Work begins with the first
/// block. A panic of the input goes on through the caller, after the call was cancelled.
///
/// # Errors
/// If the very first item does not fit, before anything is sent.
pub(crate) fn drain(call: &Arc<Call>, source: &mut impl Source) -> Result<(), PoolError> {
    let guard = CancelOnUnwind(call);
    let mut block = Block::default();
    let mut index = 0;
    let error = loop {
        let mut step = Step::End;
        let pushed = block.push_with(|out| {
            step = source.pull(out);
            if matches!(step, Step::Item) { Ok(()) } else { Err(()) }
        });
        match step {
            Step::Item => index += 1,
            Step::Misfit(failure) if index == 0 && call.spec.form == Form::Binary => {
                call.stop(Stop::Failed(PoolError::mismatch(failure.message.clone())));
                return Err(PoolError::mismatch(failure.message));
            }
            Step::Misfit(failure) => {
                flush(call, &mut block, index);
                if !call.accept_failed(*failure) {
                    break None;
                }
                index += 1;
                block = Block::starting_at(index);
            }
            Step::End => break None,
            Step::Failed(error) => break Some(*error),
        }
        // The first blocks are small, so that workers start early.
        let ripe = block.is_full() || (block.len() as u64 >= 64 && block.len() as u64 >= index / 4);
        if call.is_stopped() || (pushed.is_ok() && ripe && !flush(call, &mut block, index)) {
            break None;
        }
    };
    flush(call, &mut block, index);
    std::mem::forget(guard);
    if let Some(error) = error {
        // What was accepted is of no use: the whole call has failed.
        call.end_input(Some(error));
        call.cancel(std::time::Duration::ZERO);
    } else {
        call.end_input(None);
    }
    Ok(())
}

fn flush(call: &Arc<Call>, block: &mut Block, next: u64) -> bool {
    let next = block.next(next);
    let full = std::mem::replace(block, next);
    full.is_empty() || call.accept_block(full)
}

/// Ends the input when it is dropped, if nobody has before.
struct EndOnUnwind<'a>(&'a Arc<Call>);

impl Drop for EndOnUnwind<'_> {
    fn drop(&mut self) {
        self.0.end_input(None);
    }
}

/// Cancels the call when it is dropped, which a panic does.
pub(crate) struct CancelOnUnwind<'a>(pub(crate) &'a Arc<Call>);

impl Drop for CancelOnUnwind<'_> {
    fn drop(&mut self) {
        self.0.cancel(std::time::Duration::ZERO);
        self.0.end_input(None);
    }
}
