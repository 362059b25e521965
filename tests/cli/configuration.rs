//! Configuration as its users meet it: what is wrong is told, all of it, and nothing secret with it.

use crate::bench::{Bench, text};

const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A TOML file, and what must be said about it.
const WRONG: &[(&str, &[&str])] = &[
    ("kafka.broker = \"x\"", &["kafka.broker (", "did you mean kafka.brokers?", "worker.toml:1"]),
    ("\n[kafak]\nbrokers = \"x\"", &["kafak.brokers (", "did you mean kafka.brokers?", "worker.toml:3"]),
    ("kafka = 5", &["kafka (", "is a table"]),
    ("kafka.brokers = 5", &["kafka.brokers = 5", "one line of text"]),
    ("kafka.brokers = \"\"", &["kafka.brokers = \"\"", "not empty"]),
    ("kafka.delivery = \"exactly\"", &["kafka.delivery = \"exactly\"", "\"transactional\" or \"idempotent\""]),
    ("kafka.topics.linked = \"a b\"", &["kafka.topics.linked = \"a b\"", "a-z A-Z 0-9"]),
    ("kafka.topics.linked = \"payments.profile-created.v1\"", &["the same topic", "each needs its own"]),
    ("worker.max_in_flight = 0", &["worker.max_in_flight = 0", "from 1 to 65536"]),
    ("worker.max_in_flight = \"9\"", &["worker.max_in_flight = \"9\"", "a whole number"]),
    ("worker.per_customer_order = \"yes\"", &["worker.per_customer_order = \"yes\"", "true or false"]),
    ("retry.initial = 5", &["retry.initial = 5", "a duration from 1ms to 1m"]),
    ("retry.initial = \"5 s\"", &["retry.initial = \"5 s\"", "\"200ms\""]),
    ("retry.initial = \"31s\"", &["retry.initial = \"31s\"", "retry.max_interval"]),
    ("retry.multiplier = 0.5", &["retry.multiplier = 0.5", "from 1 to 10"]),
    ("admin.listen = \"localhost\"", &["admin.listen = \"localhost\"", "127.0.0.1:8700"]),
    ("admin.listen = \"0.0.0.0:8700\"", &["admin.listen = \"0.0.0.0:8700\"", "admin.token_file"]),
    ("telemetry.log_format = \"xml\"", &["telemetry.log_format = \"xml\"", "\"json\""]),
    ("[kafka.properties]\nacks = \"1\"", &["kafka.properties.acks", "is fixed"]),
    ("[kafka.properties]\nenable.auto.commit = true", &["kafka.properties.enable.auto.commit", "is fixed"]),
    ("[kafka.properties]\n\"group.id\" = \"g\"", &["kafka.properties.group.id", "kafka.group"]),
    ("[kafka.properties]\nnonsense = 1", &["kafka.properties.nonsense", "No such configuration property"]),
    (
        "[kafka.properties]\n\"sasl.password\" = \"x\"\n\"sasl.password_file\" = \"/nowhere\"",
        &["sasl.password and sasl.password_file are both set: only one of the two may be"],
    ),
    (
        "[target.aloha]\npassword = \"x\"\npassword_file = \"/nowhere\"",
        &["target.aloha.password_file", "target.aloha.password is set too", "only one of the two may be"],
    ),
    ("[kafka.properties]\nlinger.ms = [1]", &["kafka.properties.linger.ms", "a string, a number or a boolean"]),
    ("[target.loanpro]\nlooks = 3", &["target.loanpro.token: is required", "target.loanpro.instance_id: is required"]),
    (
        "[target.aloha]\nuser = \"u\"",
        &["PROFILE_LINKER_TARGET__ALOHA__PASSWORD", "target.aloha.company_code: is required"],
    ),
    ("ledger.url = \"postgres://db:99999/x\"", &["ledger.url (", "port 1..65535"]),
    ("ledger.url = \"postgres://db/x?sslmode=nonsense\"", &["ledger.url (", "disable, allow, prefer, require"]),
    ("target.loanpro.base_url = \"http://lms.example/\"", &["in clear", "allow_plain_http = true"]),
    ("target.loanpro.ca_file = \"/nowhere.pem\"", &["target.loanpro.ca_file", "cannot be read"]),
    ("admin.token_file = \"/nowhere\"", &["admin.token_file", "/nowhere cannot be read"]),
    ("[keys]\nk1 = { file = \"/nowhere\" }", &["keys.k1", "/nowhere cannot be read"]),
    ("[keys]\nk1 = { vale = \"x\" }", &["keys.k1.vale", "{ file = \"...\" }"]),
    (
        "[keys]\nactive = \"k2\"\nk1 = { value = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\" }",
        &["keys.active", "there is k1"],
    ),
    ("this is not TOML", &["TOML", "worker.toml:1"]),
];

