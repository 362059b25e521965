//! The admin server of a running worker: what it tells, who may change something, and that no trouble around the worker
//! silences it.

use reqwest::header::{HOST, ORIGIN};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::admin::{Admin, TOKEN, answer, sample, with_token};
use crate::support::events;
use crate::support::kafka::Kafka;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    a_worker_tells_how_it_is_and_every_metric_after_a_story needs [Kafka, Postgres];
    a_change_needs_the_token_and_no_other_sites_page needs [Kafka, Postgres];
    a_pause_is_every_workers_and_outlives_them needs [Kafka, Postgres];
    a_worker_without_its_ledger_is_alive_and_says_what_is_away needs [Kafka, Postgres];
    a_worker_without_its_broker_is_alive_and_says_what_is_away needs [JavaKafka, Postgres];
    slow_and_greedy_clients_keep_nobody_else_out needs [Kafka, Postgres];
}

const PARTS: [&str; 6] = ["broker", "ledger", "payiq", "loanpro", "aloha", "intake"];
/// More than the server takes at once.
const SLOW_CLIENTS: usize = 80;

async fn worker(stand: &Stand<'_>) -> (Worker, Admin) {
    let mut worker = stand.start_worker_with(&with_token());
    worker.ready().await;
    let admin = Admin::of(&worker);
    (worker, admin)
}

/// One event that is linked, one that is finally rejected, one that is dead-lettered.
async fn story(stand: &Stand<'_>) {
    let customer = stand.sandbox.create_customer().await;
    let in_an_hour = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string();
    for (id, wishes) in [("linked", json!({})), ("declined", json!({"outcome": "declined"}))] {
        let token = stand.sandbox.tokenise(wishes).await;
        let mut event = events::temporary(id, &customer, &token);
        event["data"]["expiresAt"] = json!(in_an_hour);
        stand.publish(&event).await;
    }
    stand.publish_bytes(&customer, b"not an event").await;
    let topics = [stand.topics.linked.as_str(), stand.topics.rejected.as_str()];
    stand.reader(&topics).read_until("three results", PATIENCE, |seen| seen.len() >= 3).await;
}

