//! `dlq replay --edit` on a ledger in a file: what is opened, what is refused, and what takes the dead letter's place.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use profile_linker::contract::record_bytes;
use profile_linker::domain::{
    Attempts, Customer, EventIdentity, Lane, Origin, PublishSeq, ReasonCode, Secret, Stage, System,
};
use profile_linker::ledger::custody::{record_context, token_context};
use profile_linker::ledger::{
    self, AcceptLane, ConvertedRow, EndedAtOnce, EndedRow, NewRow, NoteKind, RowState, StoredRow, Vault,
};
use serde_json::{Value, json};

use crate::bench::{Bench, CREATED, Ended, created};
use crate::running::Running;

const TOKEN: &str = "opaque-token-of-the-test";
const PERMANENT: &str = "permanent-token-of-the-test";
const SETTINGS: &str = "ledger.url = \"sqlite:ledger.db\"\n[keys]\nk1 = { file = \"k1.key\" }\n";
/// Nobody listens there.
const AWAY: &str = "[target.loanpro]\nbase_url = \"http://127.0.0.1:9/\"\ntoken = \"t\"\ninstance_id = \"1\"\ntimeout = \"1s\"\nsettle = \"0s\"\n";

fn vault() -> Vault {
    Vault::new("k1", vec![("k1".to_owned(), Secret::new(vec![1; 32]))]).unwrap()
}

fn identity(id: &str) -> EventIdentity {
    EventIdentity { source: "urn:test".to_owned(), id: id.to_owned() }
}

fn event(id: &str) -> Value {
    created(id, "wrong")
}

fn new_row(id: &str, event: &Value, offset: i64) -> NewRow {
    let origin = Origin { topic: CREATED.to_owned(), partition: 0, offset, timestamp: 1_700_000_000_000 };
    let record = record_bytes::encode(Some(b"wrong"), Some(event.to_string().as_bytes()), &[]);
    NewRow {
        key: identity(id).key(),
        lane: Lane(0),
        offset,
        timestamp: 1_700_000_000_000,
        identity: Some(identity(id)),
        customer: None,
        payload_hash: [7; 32],
        generation: 1,
        sealed_record: vault().seal(&record_context(&origin), &record),
        possibly_sent: false,
        ended: None,
    }
}

/// A bench that allows editing, with two dead letters `a` and `b` whose customer is none, and `sent`, whose link may be there.
async fn stocked() -> Bench {
    let bench = Bench::new();
    bench.file("k1.key", &(data_encoding::BASE64.encode(&[1; 32]) + "\n"));
    bench.file("worker.toml", &format!("{SETTINGS}[dead_letters]\nallow_edit = true\n"));
    let url = url(&bench);
    ledger::migrate(&url, &vault()).await.unwrap();
    let ledger = ledger::open(&url).await.unwrap();
    let claim = ledger.raise("worker", &[Lane(0)]).await.unwrap()[0].claim;
    for (offset, id) in [(1, "a"), (2, "b")] {
        let ended = EndedAtOnce {
            state: RowState::DeadLettered,
            reason: (ReasonCode::InvalidEvent, Stage::Validate),
            records: Vec::new(),
        };
        let row = NewRow { ended: Some(ended), ..new_row(id, &event(id), offset) };
        let accept = AcceptLane { claim, position: offset + 1, first_seq: PublishSeq(offset) };
        ledger.accept(&[accept], &[row]).await.unwrap();
    }
    let customer = Some(Customer { system: System::Loanpro, id: "42".to_owned() });
    let row = NewRow { customer, ..new_row("sent", &created("sent", "42"), 3) };
    let accept = AcceptLane { claim, position: 4, first_seq: PublishSeq(3) };
    ledger.accept(&[accept], std::slice::from_ref(&row)).await.unwrap();
    let attempts = Attempts { convert: 1, link: 1, lookup: 0 };
    let converted = ConvertedRow {
        key: row.key,
        lane: row.lane,
        sealed_token: vault().seal(&token_context(row.key), PERMANENT.as_bytes()),
        account: r#"{"kind":"checking"}"#.to_owned(),
        attempts,
        timeline: String::new(),
    };
    ledger.converted(&[claim], &[converted]).await.unwrap();
    let end = EndedRow {
        key: row.key,
        lane: row.lane,
        state: RowState::DeadLettered,
        publish_seq: PublishSeq(3),
        failed_ms_ago: None,
        reason: Some((ReasonCode::RetriesExhausted, Stage::Link)),
        records: Vec::new(),
        attempts,
        timeline: String::new(),
    };
    ledger.end(&[claim], &[end]).await.unwrap();
    bench
}

