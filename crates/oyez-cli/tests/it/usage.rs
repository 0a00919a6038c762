//! What is wrong on the command line is told in one line, with status 2 and before anything is done.

use crate::command::Oyez;

#[track_caller]
fn check(arguments: &[&str], errors: &str) {
    Oyez::start(arguments.iter().copied()).ends(2, errors);
}

#[test]
fn a_bad_url_is_one_clear_line() {
    check(&["sub", "nowhere"], "oyez: not an http or https URL: \"nowhere\": relative URL without a base\n");
    check(&["sub", "ftp://x/"], "oyez: not an http or https URL: \"ftp://x/\": its scheme is \"ftp\"\n");
    check(&["pub", "localhost:80/x", "hi"], "oyez: not an http or https URL: \"localhost:80/x\": its scheme…");
    check(
        &["pub", "--lines", "http://h/x"],
        "oyez: --lines wants a URL whose path has a segment \"events\", not \"/x\"\n",
    );
}

#[test]
fn what_a_request_cannot_carry_is_refused() {
    check(&["sub", "http://h/", "-H", "nothing"], "oyez: not a header, which is 'Name: value': \"nothing\"\n");
    check(&["sub", "http://h/", "-H", "a b: c"], "oyez: not the name of a header: \"a b\"\n");
    check(&["sub", "http://h/", "-X", "A B"], "oyez: not a method: \"A B\"\n");
    check(
        &["sub", "http://h/", "--last-event-id", "a\nb"],
        "oyez: event id \"a\\nb\" cannot come back in a Last-Event-ID because of byte 1: visible ASCII…",
    );
    check(&["sub", "http://h/", "--cacert", "/nowhere.pem"], "oyez: /nowhere.pem: No such file…");
    check(&["pub", "http://h/", "x", "--event", ""], "oyez: event type is empty\n");
    check(
        &["pub", "http://h/", "x", "--id", "a\nb"],
        "oyez: event id \"a\\nb\" cannot come back in a Last-Event-ID because of byte 1: visible ASCII…",
    );
}

#[test]
fn what_this_build_does_not_have_is_refused_by_name() {
    for name in ["token", "top", "doctor"] {
        check(&[name], &format!("oyez {name} is not in this build yet\n"));
        check(&[name, "show", "--x", "y", "--help"], &format!("oyez {name} is not in this build yet\n"));
    }
    check(&["nonsense"], "error: unrecognized subcommand 'nonsense'…");
}

#[test]
fn arguments_that_exclude_each_other_are_refused() {
    for arguments in [
        &["pub", "http://h/events/x", "data", "--lines"][..],
        &["pub", "http://h/events/x", "data", "--file", "f"],
        &["pub", "http://h/events/x", "--lines", "--id", "1"],
        &["sub"],
        &["sub", "http://h/", "--max-events", "0"],
        &["sub", "http://h/", "--format", "xml"],
        &["pub"],
        &[],
    ] {
        check(arguments, "…");
    }
}

#[test]
fn what_is_wrong_with_a_setting_is_one_line_that_names_it() {
    let refused = |arguments: &[&str], errors: &str| Oyez::start(arguments.iter().copied()).ends(78, errors);
    refused(
        &["serve", "--check", "--keep-alive", "soon"],
        "oyez: keep_alive = \"soon\" is not a duration such as 15s or 7d\n",
    );
    refused(
        &["serve", "--check", "--cors", "x"],
        "oyez: cors: \"x\" is not an origin such as https://app.example.com\n",
    );
    let data = format!("{}/no-directory", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&data, "").unwrap();
    refused(
        &["serve", "--check", "--data", &format!("{data}/history")],
        &format!("oyez: data: {data}/history: cannot be made: {data}: not a directory\n"),
    );
    let file = format!("{}/wrong.toml", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&file, "demo = true\nkeep_alve = '1s'\n").unwrap();
    let errors = format!("oyez: {file}: line 2: unknown key keep_alve; did you mean keep_alive?\n");
    refused(&["serve", "--check", "--config", &file], &errors);
    check(&["serve", "--tls-cert", "x"], "oyez: --tls-cert is not in this build yet; leave it out\n");
    check(&["serve", "--page", "maybe"], "error: invalid value 'maybe' for '--page…");
}

#[test]
fn help_names_each_setting_with_its_default() {
    let (help, _) = Oyez::start(["serve", "--help"]).output(0);
    for line in [
        "--listen <ADDR>             Address that takes publishers and subscribers [default: 127.0.0.1:8888]\n",
        "--keep-bytes <SIZE>         Memory or disk for the history, such as 1GiB [default: 64MiB; 1GiB with --data]\n",
        "--demo                      Publish the topics clock and stock, and show the page\n",
        "--public-url <URL>          Where the hub is reached from outside; may be repeated\n",
        "--stream-life <TIME>        Life of a stream, give or take a fifth; 0s is for ever [default: 1h]\n",
    ] {
        assert!(help.contains(line), "no {line:?} in {help}");
    }
    assert!(!help.contains("tls"), "what is not in this build is not shown: {help}");
}
