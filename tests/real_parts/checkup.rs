//! `check`: every kind of trouble once, in a line of its own, and what `run` makes of the topics'.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::kafka::doors::LINKER;
use crate::support::parts::RealParts;
use crate::support::ports::free_ports;
use crate::support::sandbox::{PAYIQ_API_KEY, Sandbox};
use crate::support::stand::{Delivery, Stand};

crate::cases! {
    a_healthy_system_passes_every_check_and_nothing_is_changed needs [Kafka, Postgres];
    a_wrong_credential_of_each_vendor_is_told_beside_checks_that_pass needs [Kafka, Postgres];
    a_wrong_tenant_is_told_by_its_probe_customer_and_a_wrong_clock_by_its_date needs [Kafka, Postgres];
    a_broker_that_is_away_fails_its_own_checks_only_and_in_time needs [Kafka, Postgres];
    what_is_wrong_with_a_ledger_is_told_with_the_command_to_run needs [Kafka, Postgres];
    topics_that_lose_records_fail_the_check_and_stop_a_start needs [Kafka, Postgres];
    a_right_that_is_missing_is_told_by_its_resource needs [SecuredKafka, Kafka, Postgres];
}

async fn a_healthy_system_passes_every_check_and_nothing_is_changed(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let customer = stand.sandbox.create_customer().await;
    let before = stand.sandbox.state().await;
    let (code, lines) = check(&stand, &[("TARGET__LOANPRO__PROBE_CUSTOMER_ID", &customer), DRAIN]);
    for line in &lines {
        assert_eq!((&line["status"], &line["fix"]), (&json!("ok"), &json!(null)), "{line}");
    }
    assert_eq!(code, 0);
    let topics = names_of_topics(&stand);
    let named = [
        "limits",
        "broker",
        "ledger",
        "keys",
        "clock ledger",
        "payiq",
        "loanpro",
        "aloha",
        "clock payiq",
        "acl transactions",
    ];
    let named = named.map(str::to_owned).into_iter();
    let named = named.chain(topics.iter().flat_map(|name| [format!("topic {name}"), format!("acl topic {name}")]));
    for name in named {
        assert_eq!(lines.iter().filter(|line| line["check"] == name.as_str()).count(), 1, "{name}: {lines:#?}");
    }
    let after = stand.sandbox.state().await;
    for kind in ["profiles", "conversions", "payments"] {
        assert_eq!(before[kind], after[kind], "a probe changes nothing");
    }
    for topic in topics {
        assert!(stand.all(topic).await.is_empty(), "and writes nothing to {topic}");
    }
}

async fn a_wrong_credential_of_each_vendor_is_told_beside_checks_that_pass(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let strict = format!("payiq_api_key={PAYIQ_API_KEY},loanpro_token=right-token,aloha_password=right-password");
    let vendors = Sandbox::start_strict(&strict).await;
    let [payiq, loanpro, aloha] = ["payiq", "loanpro", "aloha"].map(|name| vendors.vendor(name));
    let addresses = [
        ("CONVERTER__PAYIQ__BASE_URL", payiq.as_str()),
        ("TARGET__LOANPRO__BASE_URL", &loanpro),
        ("TARGET__ALOHA__BASE_URL", &aloha),
    ];
    let wrong = [
        ("CONVERTER__PAYIQ__API_KEY", "0f0f0f0f-51c4-4c8e-9d1a-2f6f3c1d9b42"),
        ("TARGET__LOANPRO__TOKEN", "wrong-token"),
        ("TARGET__ALOHA__PASSWORD", "wrong-password"),
    ];
    let (code, lines) = check(&stand, &[&addresses[..], &wrong, &[DRAIN]].concat());
    assert_eq!(code, 1);
    for vendor in ["payiq", "loanpro", "aloha"] {
        let line = told(&lines, vendor);
        assert_eq!(line["status"], "fail", "{line}");
        assert!(line["fix"].as_str().is_some_and(|fix| fix.contains("credentials")), "{line}");
        assert!(!line.to_string().contains("wrong-"), "no credential is shown: {line}");
    }
    assert_eq!(failed(&lines).len(), 3, "all else passes: {lines:#?}");
    let right = [("TARGET__LOANPRO__TOKEN", "right-token"), ("TARGET__ALOHA__PASSWORD", "right-password"), DRAIN];
    let (code, lines) = check(&stand, &[&addresses[..], &right].concat());
    assert_eq!(code, 0, "{lines:#?}");
    assert_eq!(told(&lines, "loanpro")["status"], "warn", "no probe customer is configured");
}

