//! Which account PayIQ's flags describe.

use profile_linker::contract::{Account, AccountKind, Brand};
use profile_linker::upstream::CallOutcome;
use profile_linker::upstream::payiq::classify;
use serde_json::{Value, json};

use super::exchange::{answer, word};

fn body(result: &Value) -> String {
    let mut result = result.clone();
    result["Token"] = json!("perm-1");
    json!({"Success": true, "ErrorCode": "None", "ErrorNum": 0, "Result": result}).to_string()
}

fn account(result: &Value) -> Account {
    match classify(answer(200, &body(result)), &[]) {
        CallOutcome::Done(converted) => converted.account,
        other => panic!("{}", word(&other)),
    }
}

#[test]
fn kinds_follow_the_flags() {
    let rows = [
        (json!({"IsBankAccount": true}), AccountKind::Checking),
        (json!({"IsBankAccount": true, "IsCheckingAccount": true, "IsCreditCard": null}), AccountKind::Checking),
        (json!({"IsBankAccount": true, "IsSavingsAccount": true, "IsPayPal": false}), AccountKind::Savings),
        (json!({"IsCreditCard": true, "IsBankAccount": false}), AccountKind::Card),
    ];
    for (result, kind) in rows {
        assert_eq!(account(&result).kind, kind, "{result}");
    }
}

#[test]
fn blocked_accounts_wallets_and_contradicting_flags_are_unsupported() {
    let rows = [
        json!({}),
        json!({"IsBankAccount": false, "IsCreditCard": false}),
        json!({"IsBankAccount": true, "IsCreditCard": true}),
        json!({"IsBankAccount": true, "IsCheckingAccount": true, "IsSavingsAccount": true}),
        json!({"IsCreditCard": true, "IsBlocked": true}),
        json!({"IsCreditCard": true, "IsApplePay": true}),
        json!({"IsCreditCard": true, "IsAmazonPay": true}),
        json!({"IsBankAccount": true, "IsPayPal": true}),
        json!({"IsBankAccount": "true"}),
        json!({"IsCreditCard": true, "IsBlocked": 0}),
    ];
    for result in rows {
        assert_eq!(word(&classify(answer(200, &body(&result)), &[])), "account_unsupported", "{result}");
    }
}

#[test]
fn brands_are_recognised_whatever_their_case_and_spaces() {
    let rows = [
        ("Visa", Brand::Visa),
        ("MasterCard", Brand::Mastercard),
        ("Master Card", Brand::Mastercard),
        ("AmericanExpress", Brand::Amex),
        ("american express", Brand::Amex),
        ("DISCOVER", Brand::Discover),
        (" jcb ", Brand::Jcb),
    ];
    for (name, brand) in rows {
        assert_eq!(account(&json!({"IsCreditCard": true, "CcCardType": name})).brand, Some(brand), "{name}");
    }
    assert_eq!(account(&json!({"IsCreditCard": true, "CcCardType": "Unknown"})).brand, None);
    assert_eq!(account(&json!({"IsBankAccount": true, "CcCardType": "Visa"})).brand, None);
}

#[test]
fn last_four_and_expiration_are_taken_only_in_their_form() {
    let card = account(&json!({"IsCreditCard": true, "AccountNumberLastFour": "1111", "CcExpirationDate": "01/30"}));
    assert_eq!((card.last_four.as_deref(), card.expiration.as_deref()), (Some("1111"), Some("01/30")));
    let masked = account(&json!({"IsBankAccount": true, "DisplayAccountNumber": "*****1234"}));
    assert_eq!(masked.last_four.as_deref(), Some("1234"));
    for odd in ["13/30", "1/30", "01/2030", "ab/cd", ""] {
        assert_eq!(account(&json!({"IsCreditCard": true, "CcExpirationDate": odd})).expiration, None, "{odd}");
    }
    for odd in ["4111111111111111", "12é", "•••"] {
        assert_eq!(account(&json!({"IsBankAccount": true, "AccountNumberLastFour": odd})).last_four, None, "{odd}");
        assert_eq!(account(&json!({"IsBankAccount": true, "DisplayAccountNumber": "é1€"})).last_four, None);
    }
}
