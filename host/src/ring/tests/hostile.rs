//! Hostile workers: whatever stands in the shared memory, the host answers with an error or with
//! something that an honest worker could have said; it never panics, loops or grows without bound.

use super::{Host, context, frames, pair, pattern};
use crate::ring::frame::{HEAD, Head, Items, ResultKind};
use crate::ring::host::Violation;
use crate::ring::map::{ARENA, Region, Stream};
use crate::ring::sync::Ordering;
use crate::ring::word::{Claim, Word};
use proptest::prelude::*;

/// What a hostile worker does.
#[derive(Clone, Debug)]
enum Attack {
    /// Writes a word of 64 bits, aligned, anywhere in the control block.
    Control { at: usize, value: u64 },
    /// Adds to one, which gives values near the honest ones.
    Shift { at: usize, by: i8 },
    /// Writes bytes where the host reads results next, or near.
    Results { at: u64, bytes: Vec<u8> },
    /// Writes the head of a result and shows some bytes behind it.
    Head { word: u64, shown: u64 },
    /// Does what an honest worker would: claims and publishes.
    Honest { len: u64 },
}

/// What the host does next.
#[derive(Clone, Copy, Debug)]
enum Move {
    Push(usize),
    Feed,
    Take,
    Recall(u32),
    Condemn,
    Observe,
    Sleep,
    Note,
}

#[derive(Clone, Debug)]
enum Step {
    Worker(Attack),
    Host(Move),
}

/// Bytes of the control block that mean something.
const CONTROL_WORDS: usize = 48;

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..64_u64,
        (0..64_u64).prop_map(|n| u64::MAX - n),
        (0..4_u64).prop_map(|n| (ARENA as u64) * n),
        // Claim words near honest ones: limit, claimed, flags.
        (0..6_u64, 0..6_u64, 0..4_u64)
            .prop_map(|(limit, claimed, flags)| limit << 33 | claimed << 2 | flags),
    ]
}

