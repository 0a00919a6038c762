//! Commands and flags that this build does not have: refused by name, so that nobody takes them for a slip of the pen, and never
//! proposed.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use oyez_server::NOT_YET;

use crate::failure::Failure;

/// What is said of a command line that asks for what this build does not have, or by another program's name.
pub(crate) fn refusal(error: &clap::Error) -> Option<Failure> {
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(name)) => Some(name.as_str()),
        _ => None,
    };
    let serves = std::env::args().nth(1).is_some_and(|command| command == "serve");
    match error.kind() {
        ErrorKind::InvalidSubcommand => named(ContextKind::InvalidSubcommand).and_then(command),
        ErrorKind::UnknownArgument if serves => named(ContextKind::InvalidArg).and_then(flag),
        _ => None,
    }
}

fn command(name: &str) -> Option<Failure> {
    COMMANDS.contains(&name).then(|| Failure::not_yet(name))
}

fn flag(argument: &str) -> Option<Failure> {
    let name = argument.strip_prefix("--")?.split(['=', ' ']).next()?;
    if NOT_YET.iter().any(|(_, flag)| *flag == name) {
        return Some(Failure::usage(format!("--{name} is not in this build yet; leave it out")));
    }
    let (_, ours) = OTHER_NAMES.iter().find(|(other, _)| *other == name)?;
    Some(Failure::usage(format!("there is no --{name}; use {ours}")))
}

const COMMANDS: [&str; 3] = ["token", "top", "doctor"];

/// What other servers call it, and what to say here.
const OTHER_NAMES: [(&str, &str); 4] = [
    ("port", "--listen PORT"),
    ("host", "--listen ADDRESS:PORT"),
    ("bind", "--listen ADDRESS:PORT"),
    ("address", "--listen ADDRESS:PORT"),
];
