//! Counts what is in a module before anything compiles it, and refuses what no real one has.
//!
//! This module must not judge whether a module is valid; that is the compiler's part. It reads each
//! byte once, in time and memory that the module's size bounds. It cannot tell how long compiling
//! takes (12 kB can keep Cranelift busy for twenty seconds), so it is no substitute for a deadline.

use std::fmt;
use wasmparser::{BinaryReaderError, FunctionBody, Operator, Parser, Payload};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Modules,
    Depth,
    Definitions,
    Types,
    Imports,
    Exports,
    Functions,
    Globals,
    Memories,
    Tables,
    Segments,
    Elements,
    Locals,
    Nesting,
    Loops,
    Targets,
    AllTargets,
}

/// How it is called, and how many may be compiled: several times what the largest programs that
/// are around have, and what a compiler process can hold.
const PARTS: [(Part, &str, u64); 17] = [
    (Part::Modules, "modules and components inside it", 10_000),
    (Part::Depth, "components inside each other", 100),
    (Part::Definitions, "definitions of component types, functions and instances", 200_000),
    (Part::Types, "types", 100_000),
    (Part::Imports, "imports", 100_000),
    (Part::Exports, "exports", 300_000),
    (Part::Functions, "functions", 300_000),
    (Part::Globals, "globals", 300_000),
    (Part::Memories, "memories", 1_000),
    (Part::Tables, "tables", 1_000),
    (Part::Segments, "segments of data and elements", 200_000),
    (Part::Elements, "elements of tables", 10_000_000),
    (Part::Locals, "locals of all functions", 10_000_000),
    (Part::Nesting, "blocks inside each other in one function", 20_000),
    (Part::Loops, "loops inside each other in one function", 250),
    (Part::Targets, "targets of one `br_table`", 65_520),
    (Part::AllTargets, "targets of all `br_table`s", 4_000_000),
];

/// How many of each may be there.
#[derive(Clone, Debug)]
pub(super) struct Budget([u64; PARTS.len()]);

impl Default for Budget {
    fn default() -> Self {
        Self(PARTS.map(|(_, _, most)| most))
    }
}

/// Why a module is not compiled.
#[derive(Debug)]
pub(super) enum Excess {
    /// It has too many of something.
    Part(String),
    /// It cannot be read to its end.
    Malformed(BinaryReaderError),
}

impl From<BinaryReaderError> for Excess {
    fn from(error: BinaryReaderError) -> Self {
        Self::Malformed(error)
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part(text) => f.write_str(text),
            Self::Malformed(error) => error.fmt(f),
        }
    }
}

impl Budget {
    /// Other limits, for tests.
    #[cfg(test)]
    pub(super) fn with(part: Part, most: u64) -> Self {
        let mut budget = Self::default();
        budget.0[part as usize] = most;
        budget
    }

    /// Checks a module or component in binary form.
    ///
    /// # Errors
    /// What there is too many of, or where it cannot be read.
    pub(super) fn check(&self, wasm: &[u8]) -> Result<(), Excess> {
        let mut count = Count { budget: self, seen: [0; PARTS.len()], depth: 0 };
        for payload in Parser::new(0).parse_all(wasm) {
            count.payload(payload?)?;
        }
        Ok(())
    }
}

/// Whether a module has or imports a memory with 64-bit addresses. An engine without them may trip
/// over the sizes of such a memory before it names the proposal.
pub(super) fn has_wide_memory(wasm: &[u8]) -> bool {
    Parser::new(0).parse_all(wasm).map_while(Result::ok).any(|payload| match payload {
        Payload::MemorySection(all) => all.into_iter().flatten().any(|memory| memory.memory64),
        Payload::ImportSection(all) => all.into_imports().flatten().any(
            |import| matches!(import.ty, wasmparser::TypeRef::Memory(memory) if memory.memory64),
        ),
        _ => false,
    })
}

struct Count<'a> {
    budget: &'a Budget,
    seen: [u64; PARTS.len()],
    /// Components that are open.
    depth: u64,
}