fn attack() -> impl Strategy<Value = Attack> {
    let at = 0..CONTROL_WORDS;
    prop_oneof![
        2 => (at.clone(), value()).prop_map(|(at, value)| Attack::Control { at, value }),
        2 => (at, any::<i8>()).prop_map(|(at, by)| Attack::Shift { at, by }),
        1 => (0..64_u64, prop::collection::vec(any::<u8>(), 0..64))
            .prop_map(|(at, bytes)| Attack::Results { at, bytes }),
        3 => (value(), 0..3 * HEAD as u64).prop_map(|(word, shown)| Attack::Head { word, shown }),
        5 => (0..100_u64).prop_map(|len| Attack::Honest { len }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let moves = prop_oneof![
        4 => prop_oneof![Just(0), 1..200_usize, Just(ARENA), Just(2 * ARENA)].prop_map(Move::Push),
        1 => Just(Move::Feed),
        4 => Just(Move::Take),
        1 => (0..4_u32).prop_map(Move::Recall),
        1 => Just(Move::Condemn),
        1 => Just(Move::Observe),
        1 => Just(Move::Sleep),
        1 => Just(Move::Note),
    ];
    prop_oneof![1 => attack().prop_map(Step::Worker), 2 => moves.prop_map(Step::Host)]
}

fn word(region: &Region, at: usize) -> &std::sync::atomic::AtomicU64 {
    region.raw_word(at)
}

fn do_attack(region: &mut Region, attack: Attack) {
    match attack {
        Attack::Control { at, value } => word(region, at).store(value, Ordering::SeqCst),
        Attack::Shift { at, by } => {
            word(region, at).fetch_add(by as i64 as u64, Ordering::SeqCst);
        }
        Attack::Results { at, bytes } => {
            let head = region.control().results_head.load(Ordering::SeqCst);
            region.write(Stream::Results, head.wrapping_add(at), &bytes);
        }
        Attack::Head { word, shown } => {
            let head = region.control().results_head.load(Ordering::SeqCst);
            region.write(Stream::Results, head, &word.to_le_bytes());
            region.control().results_tail.store(head.wrapping_add(shown), Ordering::SeqCst);
        }
        Attack::Honest { len } => {
            let control = region.control();
            if let Claim::Item(_) = control.word.claim() {
                let tail = control.results_tail.load(Ordering::SeqCst);
                let raw = Head { len, kind: ResultKind::Value }.encode();
                region.write(Stream::Results, tail, &raw);
                let end = tail.wrapping_add((HEAD as u64 + len).next_multiple_of(8));
                let control = region.control();
                let items = control.items_tail.load(Ordering::SeqCst);
                control.items_head.store(items, Ordering::SeqCst);
                control.results_tail.store(end, Ordering::SeqCst);
            }
        }
    }
}

/// One move of the host, as its keeper would make it.
fn play(host: &mut Host, index: u64, next: Move) -> Result<(), Violation> {
    let ring = &mut host.ring;
    match next {
        Move::Push(len) => {
            let bytes = pattern(index, len);
            let (bytes, ends) = frames(&[&bytes, b"", &bytes]);
            let n = ring.push(context(index), Items::framed(&bytes, &ends, 0))?;
            if n > 0 {
                ring.commit()?;
                let start = if n == 1 { 0 } else { ends[n - 2] };
                host.newest = bytes[start..ends[n - 1]].to_vec();
            }
        }
        Move::Feed => {
            let _ = ring.feed(&host.newest)?;
        }
        Move::Take => {
            let before = ring.outstanding();
            if host.take()?.is_some() {
                assert_eq!(host.ring.outstanding() + 1, before);
            }
        }
        Move::Recall(keep) => {
            let before = ring.outstanding();
            let back = ring.recall(keep)?;
            assert_eq!(ring.outstanding() + back, before);
        }
        Move::Condemn => {
            ring.condemn()?;
        }
        Move::Observe => {
            ring.observe()?;
            assert!(ring.claimed_unended() as usize <= ring.outstanding());
        }
        Move::Sleep => {
            ring.bell_after(1);
            ring.raise();
            let _ = (ring.has_results(), ring.must_ring());
            ring.lower();
        }
        Move::Note => {
            assert!(ring.note().is_none_or(|note| note.chars().count() <= 512));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_state_of_the_memory_harms_the_host(steps in prop::collection::vec(step(), 1..60)) {
        let (mut host, _worker, mut region) = pair();
        for (index, step) in steps.into_iter().enumerate() {
            match step {
                Step::Worker(attack) => do_attack(&mut region, attack),
                Step::Host(next) => {
                    // The keeper buries a worker at the first violation.
                    if play(&mut host, index as u64, next).is_err() {
                        break;
                    }
                }
            }
            prop_assert!(host.inbox.bytes.len() <= ARENA + (super::MAX_RESULT as usize));
        }
        // And then looks at the ruins.
        let _ = host.ring.observe();
        let _ = host.take();
        let _ = host.ring.note();
    }
}

#[test]
fn a_worker_that_keeps_room_back_is_found_out() {
    let (mut host, mut worker, region) = pair();
    assert!(host.push(0, &pattern(0, ARENA / 2)));
    let claimed = worker.claim().unwrap().unwrap();
    worker.publish(claimed, ResultKind::Value, &[b"done"]).unwrap();
    region.control().items_head.store(0, Ordering::SeqCst);
    assert_eq!(host.take(), Err(Violation::Position));
}

#[test]
fn a_worker_that_takes_room_back_is_found_out() {
    let (mut host, mut worker, region) = pair();
    assert!(host.push(0, &pattern(0, ARENA / 2)));
    let claimed = worker.claim().unwrap().unwrap();
    worker.publish(claimed, ResultKind::Value, &[b"done"]).unwrap();
    host.next();
    region.control().items_head.store(0, Ordering::SeqCst);
    let (bytes, ends) = frames(&[b""]);
    let pushed = host.ring.push(context(1), Items::framed(&bytes, &ends, 0));
    assert_eq!(pushed, Err(Violation::Position));
}

#[test]
fn a_result_before_the_whole_item_was_read_is_found_out() {
    let (mut host, _worker, mut region) = pair();
    assert!(host.push(0, &pattern(0, 2 * ARENA)));
    region.control().word.claim();
    let raw = Head { len: 0, kind: ResultKind::Value }.encode();
    region.write(Stream::Results, 0, &raw);
    region.control().results_tail.store(HEAD as u64, Ordering::SeqCst);
    assert_eq!(host.take(), Err(Violation::Position));
}

#[test]
fn a_result_of_an_item_that_was_not_claimed_is_a_lie() {
    let (mut host, _worker, mut region) = pair();
    assert!(host.push(0, b"item"));
    let raw = Head { len: 0, kind: ResultKind::Value }.encode();
    region.write(Stream::Results, 0, &raw);
    region.control().results_tail.store(HEAD as u64, Ordering::SeqCst);
    assert_eq!(host.take(), Err(Violation::Item));
}

#[test]
fn a_claim_word_that_is_written_in_a_loop_does_not_hold_the_host() {
    let (mut host, _worker, region) = pair();
    assert!(host.push(0, b"item"));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let spoiler = std::thread::spawn(move || {
        let word: &Word = &region.control().word;
        while !stopped.load(Ordering::Relaxed) {
            let _ = word.publish(1);
        }
    });
    for _ in 0..1000 {
        // Any answer will do, as long as it comes.
        let _ = (host.ring.observe(), host.ring.recall(0), host.ring.condemn());
    }
    stop.store(true, Ordering::Relaxed);
    spoiler.join().unwrap();
}
