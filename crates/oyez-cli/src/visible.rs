//! Text of others, for a terminal: here alone it becomes what may be shown. What a server sends steers neither the terminal nor the
//! order in which its reader sees the letters.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Characters that would steer as escapes, but for line ends and tabs.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    shown(text, |c| matches!(c, '\n' | '\t'), |c, out| out.extend(c.escape_default()))
}

/// The same for what has to stay in one line.
pub(crate) fn visible_line(text: &str) -> Cow<'_, str> {
    shown(text, |_| false, |c, out| out.extend(c.escape_default()))
}

/// JSON with the same meaning, in which nothing steers. Line ends may stand between its tokens, or end it.
pub(crate) fn visible_json(text: &str) -> Cow<'_, str> {
    shown(
        text,
        |c| c == '\n',
        |c, out| {
            // all that steer are below U+10000; writing to a String does not fail
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        },
    )
}

/// Writes a line to standard error; there is nowhere left to report that this fails.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{}", visible_line(line));
}

/// Lines of JSON on their way to a terminal, shown as [`visible_json`] has them.
pub(crate) struct VisibleJson<W: Write> {
    out: W,
    /// What came of the line that has no end yet.
    line: Vec<u8>,
}

impl<W: Write> VisibleJson<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, line: Vec::new() }
    }
}

impl<W: Write> Write for VisibleJson<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if let Some(end) = memchr::memrchr(b'\n', &self.line) {
            let lines: Vec<u8> = self.line.drain(..=end).collect();
            self.out.write_all(visible_json(&String::from_utf8_lossy(&lines)).as_bytes())?;
        }
        Ok(bytes.len())
    }

    /// Flushes the lines that are whole.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn shown(text: &str, is_kept: impl Fn(char) -> bool, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    let is_hidden = |c: char| steers(c) && !is_kept(c);
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) { escape(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Controls, those of C1 included, marks of direction, and what ends a line elsewhere.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_and_the_rest_stays() {
        for (text, expected) in [
            ("plain, größe ✅ 中文 👩‍💻", "plain, größe ✅ 中文 👩‍💻"),
            ("\u{1b}[2J\u{9b}31m\r\u{7f}", "\\u{1b}[2J\\u{9b}31m\\r\\u{7f}"),
            ("a\u{202e}cba\u{2066}b\u{200f}", "a\\u{202e}cba\\u{2066}b\\u{200f}"),
            ("a\n\tb", "a\n\tb"),
        ] {
            assert_eq!(visible(text), expected);
        }
        assert_eq!(visible_line("a\n\tb\u{2028}"), "a\\n\\tb\\u{2028}");
    }

    #[test]
    fn json_has_the_same_meaning() {
        let text = "{\"a\":\"\u{9b}31m \u{202e}\u{7f} é\"}\n";
        let shown = visible_json(text);
        assert_eq!(shown, "{\"a\":\"\\u009b31m \\u202e\\u007f é\"}\n");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&shown), read(text));
    }

    #[test]
    fn a_line_is_shown_however_it_is_cut() {
        let text = "{\"a\":\"\u{9b}\u{202e}\"}\n{}\n".repeat(3);
        for cut in 1..text.len() {
            let mut out = VisibleJson::new(Vec::new());
            for part in text.as_bytes().chunks(cut) {
                out.write_all(part).unwrap();
            }
            out.flush().unwrap();
            assert_eq!(String::from_utf8(out.out).unwrap(), "{\"a\":\"\\u009b\\u202e\"}\n{}\n".repeat(3));
        }
    }
}
