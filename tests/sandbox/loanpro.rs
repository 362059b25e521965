use serde_json::{Value, json};

use crate::house::{House, checking, customer_path, links, open};

#[tokio::test]
async fn a_link_appends_a_profile_and_does_not_tell_its_id() {
    let house = open().await;
    let customer = house.customer().await;
    let answer = house.link(customer, "One").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["d"]["id"], customer);
    assert!(answer.body["d"]["PaymentAccounts"]["__deferred"].is_object());
    let profiles = house.profiles(customer).await;
    assert_eq!(profiles.len(), 1);
    assert_eq!((&profiles[0]["title"], &profiles[0]["isSecondary"]), (&json!("One"), &json!(1)));
    assert_eq!(profiles[0]["type"], "paymentAccount.type.checking");
}

#[tokio::test]
async fn the_same_token_twice_makes_two_profiles() {
    let house = open().await;
    let customer = house.customer().await;
    let token = house.token(json!({ "permanent": true })).await;
    for title in ["One", "Two"] {
        assert_eq!(house.put(&customer_path(customer), links(&[checking(&token, title)])).await.status, 200);
    }
    assert_eq!(house.profiles(customer).await.len(), 2);
}

#[tokio::test]
async fn a_converted_card_can_be_linked_as_a_card_only() {
    let house = open().await;
    let customer = house.customer().await;
    let temporary = house.token(json!({ "kind": "card" })).await;
    let converted = house.convert(&house.bearer().await, &temporary).await.body;
    let token = converted["Result"]["Token"].as_str().unwrap();
    let wrong = house.put(&customer_path(customer), links(&[checking(token, "One")])).await;
    assert_eq!(wrong.status, 409);
    let card = json!({ "title": "One", "type": "paymentAccount.type.credit", "CreditCard": { "token": token } });
    assert_eq!(house.put(&customer_path(customer), links(&[card])).await.status, 200);
    assert_eq!(house.profiles(customer).await[0]["type"], "paymentAccount.type.credit");
}

#[tokio::test]
async fn a_title_is_unique_within_a_customer() {
    let house = open().await;
    let (first, second) = (house.customer().await, house.customer().await);
    assert_eq!(house.link(first, "Same").await.status, 200);
    let again = house.link(first, "Same").await;
    assert_eq!(again.status, 409);
    assert!(again.body["d"]["error"]["message"]["value"].as_str().unwrap().contains("title"));
    assert_eq!(house.link(second, "Same").await.status, 200);
    assert_eq!(house.profiles(first).await.len(), 1);
}

#[tokio::test]
async fn a_list_in_the_wrong_shape_is_answered_200_and_writes_nothing() {
    let house = open().await;
    let customer = house.customer().await;
    let entry = checking(&house.token(json!({ "permanent": true })).await, "One");
    let wrong = [
        json!({ "PaymentAccounts": [entry] }),
        json!({ "PaymentAccounts": { "results": entry } }),
        json!({ "PaymentAccounts": { "results": [[entry]] } }),
        json!({ "paymentAccounts": { "results": [entry] } }),
    ];
    for body in wrong {
        let answer = house.put(&customer_path(customer), body).await;
        assert_eq!((answer.status, &answer.body["d"]["id"]), (200, &json!(customer)));
    }
    assert!(house.profiles(customer).await.is_empty());
}

#[tokio::test]
async fn bad_entries_are_refused_and_nothing_of_the_call_is_written() {
    let house = open().await;
    let customer = house.customer().await;
    let token = house.token(json!({ "permanent": true })).await;
    let mut wrong = vec![checking("a token nobody gave out", "Bad"), checking(&token, &"x".repeat(101))];
    for (member, value) in [
        ("type", json!("paymentAccount.type.check")),
        ("title", Value::Null),
        ("isPrimary", json!(true)),
        ("CheckingAccount", json!({ "accountType": "checking", "token": token })),
        ("CheckingAccount", json!({ "accountType": "bankacct.type.checking" })),
    ] {
        let mut entry = checking(&token, "Bad");
        entry[member] = value;
        wrong.push(entry);
    }
    for entry in wrong {
        let body = links(&[checking(&token, "Good"), entry.clone()]);
        assert_eq!(house.put(&customer_path(customer), body).await.status, 409, "{}", entry["type"]);
    }
    assert!(house.profiles(customer).await.is_empty());
}

#[tokio::test]
async fn a_missing_customer_is_a_409_for_every_call() {
    let house = open().await;
    let answers = [
        house.link(4711, "One").await,
        house.get(&customer_path(4711)).await,
        house.get("loanpro/odata.svc/Customers(4711)/PaymentAccounts").await,
    ];
    for answer in answers {
        assert_eq!(answer.status, 409);
        assert!(answer.body["error"]["message"]["value"].as_str().unwrap().contains("4711"));
    }
}

