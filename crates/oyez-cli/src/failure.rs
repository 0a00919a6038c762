//! Why a command ends without success: one clear line, and an exit status.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use oyez_client::ErrorKind;

use crate::visible::tell;

#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    line: String,
}

impl Failure {
    /// The command line asks for something that cannot be: status 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { status: 2, line: format!("oyez: {}", message.into()) }
    }

    /// The command exists and this build does not have it: status 2.
    pub(crate) fn not_yet(command: &str) -> Self {
        Self { status: 2, line: format!("oyez {command} is not in this build yet") }
    }

    /// The configuration is wrong or unsafe, and starting again will not change that: status 78.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self { status: 78, line: format!("oyez: {}", message.into()) }
    }

    /// The disk failed, and nobody knows what it holds: status 70.
    pub(crate) fn storage(message: impl Into<String>) -> Self {
        Self { status: 70, line: format!("oyez: {}", message.into()) }
    }

    /// What was asked for did not succeed: status 1.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { status: 1, line: format!("oyez: {}", message.into()) }
    }

    /// What the client was told is the command line's fault, the rest is not.
    pub(crate) fn of(error: &oyez_client::Error) -> Self {
        match error.kind() {
            ErrorKind::Invalid => Self::usage(one_line(error)),
            _ => Self::failed(one_line(error)),
        }
    }

    /// The same status, whose line is told by `tell`.
    pub(crate) fn told(self, tell: impl FnOnce(&str)) -> Self {
        tell(&self.line);
        Self { line: String::new(), ..self }
    }

    /// Writes the line to standard error, unless it was told.
    pub(crate) fn tell(&self) -> ExitCode {
        if !self.line.is_empty() {
            tell(&self.line);
        }
        ExitCode::from(self.status)
    }
}

/// An error and its causes in one line: what our own crates say, and of the layers below the last word, which is the
/// one that says something (`Connection refused`).
pub(crate) fn one_line(error: &oyez_client::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        next = cause.source();
        if next.is_none() || cause.is::<oyez_client::Error>() {
            // writing to a String does not fail
            let _ = write!(line, ": {cause}");
        }
    }
    line
}