impl Count<'_> {
    fn payload(&mut self, payload: Payload<'_>) -> Result<(), Excess> {
        match payload {
            Payload::TypeSection(all) => self.add(Part::Types, all.count())?,
            Payload::CoreTypeSection(all) => self.add(Part::Types, all.count())?,
            Payload::ImportSection(all) => self.add(Part::Imports, all.count())?,
            Payload::ComponentImportSection(all) => self.add(Part::Imports, all.count())?,
            Payload::ExportSection(all) => self.add(Part::Exports, all.count())?,
            Payload::ComponentExportSection(all) => self.add(Part::Exports, all.count())?,
            Payload::FunctionSection(all) => self.add(Part::Functions, all.count())?,
            Payload::CodeSectionStart { count, .. } => self.at_most(Part::Functions, count)?,
            Payload::GlobalSection(all) => self.add(Part::Globals, all.count())?,
            Payload::MemorySection(all) => self.add(Part::Memories, all.count())?,
            Payload::TableSection(all) => self.add(Part::Tables, all.count())?,
            Payload::DataSection(all) => self.add(Part::Segments, all.count())?,
            Payload::ElementSection(all) => {
                self.add(Part::Segments, all.count())?;
                for segment in all {
                    let items = match segment?.items {
                        wasmparser::ElementItems::Functions(items) => items.count(),
                        wasmparser::ElementItems::Expressions(_, items) => items.count(),
                    };
                    self.add(Part::Elements, items)?;
                }
            }
            Payload::CodeSectionEntry(body) => self.function(&body)?,
            Payload::InstanceSection(all) => self.add(Part::Definitions, all.count())?,
            Payload::ComponentInstanceSection(all) => self.add(Part::Definitions, all.count())?,
            Payload::ComponentAliasSection(all) => self.add(Part::Definitions, all.count())?,
            Payload::ComponentTypeSection(all) => self.add(Part::Definitions, all.count())?,
            Payload::ComponentCanonicalSection(all) => self.add(Part::Definitions, all.count())?,
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                self.add(Part::Modules, 1_u64)?;
                self.depth += 1;
                self.at_most(Part::Depth, self.depth)?;
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        Ok(())
    }

    fn function(&mut self, body: &FunctionBody<'_>) -> Result<(), Excess> {
        for locals in body.get_locals_reader()? {
            self.add(Part::Locals, locals?.0)?;
        }
        // Whether each open block is a loop.
        let mut open: Vec<bool> = Vec::new();
        let mut loops = 0_u64;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            match operators.read()? {
                Operator::Loop { .. } => {
                    loops += 1;
                    self.at_most(Part::Loops, loops)?;
                    open.push(true);
                }
                Operator::Block { .. }
                | Operator::If { .. }
                | Operator::TryTable { .. }
                | Operator::Try { .. } => open.push(false),
                Operator::End | Operator::Delegate { .. } => {
                    if open.pop() == Some(true) {
                        loops -= 1;
                    }
                    continue;
                }
                Operator::BrTable { targets } => {
                    self.at_most(Part::Targets, targets.len())?;
                    self.add(Part::AllTargets, targets.len())?;
                    continue;
                }
                _ => continue,
            }
            self.at_most(Part::Nesting, open.len() as u64)?;
        }
        Ok(())
    }

    fn add(&mut self, part: Part, more: impl Into<u64>) -> Result<(), Excess> {
        let seen = &mut self.seen[part as usize];
        *seen = seen.saturating_add(more.into());
        let seen = *seen;
        self.at_most(part, seen)
    }

    fn at_most(&self, part: Part, count: impl Into<u64>) -> Result<(), Excess> {
        let (count, most) = (count.into(), self.budget.0[part as usize]);
        if count <= most {
            return Ok(());
        }
        let name = PARTS[part as usize].1;
        Err(Excess::Part(format!("it has {count} {name}; at most {most} are compiled")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wasm(text: &str) -> Vec<u8> {
        wat::parse_str(text).expect("text")
    }

    #[test]
    fn the_table_is_in_the_order_of_the_parts() {
        for (at, (part, ..)) in PARTS.iter().enumerate() {
            assert_eq!(*part as usize, at);
        }
    }

    #[test]
    fn each_part_is_counted() {
        let core = wasm(
            r#"(module
            (type (func)) (type (func (param i32)))
            (import "a" "b" (func)) (import "a" "c" (func))
            (table 1 funcref) (table 1 funcref) (memory 1) (memory 1)
            (global i32 (i32.const 0)) (global i32 (i32.const 0))
            (export "f" (func 2)) (export "g" (func 3))
            (elem (i32.const 0) func 2 3 2)
            (data "x")
            (func (local i32 i32 i64))
            (func (param i32)
                (loop (loop (block (br_table 0 1 2 0 (local.get 0)))))
                (loop (block (if (i32.const 1) (then (br_table 0 0 (local.get 0))))))))"#,
        );
        let component = wasm(
            "(component (component (component)) (type (list u8)) (type (list u16))
            (core module (type (func)) (func)) (core module (func)))",
        );
        let cases = [
            (Part::Types, &core, 2),
            (Part::Imports, &core, 2),
            (Part::Exports, &core, 2),
            (Part::Functions, &core, 2),
            (Part::Globals, &core, 2),
            (Part::Memories, &core, 2),
            (Part::Tables, &core, 2),
            (Part::Segments, &core, 2),
            (Part::Elements, &core, 3),
            (Part::Locals, &core, 3),
            (Part::Nesting, &core, 3),
            (Part::Loops, &core, 2),
            (Part::Targets, &core, 3),
            (Part::AllTargets, &core, 4),
            (Part::Modules, &component, 4),
            (Part::Depth, &component, 2),
            (Part::Definitions, &component, 2),
            (Part::Functions, &component, 2),
        ];
        for (part, bytes, count) in cases {
            Budget::with(part, count).check(bytes).unwrap_or_else(|e| panic!("{part:?}: {e}"));
            let error = Budget::with(part, count - 1).check(bytes).expect_err("too many");
            let text = error.to_string();
            assert!(text.starts_with("it has ") && text.contains(PARTS[part as usize].1), "{text}");
        }
    }

    #[test]
    fn what_claims_a_lot_is_refused_for_the_claim() {
        // A function section that says it has 2³² - 1 functions.
        let bytes = b"\0asm\x01\0\0\0\x03\x06\xff\xff\xff\xff\x0f\0";
        let error = Budget::default().check(bytes).expect_err("too many");
        assert_eq!(error.to_string(), "it has 4294967295 functions; at most 300000 are compiled");
        // As many locals, in one declaration.
        let bytes = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x0a\x01\x08\x01\xff\xff\xff\xff\x0f\x7f\x0b";
        let error = Budget::default().check(bytes).expect_err("too many");
        assert!(error.to_string().contains("4294967295 locals"), "{error}");
    }
}
