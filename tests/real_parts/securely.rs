//! Kafka with TLS and a log-in, PostgreSQL with a certificate of one's own.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::authority::Authority;
use crate::support::events;
use crate::support::kafka::Kafka;
use crate::support::kafka::doors::{Doors, LINKER};
use crate::support::parts::RealParts;
use crate::support::postgres::Postgres;
use crate::support::stand::{Delivery, Stand};

crate::cases! {
    an_event_is_linked_over_tls_with_sasl_plain needs [SecuredKafka, Kafka, Postgres];
    an_event_is_linked_over_tls_with_scram_sha_256 needs [SecuredKafka, Kafka, Postgres];
    an_event_is_linked_over_tls_with_scram_sha_512 needs [SecuredKafka, Kafka, Postgres];
    a_password_that_is_rotated_needs_no_restart needs [JavaKafka, Kafka, Postgres];
    a_wrong_password_is_exit_78_for_every_command_and_is_not_shown needs [SecuredKafka, Kafka, Postgres];
    a_broker_of_an_unknown_authority_is_exit_78_and_names_the_setting needs [SecuredKafka, Kafka, Postgres];
    a_transactional_id_that_is_not_allowed_is_exit_78_and_fails_the_check needs [SecuredKafka, Kafka, Postgres];
    a_ledger_is_reached_with_its_certificate_checked_to_the_full needs [Kafka, Postgres];
}

/// Settings from the environment.
pub type Environment = Vec<(String, String)>;

async fn an_event_is_linked_over_tls_with_sasl_plain(parts: &RealParts) {
    play(parts, "PLAIN").await;
}

async fn an_event_is_linked_over_tls_with_scram_sha_256(parts: &RealParts) {
    play(parts, "SCRAM-SHA-256").await;
}

async fn an_event_is_linked_over_tls_with_scram_sha_512(parts: &RealParts) {
    play(parts, "SCRAM-SHA-512").await;
}

/// Every client of the program comes in by the secured listener: of `migrate --topics`, the worker, `publish`, `watch`.
async fn play(parts: &RealParts, mechanism: &str) {
    let stand = Stand::unmigrated(parts, Delivery::Transactional).await;
    let doors = parts.secured_kafka().doors();
    let environment = secured(&stand, doors, mechanism, LINKER.password, &doors.ca_file());
    assert_done(&stand.command_with(&["migrate", "--topics"], &environment));
    let mut worker = stand.start_worker_with(&environment);
    worker.ready().await;
    let published = publish_one(&stand, "secured", &environment).await;
    assert_done(&published);
    let watched = stand.command_with(&["watch", "--from", "start", "--limit", "1", "--output", "json"], &environment);
    for output in [&published, &watched] {
        let line: Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
        assert_eq!(line["event"]["data"]["created"]["id"], "secured");
    }
    assert_eq!(worker.terminate(), 0);
}

/// Consumer and producer lose every connection when the broker restarts; then only the new password lets them in again.
async fn a_password_that_is_rotated_needs_no_restart(parts: &RealParts) {
    const MECHANISM: &str = "SCRAM-SHA-512";
    const NEW: &str = "another-password-of-the-linker";
    let broker = Kafka::start_java().expect("a broker of its own");
    let stand = Stand::unmigrated(parts, Delivery::Transactional).await;
    let environment = secured(&stand, broker.doors(), MECHANISM, LINKER.password, &broker.doors().ca_file());
    assert_done(&stand.command_with(&["migrate", "--topics"], &environment));
    let mut worker = stand.start_worker_with(&environment);
    worker.ready().await;
    assert_done(&publish_one(&stand, "before", &environment).await);
    broker.set_password(LINKER.name, MECHANISM, NEW);
    stand.file("password", &format!("{NEW}\n"));
    broker.kill();
    broker.run().expect("the broker comes back");
    let published = publish_one(&stand, "after", &environment).await;
    assert_done(&published);
    assert!(worker.log().contains("password has changed"), "{}", worker.log());
    assert!(!worker.log().contains(NEW), "the log does not show it");
    assert_eq!(worker.terminate(), 0);
}

/// Publishes an event for a customer of its own and waits for its result.
async fn publish_one(stand: &Stand<'_>, id: &str, environment: &[(String, String)]) -> Output {
    let customer = stand.sandbox.create_customer().await;
    let token = stand.sandbox.tokenise(json!({})).await;
    let event = stand.file(&format!("{id}.json"), &events::temporary(id, &customer, &token).to_string());
    stand.command_with(&["publish", "--wait", "--output", "json", text(&event)], environment)
}

