//! What a user who has just installed the binary looks at: its version, the completions of the shell, the manual.

use std::fs;
use std::process::Command;

use crate::command::Oyez;

const COMMANDS: [&str; 8] = ["serve", "sub", "pub", "decode", "bench", "log", "completions", "man"];

fn completions(shell: &str) -> String {
    Oyez::start(["completions", shell]).output(0).0
}

#[test]
fn the_version_is_that_of_the_package_and_names_the_commit_where_it_is_known() {
    let (said, _) = Oyez::start(["--version"]).output(0);
    let rest = said.strip_prefix(concat!("oyez ", env!("CARGO_PKG_VERSION"))).unwrap().trim_end();
    // which commit and which day is tested by tests/package
    let is_named = rest.starts_with(" (") && rest.ends_with(')') && rest.len() > 12;
    assert!(rest.is_empty() || is_named, "{said:?}");
}

#[test]
fn completions_know_each_command_in_each_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = completions(shell);
        for known in COMMANDS.into_iter().chain(["export", "keep-bytes"]) {
            assert!(script.contains(known), "{shell} does not know {known}");
        }
    }
    Oyez::start(["completions", "csh"]).ends(2, "error: invalid value 'csh' for '<SHELL>'…");
}

#[test]
fn bash_completes_commands_and_flags() {
    for (words, expected) in
        [("oyez s", "serve sub"), ("oyez sub --max", "--max-events --max-attempts --max-event-bytes")]
    {
        let complete = "eval \"$1\"; COMP_WORDS=($2); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); \
                        _oyez oyez \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"; echo \"${COMPREPLY[@]}\"";
        let output = Command::new("bash").args(["-c", complete, "-", &completions("bash"), words]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), expected, "{errors}");
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let folder = format!("{}/manual/man1", env!("CARGO_TARGET_TMPDIR"));
    let _ = fs::remove_dir_all(&folder);
    assert_eq!(Oyez::start(["man", "--all", &folder]).output(0), (String::new(), String::new()));
    let nested = ["log-inspect", "log-verify", "log-repair", "log-export", "log-import"];
    let mut expected = vec!["oyez.1".to_owned()];
    expected.extend(COMMANDS.iter().chain(&nested).map(|name| format!("oyez-{name}.1")));
    expected.sort();
    let mut found: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    assert_eq!(found, expected);
    for name in found {
        let page = fs::read_to_string(format!("{folder}/{name}")).unwrap();
        let title = format!("\n.TH {} 1 ", name.strip_suffix(".1").unwrap());
        assert!(page.contains(&title) && page.contains("\n.SH DESCRIPTION\n"), "{page}");
        // it is what is printed, too
        let words = name.strip_suffix(".1").unwrap().split('-').skip(1);
        assert_eq!(Oyez::start(["man"].into_iter().chain(words)).output(0).0, page);
    }
}

#[test]
fn a_page_that_there_is_not_and_a_directory_that_cannot_be_made_are_told() {
    Oyez::start(["man", "log", "nonsense"]).ends(2, "oyez: there is no command oyez log nonsense\n");
    let file = format!("{}/no-manual", env!("CARGO_TARGET_TMPDIR"));
    fs::write(&file, "").unwrap();
    Oyez::start(["man", "--all", &file]).ends(1, &format!("oyez: {file}: File exists…"));
}
