//! `status`, `intake` and the admin address, where no worker is needed to tell.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::bench::{Bench, text};

/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:9";

/// A configuration of a worker whose services are all away.
fn configuration(bench: &Bench, listen: &str) -> String {
    let key = bench.file("k1", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let file = bench.file(
        "worker.toml",
        &format!(
            "kafka.brokers = \"127.0.0.1:9\"\nledger.url = \"postgres://127.0.0.1:9/none\"\nadmin.listen = {listen:?}\n\
             [converter.payiq]\nbase_url = \"http://127.0.0.1:9/\"\napi_key = \"any\"\nsigning_key = \"any\"\n\
             [target.loanpro]\nbase_url = \"http://127.0.0.1:9/\"\ntoken = \"any\"\ninstance_id = \"1\"\n\
             [keys]\nk1 = {{ file = {key:?} }}\n"
        ),
    );
    text(&file).to_owned()
}

#[test]
fn a_worker_whose_admin_address_is_taken_begins_nothing_and_says_so() {
    let bench = Bench::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = bench.run(&["run", "--config", &configuration(&bench, &address)]);
    assert_eq!(ended.code, 75, "{}", ended.err);
    assert!(ended.err.contains(&address) && ended.err.contains("admin.listen"), "{}", ended.err);
}

#[test]
fn a_dev_begins_nothing_either_where_it_was_told_to_listen() {
    let bench = Bench::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = bench.run_with(&["dev", "--exit-after-samples"], &[("PROFILE_LINKER_ADMIN__LISTEN", &address)]);
    assert_eq!(ended.code, 75, "{}", ended.err);
    assert!(ended.err.contains(&address), "{}", ended.err);
}

#[test]
fn without_a_worker_status_and_intake_are_exit_69() {
    let bench = Bench::new();
    let token = bench.file("token", "a-token\n");
    for arguments in [
        &["status", "--admin", NOBODY][..],
        &["intake", "pause", "--admin", NOBODY, "--token-file", text(&token)],
        &["intake", "resume", "--admin", NOBODY, "--token-file", text(&token)],
    ] {
        let ended = bench.run(arguments);
        assert_eq!(ended.code, 69, "{arguments:?}: {ended:?}");
        assert!(ended.err.contains("127.0.0.1:9") && ended.err.contains("to do: "), "{arguments:?}: {}", ended.err);
    }
}

#[test]
fn limits_out_of_their_keys_range_are_wrong_arguments_and_nobody_is_asked() {
    let bench = Bench::new();
    for (argument, value, allowed) in [
        ("--limit", "0", "a whole number from 1 to 1000000"),
        ("--limit", "many", "a whole number from 1 to 1000000"),
        ("--share", "1.5", "a number from 0.01 to 1"),
    ] {
        let ended = bench.run(&["intake", "resume", "--admin", NOBODY, argument, value]);
        assert_eq!(ended.code, 2, "{argument} {value}: {ended:?}");
        for said in [argument, value, allowed] {
            assert!(ended.err.contains(said), "no {said} in {}", ended.err);
        }
    }
    assert_eq!(bench.run(&["intake", "pause", "--admin", NOBODY, "--limit", "5"]).code, 2, "a pause has no limits");
}

#[test]
fn an_admin_address_that_cannot_be_one_is_a_wrong_argument() {
    let bench = Bench::new();
    for address in ["nonsense", "ftp://x/", "https://127.0.0.1:9"] {
        for command in [&["status"][..], &["intake", "pause"], &["intake", "resume"]] {
            let ended = bench.run(&[command, &["--admin", address]].concat());
            assert_eq!(ended.code, 2, "{command:?} {address}: {ended:?}");
            assert!(ended.err.contains(address) && ended.err.contains("http://127.0.0.1:8700"), "{}", ended.err);
        }
    }
}

/// Something else listens there: a proxy, another service.
#[test]
fn what_answers_and_is_no_worker_is_told_with_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").unwrap();
    });
    let ended = Bench::new().run(&["status", "--admin", &address]);
    answering.join().unwrap();
    assert_eq!(ended.code, 69, "{ended:?}");
    for said in ["no worker: status 404", &address, "to do: name the worker's address by --admin"] {
        assert!(ended.err.contains(said), "no {said:?} in {}", ended.err);
    }
}

#[test]
fn the_worker_is_found_by_the_configurations_address_and_token() {
    let bench = Bench::new();
    let config = configuration(&bench, "127.0.0.1:9");
    let ended = bench.run(&["status", "--config", &config]);
    assert_eq!(ended.code, 69, "{ended:?}");
    assert!(ended.err.contains("http://127.0.0.1:9"), "{}", ended.err);
    let without = bench.run(&["intake", "pause", "--config", &config]);
    assert_eq!(without.code, 78, "no token is known: {without:?}");
    let with = bench.run_with(&["intake", "pause", "--config", &config], &[("PROFILE_LINKER_ADMIN__TOKEN", "a-token")]);
    assert_eq!(with.code, 69, "{with:?}");
    assert!(!with.err.contains("a-token"), "{}", with.err);
    let missing = bench.run(&["intake", "pause", "--admin", NOBODY, "--token-file", "nowhere"]);
    assert_eq!(missing.code, 78, "{missing:?}");
}

#[test]
fn with_an_address_and_a_token_a_half_edited_configuration_keeps_nobody_from_pausing() {
    let bench = Bench::new();
    let (token, config) = (bench.file("token", "a-token\n"), bench.file("worker.toml", "[admin\nlisten ="));
    let pause = ["intake", "pause", "--config", text(&config), "--admin", NOBODY];
    let ended = bench.run(&[&pause[..], &["--token-file", text(&token)]].concat());
    assert_eq!(ended.code, 69, "it is tried: {ended:?}");
    let ended = bench.run(&pause);
    assert_eq!(ended.code, 78, "the token would be in there: {ended:?}");
}
