//! `oyez`: serve, publish, subscribe, decode and measure Server-Sent Events on the command line.

// a print panics where nobody reads
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[cfg(not(unix))]
compile_error!("oyez-cli is for Unix: its signals, its pipes and the history of `oyez serve --data` are");

mod banner;
mod bench;
mod completions;
mod decode;
mod failure;
mod input;
mod limits;
mod lines;
mod log;
mod logger;
mod man;
mod not_yet;
mod output;
mod pretty;
mod publish;
mod request;
mod running;
mod runtime;
mod serve;
mod service_manager;
mod signals;
mod sub;
mod target;
mod visible;
mod web_address;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::failure::Failure;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Server-Sent Events on the command line.
#[derive(Parser)]
#[command(name = "oyez", version = env!("BUILD_VERSION"), arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    Sub(Box<sub::Sub>),
    Pub(Box<publish::Publish>),
    Decode(decode::Decode),
    Bench(Box<bench::Bench>),
    Log(log::Log),
    Completions(completions::Completions),
    Man(man::Manual),
}

const AFTER_HELP: &str = "\
Environment: `oyez serve` reads OYEZ_LISTEN and the other variables of its --help. `sub` and `pub` read HTTPS_PROXY, HTTP_PROXY,
ALL_PROXY and NO_PROXY. NO_COLOR turns colours off.";

fn main() -> ExitCode {
    let outcome = match Cli::try_parse() {
        Ok(cli) => run(cli.command),
        Err(error) => Err(not_yet::refusal(&error).unwrap_or_else(|| error.exit())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(serve) => serve.run(),
        Command::Sub(sub) => sub.run(),
        Command::Pub(publish) => publish.run(),
        Command::Decode(decode) => decode.run(),
        Command::Bench(bench) => bench.run(),
        Command::Log(log) => log.run(),
        Command::Completions(completions) => completions.run(Cli::command()),
        Command::Man(manual) => manual.run(Cli::command()),
    }
}
