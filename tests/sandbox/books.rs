use std::time::Duration;

use profile_linker::sandbox::{Outcome, SandboxError, SandboxOptions, TokenRequest, start};
use serde_json::json;
use tokio::time::timeout;

use crate::house::{open, open_books};

#[tokio::test]
async fn books_outlive_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.json");
    let house = open_books(&path).await;
    let (customer, aloha) = (house.customer().await, house.aloha_customer().await);
    house.link(customer, "One").await;
    let temporary = house.token(json!({})).await;
    let before = house.state().await;
    house.running.stop().await.unwrap();

    let house = open_books(&path).await;
    assert_eq!(house.state().await["profiles"], before["profiles"]);
    assert_eq!(house.link(customer, "One").await.status, 409);
    assert_eq!(house.customer().await, customer + 1);
    assert_eq!(house.get(&format!("aloha/v1/Customers/{aloha}/Payments")).await.body, json!([]));
    assert_eq!(house.convert(&house.bearer().await, &temporary).await.body["ErrorNum"], 0);
}

#[tokio::test]
async fn books_are_kept_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.json");
    let house = open_books(&path).await;
    house.customer().await;
    let kept = async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        while !path.exists() {
            looks.tick().await;
        }
    };
    timeout(Duration::from_secs(10), kept).await.unwrap();
    assert_eq!(open_books(&path).await.customer().await, 2);
}

#[tokio::test]
async fn a_file_that_holds_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "shopping list").unwrap();
    let options = SandboxOptions { listen: "127.0.0.1:0".parse().unwrap(), strict: None, books: Some(path.clone()) };
    assert!(matches!(start(options).await, Err(SandboxError::ForeignBooks { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "shopping list");
}

#[tokio::test]
async fn the_books_hold_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.json");
    let house = open_books(&path).await;
    let temporary = house.running.tokenise(TokenRequest::default());
    let converted = house.convert(&house.bearer().await, &temporary).await.body;
    let permanent = converted["Result"]["Token"].as_str().unwrap();
    let shown = house.get("sandbox/state").await.text;
    house.running.stop().await.unwrap();
    let kept = std::fs::read_to_string(&path).unwrap();
    for text in [shown, kept] {
        assert!(!text.contains(&temporary) && !text.contains(permanent));
    }
}

#[tokio::test]
async fn dev_can_set_the_stage_without_http() {
    let house = open().await;
    let customer = house.running.create_loanpro_customer("A", "B");
    let aloha = house.running.create_aloha_customer();
    let locked = house.running.tokenise(TokenRequest { outcome: Outcome::UserLocked, ..TokenRequest::default() });
    assert_eq!(house.get(&format!("loanpro/odata.svc/Customers({customer})")).await.body["d"]["lastName"], "B");
    assert_eq!(house.get(&format!("aloha/v1/Customers/{aloha}/Payments")).await.status, 200);
    assert_eq!(house.convert(&house.bearer().await, &locked).await.body["ErrorNum"], 8);
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let house = open().await;
    let options = SandboxOptions { listen: house.running.address(), strict: None, books: None };
    let error = start(options).await.err().unwrap();
    assert_eq!(error.to_string(), format!("cannot listen on {}", house.running.address()));
}
