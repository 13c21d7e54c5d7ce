//! A failure with its logs, or the logs of a value, as bytes in a result frame.
//!
//! This module must not trust what it decodes: every length is checked against what is there.

use crate::outcome::{Failure, Logs, TaskErrorKind};

/// Longest message and backtrace that travel; the front is kept, as it names the cause.
const MAX_TEXT: usize = 64 * 1024;

/// Encodes a failure and the logs of its item.
pub(crate) fn encode_failure(failure: &Failure, logs: &Logs, out: &mut Vec<u8>) {
    let kind = TaskErrorKind::ALL.iter().position(|kind| Some(*kind) == failure.kind);
    // Twelve kinds, so the position fits; a failure without a kind is a bad output.
    out.push(kind.map_or(9, |position| position as u8));
    put_text(out, &failure.message);
    put_text(out, &failure.backtrace);
    put_option(out, failure.code, |out, code| out.extend(code.to_le_bytes()));
    put_option(out, failure.used, |out, (used, limit)| {
        out.extend(used.to_le_bytes());
        out.extend(limit.to_le_bytes());
    });
    put_option(out, failure.payload.as_deref(), put_bytes);
    encode_logs(logs, out);
}

/// Encodes logs.
pub(crate) fn encode_logs(logs: &Logs, out: &mut Vec<u8>) {
    put_bytes(out, &logs.stdout);
    put_bytes(out, &logs.stderr);
    out.extend(logs.dropped.to_le_bytes());
}

/// Decodes what [`encode_failure`] made; `None` if these bytes are not that.
pub(crate) fn decode_failure(mut bytes: &[u8]) -> Option<(Failure, Logs)> {
    let input = &mut bytes;
    let kind = *TaskErrorKind::ALL.get(usize::from(*take(input, 1)?.first()?))?;
    // Only the host may say these: a worker that does is lying about itself.
    if matches!(
        kind,
        TaskErrorKind::WorkerDied | TaskErrorKind::Cancelled | TaskErrorKind::Terminated
    ) {
        return None;
    }
    let failure = Failure {
        kind: Some(kind),
        message: take_text(input)?,
        backtrace: take_text(input)?,
        code: take_option(input, |input| Some(i32::from_le_bytes(take_array(input)?)))?,
        used: take_option(input, |input| Some((take_u64(input)?, take_u64(input)?)))?,
        payload: take_option(input, |input| Some(take_bytes(input)?.to_vec()))?,
    };
    let logs = decode_logs(input)?;
    input.is_empty().then_some((failure, logs))
}

/// Decodes logs and leaves what follows them.
pub(crate) fn decode_logs(input: &mut &[u8]) -> Option<Logs> {
    Some(Logs {
        stdout: take_bytes(input)?.to_vec(),
        stderr: take_bytes(input)?.to_vec(),
        dropped: take_u64(input)?,
    })
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, &text.as_bytes()[..text.floor_char_boundary(MAX_TEXT)]);
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

fn take<'a>(input: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (front, rest) = input.split_at_checked(n)?;
    *input = rest;
    Some(front)
}

fn take_array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    take(input, N)?.try_into().ok()
}

fn take_u64(input: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(take_array(input)?))
}

fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_u64(input)?).ok()?;
    take(input, len)
}

fn take_text(input: &mut &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(take_bytes(input)?);
    (text.len() <= 3 * MAX_TEXT).then(|| text.into_owned())
}

fn take_option<T>(
    input: &mut &[u8],
    value: impl FnOnce(&mut &[u8]) -> Option<T>,
) -> Option<Option<T>> {
    match take(input, 1)? {
        [0] => Some(None),
        [1] => value(input).map(Some),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Failure, Logs) {
        let failure = Failure {
            kind: Some(TaskErrorKind::OutOfMemory),
            message: "used 64 of 64 bytes".into(),
            backtrace: "0: grow\n1: run".into(),
            code: Some(-3),
            used: Some((64, u64::MAX)),
            payload: Some(vec![1, 2, 3]),
        };
        (failure, Logs { stdout: b"out".to_vec(), stderr: vec![], dropped: 7 })
    }

    #[test]
    fn a_report_comes_back_as_it_was() {
        let (failure, logs) = sample();
        let mut bytes = Vec::new();
        encode_failure(&failure, &logs, &mut bytes);
        assert_eq!(decode_failure(&bytes), Some((failure, logs)));
    }

    #[test]
    fn every_cut_and_every_extra_byte_is_refused() {
        let (failure, logs) = sample();
        let mut bytes = Vec::new();
        encode_failure(&failure, &logs, &mut bytes);
        for cut in 0..bytes.len() {
            assert_eq!(decode_failure(&bytes[..cut]), None, "cut at {cut}");
        }
        bytes.push(0);
        assert_eq!(decode_failure(&bytes), None);
    }

    #[test]
    fn a_worker_cannot_claim_what_only_the_host_knows() {
        let mut bytes = Vec::new();
        let lie = Failure::new(TaskErrorKind::Terminated, "");
        encode_failure(&lie, &Logs::default(), &mut bytes);
        assert_eq!(decode_failure(&bytes), None);
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let long = Failure::new(TaskErrorKind::Trapped, "é".repeat(MAX_TEXT));
        let mut bytes = Vec::new();
        encode_failure(&long, &Logs::default(), &mut bytes);
        let (back, _) = decode_failure(&bytes).expect("decodes");
        assert_eq!(back.message.len(), MAX_TEXT);
    }
}
