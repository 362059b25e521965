//! `Result` of a conversion: the account behind the token, with every field that the vendor's page names.

use serde_json::{Value, json};

use crate::contract::{AccountKind, Brand};
use crate::sandbox::tokens::{Outcome, TemporaryToken};

/// The `Result` for a converted token.
#[must_use]
pub fn result(found: &TemporaryToken, token: &str, external_user_id: Option<&str>) -> Value {
    let mut result = json!({
        "Token": token, "ExternalUserID": external_user_id, "Description": null, "DisplayDescription": null,
        "AccountNumberLastFour": found.account.last_four,
        "DisplayAccountNumber": format!("*****{}", found.account.last_four),
        "Address": "1 Sandbox Way", "Address2": null, "City": "Albany", "State": "NY", "Zip": "12207", "Country": "USA",
        "FirstName": "Sandy", "LastName": "Box", "Name": "Sandy Box",
        "IsAmazonPay": found.outcome == Outcome::AmazonPay,
        "IsApplePay": found.outcome == Outcome::ApplePay,
        "IsPayPal": found.outcome == Outcome::PayPal,
        "IsBlocked": found.outcome == Outcome::Blocked,
        "IsBusinessAccount": false, "IsPersonalAccount": true, "IsBilledByAutoDebit": false,
        "IsBilledByPaymentPlan": false, "IsBilledByRecurringPayment": false, "IsPinacleAccount": false,
        "IsRTPAccount": false, "IsRTPEligible": false, "Swiped": false, "Validated": null,
    });
    overlay(&mut result, by_kind(found));
    if found.outcome == Outcome::ContradictoryKind {
        overlay(&mut result, json!({ "IsBankAccount": true, "IsCreditCard": true }));
    }
    result
}

fn by_kind(found: &TemporaryToken) -> Value {
    match found.account.kind {
        AccountKind::Card => card(found.account.brand),
        kind => bank(kind == AccountKind::Savings),
    }
}

fn card(brand: Brand) -> Value {
    let name = brand_name(brand);
    json!({
        "Account": name, "PaymentAccountType": "CreditCard", "IsCreditCard": true, "IsBankAccount": false,
        "IsCheckingAccount": false, "IsSavingsAccount": false, "CcCardType": name, "CcChargeType": "Credit",
        "CcExpirationDate": "12/39", "AchBankName": null, "AchRegion": null, "DisplayRoutingNumber": null,
    })
}

fn bank(savings: bool) -> Value {
    json!({
        "Account": if savings { "Savings" } else { "Checking" }, "PaymentAccountType": "ACH",
        "IsCreditCard": false, "IsBankAccount": true, "IsCheckingAccount": !savings, "IsSavingsAccount": savings,
        "CcCardType": null, "CcChargeType": "Unknown", "CcExpirationDate": null, "AchBankName": "Sandbox Savings & Loan",
        "AchRegion": "USA", "DisplayRoutingNumber": "*****0021",
    })
}

/// The network as PayIQ spells it.
fn brand_name(brand: Brand) -> &'static str {
    match brand {
        Brand::Visa => "Visa",
        Brand::Mastercard => "MasterCard",
        Brand::Amex => "AmericanExpress",
        Brand::Discover => "Discover",
        Brand::Jcb => "JCB",
    }
}

fn overlay(result: &mut Value, more: Value) {
    if let (Value::Object(result), Value::Object(more)) = (result, more) {
        result.extend(more);
    }
}
