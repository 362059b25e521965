//! That the scan can fail: a token that is put into a place on purpose is found there, in every form.

use std::io::Write;

use axum::Router;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};

use super::load::{fresh, fresh_permanent};
use super::needles::{Needles, PIECE, forms, in_a_row};
use super::sweep::{Sweep, is_log_of};
use crate::support::admin::Admin;
use crate::support::child::Guarded;
use crate::support::collector::Collector;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::postgres::Postgres;
use crate::support::records::Publisher;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    a_token_in_any_form_is_found_and_so_is_any_piece_of_it needs [];
    a_token_planted_in_a_topic_is_found needs [Kafka, Postgres];
    a_token_planted_in_postgres_is_found_though_it_was_deleted needs [Postgres];
    a_token_planted_in_sqlite_is_found_though_it_was_deleted needs [];
    a_token_planted_in_a_process_its_log_its_pages_or_its_output_is_found needs [Kafka, Postgres];
}

fn needles(token: &str) -> Needles {
    let mut needles = Needles::default();
    needles.add("planted", token);
    needles
}

fn assert_found(sweep: &Sweep<'_>, places: &[&str]) {
    for place in places {
        assert!(sweep.hits().iter().any(|hit| hit.starts_with(place)), "not found at {place}: {:?}", sweep.hits());
    }
}

async fn a_token_in_any_form_is_found_and_so_is_any_piece_of_it(_parts: &RealParts) {
    for token in [fresh(), fresh_permanent(), format!("{}\"\\/é%+ '<", fresh())] {
        let needles = needles(&token);
        for (form, text) in forms(&token) {
            let piece = in_a_row(form) * PIECE;
            for (from, size) in [(0, text.len()), (0, piece), (text.len() - piece, piece), (text.len() / 3, piece)] {
                let hay = [&b"before it "[..], &text[from..from + size], b" behind it"].concat();
                assert!(!needles.find(&hay).is_empty(), "{form} from {from}");
                assert!(needles.find(&text[from..from + piece - 1]).is_empty(), "{form}: less is chance");
            }
        }
        // What others write, not we.
        let other = |bytes: &[u8]| !needles.find(bytes).is_empty();
        assert!(other(json!({"a": {"b": token}}).to_string().as_bytes()));
        for shift in 0..3 {
            let wrapped = [&b"xyz"[..shift], token.as_bytes(), b"!"].concat();
            assert!(other(data_encoding::BASE64.encode(&wrapped).as_bytes()), "shifted by {shift}");
            let slice = &token.as_bytes()[7..7 + PIECE + 4];
            assert!(other(data_encoding::BASE64.encode(&[&b"xyz"[..shift], slice].concat()).as_bytes()));
        }
        assert!(other(data_encoding::HEXLOWER.encode(&token.as_bytes()[5..21]).as_bytes()));
        assert!(other(format!("{:?}", &token.as_bytes()[9..]).as_bytes()));
        assert!(other(serde_json::to_string(&token.as_bytes()[9..]).expect("JSON").as_bytes()));
        assert!(!other(format!("{:?}", fresh_permanent().as_bytes()).as_bytes()), "nor as numbers");
        assert!(!other(fresh_permanent().as_bytes()), "another token is none of these");
    }
}

async fn a_token_planted_in_a_topic_is_found(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let places = [stand.topics.linked.as_str(), &stand.topics.rejected, &stand.topics.dead_letter];
    for (number, topic) in places.into_iter().enumerate() {
        let token = fresh();
        let publisher = Publisher::new(stand.kafka.brokers());
        let header = [("x".to_owned(), Some(token.clone().into_bytes()))];
        let bytes = Some(token.as_bytes());
        let (key, value, headers) = [(bytes, None, &[][..]), (None, bytes, &[][..]), (None, None, &header[..])][number];
        publisher.publish_record(topic, key, value, headers).await;
        let needles = needles(&token);
        let mut sweep = Sweep::new(&needles);
        let folder = stand.kafka.as_java().map(|broker| broker.data());
        for record in stand.all(topic).await {
            let parts = [record.key, record.value, record.headers.into_iter().next().map(|(_, value)| value)];
            parts.iter().flatten().for_each(|part| sweep.look("topics", part));
        }
        assert_found(&sweep, &["topics"]);
        if let Some(folder) = folder {
            sweep.files("files of the broker", &folder, &|path| is_log_of(path, &[topic]));
            assert_found(&sweep, &["files of the broker"]);
        }
    }
}

