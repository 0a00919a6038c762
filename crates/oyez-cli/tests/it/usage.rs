//! What is wrong on the command line is told in one line, with status 2 and before anything is done.

use crate::command::Oyez;

#[track_caller]
fn check(arguments: &[&str], errors: &str) {
    Oyez::start(arguments.iter().copied()).ends(2, errors);
}

#[test]
fn a_bad_url_is_one_clear_line() {
    let told = "it has no scheme; write https://nowhere or http://nowhere";
    check(&["sub", "nowhere"], &format!("oyez: not an http or https URL: \"nowhere\": {told}\n"));
    check(&["pub", "nowhere", "x"], &format!("oyez: not an http or https URL: \"nowhere\": {told}\n"));
    check(
        &["bench", "idle", "--subscribe", "nowhere"],
        &format!("oyez: not an http or https URL: \"nowhere\": {told}\n"),
    );
    check(&["sub", "ftp://x/"], "oyez: not an http or https URL: \"ftp://x/\": its scheme is \"ftp\"\n");
    // and without its password
    for command in ["sub", "pub"] {
        check(
            &[command, "http://me:secret@h:99999/x"],
            "oyez: not an http or https URL: \"http://h:99999/x\": invalid port number\n",
        );
    }
    check(
        &["bench", "idle", "--subscribe", "http://me:secret@h/"],
        "oyez: not a URL that can be measured: \"http://h/\": give the credential …",
    );
    check(
        &["pub", "--lines", "http://h/x"],
        "oyez: --lines needs a URL such as http://HOST/events/TOPIC; the path here is \"/x\"\n",
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
    for flag in ["--tls-cert", "--log", "--mercure-0x"] {
        let told = format!("oyez: {flag} is not in this build yet; leave it out\n");
        check(&["serve", flag], &told);
        check(&["serve", "--demo", flag, "x"], &told);
        check(&["serve", &format!("{flag}=x")], &told);
    }
    // and is not proposed either
    for arguments in [["serve", "--logg"], ["serve", "--tls-certs"], ["sto", "p"], ["sub", "--log"]] {
        let errors = Oyez::start(arguments).fails(2);
        assert!(errors.starts_with("error: un"), "{errors}");
        assert!(!errors.contains("'--log'  ") && !errors.contains("exists: '--log'"), "{errors}");
        assert!(!errors.contains("exists: '--tls-cert'") && !errors.contains("exists: 'top'"), "{errors}");
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
    check(&["serve", "--page", "maybe"], "error: invalid value 'maybe' for '--page…");
}

#[test]
fn an_address_is_understood_or_told() {
    for listen in ["0", "localhost:0", "127.0.0.1:0"] {
        let (told, errors) = Oyez::start(["serve", "--check", "--listen", listen]).output(0);
        assert_eq!((told.as_str(), errors.as_str()), ("the configuration is good\n", ""), "{listen}");
    }
    Oyez::start(["serve", "--check", "--listen", ":9000"]).ends(
        78,
        "oyez: listen = \":9000\" is not an address such as 127.0.0.1:8888: it has no IP address; 127.0.0.1 is this machine only\n",
    );
    check(&["serve", "--port", "9000"], "oyez: there is no --port; use --listen PORT\n");
    check(&["serve", "--host=0.0.0.0"], "oyez: there is no --host; use --listen ADDRESS:PORT\n");
    check(&["sub", "--port", "9000"], "error: unexpected argument '--port'…");
}

#[test]
fn help_names_each_setting_with_its_default() {
    let (help, _) = Oyez::start(["serve", "--help"]).output(0);
    for line in [
        "--listen <ADDR>             Address for publishers and subscribers; in this version a loopback address [default: 127.0.0.1:8888] [env: OYEZ_LISTEN]\n",
        "--keep-bytes <SIZE>         Most memory or disk for the history, such as 1GiB [default: 64MiB; 1GiB with --data] [env: OYEZ_KEEP_BYTES]\n",
        "--demo                      Publish the topics clock and stock, and serve the page [env: OYEZ_DEMO]\n",
        "--public-url <URL>          URL of the hub for others; turns publishing off, as there are no keys yet; may be repeated [env: OYEZ_PUBLIC_URLS, OYEZ_PUBLIC_URL]\n",
        "--log-level <LEVEL>         What to log: error, warn, info, debug or trace, or a filter such as info,oyez_server=debug \
         [default: info] [env: OYEZ_LOG_LEVEL]\n",
        "--access-log                Log each request at level info; a stream when it ends [env: OYEZ_ACCESS_LOG]\n",
        "Flags win over variables, variables over the file",
        "RUST_LOG",
    ] {
        assert!(help.contains(line), "no {line:?} in {help}");
    }
    assert!(!help.contains("tls"), "what is not in this build is not shown: {help}");
}
