//! Says which build it is, for `oyez --version`: `0.1.0 (abc1234 2026-11-30)`, in the variable `BUILD_VERSION`. (Those that
//! begin with `OYEZ_` are settings, and cargo passes it on to what it runs.)
//!
//! In a checkout git knows the commit and its day; what differs from the commit is `abc1234-dirty`. In a package cargo has left the
//! commit in `.cargo_vcs_info.json`. `SOURCE_DATE_EPOCH` says the day in place of both. Where nothing is known, it is the bare version.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    watch(&folder.join("build.rs"));
    // a package may lie in a checkout of somebody else's
    let (commit, day) = match fs::read_to_string(folder.join(".cargo_vcs_info.json")) {
        Ok(info) => (packaged(&info), None),
        Err(_) => in_checkout(&folder).unzip(),
    };
    let day = env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| day_of(seconds.parse().ok()?)).or(day);
    let known: Vec<String> = commit.into_iter().chain(day).collect();
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let known = if known.is_empty() { String::new() } else { format!(" ({})", known.join(" ")) };
    println!("cargo:rustc-env=BUILD_VERSION={version}{known}");
}

/// The commit of a package.
fn packaged(info: &str) -> Option<String> {
    let commit = info.split_once("\"sha1\": \"")?.1.split_once('"')?.0;
    named(commit, info.contains("\"dirty\": true"))
}

/// The commit of a checkout of this project, and its day.
fn in_checkout(folder: &Path) -> Option<(String, String)> {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.env("GIT_OPTIONAL_LOCKS", "0").arg("-C").arg(folder).args(arguments); // who asks changes nothing
        let output = git.output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if git(&["rev-parse", "--show-prefix"])? != "crates/oyez-cli/" {
        return None;
    }
    let (commit, day) =
        git(&["log", "-1", "--format=%H %cs"])?.split_once(' ').map(|(c, d)| (c.to_owned(), d.to_owned()))?;
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no", "--", ":/crates", ":/Cargo.toml", ":/Cargo.lock"])?;
    let branch = git(&["rev-parse", "--symbolic-full-name", "HEAD"]).unwrap_or_default();
    for name in ["HEAD", &branch, "packed-refs"].into_iter().filter(|name| !name.is_empty()) {
        watch(&folder.join(git(&["rev-parse", "--git-path", name])?));
    }
    ["../../Cargo.toml", "../../Cargo.lock"].into_iter().for_each(|name| watch(&folder.join(name)));
    for found in fs::read_dir(folder.join("..")).into_iter().flatten().filter_map(Result::ok) {
        ["Cargo.toml", "src"].into_iter().for_each(|name| watch(&found.path().join(name)));
    }
    Some((named(&commit, !changed.is_empty())?, day))
}

fn named(commit: &str, is_dirty: bool) -> Option<String> {
    let is_one = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| format!("{}{}", &commit[..7], if is_dirty { "-dirty" } else { "" }))
}

/// Runs this again when `path` changes. One that is not there would always be taken for changed.
fn watch(path: &Path) {
    if path.exists() {
        println!("cargo:rerun-if-changed={}", path.display());
    }
}

/// The day, in UTC, so many seconds after 1970 began.
fn day_of(seconds: u64) -> Option<String> {
    let mut days = seconds / 86_400;
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
        if year > 9999 {
            return None;
        }
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    Some(format!("{year}-{:02}-{:02}", month + 1, days + 1))
}