async fn a_wrong_tenant_is_told_by_its_probe_customer_and_a_wrong_clock_by_its_date(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let headers = json!({"date": "Mon, 01 Jan 2024 00:00:00 GMT"});
    stand.sandbox.fault(json!({"route": "aloha.lookup", "action": "status", "status": 401, "headers": headers})).await;
    let [closed] = free_ports();
    let away = format!("http://127.0.0.1:{closed}/");
    let settings = [
        // A customer that is not there, as every customer is in a wrong tenant.
        ("TARGET__LOANPRO__PROBE_CUSTOMER_ID", "987654"),
        ("CONVERTER__PAYIQ__BASE_URL", &away),
        DRAIN,
    ];
    let (code, lines) = check(&stand, &settings);
    assert_eq!(code, 1);
    let loanpro = told(&lines, "loanpro");
    assert!(text(loanpro, "detail").contains("probe customer 987654"), "{loanpro}");
    assert!(text(loanpro, "fix").contains("make that customer"), "{loanpro}");
    let clock = told(&lines, "clock aloha");
    assert_eq!(clock["status"], "fail");
    assert!(text(clock, "detail").contains("behind ours"), "{clock}");
    let payiq = told(&lines, "payiq");
    assert!(text(payiq, "detail").contains("could not connect"), "{payiq}");
    assert_eq!(failed(&lines), ["payiq", "loanpro", "aloha", "clock aloha"]);
}

async fn a_broker_that_is_away_fails_its_own_checks_only_and_in_time(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let [closed] = free_ports();
    let brokers = format!("127.0.0.1:{closed}");
    let started = Instant::now();
    let (code, lines) = check(&stand, &[("KAFKA__BROKERS", &brokers), DRAIN]);
    assert!(started.elapsed() < Duration::from_secs(35), "{:?}", started.elapsed());
    assert_eq!(code, 1);
    assert!(text(told(&lines, "broker"), "detail").contains("refused"), "{lines:#?}");
    for one in failed(&lines) {
        assert!(["broker", "topics", "acl transactions"].contains(&one.as_str()), "{one}: {lines:#?}");
    }
    for well in ["ledger", "keys", "payiq", "aloha"] {
        assert_eq!(told(&lines, well)["status"], "ok", "{lines:#?}");
    }
    for name in names_of_topics(&stand).iter().flat_map(|name| [format!("topic {name}"), format!("acl topic {name}")]) {
        assert_ne!(told(&lines, &name)["status"], "ok", "it is told, and not as well: {lines:#?}");
    }
}

async fn what_is_wrong_with_a_ledger_is_told_with_the_command_to_run(parts: &RealParts) {
    let stand = Stand::unmigrated(parts, Delivery::Transactional).await;
    let (code, lines) = check(&stand, &[]);
    assert_eq!(code, 1);
    assert!(text(told(&lines, "ledger"), "fix").contains("profile-linker migrate"), "{lines:#?}");
    let migrated = stand.command(&["migrate", "--topics"]);
    assert!(migrated.status.success());
    let worker = stand.worker().await;
    assert_eq!(worker.terminate(), 0);
    let other = stand.file("k2", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let settings = [("KEYS__K1__FILE", other.to_str().expect("a path of text")), ("KAFKA__GROUP", "another"), DRAIN];
    let (code, lines) = check(&stand, &settings);
    assert_eq!(code, 1);
    assert_eq!(failed(&lines), ["keys", "ledger binding"]);
    assert!(text(told(&lines, "ledger binding"), "detail").contains("group another"), "{lines:#?}");
    let (_, lines) = check(&stand, &[("LEDGER__URL", "postgres://nobody@127.0.0.1:1/none")]);
    let ledger = told(&lines, "ledger");
    assert!(text(ledger, "fix").contains("start the database"), "{lines:#?}");
    assert!(text(ledger, "detail").contains("127.0.0.1:1: ") && text(ledger, "detail").contains("refused"), "{ledger}");
    for skipped in ["keys", "ledger binding", "clock ledger"] {
        assert!(text(told(&lines, skipped), "detail").contains("see the line ledger"), "{lines:#?}");
    }
}

fn names_of_topics<'a>(stand: &'a Stand<'_>) -> [&'a String; 4] {
    let topics = &stand.topics;
    [&topics.created, &topics.linked, &topics.rejected, &topics.dead_letter]
}

