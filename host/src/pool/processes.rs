//! How many workers this process may usefully have.
//!
//! This module must not change affinity or quotas; it reads them.

use std::path::{Path, PathBuf};

/// min(affinity mask, cgroup CPU quota rounded up), at least 1.
pub(crate) fn default_processes() -> usize {
    let affinity = rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count());
    let affinity = usize::try_from(affinity).unwrap_or(1).max(1);
    quota().map_or(affinity, |quota| affinity.min(quota))
}

/// The smallest quota on the way from this process's cgroup to the root, in whole processors.
fn quota() -> Option<usize> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().filter_map(group_quota).min()
}

fn group_quota(line: &str) -> Option<usize> {
    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
    let (mount, read): (_, fn(&Path) -> Option<usize>) = if controllers.is_empty() {
        ("/sys/fs/cgroup", read_v2)
    } else if controllers.split(',').any(|controller| controller == "cpu") {
        ("/sys/fs/cgroup/cpu", read_v1)
    } else {
        return None;
    };
    let mut folder = PathBuf::from(mount).join(path.trim_start_matches('/'));
    let mut least = None;
    while folder.starts_with(mount) {
        least = [least, read(&folder)].into_iter().flatten().min();
        if !folder.pop() {
            break;
        }
    }
    least
}

fn read_v2(folder: &Path) -> Option<usize> {
    let text = std::fs::read_to_string(folder.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    whole(quota, period)
}

fn read_v1(folder: &Path) -> Option<usize> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    whole(read("cpu.cfs_quota_us")?.trim(), read("cpu.cfs_period_us")?.trim())
}

/// Quota and period as the files spell them; `max` and `-1` mean no quota.
fn whole(quota: &str, period: &str) -> Option<usize> {
    let (quota, period): (usize, usize) = (quota.parse().ok()?, period.parse().ok()?);
    (period > 0).then(|| quota.div_ceil(period).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_rounded_up_and_none_is_none() {
        assert_eq!(whole("150000", "100000"), Some(2));
        assert_eq!(whole("10000", "100000"), Some(1));
        assert_eq!(whole("400000", "100000"), Some(4));
        assert_eq!(whole("max", "100000"), None);
        assert_eq!(whole("-1", "100000"), None);
        assert_eq!(whole("1", "0"), None);
    }

    #[test]
    fn the_default_is_at_least_one() {
        assert!(default_processes() >= 1);
    }
}