async fn a_wrong_password_is_exit_78_for_every_command_and_is_not_shown(parts: &RealParts) {
    let stand = Stand::unmigrated(parts, Delivery::Transactional).await;
    assert_done(&stand.command(&["migrate"]));
    let doors = parts.secured_kafka().doors();
    let environment = secured(&stand, doors, "SCRAM-SHA-512", "not-the-password", &doors.ca_file());
    let event = stand.file("event.json", &events::temporary("refused", "1", "opaque").to_string());
    let commands: [&[&str]; 4] = [&["migrate", "--topics"], &["run"], &["publish", text(&event)], &["watch"]];
    for output in side_by_side(&stand, &commands, &environment) {
        let said = said(&output);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains("refuses our log-in") && said.contains("sasl.password"), "{said}");
        assert!(!said.contains("not-the-password"), "{said}");
    }
}

async fn a_broker_of_an_unknown_authority_is_exit_78_and_names_the_setting(parts: &RealParts) {
    let stand = Stand::unmigrated(parts, Delivery::Transactional).await;
    let doors = parts.secured_kafka().doors();
    let wrong = secured(&stand, doors, "PLAIN", LINKER.password, &doors.other_ca_file());
    // Nobody named an authority: the system's own do not know this one either.
    let none = wrong.iter().filter(|(name, _)| !name.contains("SSL__CA")).cloned().collect();
    for environment in [wrong, none] {
        let output = stand.command_with(&["watch"], &environment);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains("certificate is not trusted") && said.contains("ssl.ca.location"), "{said}");
    }
}

async fn a_transactional_id_that_is_not_allowed_is_exit_78_and_fails_the_check(parts: &RealParts) {
    let stand = Stand::unmigrated(parts, Delivery::Transactional).await;
    let broker = parts.secured_kafka();
    let environment = secured(&stand, broker.doors(), "PLAIN", LINKER.password, &broker.doors().ca_file());
    assert_done(&stand.command_with(&["migrate", "--topics"], &environment));
    let group = stand.topics.created.replacen("created-", "group-", 1);
    let ids = ["--transactional-id", &group, "--resource-pattern-type", "prefixed"];
    broker.allow_only("somebody-else", &["Write"], &ids);
    let run = stand.command_with(&["run"], &environment);
    assert_eq!(run.status.code(), Some(78), "{}", said(&run));
    assert!(said(&run).contains("profile-linker check"), "it says where to look: {}", said(&run));
    let checked = stand.command_with(&["check"], &environment);
    assert_eq!(checked.status.code(), Some(1));
    assert!(said(&checked).contains("on transactional ids with the prefix"), "{}", said(&checked));
}

async fn a_ledger_is_reached_with_its_certificate_checked_to_the_full(parts: &RealParts) {
    let stand = Stand::unmigrated(parts, Delivery::Transactional).await;
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = Postgres::start_with_tls(&authority.server(&["127.0.0.1"])).expect("a server with TLS");
    let database = server.create_database().await;
    let ca = stand.file("ca.pem", &authority.pem());
    let other = stand.file("other-ca.pem", &stranger.pem());
    let migrated = |host: &str, ca: &Path| {
        let database = database.replace("127.0.0.1", host);
        let url = format!("{database}?sslmode=verify-full&sslrootcert={}", text(ca));
        stand.command_with(&["migrate"], &[("PROFILE_LINKER_LEDGER__URL".to_owned(), url)])
    };
    assert_done(&migrated("127.0.0.1", &ca));
    for refused in [migrated("127.0.0.1", &other), migrated("localhost", &ca)] {
        assert_eq!(refused.status.code(), Some(69), "{}", said(&refused));
        assert!(said(&refused).contains("certificate"), "it says why: {}", said(&refused));
    }
}

/// Settings that lead to the secured listener; the password is in a file.
pub fn secured(stand: &Stand<'_>, doors: &Doors, mechanism: &str, password: &str, ca: &Path) -> Environment {
    let password = stand.file("password", &format!("{password}\n"));
    let properties = [
        ("SECURITY__PROTOCOL", "sasl_ssl"),
        ("SASL__MECHANISM", mechanism),
        ("SASL__USERNAME", LINKER.name),
        ("SASL__PASSWORD_FILE", text(&password)),
        ("SSL__CA__LOCATION", text(ca)),
    ];
    let property =
        |(name, value): (&str, &str)| (format!("PROFILE_LINKER_KAFKA__PROPERTIES__{name}"), value.to_owned());
    let brokers = ("PROFILE_LINKER_KAFKA__BROKERS".to_owned(), doors.address().to_owned());
    properties.into_iter().map(property).chain([brokers]).collect()
}

/// Each waits for the broker until its limit; together they take as long as one.
fn side_by_side(stand: &Stand<'_>, commands: &[&[&str]], environment: &[(String, String)]) -> Vec<Output> {
    let config = stand.config();
    let one = |arguments: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_profile-linker"))
            .args(arguments)
            .arg("--config")
            .arg(&config)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("the command starts")
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = commands.iter().map(|arguments| scope.spawn(|| one(arguments))).collect();
        running.into_iter().map(|thread| thread.join().expect("it ends")).collect()
    })
}

fn assert_done(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

/// Both outputs: `run` logs where others print.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}
