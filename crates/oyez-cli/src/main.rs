//! `oyez`: serve, publish, subscribe, decode and measure Server-Sent Events on the command line.

#[cfg(not(unix))]
compile_error!("oyez-cli is for Unix: its signals, its pipes and the history of `oyez serve --data` are");

mod bench;
mod decode;
mod failure;
mod input;
mod lines;
mod log;
mod not_yet;
mod output;
mod pretty;
mod publish;
mod request;
mod runtime;
mod serve;
mod signals;
mod sub;
mod target;
mod visible;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Server-Sent Events on the command line.
#[derive(Parser)]
#[command(name = "oyez", version, arg_required_else_help = true)]
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
    #[command(flatten)]
    NotYet(not_yet::CommandNotYet),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
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
        Command::NotYet(command) => Err(command.refuse()),
    }
}
