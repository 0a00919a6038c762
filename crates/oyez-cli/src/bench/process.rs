//! What a process has used, as Linux tells it.

use std::fs;
use std::time::Duration;

use crate::failure::Failure;

/// A program by the ids of its processes; their threads count, their children do not.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pids: Vec<u32>,
}

impl Process {
    /// # Errors
    /// When there is no such process, or no `/proc` to tell.
    pub(crate) fn of(pids: &[u32]) -> Result<Self, Failure> {
        match pids.iter().find(|pid| cpu(**pid).is_none() || resident_bytes(**pid).is_none()) {
            None => Ok(Self { pids: pids.to_vec() }),
            Some(pid) => Err(Failure::usage(format!("--pid {pid}: /proc/{pid} does not show CPU time and memory"))),
        }
    }

    pub(crate) fn this() -> Self {
        Self { pids: vec![std::process::id()] }
    }

    /// User and system time so far; in steps of 10 ms where the kernel keeps no finer account, or a thread has ended.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        self.pids.iter().map(|pid| cpu(*pid)).sum()
    }

    /// The memory that is there and not paged out.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        self.pids.iter().map(|pid| resident_bytes(*pid)).sum()
    }
}

fn cpu(pid: u32) -> Option<Duration> {
    let of_all = cpu_of(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    // rounded down, but with the time of threads that have ended
    Some(cpu_of_threads(pid).unwrap_or_default().max(of_all))
}

/// To the nanosecond, as the scheduler has it.
fn cpu_of_threads(pid: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let times = threads.map(|thread| {
        let account = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        account.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    });
    times.sum()
}

fn resident_bytes(pid: u32) -> Option<u64> {
    resident_of(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn cpu_of(stat: &str) -> Option<Duration> {
    // the name, in parentheses, may hold spaces and parentheses; after it utime and stime are the 12th and 13th field
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = fields.next()?.ok()? + fields.next()?.ok()?;
    Some(Duration::from_millis(ticks * MILLISECONDS_PER_TICK))
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1_024)
}

const MILLISECONDS_PER_TICK: u64 = 10; // USER_HZ is 100 on every Linux, whatever its timer

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_after_the_name_whatever_it_holds() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 150 25 9 9 20 0 3 0 100";
        assert_eq!(cpu_of(stat), Some(Duration::from_millis(1_750)));
        assert_eq!(cpu_of("nonsense"), None);
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        assert_eq!(resident_of("Name:\ta\nVmRSS:\t    1234 kB\nThreads:\t1\n"), Some(1_234 * 1_024));
        assert_eq!(resident_of("Name:\tkthread\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn time_is_told_between_the_ticks() {
        // a process of its own: the threads of other tests that have ended are accounted for in ticks
        let mut busy = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let process = Process::of(&[busy.id()]).unwrap();
        let begun = process.cpu().unwrap();
        let later = std::iter::repeat_with(|| process.cpu().unwrap()).find(|time| *time > begun).unwrap();
        busy.kill().and_then(|()| busy.wait()).unwrap();
        let passed = (later - begun).as_nanos();
        assert!(!passed.is_multiple_of(10_000_000), "{begun:?} {later:?}");
    }

    #[test]
    fn several_processes_are_added_up() {
        let this = std::process::id();
        let [one, two] = [&[this][..], &[this, this]].map(|pids| Process::of(pids).unwrap().resident_bytes().unwrap());
        assert!(two > one + one / 2, "{one} {two}");
    }

    #[test]
    fn a_process_that_is_not_there_is_refused() {
        assert!(Process::of(&[std::process::id()]).is_ok());
        assert!(Process::of(&[std::process::id(), u32::MAX]).is_err());
    }
}
