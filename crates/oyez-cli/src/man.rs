//! `oyez man`: the manual.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use crate::failure::Failure;
use crate::output::print_all;

/// Print a page of the manual: oyez man | man -l -
///
/// Without COMMAND it is the page of oyez itself, which names the others. That of a command: oyez man log verify | man -l -
#[derive(Args)]
pub(crate) struct Manual {
    /// The command whose page is printed
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,

    /// Write all pages into this directory instead: oyez.1, oyez-serve.1 and so on
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    all: Option<PathBuf>,
}

impl Manual {
    /// Prints or writes what there is of `oyez`.
    pub(crate) fn run(&self, oyez: Command) -> Result<(), Failure> {
        let mut oyez = oyez.disable_help_subcommand(true);
        oyez.build(); // so that each command knows its whole name
        match &self.all {
            Some(folder) => {
                write_all(&oyez, folder).map_err(|error| Failure::failed(format!("{}: {error}", folder.display())))
            }
            None => {
                let found = self.command.iter().try_fold(&oyez, |command, name| command.find_subcommand(name));
                let found = found
                    .ok_or_else(|| Failure::usage(format!("there is no command oyez {}", self.command.join(" "))))?;
                print_all(&page(found).map_err(|error| Failure::failed(error.to_string()))?)
            }
        }
    }
}

fn write_all(command: &Command, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(format!("{}.1", name(command))), page(command)?)?;
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .try_for_each(|command| write_all(command, folder))
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let source = concat!("oyez ", env!("BUILD_VERSION"));
    Man::new(command.clone()).source(source).manual("Oyez").render(&mut page)?;
    Ok(page)
}

/// `oyez-log-verify`, as its page is called.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}
