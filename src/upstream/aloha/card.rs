//! The body of Aloha's link.

use serde::Serialize;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::contract::{AccountKind, Brand, Provider};
use crate::upstream::{Link, json};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    customer_id: Uuid,
    provider_type: u8,
    masked_card_number: &'a str,
    expiration_date: &'a str,
    card_token: &'a str,
    card_type: u8,
    card_holder_name: Option<&'a str>,
}

/// The body, or why Aloha cannot take this account.
pub fn card(link: &Link, customer_id: Uuid) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let account = &link.account;
    if account.kind != AccountKind::Card {
        return Err("Aloha takes cards only");
    }
    let provider = link.provider.ok_or("Aloha needs a payment provider")?;
    let card_holder_name = account.holder_name.as_deref().filter(|name| !name.trim().is_empty());
    if provider == Provider::FreedomPay && card_holder_name.is_none() {
        return Err("FreedomPay needs the holder's name");
    }
    let card_token = link.token.expose_str().ok_or("the token is not text")?;
    let request = Request {
        customer_id,
        provider_type: provider_type(provider),
        masked_card_number: masked(account.masked_number.as_deref())?,
        expiration_date: account.expiration.as_deref().ok_or("Aloha needs the card's expiration date")?,
        card_token,
        card_type: card_type(account.brand.ok_or("Aloha needs the card's brand")?),
        card_holder_name,
    };
    json::write(&request, card_token.len()).map_err(|_| "the request cannot be written")
}

/// A mask must mask: a number without a mask character would be a whole card number, and those are never sent.
fn masked(number: Option<&str>) -> Result<&str, &'static str> {
    let number = number.ok_or("Aloha needs the card's masked number")?;
    if number.contains(['*', 'x', 'X', '●']) { Ok(number) } else { Err("the card's masked number masks nothing") }
}

/// The vendor's PaymentProviderType.
fn provider_type(provider: Provider) -> u8 {
    match provider {
        Provider::ConnectedPayments => 2,
        Provider::CreditCall => 4,
        Provider::FreedomPay => 6,
    }
}

/// The vendor's CustomerPaymentMethodType.
fn card_type(brand: Brand) -> u8 {
    match brand {
        Brand::Amex => 0,
        Brand::Discover => 3,
        Brand::Jcb => 5,
        Brand::Mastercard => 6,
        Brand::Visa => 7,
    }
}