async fn topics_that_lose_records_fail_the_check_and_stop_a_start(parts: &RealParts) {
    let stand = Stand::unmigrated(parts, Delivery::Transactional).await;
    let topics = &stand.topics;
    stand.kafka.create_topic_with(&topics.created, 2, &[("cleanup.policy", "compact")]).await;
    stand.kafka.create_topic_with(&topics.linked, 2, &[("cleanup.policy", "compact")]).await;
    stand.kafka.create_topic_with(&topics.dead_letter, 2, &[("max.message.bytes", "50000")]).await;
    let without = said(&stand.command(&["migrate"]), &stand.command(&["run"]));
    assert!(without.contains(&format!("missing topics: {}", topics.rejected)), "{without}");
    assert!(stand.command(&["migrate", "--topics"]).status.success());
    let (code, lines) = check(&stand, &[DRAIN]);
    assert_eq!(code, 1);
    assert_eq!(failed(&lines), [format!("topic {}", topics.created), format!("topic {}", topics.dead_letter)]);
    assert_eq!(told(&lines, &format!("topic {}", topics.linked))["status"], "warn", "a reader's loss, not ours");
    let run = stand.command(&["run"]);
    let told = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(78), "{told}");
    for part in [
        &topics.created,
        &topics.dead_letter,
        "cleanup.policy=compact",
        "max.message.bytes=50000",
        "set cleanup.policy=delete",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(
        String::from_utf8_lossy(&run.stdout).contains(&topics.linked) || told.contains(&topics.linked),
        "and warns: {told}"
    );
}

async fn a_right_that_is_missing_is_told_by_its_resource(parts: &RealParts) {
    let stand = Stand::unmigrated(parts, Delivery::Transactional).await;
    let broker = parts.secured_kafka();
    let password = stand.file("password", LINKER.password);
    let (brokers, ca) = (broker.doors().address(), broker.doors().ca_file());
    let settings = [
        ("KAFKA__BROKERS", brokers),
        ("KAFKA__PROPERTIES__SECURITY__PROTOCOL", "sasl_ssl"),
        ("KAFKA__PROPERTIES__SASL__MECHANISM", "PLAIN"),
        ("KAFKA__PROPERTIES__SASL__USERNAME", LINKER.name),
        ("KAFKA__PROPERTIES__SASL__PASSWORD_FILE", password.to_str().expect("a path of text")),
        ("KAFKA__PROPERTIES__SSL__CA__LOCATION", ca.to_str().expect("a path of text")),
        DRAIN,
    ];
    let migrated = stand.command_with(&["migrate", "--topics"], &environment(&settings));
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    broker.allow_only(LINKER.name, &["Describe"], &["--topic", &stand.topics.linked]);
    let (code, lines) = check(&stand, &settings);
    assert_eq!(code, 1);
    let right = told(&lines, &format!("acl topic {}", stand.topics.linked));
    assert_eq!(right["status"], "fail");
    assert!(text(right, "fix").contains("allow Write on the topic"), "{right}");
    let unread = told(&lines, &format!("topic {}", stand.topics.linked));
    assert_eq!(unread["status"], "warn", "its settings cannot be read, which is no failure: {unread}");
    assert_eq!(failed(&lines).len(), 1, "{lines:#?}");
}

/// The stand's own stop is shorter than is wise.
const DRAIN: (&str, &str) = ("WORKER__SHUTDOWN_TIMEOUT", "30s");

fn environment(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|(name, value)| (format!("PROFILE_LINKER_{name}"), (*value).to_owned())).collect()
}

/// Exit code and lines of `check`.
fn check(stand: &Stand<'_>, settings: &[(&str, &str)]) -> (i32, Vec<Value>) {
    let output = stand.command_with(&["check", "--output", "json"], &environment(settings));
    let out = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert!(!lines.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().expect("it ended by itself"), lines)
}

fn told<'a>(lines: &'a [Value], check: &str) -> &'a Value {
    lines.iter().find(|line| line["check"] == check).unwrap_or_else(|| panic!("no line of {check}: {lines:#?}"))
}

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap_or_default()
}

fn failed(lines: &[Value]) -> Vec<String> {
    let failed = lines.iter().filter(|line| line["status"] == "fail");
    failed.map(|line| text(line, "check").to_owned()).collect()
}

fn said(first: &Output, second: &Output) -> String {
    [first, second].map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).concat()
}
