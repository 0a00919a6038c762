//! `oyez log`: the history in a directory, without a hub.

use std::error::Error as _;
use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use oyez_server::{HistoryError, HistoryErrorKind, Inspection, Matcher, Repair, StoredLog};

use crate::failure::Failure;
use crate::visible::{VisibleJson, tell, visible_json, visible_line};

/// Inspect, verify, repair, export or import the history of `oyez serve --data DIR`
#[derive(Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Log {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Subcommand)]
enum LogCommand {
    /// Show epoch, sequence numbers, segments and what was dropped; a hub may be running on it
    Inspect {
        /// Directory of the history
        dir: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Read everything and check it; a hub may be running on it
    ///
    /// Prints a line for each fault, with its file and byte. Changes nothing. Exit status: 0 without a fault, else 1.
    Verify {
        /// Directory of the history
        dir: PathBuf,
    },
    /// Repair a damaged history so that a hub opens it again
    ///
    /// Keeps every whole batch that can be read, with its sequence numbers. If entries may be lost, a new epoch begins: no id ever
    /// names two events, and readers with an old id get a gap (oyez.gap). The damaged files stay in the directory as damaged-NAME.
    Repair {
        /// Directory of the history
        dir: PathBuf,
        /// Do it; without this, only show what would be done
        #[arg(long)]
        yes: bool,
    },
    /// Write the history to standard output, one JSON object a line; a hub may be running on it
    Export {
        /// Directory of the history
        dir: PathBuf,
        /// Only events of this topic, or of a pattern such as orders/*
        #[arg(long, value_name = "PATTERN")]
        topic: Option<String>,
    },
    /// Make a new history from the lines of an export, on standard input
    ///
    /// No hub opens the directory before the import is complete. Events keep their times and the ids that publishers chose.
    Import {
        /// Directory of the history; new or empty
        dir: PathBuf,
        /// Keep the hub's own ids as well, to move a hub; never start the old one again
        #[arg(long)]
        keep_ids: bool,
    },
}

impl Log {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match &self.command {
            LogCommand::Inspect { dir, json } => inspect(dir, *json),
            LogCommand::Verify { dir } => verify(dir),
            LogCommand::Repair { dir, yes } => repair(dir, *yes),
            LogCommand::Export { dir, topic } => export(dir, topic.as_deref()),
            LogCommand::Import { dir, keep_ids } => import(dir, *keep_ids),
        }
    }
}

fn inspect(dir: &Path, json: bool) -> Result<(), Failure> {
    let inspection = StoredLog::open(dir).and_then(|log| log.inspect()).map_err(failed)?;
    if json {
        let text = serde_json::to_string(&inspection).map_err(|error| Failure::failed(error.to_string()))?;
        return say_as_it_is([visible_json(&text)]);
    }
    say(in_words(&inspection))
}

fn verify(dir: &Path) -> Result<(), Failure> {
    let bar = Bar::new();
    let verification =
        StoredLog::open(dir).and_then(|log| log.verify(|done, of| bar.show(done, of))).map_err(failed)?;
    bar.end();
    for name in &verification.torn {
        tell(&format!("{name}: a write at its end was torn by a crash; the next start truncates it"));
    }
    say(&verification.findings)?;
    match verification.findings.len() {
        0 => say([format!("no fault found: {} in {}", entries(verification.entries), segments(verification.segments))]),
        1 => {
            Err(Failure::failed(format!("one fault; `oyez log repair {}` shows what a repair would do", dir.display())))
        }
        more => Err(Failure::failed(format!(
            "{more} faults; `oyez log repair {}` shows what a repair would do",
            dir.display()
        ))),
    }
}

fn repair(dir: &Path, yes: bool) -> Result<(), Failure> {
    let bar = Bar::new();
    let repair = Repair::plan(dir, |done, of| bar.show(done, of)).map_err(failed)?;
    bar.end();
    say(repair.findings())?;
    if repair.is_needless() {
        return say(["there is nothing to repair"]);
    }
    if yes {
        repair.carry_out().map_err(failed)?;
    }
    say(what_becomes(&repair, yes))?;
    if yes { Ok(()) } else { Err(Failure::failed("nothing was changed; run it again with --yes")) }
}