#[test]
fn a_wrong_key_or_value_is_exit_78_with_its_name_its_place_and_what_is_allowed() {
    let bench = Bench::new();
    for (toml, said) in WRONG {
        let file = bench.file("worker.toml", toml);
        let ended = bench.run(&["config", "--config", text(&file)]);
        assert_eq!(ended.code, 78, "{toml}: {ended:?}");
        for one in *said {
            assert!(ended.err.contains(one), "{toml}: no {one:?} in {}", ended.err);
        }
    }
}

/// A file or variable with a wrong secret, always spelt `sekret`.
#[test]
fn a_wrong_secret_is_named_and_never_shown() {
    let bench = Bench::new();
    let secret_file = bench.file("two-lines", "sekret\nsekret\n");
    let tomls = [
        "target.loanpro.token = [\"sekret\"]".to_owned(),
        "target.loanpro.token = \"sekret\\u0001\"".to_owned(),
        "target.loanpro.tokn = \"sekret\"".to_owned(),
        "target.loanpro.token = \"sekret\"\ntarget.loanpro.token_file = \"x\"".to_owned(),
        "ledger.url = \"mysql://root:sekret@db/x\"".to_owned(),
        "target.loanpro.base_url = \"https://me:sekret@lms.example/\"".to_owned(),
        "[kafka.properties]\n\"sasl.password\" = [\"sekret\"]".to_owned(),
        "[kafka.properties]\n\"sasl.passwort\" = \"x\"\nsasl.password = \"sekret\"".to_owned(),
        "[keys]\nk1 = { value = \"sekret\" }".to_owned(),
        format!("admin.token_file = {secret_file:?}"),
        "admin.token = \"sekret".to_owned(),
    ];
    for toml in tomls {
        let file = bench.file("worker.toml", &toml);
        let ended = bench.run(&["config", "--config", text(&file)]);
        assert_eq!(ended.code, 78, "{toml}: {ended:?}");
        assert!(!ended.err.contains("sekret") && !ended.out.contains("sekret"), "{toml}: {ended:?}");
    }
    let ended = bench.run_with(&["config"], &[("PROFILE_LINKER_TARGET__LOANPRO__TOKN", "sekret")]);
    assert_eq!(ended.code, 78);
    assert!(
        ended.err.contains("PROFILE_LINKER_TARGET__LOANPRO__TOKEN?") && !ended.err.contains("sekret"),
        "{}",
        ended.err
    );
}

#[test]
fn all_problems_of_file_and_environment_are_told_at_once() {
    let bench = Bench::new();
    let file = bench.file("worker.toml", "kafka.delivery = \"x\"\nworker.max_waiting = 0\n");
    let variables = [("PROFILE_LINKER_RETRY__INITAL", "1s"), ("PROFILE_LINKER_BREAKER__FAILURES", "many")];
    let ended = bench.run_with(&["config", "--config", text(&file)], &variables);
    assert!(ended.err.contains("4 problems"), "{}", ended.err);
    for said in ["worker.toml:1", "worker.toml:2", "PROFILE_LINKER_RETRY__INITIAL?", "breaker.failures = \"many\""] {
        assert!(ended.err.contains(said), "no {said:?} in {}", ended.err);
    }
}

#[test]
fn a_secret_and_its_file_together_are_refused_wherever_they_come_from() {
    let bench = Bench::new();
    let secret = bench.file("secret", "t\n");
    let file = bench.file("worker.toml", "[target.loanpro]\ninstance_id = \"1\"\ntoken = \"t\"\n");
    let variables = [("PROFILE_LINKER_TARGET__LOANPRO__TOKEN_FILE", text(&secret))];
    let ended = bench.run_with(&["config", "--config", text(&file)], &variables);
    assert_eq!(ended.code, 78);
    assert!(ended.err.contains("only one of the two"), "{}", ended.err);
    assert!(ended.err.contains("worker.toml:3") && ended.err.contains("TOKEN_FILE"), "{}", ended.err);
}

