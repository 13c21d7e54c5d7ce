//! Small modules that are hard to compile, and a few large ones.
//!
//! This module must not know how long anything takes; tests give the limits.

/// A number as WebAssembly spells it.
fn leb(mut number: usize, out: &mut Vec<u8>) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn section(id: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(id);
    leb(content.len(), out);
    out.extend(content);
}

/// A module of functions `(param i32) (result i32)` with these locals and bodies; the first is
/// exported as `f`. Bodies do not contain their final `end`.
pub fn module(bodies: impl IntoIterator<Item = (usize, Vec<u8>)>) -> Vec<u8> {
    let mut code = Vec::new();
    let mut count = 0;
    for (locals, body) in bodies {
        let mut function = Vec::new();
        match locals {
            0 => leb(0, &mut function),
            locals => {
                leb(1, &mut function);
                leb(locals, &mut function);
                function.push(0x7f);
            }
        }
        function.extend(body);
        function.push(0x0b);
        leb(function.len(), &mut code);
        code.extend(function);
        count += 1;
    }
    let counted = |content: &[u8]| {
        let mut all = Vec::new();
        leb(count, &mut all);
        all.extend(content);
        all
    };
    let mut wasm = b"\0asm\x01\0\0\0".to_vec();
    section(1, &[1, 0x60, 1, 0x7f, 1, 0x7f], &mut wasm);
    section(3, &counted(&vec![0; count]), &mut wasm);
    section(7, &[1, 1, b'f', 0, 0], &mut wasm);
    section(10, &counted(&code), &mut wasm);
    wasm
}

/// A function that gives its parameter, `count` times.
pub fn functions(count: usize) -> Vec<u8> {
    module((0..count).map(|_| (0, vec![0x20, 0])))
}

/// `count` functions of `depth` loops inside each other; each loop writes one of the locals and may
/// go back to its start.
pub fn loops(count: usize, depth: usize, locals: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..depth {
        body.extend([0x03, 0x40]);
    }
    for turn in 0..depth {
        body.extend([0x20, 0, 0x21]);
        leb(1 + turn % locals, &mut body);
        body.extend([0x20]);
        leb(1 + (turn * 7) % locals, &mut body);
        // br_if 0, end
        body.extend([0x0d, 0, 0x0b]);
    }
    body.extend([0x20, 0]);
    module(vec![(locals, body); count])
}

/// `blocks` blocks inside each other, and in the innermost `tables` tables that may leave to each
/// of them.
pub fn tables(blocks: usize, tables: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..blocks {
        body.extend([0x02, 0x40]);
    }
    for _ in 0..tables {
        body.extend([0x02, 0x40, 0x20, 0, 0x0e]);
        leb(blocks, &mut body);
        for target in 0..blocks {
            leb(target, &mut body);
        }
        body.extend([0, 0x0b]);
    }
    for _ in 0..blocks {
        // A write at the end of each makes them differ.
        body.extend([0x20, 0, 0x41, 1, 0x6a, 0x21, 0, 0x0b]);
    }
    body.extend([0x20, 0]);
    module([(0, body)])
}

/// A sum of `depth` numbers, all of which are there before the first two are added.
pub fn expression(depth: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..depth {
        body.extend([0x20, 0]);
    }
    body.resize(body.len() + depth.saturating_sub(1), 0x6a);
    module([(0, body)])
}