/// What a repair does, or has done.
fn what_becomes(repair: &Repair, done: bool) -> Vec<String> {
    let is = if done { "is" } else { "would be" };
    let were = |number: u64| match (done, number) {
        (true, 1) => "was",
        (true, _) => "were",
        (false, _) => "would be",
    };
    let mut lines = vec![format!("{} {} kept", entries(repair.entries()), were(repair.entries()))];
    let lost: Vec<String> = repair.lost().iter().map(|(first, last)| run(*first, *last)).collect();
    let number: u64 = repair.lost().iter().map(|(first, last)| last - first + 1).sum();
    if !lost.is_empty() {
        lines.push(format!("at most {} {} lost, sequence numbers {}", entries(number), were(number), lost.join(", ")));
    }
    if let Some(number) = repair.lost_behind() {
        let would = if done { "are" } else { "would be" };
        lines.push(format!("entries after sequence number {number} {would} lost; how many is unknown"));
    }
    if repair.lost_bytes() > 0 {
        lines.push(format!("{} bytes could not be read", repair.lost_bytes()));
    }
    if repair.changes_epoch() && lost.is_empty() && repair.lost_behind().is_none() {
        lines.push("cannot determine whether entries were lost".to_owned());
    }
    lines.push(match repair.changes_epoch() {
        true => format!(
            "a new epoch {} begun; readers that resume get a gap (oyez.gap, reason epoch)",
            if done { "has" } else { "would be" }
        ),
        false => format!("nothing {is} lost, and ids stay the same"),
    });
    lines.extend(repair.damaged().iter().map(|name| format!("{name} {is} kept as damaged-{name}")));
    lines
}

fn export(dir: &Path, topic: Option<&str>) -> Result<(), Failure> {
    let matcher = topic.map(str::parse::<Matcher>).transpose().map_err(|error| Failure::usage(error.to_string()))?;
    let mut out = VisibleJson::new(BufWriter::new(io::stdout().lock()));
    let exported = StoredLog::open(dir).and_then(|log| log.export(matcher.as_ref(), &mut out));
    let exported = match exported {
        Err(error) if is_broken_pipe(&error) => return Ok(()),
        exported => exported.map_err(failed)?,
    };
    match out.flush() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        flushed => flushed.map_err(unprintable)?,
    }
    exported.findings.iter().for_each(|finding| tell(&finding.to_string()));
    match (exported.findings.len(), exported.is_incomplete) {
        (0, _) => Ok(()),
        (_, true) => Err(Failure::failed("the history is damaged; some entries may be missing from the export")),
        (_, false) => {
            tell("the history is damaged, but every entry was exported");
            Ok(())
        }
    }
}

fn import(dir: &Path, keep_ids: bool) -> Result<(), Failure> {
    let imported = StoredLog::import(dir, &mut io::stdin().lock(), keep_ids).map_err(failed)?;
    say([format!("{} in the epoch {}", entries(imported.entries), imported.epoch)])
}

