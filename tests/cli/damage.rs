//! A ledger file that is damaged: refused in words that say what it is, and what to do.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sqlx::{Connection, Executor, SqliteConnection};

use super::bench::Bench;

const PAGE: u64 = 4096;

/// A migrated ledger, with these bytes of it overwritten.
async fn damaged(from: u64, bytes: u64) -> Bench {
    let bench = Bench::new();
    bench.file("k1.key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let config = "ledger.url = \"sqlite:ledger.db\"\nkeys.active = \"k1\"\nkeys.k1.file = \"k1.key\"\n";
    bench.file("profile-linker.toml", config);
    let migrated = bench.run(&["migrate", "--config", "profile-linker.toml"]);
    assert_eq!(migrated.code, 0, "{migrated:?}");
    let path = bench.directory.path().join("ledger.db");
    empty_log(&path).await;
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let noise = vec![0xa5; usize::try_from(length.min(from + bytes) - from).unwrap()];
    file.write_all_at(&noise, from).unwrap();
    bench
}

/// What stands in the write-ahead log would be read from there.
async fn empty_log(path: &Path) {
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
    connection.close().await.unwrap();
}

/// `migrate` would fail, too: a `check` that sends people to it sends them in a circle.
#[test]
fn a_ledger_file_in_a_directory_that_is_not_there_is_a_wrong_address_for_every_command() {
    let bench = Bench::new();
    bench.file("k1.key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    bench.file("plain", "");
    for directory in ["nodir", "plain"] {
        let url = format!("sqlite:{directory}/x.db");
        bench.file(
            "x.toml",
            &format!("ledger.url = {url:?}\nkafka.brokers = \"127.0.0.1:1\"\nkeys.k1.file = \"k1.key\"\n"),
        );
        for command in [&["migrate"][..], &["ledger", "show", "e1"]] {
            let ended = bench.run(&[command, &["--config", "x.toml"]].concat());
            assert_eq!(ended.code, 78, "{directory}, {command:?}: {ended:?}");
            assert!(ended.err.contains("to do: correct ledger.url"), "{directory}, {command:?}: {}", ended.err);
        }
        let checked = bench.run(&["check", "--config", "x.toml", "--output", "json"]);
        let lines = checked.lines();
        let ledger = lines.iter().find(|line| line["check"] == "ledger").unwrap();
        assert_eq!(ledger["fix"], "correct ledger.url", "{directory}: {ledger}");
    }
}

#[tokio::test]
async fn a_damaged_ledger_file_is_refused_with_what_to_do() {
    for (what, from, bytes) in [("its header", 0, 100), ("its pages", PAGE, 1 << 30)] {
        let bench = damaged(from, bytes).await;
        for command in [&["ledger", "show", "e1"][..], &["migrate"]] {
            let ended = bench.run(&[command, &["--config", "profile-linker.toml"]].concat());
            assert_eq!(ended.code, 1, "{what}, {command:?}: {ended:?}");
            for said in ["damaged ledger: ", "sqlite:ledger.db", "to do: restore the ledger from a backup"] {
                assert!(ended.err.contains(said), "{what}, {command:?}: no {said:?} in {}", ended.err);
            }
        }
    }
}