async fn a_worker_tells_how_it_is_and_every_metric_after_a_story(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let (worker, admin) = worker(&stand).await;
    story(&stand).await;
    let ready = admin.get("/readyz").await;
    let body = ready.json();
    assert_eq!((ready.status, &body["ready"]), (StatusCode::OK, &json!(true)), "{body}");
    for part in PARTS {
        let check = &body["checks"][part];
        assert_eq!((check["status"].as_str(), check["reason"].as_str()), (Some("ok"), Some("")), "{part}: {check}");
        check["since"].as_str().and_then(|since| since.parse::<jiff::Timestamp>().ok()).expect("since in RFC 3339");
    }
    assert_eq!(body["checks"].as_object().map(|checks| checks.len()), Some(PARTS.len()));
    let alive = admin.get("/healthz").await;
    let loops = ["dispatcher", "polling", "publishing"];
    assert!(loops.iter().all(|name| alive.json()["loops"][*name]["alive"] == true), "{}", alive.text);
    every_metric(&admin, &stand).await;
    for (path, method, expected) in
        [("/", Method::GET, 404), ("/api/v1/nothing", Method::POST, 404), ("/readyz", Method::POST, 405)]
    {
        let answered = answer(admin.request(method, path)).await;
        assert_eq!((answered.status.as_u16(), answered.json()["status"].as_u64()), (expected, Some(expected.into())));
        assert_eq!(answered.headers["x-content-type-options"], "nosniff");
        assert_eq!(answered.headers["cache-control"], "no-store");
        assert_eq!(answered.headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
        assert_eq!(answered.headers["x-frame-options"], "DENY");
        assert_eq!(answered.headers["referrer-policy"], "no-referrer");
    }
    status(&stand, &admin, &body);
    assert_eq!(worker.terminate(), 0);
}

async fn every_metric(admin: &Admin, stand: &Stand<'_>) {
    let lag = [format!("topic=\"{}\"", stand.topics.created)];
    let metrics = eventually("the lag is told", PATIENCE, async || {
        let text = admin.get("/metrics").await.text;
        sample(&text, "profile_linker_consumer_lag_records", &[&lag[0]]).map(|_| text)
    })
    .await;
    let page = include_str!("../../docs/reference/metrics.md");
    let names: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(names.len() >= 15, "{names:?}");
    for name in names {
        assert!(metrics.contains(&format!("\n# TYPE {name} ")), "no {name}");
    }
    let value = |name: &str, labels: &[&str]| sample(&metrics, &format!("profile_linker_{name}"), labels);
    assert_eq!(value("events_total", &["result=\"linked\""]), Some(1.0));
    assert_eq!(value("events_total", &["reason=\"account_declined\""]), Some(1.0));
    assert_eq!(value("events_total", &["reason=\"malformed_event\""]), Some(1.0));
    assert_eq!(value("dead_letters_total", &["reason=\"malformed_event\""]), Some(1.0));
    assert_eq!(value("event_duration_seconds_count", &["result=\"rejected\""]), Some(2.0));
    let link = ["upstream=\"loanpro\"", "operation=\"link\""];
    assert_eq!(value("upstream_requests_total", &[link[0], link[1], "outcome=\"done\""]), Some(1.0));
    assert_eq!(value("upstream_request_duration_seconds_count", &link), Some(1.0));
    assert_eq!(value("token_expiry_seconds_count", &[]), Some(2.0));
    assert_eq!((value("in_flight", &[]), value("waiting", &[])), (Some(0.0), Some(0.0)));
    assert!(value("transaction_seconds_count", &[]) >= Some(1.0));
    assert!(value("ledger_flush_seconds_count", &[]) >= Some(3.0));
    assert_eq!(value("build_info", &[&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    assert!(!metrics.contains(TOKEN), "no token is told");
}

/// `status` says what `/readyz` says.
fn status(stand: &Stand<'_>, admin: &Admin, body: &Value) {
    let told = stand.command(&["status", "--output", "json", "--admin", &admin.url]);
    assert_eq!(told.status.code(), Some(0));
    assert_eq!(&serde_json::from_slice::<Value>(&told.stdout).expect("a line of JSON"), body);
    let text = stand.command(&["status", "--admin", &admin.url]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.starts_with("ready\nbroker   ok"), "{text}");
}

async fn a_change_needs_the_token_and_no_other_sites_page(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let (worker, admin) = worker(&stand).await;
    let pause = || admin.request(Method::POST, "/api/v1/intake/pause");
    let bearer = || pause().bearer_auth(TOKEN);
    let cases = [
        (pause(), 401),
        (pause().bearer_auth("another"), 401),
        (pause().basic_auth("a", Some(TOKEN)), 401),
        (bearer().header(ORIGIN, "null"), 403),
        (bearer().header(ORIGIN, "http://evil.example"), 403),
        (bearer().header(HOST, "evil.example").header(ORIGIN, "http://evil.example"), 403),
        (bearer().body("why=form"), 400),
        (bearer().json(&json!({"why": "x".repeat(501)})), 400),
        (bearer().json(&json!({"why": "x".repeat(9_000)})), 413),
    ];
    for (number, (request, expected)) in cases.into_iter().enumerate() {
        let answered = answer(request).await;
        assert_eq!(answered.status.as_u16(), expected, "case {number}: {}", answered.text);
        assert_eq!(answered.json()["status"], expected, "each says why in JSON");
    }
    assert_eq!(answer(pause()).await.headers["www-authenticate"], "Bearer");
    assert_eq!(admin.get("/readyz").await.json()["checks"]["intake"]["status"], "ok", "none of them changed anything");
    assert!(audit(&stand).await.is_empty());
    for path in ["/readyz", "/metrics", "/healthz", "/"] {
        let led_here = admin.request(Method::GET, path).header(HOST, "evil.example");
        assert_eq!(
            answer(led_here).await.status,
            StatusCode::FORBIDDEN,
            "{path} is not read by a page that was led here"
        );
    }
    let own = answer(bearer().header(ORIGIN, &admin.url)).await;
    assert_eq!(own.status, StatusCode::OK, "our own page may: {}", own.text);
    refused_commands(&stand, &admin);
    assert!(!worker.log().contains(TOKEN), "the token is in no log");
    assert_eq!(worker.terminate(), 0);
}

fn refused_commands(stand: &Stand<'_>, admin: &Admin) {
    let wrong = stand.file("wrong-token", "another\n").display().to_string();
    let none = "http://127.0.0.1:9";
    for (arguments, expected) in [
        (&["intake", "pause", "--admin", &admin.url][..], 78),
        (&["intake", "pause", "--admin", &admin.url, "--token-file", &wrong], 78),
        (&["intake", "pause", "--admin", none, "--token-file", &wrong], 69),
        (&["status", "--admin", none], 69),
        (&["status"], 78),
    ] {
        let ended = stand.command(arguments);
        assert_eq!(ended.status.code(), Some(expected), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    }
}

async fn audit(stand: &Stand<'_>) -> Vec<String> {
    let mut ledger = PgConnection::connect(&stand.ledger_url()).await.expect("a connection to the ledger");
    let lines = "SELECT concat_ws(' | ', actor, act, target, why) FROM audit ORDER BY n";
    sqlx::query_scalar(lines).fetch_all(&mut ledger).await.expect("the audit table")
}

async fn a_pause_is_every_workers_and_outlives_them(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let ((first, one), (second, other)) = (worker(&stand).await, worker(&stand).await);
    let paused = one.post("/api/v1/intake/pause", &json!({"why": "a vendor's maintenance", "by": "ada"})).await;
    let check = paused.json()["intake"].clone();
    assert_eq!((paused.status, &check["status"]), (StatusCode::OK, &json!("paused")), "{check}");
    assert!(check["reason"].as_str().is_some_and(|why| why.contains("ada") && why.contains("maintenance")), "{check}");
    assert_eq!(one.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let told = other.until("intake", "paused").await;
    assert_eq!((&told["checks"]["intake"], &told["ready"]), (&check, &json!(false)), "the same, since the same time");
    let metrics = other.get("/metrics").await.text;
    assert_eq!(sample(&metrics, "profile_linker_intake_paused", &["reason=\"operator\""]), Some(1.0));
    assert_eq!((first.terminate(), second.terminate()), (0, 0));
    let (third, admin) = worker(&stand).await;
    assert_eq!(admin.get("/readyz").await.json()["checks"]["intake"], check, "a restart does not forget it");
    let token = stand.file("token", &format!("{TOKEN}\n")).display().to_string();
    let resume = ["intake", "resume", "--why", "over", "--admin", &admin.url, "--token-file", &token];
    let resumed = stand.command(&[&resume[..], &["--output", "json"]].concat());
    let line: Value = serde_json::from_slice(&resumed.stdout).expect("a line of JSON");
    assert_eq!((resumed.status.code(), &line["intake"]["status"]), (Some(0), &json!("ok")), "{line}");
    assert_eq!(admin.get("/readyz").await.status, StatusCode::OK);
    let audit = audit(&stand).await;
    assert_eq!(audit.len(), 2, "{audit:?}");
    assert_eq!(audit[0], "ada | intake-pause | operator | a vendor's maintenance");
    assert!(audit[1].ends_with(" | intake-resume | all | over"), "{audit:?}");
    assert_eq!(third.terminate(), 0);
}

/// Lets nobody connect to the ledger's database, nor stay connected, as while its server is restarted; or lets them again.
async fn admit_to_ledger(stand: &Stand<'_>, admitted: bool) {
    let url = stand.ledger_url();
    let (server, database) = url.rsplit_once('/').expect("a database");
    let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.expect("a connection");
    for statement in [
        format!("ALTER DATABASE {database} ALLOW_CONNECTIONS {admitted}"),
        format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND NOT {admitted}"
        ),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.expect("the statement");
    }
}

async fn a_worker_without_its_ledger_is_alive_and_says_what_is_away(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let (worker, admin) = worker(&stand).await;
    admit_to_ledger(&stand, false).await;
    let body = admin.until("ledger", "down").await;
    assert_eq!(body["ready"], false);
    assert!(body["checks"]["ledger"]["reason"].as_str().is_some_and(|why| !why.is_empty()), "{body}");
    assert_eq!(body["checks"]["broker"]["status"], "ok", "nothing else is blamed");
    assert_eq!(admin.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(admin.get("/healthz").await.status, StatusCode::OK, "a restart would mend nothing");
    assert_eq!(admin.post("/api/v1/intake/pause", &json!({})).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let token = stand.file("token", TOKEN).display().to_string();
    let pause = stand.command(&["intake", "pause", "--admin", &admin.url, "--token-file", &token]);
    assert_eq!(pause.status.code(), Some(75), "{}", String::from_utf8_lossy(&pause.stderr));
    admit_to_ledger(&stand, true).await;
    let body = admin.until("ledger", "ok").await;
    assert_eq!(body["checks"]["ledger"]["reason"], "");
    let changes = worker.log().lines().filter(|line| line.contains("\"part\":\"ledger\"")).count();
    assert_eq!(changes, 2, "a line a change, however often it was tried:\n{}", worker.log());
    story(&stand).await;
    assert_eq!(worker.terminate(), 0);
}

async fn a_worker_without_its_broker_is_alive_and_says_what_is_away(parts: &RealParts) {
    let kafka = Kafka::of_java(Kafka::start_java().expect("a broker of its own"));
    let stand = Stand::prepare_at(&kafka, parts, Delivery::Transactional).await;
    let (worker, admin) = worker(&stand).await;
    story(&stand).await;
    kafka.kill();
    let body = admin.until("broker", "down").await;
    assert_eq!((&body["ready"], &body["checks"]["ledger"]["status"]), (&json!(false), &json!("ok")), "{body}");
    assert_eq!(admin.get("/healthz").await.status, StatusCode::OK, "a restart would mend nothing");
    kafka.start_again();
    let body = admin.until("broker", "ok").await;
    assert_eq!(body["ready"], true, "{body}");
    assert_eq!(worker.terminate(), 0);
}

async fn slow_and_greedy_clients_keep_nobody_else_out(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let (worker, admin) = worker(&stand).await;
    let address = admin.url.trim_start_matches("http://").to_owned();
    let mut slow = Vec::new();
    for _ in 0..SLOW_CLIENTS {
        let mut client = TcpStream::connect(&address).await.expect("a connection");
        client.write_all(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n").await.expect("some bytes");
        slow.push(client);
    }
    // The ones that are idle for longest lose their places to whoever comes.
    assert_eq!(admin.get("/healthz").await.status, StatusCode::OK);
    let mut rest = Vec::new();
    // The server ends it, or resets it where it had not read all of it yet.
    let _ = slow[0].read_to_end(&mut rest).await;
    let mut greedy = TcpStream::connect(&address).await.expect("a connection");
    let head = format!("GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx-greed: {}\r\n\r\n", "x".repeat(1 << 20));
    // The server may close while it is written.
    let _ = greedy.write_all(head.as_bytes()).await;
    let mut answered = Vec::new();
    let _ = greedy.read_to_end(&mut answered).await;
    assert!(answered.is_empty() || answered.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answered));
    assert_eq!(worker.terminate(), 0, "open connections hold no stop up");
}
