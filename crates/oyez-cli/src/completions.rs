//! `oyez completions`: what a shell needs to complete a command line.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::print_all;

/// Print the completions of a shell
///
/// bash: oyez completions bash > ~/.local/share/bash-completion/completions/oyez
/// zsh: oyez completions zsh > ~/.zfunc/_oyez, where fpath names ~/.zfunc
/// fish: oyez completions fish > ~/.config/fish/completions/oyez.fish
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints those of `command`.
    pub(crate) fn run(&self, mut command: Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "oyez", &mut script);
        print_all(&script)
    }
}