fn in_words(inspection: &Inspection) -> Vec<String> {
    let epoch = inspection.epoch.as_deref().unwrap_or("not known");
    let mut lines =
        vec![format!("epoch {epoch}, format {}, newest sequence number {}", inspection.format, inspection.head)];
    lines.push(match (inspection.in_use, inspection.clean, inspection.ceiling) {
        (true, ..) => "a hub is running on it".to_owned(),
        (false, true, _) => "closed properly".to_owned(),
        (false, false, Some(0)) => "nothing was ever written".to_owned(),
        (false, false, Some(ceiling)) => {
            format!("not closed properly; sequence numbers below {ceiling} may have been given out")
        }
        (false, false, None) => "unknown whether it was closed properly".to_owned(),
    });
    lines.extend(inspection.unfinished.map(ToOwned::to_owned));
    if !inspection.lost_in_crashes.is_empty() {
        lines.push(format!("sequence numbers skipped after crashes: {}", newest_runs(&inspection.lost_in_crashes)));
    }
    let dropped = &inspection.dropped;
    if dropped.through > 0 {
        let topics = if dropped.topics == 1 { "1 topic".to_owned() } else { format!("{} topics", dropped.topics) };
        lines.push(format!(
            "dropped: {} of {topics}, up to sequence number {}",
            entries(dropped.entries),
            dropped.through
        ));
    }
    for class in &inspection.classes {
        let number = class.segments.iter().map(|segment| segment.entries).sum();
        lines.push(format!("class {}: {} in {}", class.class, entries(number), segments(class.segments.len() as u64)));
        for segment in &class.segments {
            let numbers = match segment.entries {
                0 => "empty".to_owned(),
                number => format!("{}, {}", entries(number), run(segment.first, segment.last)),
            };
            let time = |time: &Option<String>| time.clone().unwrap_or_default();
            let (from, to) = (time(&segment.first_time), time(&segment.last_time));
            let times = if segment.entries > 0 { format!(", {from} to {to}") } else { String::new() };
            let index = if segment.index { ", index" } else { "" };
            let torn = if segment.torn { ", torn write at its end" } else { "" };
            let (file, bytes, capacity) = (&segment.file, segment.bytes, segment.capacity);
            lines.push(format!("  {file}: {numbers}{times}, {bytes} of {capacity} bytes{index}{torn}"));
        }
    }
    lines.extend(inspection.findings.iter().map(|finding| format!("wrong: {finding}")));
    lines
}

fn run(first: u64, last: u64) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

/// The newest few, and how many more there are: a history may have seen a thousand crashes. `--json` has them all.
fn newest_runs(runs: &[(u64, u64)]) -> String {
    let (older, newest) = runs.split_at(runs.len().saturating_sub(RUNS_SHOWN));
    let mut words: Vec<String> = newest.iter().map(|(first, last)| run(*first, *last)).collect();
    if !older.is_empty() {
        words.insert(0, format!("{} older runs", older.len()));
    }
    words.join(", ")
}

fn entries(number: u64) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{number} entries") }
}

fn segments(number: u64) -> String {
    if number == 1 { "1 segment".to_owned() } else { format!("{number} segments") }
}

/// Lines on standard output, with the names of files and topics in them.
fn say(lines: impl IntoIterator<Item = impl Display>) -> Result<(), Failure> {
    say_as_it_is(lines.into_iter().map(|line| visible_line(&line.to_string()).into_owned()))
}

/// The same of lines that steer nothing. Nobody may be reading any more.
fn say_as_it_is(lines: impl IntoIterator<Item = impl Display>) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut written = lines.into_iter().try_for_each(|line| writeln!(out, "{line}"));
    written = written.and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(unprintable),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` calls")]
fn unprintable(error: io::Error) -> Failure {
    Failure::failed(format!("standard output: {error}"))
}

#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` calls")]
fn failed(error: HistoryError) -> Failure {
    match error.kind() {
        // as `oyez serve` has it: trying again changes nothing while another process has the directory
        HistoryErrorKind::Unavailable => Failure::configuration(error.to_string()),
        _ => Failure::failed(error.to_string()),
    }
}

fn is_broken_pipe(error: &HistoryError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// How far it is, for whoever waits at a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = if io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    fn show(&self, done: u64, of: u64) {
        self.0.set_length(of);
        self.0.set_position(done);
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}

const RUNS_SHOWN: usize = 5; // a line of a terminal

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_runs_the_newest_are_shown() {
        assert_eq!(newest_runs(&[(4, 9), (12, 12)]), "4 to 9, 12");
        let runs: Vec<(u64, u64)> = (1..=7).map(|number| (number * 10, number * 10 + 1)).collect();
        assert_eq!(newest_runs(&runs), "2 older runs, 30 to 31, 40 to 41, 50 to 51, 60 to 61, 70 to 71");
    }
}