#[test]
fn a_record_limit_below_the_largest_result_is_refused_before_anything_begins() {
    let bench = Bench::new();
    for (limit, code) in [("69631", 78), ("69632", 0), ("\"0200000\"", 78), ("\"0x3e8\"", 78)] {
        let file = bench.file("worker.toml", &format!("[kafka.properties]\n\"message.max.bytes\" = {limit}\n"));
        let ended = bench.run(&["config", "--config", text(&file)]);
        assert_eq!(ended.code, code, "{limit}: {ended:?}");
        if code == 78 {
            let started = bench.run(&["run", "--config", text(&file)]);
            let why = if limit == "69631" { "stops its partition" } else { "decimal digits" };
            for said in ["worker.toml:2", "message.max.bytes", why] {
                assert!(ended.err.contains(said) && started.err.contains(said), "{said}: {ended:?} {started:?}");
            }
            assert_eq!(started.code, 78);
        }
    }
}

#[test]
fn the_effective_configuration_tells_each_origin_and_redacts_each_secret() {
    let bench = Bench::new();
    let token = bench.file("token", "sekret-of-the-file\n");
    let toml = format!(
        "ledger.url = \"postgres://me:sekret@db/x?password=sekret\"\n[target.loanpro]\ninstance_id = \"7\"\ntoken_file = {token:?}\n\
         [kafka.properties]\nsasl.password = \"sekret\"\nsession.timeout.ms = 9000\n[keys]\nk1 = {{ value = {KEY:?} }}\n"
    );
    let file = bench.file("worker.toml", &toml);
    let variables = [("PROFILE_LINKER_ADMIN__TOKEN", "sekret-of-an-admin"), ("PROFILE_LINKER_RETRY__BUDGET", "5m")];
    let ended = bench.run_with(&["config", "--config", text(&file), "--output", "json"], &variables);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(!ended.out.contains("sekret") && !ended.out.contains(KEY), "{}", ended.out);
    let lines = ended.lines();
    let line = |key: &str| lines.iter().find(|line| line["key"] == key).unwrap_or_else(|| panic!("no {key}"));
    assert_eq!(line("ledger.url")["value"], "postgres://***@db/x");
    assert_eq!(line("retry.budget")["value"], "5m");
    assert_eq!(line("retry.budget")["origin"], "environment variable PROFILE_LINKER_RETRY__BUDGET");
    assert_eq!(line("retry.initial")["origin"], "default");
    assert!(line("target.loanpro.instance_id")["origin"].as_str().unwrap().ends_with("worker.toml:3"));
    assert_eq!(line("target.loanpro.token_file")["value"], text(&token));
    assert_eq!(line("kafka.properties.session.timeout.ms")["value"], "9000");
    for secret in ["admin.token", "kafka.properties.sasl.password", "keys.k1.value"] {
        assert_eq!(line(secret)["value"], "[redacted]", "{secret}");
    }
    assert!(lines.iter().all(|line| !line["key"].as_str().unwrap().starts_with("target.aloha")));
}

#[test]
fn variables_that_are_not_keys_are_left_alone_only_where_they_are_ours() {
    let bench = Bench::new();
    let fine = [("PROFILE_LINKER_TEST_X", "1"), ("PROFILE_LINKER_DATA_DIR", "/tmp"), ("PROFILE_LINKERX", "1")];
    assert_eq!(bench.run_with(&["config"], &fine).code, 0);
    assert_eq!(bench.run_with(&["config"], &[("PROFILE_LINKER_X", "1")]).code, 78);
}

#[test]
fn a_configuration_file_that_is_not_there_is_exit_78() {
    let ended = Bench::new().run(&["config", "--config", "nowhere.toml"]);
    assert_eq!(ended.code, 78);
    assert!(ended.err.contains("nowhere.toml") && ended.err.contains("cannot be read"), "{}", ended.err);
}

#[test]
fn migrate_without_a_key_says_how_to_make_one() {
    let ended = Bench::new().run(&["migrate"]);
    assert_eq!(ended.code, 78);
    assert!(ended.err.contains("keys generate"), "{}", ended.err);
}
