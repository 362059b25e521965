//! Which kind of account PayIQ's flags describe. The mapping is our inference; the vendor's samples set every flag, which
//! is filler and must not pass for an account.

use serde_json::{Map, Value};

use crate::contract::{Account, AccountKind, Brand};
use crate::upstream::json::text;

/// Kinds that cannot be charged through a link target, and blocked accounts.
const UNSUPPORTED: [(&str, &str); 4] = [
    ("IsBlocked", "the account is blocked"),
    ("IsPayPal", "a PayPal account cannot be linked"),
    ("IsApplePay", "an Apple Pay account cannot be linked"),
    ("IsAmazonPay", "an Amazon Pay account cannot be linked"),
];

/// The account, or why it cannot be linked. Neither the mask nor the holder's name is kept: no target needs PayIQ's.
pub fn account(result: &Map<String, Value>) -> Result<Account, &'static str> {
    for (name, why) in UNSUPPORTED {
        if flag(result, name)? {
            return Err(why);
        }
    }
    let kind = kind(result)?;
    let is_card = kind == AccountKind::Card;
    Ok(Account {
        kind,
        last_four: last_four(result),
        brand: text(result, "CcCardType").filter(|_| is_card).and_then(brand),
        expiration: text(result, "CcExpirationDate").filter(|date| is_card && is_month(date)).map(str::to_owned),
        masked_number: None,
        holder_name: None,
    })
}

fn kind(result: &Map<String, Value>) -> Result<AccountKind, &'static str> {
    match (flag(result, "IsCreditCard")?, flag(result, "IsBankAccount")?) {
        (true, false) => Ok(AccountKind::Card),
        (false, true) => bank_kind(result),
        (true, true) => Err("the account is described as both a card and a bank account"),
        (false, false) => Err("the account is neither a card nor a bank account"),
    }
}

fn bank_kind(result: &Map<String, Value>) -> Result<AccountKind, &'static str> {
    match (flag(result, "IsSavingsAccount")?, flag(result, "IsCheckingAccount")?) {
        (true, true) => Err("the account is described as both savings and checking"),
        (true, false) => Ok(AccountKind::Savings),
        (false, _) => Ok(AccountKind::Checking),
    }
}

/// Absent and null are no; anything but a boolean cannot be trusted either way.
fn flag(result: &Map<String, Value>, name: &str) -> Result<bool, &'static str> {
    match result.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err("the account's kind flags cannot be read"),
    }
}

fn last_four(result: &Map<String, Value>) -> Option<String> {
    let masked = || text(result, "DisplayAccountNumber").and_then(|mask| mask.get(mask.len().checked_sub(4)?..));
    let is_four = |text: &&str| text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    text(result, "AccountNumberLastFour").filter(is_four).or_else(|| masked().filter(is_four)).map(str::to_owned)
}

fn brand(name: &str) -> Option<Brand> {
    let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    match letters.to_ascii_lowercase().as_str() {
        "visa" => Some(Brand::Visa),
        "mastercard" => Some(Brand::Mastercard),
        "americanexpress" | "amex" => Some(Brand::Amex),
        "discover" => Some(Brand::Discover),
        "jcb" => Some(Brand::Jcb),
        _ => None,
    }
}

/// `MM/YY`.
fn is_month(text: &str) -> bool {
    let Some((month, year)) = text.split_once('/') else {
        return false;
    };
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    two_digits(month) && two_digits(year) && ("01"..="12").contains(&month)
}
