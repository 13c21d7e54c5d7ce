//! A compiler that has gone wrong, in the way that its file's name says.
//!
//! It must not link sandpool, whose hook would make it a good one. It speaks the protocol by hand,
//! as whoever owns a compiler process could.

#![expect(unsafe_code, reason = "some ways to end need raw calls")]

use rustix::fd::AsFd;
use rustix::process::Signal;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, exit};
use std::time::Duration;

const BUILD: &str = concat!("sandpool ", env!("CARGO_PKG_VERSION"));

fn main() -> io::Result<()> {
    let file = std::env::current_exe()?;
    let how = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    match how {
        "mute" => sleep(),
        "stopped-at-once" => stop(),
        "greets-with-garbage" => garbage(stream, 1 << 20),
        "greets-with-a-lie" => raw(&stream, u32::MAX, b""),
        "another-build" => say(&stream, r#"{"protocol":999,"build":"sandpool 9.9.9"}"#),
        _ => greeted(how, stream),
    }
}

fn greeted(how: &str, stream: UnixStream) -> io::Result<()> {
    say(&stream, &format!(r#"{{"protocol":1,"build":"{BUILD}"}}"#))?;
    let module_len = hear(&stream)?;
    let describe = |len: u64, result: &str| {
        let description = format!(
            r#"{{"kind":"core",
            "functions":[{{"name":"f","signature":{{"params":[],"result":{result}}}}}],
            "uncallable":[],"imports":[],"wasi":false,"needs":null,"module_size":{module_len},
            "artifact_size":{len},"compile_micros":1}}"#
        );
        let answer =
            format!(r#"{{"Compiled":{{"description":{description},"artifact_len":{len}}}}}"#);
        say(&stream, &answer)
    };
    let announce = |len: u64| describe(len, "null");
    match how {
        "silent" => sleep(),
        "stopped" => stop(),
        "closes-and-stays" => {
            stream.shutdown(std::net::Shutdown::Both)?;
            sleep()
        }
        "leaves-a-child" => {
            // It inherits the stream, which therefore does not end with us.
            Command::new("sleep").arg("3").spawn()?;
            Ok(())
        }
        "exits" => Ok(()),
        "exits-101" => exit(101),
        "has-no-memory" => {
            (&stream).write_all(b"memory allocation of 5 bytes failed")?;
            end_by(Signal::SYS)
        }
        "kills-itself" => end_by(Signal::KILL),
        "crashes" => end_by(Signal::SEGV),
        "aborts" => end_by(Signal::ABORT),
        "out-of-time" => end_by(Signal::XCPU),
        "forbidden-call" => end_by(Signal::SYS),
        "answers-garbage" => garbage(stream, 1 << 20),
        "answers-nothing" => raw(&stream, 0, b""),
        "answers-half" => raw(&stream, 100, br#"{"Refused":"#),
        "answers-half-and-stays" => raw(&stream, 100, b"{").and_then(|()| sleep()),
        "cut-json" => say(&stream, r#"{"Refused":"#).and_then(|()| sleep()),
        "lies-about-the-message" => raw(&stream, u32::MAX, b"").and_then(|()| sleep()),
        "lies-about-the-artifact" => announce(u64::MAX).and_then(|()| sleep()),
        "claims-too-much" => announce(1 << 40).and_then(|()| sleep()),
        "half-an-artifact" => announce(1000).and_then(|()| (&stream).write_all(&[7; 500])),
        "half-an-artifact-and-stays" => {
            announce(1000)?;
            (&stream).write_all(&[7; 500])?;
            sleep()
        }
        "dribbles" => {
            announce(1 << 20)?;
            loop {
                (&stream).write_all(&[7])?;
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        "floods" => announce(1 << 20).and_then(|()| garbage(stream, u64::MAX)),
        "one-byte-more" => announce(1000).and_then(|()| (&stream).write_all(&[7; 1001])),
        "another-module" => {
            let text = r#"{"Compiled":{"description":{"kind":"core","functions":[],
                "uncallable":[],"imports":[],"wasi":false,"needs":null,"module_size":1,
                "artifact_size":2,"compile_micros":1},"artifact_len":2}}"#;
            say(&stream, text).and_then(|()| (&stream).write_all(&[7; 2]))
        }
        // Read element by element, a list of these costs much time and no bytes.
        "empty-types" => {
            let many = vec![r#"{"tuple":[]}"#; 1_000_000].join(",");
            describe(1000, &format!(r#"{{"list":{{"list":{{"tuple":[{many}]}}}}}}"#))
        }
        "nothing-in-a-list" => describe(1000, r#"{"list":{"flags":[]}}"#),
        "deep-types" => {
            describe(1000, &format!("{}\"u8\"{}", r#"{"list":"#.repeat(32), "}".repeat(32)))
        }
        "many-types" => {
            describe(1000, &format!(r#"{{"tuple":[{}]}}"#, vec!["\"u8\""; 10_000].join(",")))
        }
        "control-characters" => say(&stream, r#"{"Refused":"a\u001b[31m\nb"}"#),
        _ => exit(64),
    }
}

fn raw(mut stream: &UnixStream, len: u32, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(&len.to_le_bytes())?;
    stream.write_all(bytes)
}

fn say(stream: &UnixStream, text: &str) -> io::Result<()> {
    raw(stream, u32::try_from(text.len()).map_err(io::Error::other)?, text.as_bytes())
}

/// Takes the byte that the module travels with and the set-up; gives the module's length.
fn hear(mut stream: &UnixStream) -> io::Result<u64> {
    let mut front = [0; 5];
    stream.read_exact(&mut front)?;
    let len = u32::from_le_bytes([front[1], front[2], front[3], front[4]]);
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    stream.read_exact(&mut bytes)?;
    let setup: serde_json::Value = serde_json::from_slice(&bytes)?;
    setup["module_len"].as_u64().ok_or_else(|| io::Error::other("no length"))
}

fn garbage(mut stream: UnixStream, len: u64) -> io::Result<()> {
    let piece = [0x5a; 4096];
    let mut left = len;
    while left > 0 {
        stream.write_all(&piece)?;
        left = left.saturating_sub(4096);
    }
    Ok(())
}

fn sleep() -> io::Result<()> {
    loop {
        std::thread::sleep(Duration::from_secs(600));
    }
}

fn stop() -> io::Result<()> {
    // SAFETY: stops this process, which is what it is for.
    unsafe { libc::raise(Signal::STOP.as_raw()) };
    sleep()
}

fn end_by(signal: Signal) -> io::Result<()> {
    // SAFETY: the default disposition is valid, and this process is to end.
    unsafe {
        libc::signal(signal.as_raw(), libc::SIG_DFL);
        libc::raise(signal.as_raw());
    }
    sleep()
}
