//! Tests that need a process of their own: this binary again, with one test.

use std::process::{Command, Stdio};

/// A child that runs the ignored test `name`, with at most so many open files.
pub(crate) fn run(name: &str, open_files: u32) -> Command {
    let mut command = Command::new("sh");
    let script = r#"ulimit -n "$0"; exec "$1" --exact "$2" --ignored --nocapture --test-threads=1"#;
    command.args(["-c", script, &open_files.to_string()]).arg(std::env::current_exe().unwrap()).arg(name);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}
