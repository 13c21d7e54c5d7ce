//! What is no task module is refused with one clear line.

use super::Setup;
use crate::artifact::Mapped;
use crate::description::EngineSettings;
use crate::guest::{compatibility_key, compile};
use crate::process::fds::sealed_file;
use std::os::fd::OwnedFd;

#[track_caller]
fn refused(module: &[u8], expected: &[&str]) {
    let error = compile(module, EngineSettings::default()).unwrap_err();
    for part in expected {
        assert!(error.contains(part), "{error:?} should contain {part:?}");
    }
    assert!(!error.contains('\n'), "{error:?}");
}

fn wasm(text: &str) -> Vec<u8> {
    // The artifact is no module, so the text is assembled by hand where bytes are needed.
    assert_eq!(text, "(module)");
    b"\0asm\x01\0\0\0".to_vec()
}

/// The engine trips over the number, which is read as one of 32 bits.
#[test]
fn a_memory_with_64_bit_addresses_is_refused_by_name_whatever_its_size() {
    for memory in ["i64 1", "i64 0x1_0000_0000_0000"] {
        for module in ["(memory {})", r#"(import "a" "b" (memory {}))"#] {
            let text = format!("(module {})", module.replace("{}", memory));
            refused(text.as_bytes(), &["not a valid core module", "memory64"]);
        }
    }
}

#[test]
fn bytes_that_are_no_webassembly() {
    refused(b"", &["it is empty", "expected a WebAssembly core module"]);
    refused(b"\0as", &["ends after 3 bytes, inside the header"]);
    refused(b"\0asm\x01", &["ends after 5 bytes, inside the header"]);
    refused(b"\0asm\x02\0\0\0", &["version is 0x00000002"]);
    refused(b"\x7fELF\x02\x01\x01\0rest", &["a native executable (ELF)", "wasm32-wasip2"]);
    refused(b"#!/bin/sh\necho hi\n", &["it is text, but not WebAssembly text"]);
    refused(b";; only\n(; a ;) \n", &["it is text without content"]);
    refused(b"(; never ends", &["it is text without content"]);
    refused(b"\xff\xfe\x00\x01", &["neither WebAssembly nor text"]);
}

#[test]
fn an_artifact_handed_in_as_a_module() {
    let text = br#"(module (func (export "f")))"#;
    let (artifact, _) = compile(text, EngineSettings::default()).unwrap();
    refused(&artifact, &["precompiled wasmtime artifact", "give the `.wasm` file"]);
    let text =
        br#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
        (func (export "f") (canon lift (core func $i "f"))))"#;
    let (artifact, _) = compile(text, EngineSettings::default()).unwrap();
    refused(&artifact, &["precompiled wasmtime artifact"]);
}

#[test]
fn modules_that_are_broken() {
    let mut truncated = wasm("(module)");
    // A type section that claims 32 bytes and has one.
    truncated.extend_from_slice(&[1, 32, 1]);
    refused(&truncated, &["not a valid core module", "offset"]);
    refused(b"(module (func (export \"f\") (result i32)))", &["not a valid core module"]);
    refused(b"(module (func", &["not a valid core module"]);
    refused(b"(component (func (export \"f\")))", &["not a valid component"]);
    refused(b"\0asm\x0d\0\x01\0\x07", &["not a valid component"]);
    refused(
        br#"(module (memory i64 1) (func (export "f")))"#,
        &["not a valid core module", "memory64"],
    );
}

#[test]
fn modules_without_anything_to_call() {
    refused(b"(module)", &["it exports no function"]);
    refused(b"(module (memory (export \"memory\") 1))", &["it exports no function"]);
    refused(
        br#"(module (func (export "v") (param v128)))"#,
        &["no function that can be called", "`v`", "v128"],
    );
    refused(b"(component)", &["it exports no function"]);
}