async fn a_token_planted_in_postgres_is_found_though_it_was_deleted(_parts: &RealParts) {
    let server = Postgres::start_talkative().expect("a server of its own");
    let url = server.create_database().await;
    let (kept, deleted) = (fresh(), fresh_permanent());
    let mut connection = PgConnection::connect(&url).await.expect("a connection");
    connection.execute("CREATE TABLE planted (text text)").await.expect("a table");
    for token in [&kept, &deleted] {
        let insert = sqlx::query("INSERT INTO planted VALUES ($1)").bind(token);
        insert.execute(&mut connection).await.expect("a row");
    }
    sqlx::query("DELETE FROM planted WHERE text = $1").bind(&deleted).execute(&mut connection).await.expect("deleted");
    server.checkpoint().await;
    let folder = server.folder().expect("a folder").to_owned();
    let needles = needles(&kept);
    let mut sweep = Sweep::new(&needles);
    sweep.look("a dump", &server.dump(&url));
    assert_found(&sweep, &["a dump"]);
    let needles = self::needles(&deleted);
    let mut sweep = Sweep::new(&needles);
    sweep.look("a dump", &server.dump(&url));
    assert!(sweep.hits().is_empty(), "it was deleted");
    sweep.files("tables", &folder.join("data/base"), &|_| true);
    sweep.files("log of writes", &folder.join("data/pg_wal"), &|_| true);
    sweep.files("log of statements", &folder, &|path| path.ends_with("server.log"));
    assert_found(&sweep, &["tables", "log of writes", "log of statements"]);
}

async fn a_token_planted_in_sqlite_is_found_though_it_was_deleted(_parts: &RealParts) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("planted.db").display());
    let token = fresh_permanent();
    let needles = needles(&token);
    let mut connection = SqliteConnection::connect(&url).await.expect("a file");
    connection.execute("PRAGMA journal_mode = WAL").await.expect("a log of writes");
    connection.execute("CREATE TABLE planted (text text)").await.expect("a table");
    sqlx::query("INSERT INTO planted VALUES (?)").bind(&token).execute(&mut connection).await.expect("a row");
    let mut sweep = Sweep::new(&needles);
    sweep.files("log of writes", folder.path(), &|path| path.to_string_lossy().ends_with("-wal"));
    assert_found(&sweep, &["log of writes"]);
    for statement in ["PRAGMA wal_checkpoint(TRUNCATE)", "DELETE FROM planted", "PRAGMA wal_checkpoint(TRUNCATE)"] {
        connection.execute(statement).await.expect(statement);
    }
    sweep.files("free pages", folder.path(), &|path| path.ends_with("planted.db"));
    assert_found(&sweep, &["free pages"]);
}

async fn a_token_planted_in_a_process_its_log_its_pages_or_its_output_is_found(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let token = fresh();
    let needles = needles(&token);
    let mut sweep = Sweep::new(&needles);
    let log = stand.folder().join("planted.log");
    // It follows a file that never grows, and complains that there is no other.
    let program = ["tail", "-f", "/dev/null", &token].map(str::to_owned);
    let process = Guarded::start(&program, &[("PLANTED".to_owned(), token.clone())], &log).expect("a program");
    // Until the shell's child became that program, the kernel may tell nothing of it.
    let runs = eventually("its complaint", PATIENCE, async || process.output().contains(&token).then_some(()));
    runs.await;
    sweep.process(process.pid());
    assert_found(&sweep, &["arguments", "environment"]);
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&log).expect("its log");
    writeln!(file, "{{\"message\":\"planted\",\"token\":\"{token}\"}}").expect("a line");
    sweep.files("logs", stand.folder(), &|path| path.extension().is_some_and(|ending| ending == "log"));
    let ended = stand.command(&["ledger", "show", &token]);
    sweep.look("output of commands", &ended.stderr);
    assert_found(&sweep, &["logs", "output of commands"]);
    pages(&token, &mut sweep).await;
    assert_found(&sweep, &["metrics", "admin answers"]);
    traces(&token, &mut sweep).await;
    assert_found(&sweep, &["traces"]);
}

/// A span that tells the token.
async fn traces(token: &str, sweep: &mut Sweep<'_>) {
    let collector = Collector::start().await;
    let value = AnyValue { value: Some(Value::StringValue(token.to_owned())) };
    let attribute = KeyValue { key: "token".to_owned(), value: Some(value), ..KeyValue::default() };
    collector.tell(Span { attributes: vec![attribute], ..Span::default() }).await;
    collector.bodies().iter().for_each(|body| sweep.look("traces", body));
}

/// A server that tells the token at every address.
async fn pages(token: &str, sweep: &mut Sweep<'_>) {
    let told = format!("planted_total{{token=\"{token}\"}} 1\n");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = Router::new().fallback(move || async move { told });
    let serving = tokio::spawn(async move { axum::serve(listener, server).await });
    sweep.admin(&Admin::at(&format!("http://{address}"))).await;
    serving.abort();
    eventually("the server is gone", PATIENCE, async || serving.is_finished().then_some(())).await;
}
