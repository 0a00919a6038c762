//! Commands that this build does not have: refused by name, so that nobody takes them for a slip of the pen.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use crate::failure::Failure;

#[derive(Subcommand)]
pub(crate) enum CommandNotYet {
    #[command(hide = true)]
    Token(Anything),
    #[command(hide = true)]
    Top(Anything),
    #[command(hide = true)]
    Doctor(Anything),
}

#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _rest: Vec<OsString>,
}

impl CommandNotYet {
    pub(crate) fn refuse(&self) -> Failure {
        let name = match self {
            Self::Token(_) => "token",
            Self::Top(_) => "top",
            Self::Doctor(_) => "doctor",
        };
        Failure::not_yet(name)
    }
}
