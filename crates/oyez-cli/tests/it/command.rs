//! A running `oyez`.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::script::PATIENCE;

pub(crate) struct Oyez {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Option<BufReader<ChildStderr>>,
}

impl Oyez {
    pub(crate) fn start<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        Self::start_with(arguments, &[])
    }

    /// The same with these variables.
    pub(crate) fn start_with<'a>(arguments: impl IntoIterator<Item = &'a str>, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_oyez"))
            .args(arguments)
            .env_remove("RUST_LOG")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        // ends with the output, or closes it when nobody wants more lines
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { input: child.stdin.take(), errors: child.stderr.take().map(BufReader::new), child, lines }
    }

    /// The next lines on standard output are exactly these; `…` stands for any end of one.
    #[track_caller]
    pub(crate) fn prints(&self, expected: &[&str]) {
        for expected in expected {
            let found = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("nothing, not {expected:?}"));
            match expected.strip_suffix('…') {
                Some(start) => assert!(found.starts_with(start), "{found:?}, not {expected:?}"),
                None => assert_eq!(found, *expected),
            }
        }
    }

    /// The next line on standard output.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line")
    }

    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let input = self.input.as_mut().unwrap();
        input.write_all(bytes.as_ref()).unwrap();
        input.flush().unwrap();
    }

    pub(crate) fn end_input(&mut self) {
        self.input = None;
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let signal = format!("-{name}");
        assert!(Command::new("kill").args([&signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// The next line on standard error begins like this.
    #[track_caller]
    pub(crate) fn says(&mut self, start: &str) {
        let line = self.errors.as_mut().unwrap().lines().next();
        let line = line.expect("a line").unwrap();
        assert!(line.starts_with(start), "{line:?}, not {start:?}…");
    }

    /// The next line on standard error that has this in it.
    #[track_caller]
    pub(crate) fn says_of(&mut self, part: &str) -> String {
        let mut lines = self.errors.as_mut().unwrap().lines().map(Result::unwrap);
        lines.find(|line| line.contains(part)).unwrap_or_else(|| panic!("a line with {part:?}"))
    }

    /// Waits for the end with this status; gives back what came on standard error.
    #[track_caller]
    pub(crate) fn fails(mut self, status: i32) -> String {
        let mut text = String::new();
        self.errors.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(status), "{text}");
        text
    }

    /// Waits for the end with this status; gives back what is still to come on standard output, and on standard error.
    #[track_caller]
    pub(crate) fn output(mut self, status: i32) -> (String, String) {
        let mut text = String::new();
        self.errors.take().unwrap().read_to_string(&mut text).unwrap();
        let lines: String = self.lines.iter().map(|line| line + "\n").collect();
        assert_eq!(self.child.wait().unwrap().code(), Some(status), "{lines}{text}");
        (lines, text)
    }

    /// Waits for the end: exactly this status, nothing more on standard output, and this on standard error (`…` as in
    /// `prints`).
    #[track_caller]
    pub(crate) fn ends(mut self, status: i32, errors: &str) {
        let (sender, receiver) = mpsc::channel();
        let mut stderr = self.errors.take().unwrap();
        let child = &mut self.child;
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut text = String::new();
                stderr.read_to_string(&mut text).unwrap();
                sender.send((child.wait().unwrap().code(), text)).unwrap();
            });
            let (found, text) = receiver.recv_timeout(PATIENCE).expect("an end");
            match errors.strip_suffix('…') {
                Some(start) => assert!(text.starts_with(start), "{text:?}, not {errors:?}"),
                None => assert_eq!(text, errors),
            }
            assert_eq!(found, Some(status), "{text}");
        });
        let rest: Vec<String> = self.lines.iter().collect();
        assert_eq!(rest, [""; 0], "more was printed");
    }
}

impl Drop for Oyez {
    fn drop(&mut self) {
        // it may have ended
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
