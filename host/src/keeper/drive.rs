//! One `apply` on an idle worker, driven by its caller: two thread switches less.
//!
//! This module must not wait for a call whose item another keeper took; its caller does that.

use super::Parting;
use super::link::Link;
use super::seat::Post;
use crate::call::Call;
use crate::pool::core::Core;
use std::sync::Arc;

/// A link on loan. Whatever happens to the borrower, it goes back.
struct Loan {
    core: Arc<Core>,
    seat: usize,
    link: Option<Link>,
}

impl Loan {
    fn take(core: &Arc<Core>) -> Option<Self> {
        let seat = core.take_idle()?;
        match core.seats[seat].take() {
            Some(Post { link, parting: None }) => {
                Some(Self { core: Arc::clone(core), seat, link: Some(link) })
            }
            // The keeper's thread was quicker, or has something to bury.
            other => {
                if let Some(post) = other {
                    core.seats[seat].park(post);
                }
                core.seats[seat].call();
                None
            }
        }
    }

    fn give_back(&mut self, parting: Option<Parting>) {
        let Some(mut link) = self.link.take() else { return };
        // Its thread sees to memory that is held.
        let rests = parting.is_none() && link.is_idle() && !link.holds_memory();
        let seat = &self.core.seats[self.seat];
        seat.park(Post { link, parting });
        // An idle worker can be borrowed again without its thread ever waking.
        if rests && self.core.rest(self.seat) {
            self.core.ask_for_items();
        } else {
            seat.call();
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.give_back(None);
    }
}

/// Works with an idle worker, if there is one, until `call` is ready or the worker has
/// nothing of it.
pub(crate) fn drive(core: &Arc<Core>, call: &Arc<Call>) {
    let Some(mut loan) = Loan::take(core) else { return };
    while let Some(link) = &mut loan.link {
        let worked = link.work().and_then(|due| {
            // Others' items may take long, and nothing here wakes for this call's end elsewhere.
            if call.is_ready() || !link.works_for(call) {
                Ok(false)
            } else {
                link.sleep(due).map(|()| true)
            }
        });
        match worked {
            Ok(true) => {}
            Ok(false) => return,
            Err(parting) => {
                loan.give_back(Some(parting));
                return;
            }
        }
    }
}