#[test]
fn imports_that_are_not_provided() {
    refused(
        br#"(module (import "env" "now" (func)) (func (export "f")))"#,
        &["`env.now`", "does not provide", "wasi_snapshot_preview1"],
    );
    refused(
        br#"(module (import "wasi_snapshot_preview1" "nonesuch" (func)) (func (export "f")))"#,
        &["`wasi_snapshot_preview1.nonesuch`"],
    );
    refused(
        br#"(module (import "wasi_snapshot_preview1" "sched_yield" (func)) (func (export "f")))"#,
        &["sched_yield"],
    );
    let component = |import: &str| {
        format!(
            r#"(component {import} (core module $m (func (export "f")))
            (core instance $i (instantiate $m)) (func (export "f") (canon lift (core func $i "f"))))"#
        )
    };
    refused(
        component(r#"(import "my:pkg/api@1.0.0" (instance (export "f" (func))))"#).as_bytes(),
        &["`my:pkg/api@1.0.0`", "WASI 0.2"],
    );
    refused(
        component(r#"(import "host" (func (result u32)))"#).as_bytes(),
        &["`host`", "does not provide"],
    );
    for reach in
        ["wasi:http/outgoing-handler@0.2.0", "wasi:keyvalue/store@0.2.0", "wasi:nn/graph@0.2.0"]
    {
        let import = format!(r#"(import "{reach}" (instance (export "f" (func))))"#);
        refused(component(&import).as_bytes(), &[reach, "does not provide"]);
    }
    refused(
        component(r#"(import "wasi:cli/environment@0.3.0" (instance (export "f" (func))))"#)
            .as_bytes(),
        &["wasi:cli/environment@0.3.0"],
    );
    refused(
        component(r#"(import "sandpool:task/context@0.1.0" (instance (export "nope" (func))))"#)
            .as_bytes(),
        &["sandpool:task/context@0.1.0", "nope"],
    );
    // Interfaces that only name types need nobody to provide them.
    let types = r#"(import "my:pkg/types@1.0.0" (instance (type $a' (record (field "x" u8)))
        (export "a" (type (eq $a')))))"#;
    compile(component(types).as_bytes(), EngineSettings::default()).unwrap();
}

/// All that a core module can import, which a new version of the engine must not make longer unseen.
#[test]
fn what_core_modules_may_import_is_this_list() {
    let engine = wasmtime::Engine::default();
    let linker = crate::guest::imports::core_linker(&engine).unwrap();
    let mut store = wasmtime::Store::new(&engine, crate::guest::state::State::idle());
    let all = linker.iter(&mut store).map(|(module, name, _)| {
        assert_eq!(module, "wasi_snapshot_preview1", "{name}");
        name.to_owned()
    });
    let mut all: Vec<String> = all.collect();
    all.sort_unstable();
    let known = "args_get args_sizes_get clock_res_get clock_time_get environ_get environ_sizes_get \
        fd_advise fd_allocate fd_close fd_datasync fd_fdstat_get fd_fdstat_set_flags \
        fd_fdstat_set_rights fd_filestat_get fd_filestat_set_size fd_filestat_set_times fd_pread \
        fd_prestat_dir_name fd_prestat_get fd_pwrite fd_read fd_readdir fd_renumber fd_seek fd_sync \
        fd_tell fd_write path_create_directory path_filestat_get path_filestat_set_times path_link \
        path_open path_readlink path_remove_directory path_rename path_symlink path_unlink_file \
        poll_oneoff proc_exit proc_raise random_get sched_yield sock_accept sock_recv sock_send \
        sock_shutdown";
    assert!(all.iter().map(String::as_str).eq(known.split_whitespace()), "{all:?}");
}

#[test]
fn text_may_begin_with_comments_and_a_mark() {
    for text in [
        "\u{feff}(module (func (export \"f\")))",
        "(; a (; nested ;) ;) ;; line\n (module (func (export \"f\")))",
        "(func (export \"f\"))",
    ] {
        compile(text.as_bytes(), EngineSettings::default()).unwrap();
    }
}

#[test]
fn types_that_unfold_without_end_are_not_described() {
    let mut types = String::from("(type $t0 (tuple u8 u8))");
    for i in 1..16 {
        types.push_str(&format!("(type $t{i} (tuple $t{} $t{}))", i - 1, i - 1));
    }
    let text = format!(
        r#"(component {types}
        (core module $m (memory (export "memory") 1) (func (export "f") (param i32))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
            (func (export "g") (param i32)))
        (core instance $i (instantiate $m))
        (alias core export $i "memory" (core memory $memory))
        (alias core export $i "realloc" (core func $realloc))
        (func (export "f") (param "x" $t15) (canon lift (core func $i "f") (memory $memory)
            (realloc (core func $realloc))))
        (func (export "g") (param "x" u8) (canon lift (core func $i "g"))))"#
    );
    let (_, description) = compile(text.as_bytes(), EngineSettings::default()).unwrap();
    assert_eq!(description.functions.len(), 1);
    assert!(description.uncallable[0].1.contains("too large"));
}

#[test]
fn an_artifact_for_other_settings_is_refused() {
    let text = br#"(module (func (export "f")))"#;
    let (artifact, description) = compile(text, EngineSettings::default()).unwrap();
    let settings = EngineSettings { fuel: true, deterministic: false };
    let config = Setup { settings, ..Setup::default() }.config(description);
    let error = crate::guest::Guest::load(Mapped::from_bytes(&artifact).unwrap(), config).err();
    assert!(error.unwrap().contains("fuel"));
}

#[test]
fn only_sealed_memory_of_the_right_length_is_mapped() {
    let fd = sealed_file("artifact", b"some bytes").unwrap();
    assert!(Mapped::from_fd(fd.try_clone().unwrap(), 9).is_err());
    assert!(Mapped::from_fd(fd.try_clone().unwrap(), 11).is_err());
    assert!(Mapped::from_fd(fd, 10).is_ok());
    let open = rustix::fs::memfd_create(c"open", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::io::write(&open, b"some bytes").unwrap();
    assert!(Mapped::from_fd(open, 10).unwrap_err().to_string().contains("sealed"));
    let file = OwnedFd::from(std::fs::File::open("/proc/self/exe").unwrap());
    assert!(Mapped::from_fd(file, 10).is_err());
}

#[test]
fn the_compatibility_key_tells_settings_apart() {
    let plain = EngineSettings::default();
    let fuel = EngineSettings { fuel: true, ..plain };
    let fixed = EngineSettings { deterministic: true, ..plain };
    assert_eq!(compatibility_key(plain), compatibility_key(plain));
    assert_ne!(compatibility_key(plain), compatibility_key(fuel));
    assert_ne!(compatibility_key(plain), compatibility_key(fixed));
    assert_ne!(compatibility_key(fuel), compatibility_key(fixed));
}