#[tokio::test]
async fn an_unknown_address_is_answered_by_the_web_server() {
    let house = open().await;
    for path in ["loanpro/odata.svc/Customers(x)", "loanpro/odata.svc/Nonsense", "loanpro/else", "else"] {
        let answer = house.get(path).await;
        assert_eq!((answer.status, &answer.body), (404, &Value::Null), "{path}");
    }
}

#[tokio::test]
async fn a_read_back_gives_fifty_unless_told_otherwise() {
    let house = open().await;
    let customer = house.customer().await;
    let token = house.token(json!({ "permanent": true })).await;
    let entries: Vec<_> = (0..60).map(|number| checking(&token, &format!("Profile {number}"))).collect();
    assert_eq!(house.put(&customer_path(customer), links(&entries)).await.status, 200);
    let page = |query: &'static str| page(&house, customer, query);
    assert_eq!(page("").await.len(), 50);
    assert_eq!(page("?nopaging=true").await.len(), 60);
    assert_eq!(page("?$skip=50").await.len(), 10);
    assert_eq!(page("?$top=5&$skip=3").await[0]["title"], "Profile 3");
    assert_eq!(page("?$top=500").await.len(), 50);
}

async fn page(house: &House, customer: i64, query: &str) -> Vec<Value> {
    let answer = house.get(&format!("{}/PaymentAccounts{query}", customer_path(customer))).await;
    answer.body["d"]["results"].as_array().unwrap().clone()
}

#[tokio::test]
async fn children_are_deferred_unless_expanded_and_ids_may_be_texts() {
    let house = open().await;
    let customer = house.customer().await;
    house.link(customer, "One").await;
    house.link(customer, "Two").await;
    let plain = page(&house, customer, "").await;
    assert!(plain[0]["CheckingAccount"]["__deferred"].is_object());
    assert_eq!((&plain[0]["id"], &plain[1]["id"]), (&json!(1), &json!("2")));
    assert!(plain[0]["created"].as_str().unwrap().starts_with("/Date("));
    let full = page(&house, customer, "?$expand=CheckingAccount,CreditCard&nopaging=true").await;
    assert_eq!(full[0]["CheckingAccount"]["accountType"], "bankacct.type.checking");
    assert_eq!(full[0]["CreditCard"], Value::Null);
}

#[tokio::test]
async fn a_customer_has_one_primary_which_must_be_demoted_first() {
    let house = open().await;
    let customer = house.customer().await;
    let token = house.token(json!({ "permanent": true })).await;
    let mut first = checking(&token, "One");
    (first["isPrimary"], first["isSecondary"]) = (json!(1), json!(0));
    assert_eq!(house.put(&customer_path(customer), links(&[first])).await.status, 200);
    assert_eq!(house.link(customer, "Two").await.status, 200);
    let demote = json!({ "id": 1, "isPrimary": 0, "isSecondary": 1, "__id": 1, "__update": true });
    let promote = json!({ "id": 2, "isPrimary": 1, "isSecondary": 0, "__id": 2, "__update": true });
    let swap = |entries: Vec<Value>| {
        let (body, house) = (links(&entries), &house);
        async move { house.put(&customer_path(customer), body).await.status }
    };
    assert_eq!(swap(vec![promote.clone()]).await, 409);
    assert_eq!(swap(vec![promote.clone(), demote.clone()]).await, 409);
    assert_eq!(swap(vec![demote, promote.clone()]).await, 200);
    assert_eq!(swap(vec![promote]).await, 200);
    let flags: Vec<_> = house.profiles(customer).await.iter().map(|profile| profile["isPrimary"].clone()).collect();
    assert_eq!(flags, [json!(0), json!(1)]);
}

#[tokio::test]
async fn an_update_reaches_only_the_customers_own_profiles() {
    let house = open().await;
    let (owner, other) = (house.customer().await, house.customer().await);
    house.link(owner, "One").await;
    let update = links(&[json!({ "__id": 1, "__update": true, "active": 0, "title": "Renamed" })]);
    assert_eq!(house.put(&customer_path(other), update.clone()).await.status, 409);
    assert_eq!(house.put(&customer_path(owner), update).await.status, 200);
    let profile = house.profiles(owner).await.remove(0);
    assert_eq!((&profile["active"], &profile["title"]), (&json!(0), &json!("Renamed")));
    assert_eq!(house.link(owner, "One").await.status, 200);
    assert_eq!(house.link(owner, "Renamed").await.status, 409);
}