fn url(bench: &Bench) -> Secret {
    Secret::from(format!("sqlite://{}/ledger.db", bench.directory.path().display()))
}

/// Edits with this editor: a shell's words that get the file's name as `$1`.
fn edit_by(bench: &Bench, editor: &str, arguments: &[&str]) -> Ended {
    bench.file("editor.sh", editor);
    let editor = format!("sh {}/editor.sh", bench.directory.path().display());
    dlq(bench, &[&["replay", "--why", "a typing mistake", "--edit"], arguments].concat(), &[("EDITOR", &editor)])
}

fn edit(bench: &Bench, id: &str, file: &str) -> Ended {
    dlq(bench, &["replay", id, "--edit", file, "--why", "a typing mistake"], &[])
}

fn dlq(bench: &Bench, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let words = [&["dlq"], arguments, &["--config", "worker.toml", "--output", "json"]].concat();
    let mut command = bench.command(&words);
    command.env("PATH", "/usr/bin:/bin").env("USER", "ada").env("TMPDIR", drafts(bench));
    command.envs(variables.iter().copied());
    Ended::of(command.output().unwrap())
}

/// The folder of temporary files.
fn drafts(bench: &Bench) -> std::path::PathBuf {
    let folder = bench.directory.path().join("drafts");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn left(bench: &Bench) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(drafts(bench)).unwrap().map(|entry| entry.unwrap().path()).collect()
}

async fn row(bench: &Bench, id: &str) -> Option<StoredRow> {
    ledger::open(&url(bench)).await.unwrap().row(identity(id).key()).await.unwrap()
}

/// The file of an edited event.
fn mended(bench: &Bench, id: &str, customer: &str) -> String {
    let mut event = created(id, customer);
    event["data"]["token"].as_object_mut().unwrap().remove("value");
    bench.file(&format!("{id}.json"), &event.to_string()).display().to_string()
}

fn edited_id(id: &str) -> String {
    identity(id).edited_id().to_string()
}

fn record_of(row: &StoredRow) -> Value {
    let origin = Origin { topic: CREATED.to_owned(), partition: 0, offset: row.offset, timestamp: row.timestamp };
    let bytes = vault().open(&record_context(&origin), &row.sealed_record).unwrap();
    serde_json::from_slice(&record_bytes::decode(&bytes).unwrap().value.unwrap()).unwrap()
}

fn nothing_done(bench: &Bench) {
    let listed = dlq(bench, &["list", "--state", "all"], &[]).lines();
    assert!(listed.len() == 3 && listed.iter().all(|line| line["state"] == "dead-lettered"), "{listed:?}");
    assert!(dlq(bench, &["audit"], &[]).lines().is_empty());
}

#[tokio::test]
async fn an_edited_event_takes_the_dead_letters_place_with_its_token() {
    let bench = stocked().await;
    let ended = edit(&bench, "a", &mended(&bench, "a", "42"));
    assert_eq!(ended.code, 0, "{ended:?}");
    let id = edited_id("a");
    let origin = json!({"topic": CREATED, "partition": 0, "offset": 1});
    let told = json!({"eventId": id, "replaces": "a", "origin": origin, "generation": 1, "action": "replayed"});
    assert_eq!(ended.lines(), [told, json!({"replayed": 1, "skipped": 0})]);
    let there = row(&bench, &id).await.unwrap();
    assert_eq!((there.state, there.offset, there.possibly_sent), (RowState::Accepted, 1, false));
    assert_eq!(there.replaced_markers, [identity("a").title_marker()]);
    let event = record_of(&there);
    assert_eq!((&event["data"]["token"]["value"], &event["causationid"]), (&json!(TOKEN), &json!("a")));
    assert_eq!(event["data"]["customer"]["id"], "42");
    let ledger = ledger::open(&url(&bench)).await.unwrap();
    let claim = ledger.raise("worker", &[Lane(0)]).await.unwrap()[0].claim;
    let notes = ledger.notes(&[claim]).await.unwrap();
    assert!(notes.iter().any(|note| note.key == there.key && note.kind == NoteKind::Reopened), "{notes:?}");
    drop(ledger);
    let audit = dlq(&bench, &["audit"], &[]).lines();
    let [line] = &audit[..] else { panic!("{audit:?}") };
    let acts = ["actor", "act", "eventId", "why"].map(|name| line[name].as_str().unwrap());
    assert_eq!(acts, ["ada", "edit", "a", "a typing mistake"]);
    let discarded = dlq(&bench, &["list", "--state", "discarded"], &[]).lines();
    assert_eq!(discarded[0]["eventId"], "a");
    let restored = dlq(&bench, &["restore", "a"], &[]).lines();
    assert_eq!(restored.last(), Some(&json!({"restored": 0, "skipped": 1})), "its place is taken");
    let again = edit(&bench, "a", &mended(&bench, "a", "42"));
    assert_eq!((again.code, again.lines()), (0, vec![json!({"replayed": 0, "skipped": 0})]));
    let shown = bench.command(&["dlq", "show", "a", "--config", "worker.toml"]).output().unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&format!("{id} has its place")), "{shown:?}");
}

