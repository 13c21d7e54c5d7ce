//! Each target for a moment, with bytes that look random and are the same each time: good ones,
//! changed here and there. The long run is in `fuzz/`.

use crate::description::Description;
use crate::outcome::{Failure, Logs, TaskErrorKind};
use crate::wire::control::{Hello, WorkerReady, send};
use crate::wire::report;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0 >> 33
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// Changes some bytes: what is read from files and pipes breaks at their edges.
    fn spoil(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        const EDGES: [&[u8]; 12] = [
            &[0],
            &[0xff],
            &[0x80],
            &[0, 0, 0, 0x80],
            &[0xff; 4],
            &[0xff; 8],
            &[0, 0, 0, 0, 0, 0, 0, 0x80],
            b"\"",
            b"[[[[",
            b"{\"",
            b"-1e999",
            b"\\ud800",
        ];
        for _ in 0..1 + self.below(6) {
            let at = self.below(bytes.len() + 1);
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.next() as u8,
                2 => bytes.truncate(at),
                3 => drop(bytes.splice(at..at, EDGES[self.below(EDGES.len())].iter().copied())),
                4 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len() + 1);
                    bytes.extend_from_slice(&other[from..]);
                }
                _ => bytes.extend((0..self.below(20)).map(|_| self.next() as u8)),
            }
        }
        bytes.truncate(4096);
    }
}

fn run(target: fn(&[u8]), seeds: &[Vec<u8>], rounds: usize) {
    let mut random = Random(17);
    seeds.iter().for_each(|seed| target(seed));
    for _ in 0..rounds {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        random.spoil(&mut bytes, seeds);
        target(&bytes);
    }
}

fn noise(n: usize, len: usize) -> Vec<Vec<u8>> {
    let mut random = Random(99);
    (0..n).map(|_| (0..len).map(|_| random.next() as u8).collect()).collect()
}

#[test]
fn ring() {
    run(super::ring, &noise(200, 400), 3000);
}

#[test]
fn json() {
    // Whether arguments, how many, the types, the text.
    let seeds: [&[u8]; 6] = [
        b"\0\0\x07-12",
        b"\0\0\x0c\"text \\u00e9\"",
        b"\0\0\x0f\x0f\x09[[1.5,\"NaN\"],[]]",
        b"\0\0\x27\x02\x0c{\"a\":1,\"b\":\"x\"}",
        b"\x01\x01\x05\x06[1,2]",
        b"\0\0\x15\0\x0c\0\x0c{\"err\":\"no\"}",
    ];
    let seeds: Vec<_> = seeds.iter().map(|seed| seed.to_vec()).collect();
    run(super::json, &seeds, 50_000);
}

#[test]
fn binary() {
    let mut seeds = noise(500, 40);
    seeds.push(b"\x0c\x02\0\0\0\xc3\xa9".to_vec());
    seeds.push(b"\x0f\x0f\x04\x01\0\0\0\x01\0\0\0\x07\0".to_vec());
    run(super::binary, &seeds, 50_000);
}

#[test]
fn description() {
    let text = r#"{"kind":"component","functions":[{"name":"a:b/c@1.0.0#run","signature":
        {"params":[["x",{"list":"u8"}]],"result":{"result":{"ok":{"record":[["a","s8"]]},
        "err":"string"}}}},{"name":"run","signature":{"params":[],"result":null}}],
        "uncallable":[["f","no"]],"imports":[{"name":"m.f","provided":true,"grant":"--dir"}],
        "wasi":true,"needs":null,"module_size":1,"artifact_size":2,"compile_micros":3}"#;
    serde_json::from_str::<Description>(text).expect("the seed is one");
    run(super::description, &[text.as_bytes().to_vec()], 30_000);
}

#[test]
fn control() {
    let mut hello = Vec::new();
    send(&mut hello, &Hello::ours()).expect("it can be written");
    let mut ready = Vec::new();
    send(&mut ready, &WorkerReady::Refused("no".into())).expect("it can be written");
    run(super::control, &[hello, ready, vec![0xff; 8]], 50_000);
}

#[test]
fn report() {
    let failure = Failure {
        used: Some((1, 2)),
        code: Some(-9),
        payload: Some(vec![1, 2, 3]),
        ..Failure::new(TaskErrorKind::Trapped, "unreachable")
    };
    let logs = Logs { stdout: b"out".to_vec(), stderr: b"err".to_vec(), dropped: 3 };
    let (mut whole, mut only) = (Vec::new(), Vec::new());
    report::encode_failure(&failure, &logs, &mut whole);
    report::encode_logs(&logs, &mut only);
    run(super::report, &[whole, only], 50_000);
}
