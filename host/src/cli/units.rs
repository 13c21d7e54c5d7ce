//! Values of options as people write them: sizes, durations, counts, grants.
//!
//! This module must not touch the system, except that `--env NAME` looks the variable up.

use crate::pool::builder::DirAccess;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// A number of items, or what fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Auto,
    Exactly(NonZeroUsize),
}

impl Count {
    pub(super) fn exactly(self) -> Option<usize> {
        match self {
            Self::Auto => None,
            Self::Exactly(count) => Some(count.get()),
        }
    }
}

/// Parses `N` or `auto`.
pub(super) fn count(text: &str) -> Result<Count, String> {
    if text == "auto" {
        return Ok(Count::Auto);
    }
    text.parse()
        .map(Count::Exactly)
        .map_err(|_| "expected a whole number of at least 1, or `auto`".to_owned())
}

const SIZES: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("kB", 1000),
    ("KB", 1000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// Parses a number of bytes: `65536`, `16MiB`, `1GB`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_number(text);
    let factor = SIZES.iter().find(|(name, _)| *name == unit).map(|(_, factor)| factor);
    let (Ok(number), Some(factor)) = (number.parse::<u64>(), factor) else {
        return Err("expected bytes, as in `65536`, `16MiB` or `1GB`".to_owned());
    };
    number.checked_mul(*factor).ok_or_else(|| "more bytes than can be counted".to_owned())
}

const TIMES: [(&str, f64); 6] =
    [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0)];

/// Parses a duration longer than zero: `500ms`, `2s`, `1m30s`, `1.5h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration, as in `500ms`, `2s` or `1m30s`".to_owned();
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split_number(rest);
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let factor = TIMES.iter().find(|(name, _)| *name == unit).map(|(_, factor)| factor);
        let (Ok(number), Some(factor)) = (number.parse::<f64>(), factor) else {
            return Err(wrong());
        };
        let part = Duration::try_from_secs_f64(number * factor).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = next;
    }
    match total {
        Duration::ZERO if text.is_empty() => Err(wrong()),
        Duration::ZERO => Err("a duration must be longer than zero".to_owned()),
        total => Ok(total),
    }
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// A directory that guests may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dir {
    pub(super) host: PathBuf,
    pub(super) guest: String,
    pub(super) access: DirAccess,
}

/// Parses `HOST::GUEST[:ro]`; without `::GUEST` the guest sees it under the same path.
pub(super) fn dir(text: &str) -> Result<Dir, String> {
    let (paths, access) = match text.strip_suffix(":ro") {
        Some(paths) => (paths, DirAccess::ReadOnly),
        None => (text, DirAccess::ReadWrite),
    };
    let (host, guest) = paths.split_once("::").unwrap_or((paths, paths));
    if host.is_empty() || guest.is_empty() {
        return Err("expected `HOST::GUEST`, or `HOST::GUEST:ro`".to_owned());
    }
    Ok(Dir { host: host.into(), guest: guest.to_owned(), access })
}

/// Parses `NAME=VALUE`, or `NAME` for the value that we have ourselves.
pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => match std::env::var(text) {
            Ok(value) => (text, value),
            Err(_) => return Err(format!("`{text}` is not set here; expected `NAME=VALUE`")),
        },
    };
    if name.is_empty() {
        return Err("expected `NAME=VALUE`".to_owned());
    }
    Ok((name.to_owned(), value))
}

/// Bytes as people read them.
pub(super) fn show_size(bytes: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(factor, _)| bytes >= *factor) {
        None => format!("{bytes} B"),
        Some((factor, name)) if bytes.is_multiple_of(*factor) => {
            format!("{} {name}", bytes / factor)
        }
        Some((factor, name)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*factor);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65536),
            ("7B", 7),
            ("2kB", 2000),
            ("2KB", 2000),
            ("2KiB", 2048),
            ("16MiB", 16 << 20),
            ("1GB", 1_000_000_000),
            ("3GiB", 3 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1.5MiB", "-1", "1 MiB", "1M", "1mib", "99999999999GiB"] {
            size(text).expect_err(text);
        }
    }

    #[test]
    fn durations() {
        for (text, millis) in [
            ("500ms", 500),
            ("2s", 2000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "0s", "-1s", "1s ", "1.2.3s", "1y", "1e9s", "9999999999999999d"]
        {
            duration(text).expect_err(text);
        }
    }

    #[test]
    fn counts() {
        assert_eq!(count("auto"), Ok(Count::Auto));
        assert_eq!(count("7").map(Count::exactly), Ok(Some(7)));
        for text in ["0", "-1", "", "x", "1.5"] {
            count(text).expect_err(text);
        }
    }

    #[test]
    fn grants() {
        let granted = |host: &str, guest: &str, access| {
            Ok(Dir { host: host.into(), guest: guest.to_owned(), access })
        };
        assert_eq!(dir("a/b::/data"), granted("a/b", "/data", DirAccess::ReadWrite));
        assert_eq!(dir("a::/data:ro"), granted("a", "/data", DirAccess::ReadOnly));
        assert_eq!(dir("/srv:ro"), granted("/srv", "/srv", DirAccess::ReadOnly));
        for text in ["", "::x", "x::", ":ro"] {
            dir(text).expect_err(text);
        }
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(variable("A="), Ok(("A".to_owned(), String::new())));
        for text in ["=x", "", "SANDPOOL_SURELY_NOT_SET"] {
            variable(text).expect_err(text);
        }
    }

    #[test]
    fn sizes_are_shown_short() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (64 << 20, "64 MiB")]
        {
            assert_eq!(show_size(bytes), text);
        }
    }
}