#[tokio::test]
async fn the_editor_sees_no_secret_in_a_file_of_its_owners_alone_which_is_gone_afterwards() {
    let bench = stocked().await;
    let seen = bench.directory.path().join("seen.json");
    let script = format!("cp -p \"$1\" {0}; sed -i s/wrong/42/ \"$1\"", seen.display());
    let ended = edit_by(&bench, &script, &["--event-id", "a"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.lines()[0]["eventId"], edited_id("a"));
    let text = std::fs::read_to_string(&seen).unwrap();
    assert!(text.contains("wrong") && !text.contains(TOKEN), "{text}");
    assert_eq!(std::fs::metadata(&seen).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(left(&bench).is_empty(), "{:?}", left(&bench));
    let event = record_of(&row(&bench, &edited_id("a")).await.unwrap());
    assert_eq!(event["data"]["token"], json!({"kind": "temporary", "value": TOKEN}));
}

#[tokio::test]
async fn what_is_unchanged_does_nothing_and_a_failing_editor_neither() {
    let bench = stocked().await;
    let same = edit_by(&bench, "true", &["--event-id", "a"]);
    assert_eq!((same.code, same.lines()), (0, vec![json!({"replayed": 0, "skipped": 0})]), "{same:?}");
    let failed = edit_by(&bench, "exit 3", &["--event-id", "a"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.err.contains("the editor failed"), "{}", failed.err);
    assert!(left(&bench).is_empty(), "{:?}", left(&bench));
    nothing_done(&bench);
}

#[tokio::test]
async fn an_edited_event_that_is_not_valid_changes_nothing_and_the_work_is_kept() {
    let bench = stocked().await;
    let ended = edit_by(&bench, "sed -i s/wrong/worse/ \"$1\"", &["--event-id", "a"]);
    assert_eq!(ended.code, 65, "{ended:?}");
    let kept = left(&bench);
    let [kept] = &kept[..] else { panic!("{kept:?}") };
    assert!(ended.err.contains("/data/customer/id must be") && ended.err.contains(&path(kept)), "{}", ended.err);
    assert!(std::fs::read_to_string(kept).unwrap().contains("worse"));
    nothing_done(&bench);
    std::fs::write(kept, std::fs::read_to_string(kept).unwrap().replace("worse", "42")).unwrap();
    let mended = edit(&bench, "a", &path(kept));
    assert_eq!(mended.lines().last(), Some(&json!({"replayed": 1, "skipped": 0})), "{mended:?}");
    assert!(kept.exists(), "a file that was named is its owner's");
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test]
async fn what_must_not_be_changed_is_refused_with_its_pointer() {
    let bench = stocked().await;
    let of_another = edit(&bench, "a", &mended(&bench, "b", "42"));
    assert!(of_another.code == 65 && of_another.err.contains("/id must stay"), "{of_another:?}");
    let with_token = bench.file("with-token.json", &created("a", "42").to_string());
    let refused = edit(&bench, "a", &path(&with_token));
    assert!(refused.code == 65 && refused.err.contains("/data/token/value must be left out"), "{refused:?}");
    assert!(!refused.err.contains(TOKEN), "{}", refused.err);
    nothing_done(&bench);
}

#[tokio::test]
async fn an_edit_needs_permission_a_reason_and_exactly_one_dead_letter() {
    let bench = stocked().await;
    let file = mended(&bench, "a", "42");
    let no_reason = dlq(&bench, &["replay", "a", "--edit", &file], &[]);
    assert_eq!(no_reason.code, 2, "{no_reason:?}");
    let blank = dlq(&bench, &["replay", "a", "--edit", &file, "--why", " "], &[]);
    assert_eq!(blank.code, 2, "{blank:?}");
    let two = dlq(&bench, &["replay", "--reason", "invalid_event", "--edit", &file, "--why", "x"], &[]);
    assert!(two.code == 2 && two.err.contains("more than one"), "{two:?}");
    let all = dlq(&bench, &["replay", "--all", "--edit", &file, "--why", "x"], &[]);
    assert_eq!(all.code, 2, "{all:?}");
    let none = edit(&bench, "none", &file);
    assert_eq!((none.code, none.lines()), (0, vec![json!({"replayed": 0, "skipped": 0})]));
    let missing = edit(&bench, "a", "nowhere.json");
    assert_eq!(missing.code, 66, "{missing:?}");
    let no_editor = dlq(&bench, &["replay", "a", "--why", "x", "--edit"], &[]);
    assert!(no_editor.code == 2 && no_editor.err.contains("EDITOR"), "{no_editor:?}");
    bench.file("worker.toml", SETTINGS);
    let forbidden = edit(&bench, "a", &file);
    assert!(forbidden.code == 78 && forbidden.err.contains("allow_edit"), "{forbidden:?}");
    bench.file("worker.toml", &format!("{SETTINGS}[dead_letters]\nallow_edit = true\n"));
    nothing_done(&bench);
}

#[tokio::test]
async fn where_a_link_may_have_been_sent_nothing_is_edited_until_a_look_says_that_it_is_not_there() {
    let bench = stocked().await;
    let file = mended(&bench, "sent", "43");
    let no_target = edit(&bench, "sent", &file);
    assert!(no_target.code == 78 && no_target.err.contains("[target.loanpro]"), "{no_target:?}");
    bench.file("worker.toml", &format!("{SETTINGS}[dead_letters]\nallow_edit = true\n{AWAY}"));
    let soon = edit(&bench, "sent", &file);
    assert!(soon.code == 75 && soon.err.contains("may still be under way"), "{soon:?}");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(bench.directory.path().join("ledger.db"));
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    // The clock was put back since.
    let ahead = "UPDATE dead_letter SET dead_lettered_at = dead_lettered_at + 3600000";
    sqlx::raw_sql(ahead).execute(&mut connection).await.unwrap();
    let unknown = edit(&bench, "sent", &file);
    assert!(unknown.code == 75 && unknown.err.contains("may still be under way"), "{unknown:?}");
    let long_ago = "UPDATE dead_letter SET dead_lettered_at = dead_lettered_at - 3660000";
    sqlx::raw_sql(long_ago).execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let away = edit(&bench, "sent", &file);
    assert!(away.code == 69 && away.err.contains("cannot be told"), "{away:?}");
    assert!(![&no_target, &soon, &away].iter().any(|ended| ended.err.contains(PERMANENT)));
    nothing_done(&bench);
}

#[tokio::test]
async fn a_command_that_is_ended_ends_its_editor_and_leaves_no_file() {
    let bench = stocked().await;
    // One that ends when it is asked to, and one that has to be made to.
    for trap in ["", "trap '' TERM"] {
        let pid = bench.directory.path().join("pid");
        bench.file("editor.sh", &format!("{trap}\necho $$ > {}\necho begun >&2\nexec sleep 600\n", pid.display()));
        let editor = format!("sh {}/editor.sh", bench.directory.path().display());
        let words = ["dlq", "replay", "a", "--why", "x", "--edit", "--config", "worker.toml"];
        let mut command = bench.command(&words);
        command.env("PATH", "/usr/bin:/bin").env("TMPDIR", drafts(&bench)).env("EDITOR", editor);
        let mut running = Running::start(command).says("begun");
        let editor = std::fs::read_to_string(&pid).unwrap();
        assert_eq!(running.end("-TERM"), 130);
        assert!(!Path::new("/proc").join(editor.trim()).exists(), "the editor goes on");
        assert!(left(&bench).is_empty(), "{:?}", left(&bench));
    }
    nothing_done(&bench);
}
