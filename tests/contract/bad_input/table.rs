//! Bad input, row by row: what comes in, and what must come of it. `tests/contract/bad_input.rs` plays it against the
//! decoder, `tests/real_parts/bad_input.rs` through a whole worker.
//!
//! A row is read from left to right: its name (which is the event's id, too), the record, the verdict. Rows of readable
//! events expect `created` and the customer's id as the result's key, unless they say otherwise; rows of bytes expect
//! neither, and the record's own key.

#[path = "given.rs"]
mod given;

pub use given::{ResultKey, Row, binary, structured};

use given::{aloha, bytes, event, left_out, set};
use serde_json::{Value, json};

/// Only the networks' public test numbers stand in this file.
pub const CARD: &str = "4111111111111111";

/// Every row.
pub fn rows() -> Vec<Row> {
    let parts = [not_json(), no_cloud_event(), versions(), modes(), left_out_members(), wrong_members(), sizes()];
    parts.into_iter().flatten().chain(card_numbers()).chain(refused()).chain(strange_but_fine()).collect()
}

fn not_json() -> Vec<Row> {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let twice = |name: &str, member: &str, other: &str| event(name).to_string().replacen(member, other, 1);
    let all = [
        bytes("tombstone", "").value(None),
        bytes("empty value", ""),
        bytes("spaces only", " \t\r\n"),
        bytes("truncated JSON", r#"{"specversion":"1.0","type":"payments"#),
        bytes("one brace", "{"),
        bytes("two documents", r#"{"a":1}{"a":1}"#),
        bytes("trailing comma", r#"{"specversion":"1.0",}"#),
        bytes("single quotes", "{'specversion':'1.0'}"),
        bytes("a comment", r#"{"specversion":"1.0"/* c */}"#),
        bytes("plain text", "hello"),
        bytes("XML", "<event/>"),
        bytes("gzip", [0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0]),
        bytes("invalid UTF-8", b"{\"id\":\"\xff\xfe\"}".to_vec()),
        bytes("UTF-16", "\u{feff}{}".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>()),
        bytes("half a surrogate pair", r#"{"id":"\ud800"}"#),
        bytes("a raw control character", "{\"id\":\"a\u{1}b\"}"),
        bytes("a number beyond all bounds", r#"{"x":1e999}"#),
        bytes("a number with a leading zero", r#"{"x":007}"#),
        bytes("NaN", r#"{"x":NaN}"#),
        bytes("null", "null"),
        bytes("an array of an event", format!("[{}]", event("an array of an event"))),
        bytes("a string of an event", json!(event("a string of an event").to_string()).to_string()),
        bytes("nested 5000 deep", nested(5000)),
        bytes("a frame cut short", [0, 0, 0]),
        bytes("a frame around nothing", [0, 0, 0, 0, 7]),
        structured("a schema id without its UUID", &event("x")).header("__value_schema_id", Some(&[1, 9])).unread(),
        structured("a schema id of another version", &event("x")).header("__value_schema_id", Some(&[2; 17])).unread(),
        structured("an empty schema id", &event("x")).header("__value_schema_id", Some(&[])).unread(),
        bytes("a frame in a frame", event("x").to_string()).framed().framed(),
        bytes("a Protobuf frame", event("x").to_string()).value(Some(b"\0\0\0\0\x07\0{}")),
        structured("nested 70 deep", &event("nested 70 deep")).value(Some(
            set(event("nested 70 deep"), "/x", serde_json::from_str(&nested(70)).expect("JSON")).to_string().as_bytes(),
        )),
        bytes("an id twice", twice("an id twice", r#""id":"an id twice""#, r#""id":"another","id":"an id twice""#))
            .answered_under(ResultKey::Customer("1001".to_owned())),
        structured("a system twice", &event("a system twice"))
            .value(Some(twice("a system twice", r#""system":"#, r#""system":"aloha","system":"#).as_bytes())),
    ];
    all.into_iter().map(Row::malformed).collect()
}

fn no_cloud_event() -> Vec<Row> {
    let known = |name, pointer, value| structured(name, &set(event(name), pointer, value));
    let unknown = |name, pointer, value| known(name, pointer, value).unknown();
    let all = [
        bytes("an empty object", "{}"),
        structured("no specversion", &left_out(event("no specversion"), "/specversion")),
        known("specversion 0.3", "/specversion", json!("0.3")),
        known("specversion as a number", "/specversion", json!(1.0)),
        known("specversion null", "/specversion", Value::Null),
        structured("no source", &left_out(event("no source"), "/source")).unknown(),
        unknown("an empty source", "/source", json!("")),
        unknown("a source of 513 bytes", "/source", json!("s".repeat(513))),
        unknown("a source with a line feed", "/source", json!("a\nb")),
        structured("no id", &left_out(event("no id"), "/id")).unknown(),
        unknown("an id as a number", "/id", json!(7)),
        unknown("an id null", "/id", Value::Null),
        unknown("an id as an object", "/id", json!({ "id": "x" })),
        unknown("an id of 8 KB", "/id", json!("i".repeat(8192))),
        unknown("an id of 257 two-byte letters", "/id", json!("é".repeat(257))),
        unknown("an id with u0000", "/id", json!("a\u{0}b")),
        unknown("an id with DEL", "/id", json!("a\u{7f}")),
        unknown("an id with a C1 control", "/id", json!("a\u{9f}")),
        structured("no type", &left_out(event("no type"), "/type")),
        known("a type as a number", "/type", json!(1)),
        known("another type", "/type", json!("com.example.ordered.v1")),
        known("a type of ours that is a result", "/type", json!("payments.profile-linked.v1")),
        known("a type without a version", "/type", json!("payments.profile-created")),
        known("a type with a space behind it", "/type", json!("payments.profile-created.v1 ")),
        known("a type in capitals", "/type", json!("PAYMENTS.PROFILE-CREATED.V1")),
    ];
    all.into_iter().map(Row::malformed).collect()
}

fn versions() -> Vec<Row> {
    let version = |name: &'static str| structured(name, &set(event(name), "/type", json!(name)));
    let names = ["payments.profile-created.v2", "payments.profile-created.v10", "payments.profile-created.v01"];
    names.map(|name| version(name).ends("unsupported_version", "decode", "dead-lettered")).to_vec()
}

/// Content modes and framing that contradict what they hold.
fn modes() -> Vec<Row> {
    let data_only = |name| bytes(name, event(name)["data"].to_string());
    vec![
        data_only("data alone in structured mode").answered_under(ResultKey::Record).malformed(),
        data_only("data alone without any header").without_header("content-type").malformed(),
        structured("a batch", &event("a batch"))
            .without_header("content-type")
            .header("content-type", Some(b"application/cloudevents-batch+json"))
            .unknown()
            .answered_under(ResultKey::Record)
            .malformed(),
        structured("Avro by its header", &event("Avro by its header"))
            .header("content-type", Some(b"application/cloudevents+avro"))
            .unknown()
            .answered_under(ResultKey::Record)
            .malformed(),
        binary("a whole event as binary data", &event("a whole event as binary data"))
            .value(Some(event("inner").to_string().as_bytes()))
            .answered_under(ResultKey::Record)
            .invalid(&["/data/customer", "/data/token"]),
        binary("binary without data", &event("binary without data"))
            .value(None)
            .answered_under(ResultKey::Record)
            .invalid(&["/data"]),
        binary("binary with two ids", &event("binary with two ids"))
            .header("ce_id", Some(b"another"))
            .unknown()
            .malformed(),
        binary("binary without ce_id", &event("binary without ce_id")).without_header("ce_id").unknown().malformed(),
        binary("binary without ce_specversion", &event("binary without ce_specversion"))
            .without_header("ce_specversion")
            .malformed(),
        binary("binary with a header that is not text", &event("binary with a header that is not text"))
            .header("ce_subject", Some(b"\xff\xfe"))
            .malformed(),
        binary("binary that is not JSON", &event("binary that is not JSON"))
            .value(Some(b"token=abc&customer=1"))
            .answered_under(ResultKey::Record)
            .malformed(),
        binary("binary of an unknown version", &event("binary of an unknown version"))
            .without_header("ce_type")
            .header("ce_type", Some(b"payments.profile-created.v3"))
            .ends("unsupported_version", "decode", "dead-lettered"),
        binary(
            "binary and framed with a bad customer",
            &set(event("binary and framed with a bad customer"), "/data/customer/id", json!("x")),
        )
        .framed()
        .invalid(&["/data/customer/id"]),
    ]
}

fn left_out_members() -> Vec<Row> {
    let loanpro = [
        ("no data", "/data"),
        ("no customer", "/data/customer"),
        ("no customer.system", "/data/customer/system"),
        ("no customer.id", "/data/customer/id"),
        ("no token", "/data/token"),
        ("no token.kind", "/data/token/kind"),
        ("no token.value", "/data/token/value"),
    ];
    let cards = [
        ("Aloha without account", "/data/account"),
        ("Aloha without provider", "/data/provider"),
        ("Aloha without maskedNumber", "/data/account/maskedNumber"),
        ("Aloha without expiration", "/data/account/expiration"),
        ("Aloha without brand", "/data/account/brand"),
        ("Aloha without holderName", "/data/account/holderName"),
        ("Aloha without account.kind", "/data/account/kind"),
    ];
    let row = |made: fn(&str) -> Value| {
        move |(name, pointer): (&'static str, &'static str)| {
            structured(name, &left_out(made(name), pointer)).invalid(&[pointer])
        }
    };
    loanpro.into_iter().map(row(event)).chain(cards.into_iter().map(row(aloha))).collect()
}

fn wrong_members() -> Vec<Row> {
    let loanpro = [
        ("data null", "/data", Value::Null),
        ("data as text", "/data", json!("{}")),
        ("data as an array", "/data", json!([])),
        ("a customer as text", "/data/customer", json!("1001")),
        ("an unknown system", "/data/customer/system", json!("stripe")),
        ("a system in capitals", "/data/customer/system", json!("LoanPro")),
        ("a customer id as a number", "/data/customer/id", json!(1001)),
        ("customer id 0", "/data/customer/id", json!("0")),
        ("a negative customer id", "/data/customer/id", json!("-1")),
        ("a customer id with a leading zero", "/data/customer/id", json!("01001")),
        ("a customer id with a fraction", "/data/customer/id", json!("1001.0")),
        ("customer id 2^63", "/data/customer/id", json!("9223372036854775808")),
        ("an empty customer id", "/data/customer/id", json!("")),
        ("a customer id in Arabic digits", "/data/customer/id", json!("١٠٠١")),
        ("a customer id with u0000", "/data/customer/id", json!("1001\u{0}")),
        ("an unknown token kind", "/data/token/kind", json!("eternal")),
        ("a token as text", "/data/token", json!("abc")),
        ("an empty token", "/data/token/value", json!("")),
        ("a token as a number", "/data/token/value", json!(12)),
        ("a temporary token of 1025 bytes", "/data/token/value", json!("t".repeat(1025))),
        ("a customerToken as a number", "/data/customerToken", json!(12)),
        ("an externalUserId of 257 letters", "/data/externalUserId", json!("u".repeat(257))),
        ("an account as text", "/data/account", json!("checking")),
        ("an empty title", "/data/title", json!("")),
        ("a title of 81 letters", "/data/title", json!("t".repeat(81))),
        ("primary as text", "/data/primary", json!("true")),
        ("secondary null", "/data/secondary", Value::Null),
        ("expiresAt as a date", "/data/expiresAt", json!("2030-01-31")),
        ("expiresAt in seconds", "/data/expiresAt", json!(1_900_000_000)),
        ("a 30th of February", "/data/expiresAt", json!("2030-02-30T00:00:00Z")),
        ("an unknown provider", "/data/provider", json!("square")),
        ("a time in words", "/time", json!("yesterday")),
        ("a datacontenttype as a number", "/datacontenttype", json!(1)),
    ];
    let deeper = [
        ("an unknown account kind", "/data/account/kind", json!("paypal")),
        ("an unknown brand", "/data/account/brand", json!("diners")),
        ("three last digits", "/data/account/lastFour", json!("111")),
        ("month 13", "/data/account/expiration", json!("13/30")),
        ("a mask without a mask", "/data/account/maskedNumber", json!("1111")),
        ("an Aloha customer by number", "/data/customer/id", json!("1001")),
        ("a GUID without hyphens", "/data/customer/id", json!("6f9619ff8b86d011b42d00c04fc964ff")),
        ("a GUID in braces", "/data/customer/id", json!("{6f9619ff-8b86-d011-b42d-00c04fc964ff}")),
    ];
    let row = |made: fn(&str) -> Value| {
        move |(name, pointer, value): (&'static str, &'static str, Value)| {
            structured(name, &set(made(name), pointer, value)).invalid(&[pointer])
        }
    };
    let three = set(set(event("three at once"), "/data/title", json!("")), "/data/primary", json!(1));
    let three = set(three, "/data/customer/id", json!("x"));
    let mut rows: Vec<Row> = loanpro.into_iter().map(row(event)).chain(deeper.into_iter().map(row(aloha))).collect();
    rows.push(structured("three at once", &three).invalid(&["/data/customer/id", "/data/primary", "/data/title"]));
    rows.push(
        structured("data_base64", &set(left_out(event("data_base64"), "/data"), "/data_base64", json!("e30=")))
            .invalid(&["/data"]),
    );
    rows
}

fn sizes() -> Vec<Row> {
    let large_id = "9".repeat(900_000);
    let large = |name, pointer, value| structured(name, &set(event(name), pointer, value));
    vec![
        bytes("a value of 1 MiB and more", vec![b' '; 1024 * 1024 + 1]).malformed(),
        bytes("garbage under a key of 900 KB", "garbage")
            .record_key(Some(vec![b'k'; 900_000]))
            .answered_under(ResultKey::None)
            .malformed(),
        bytes("garbage under a key that is not text", "garbage").record_key(Some(vec![0xff, 0, 0x80])).malformed(),
        bytes("garbage without a key", "garbage").record_key(None).answered_under(ResultKey::None).malformed(),
        large("a customer id of 900 KB", "/data/customer/id", json!(large_id))
            .answered_under(ResultKey::Record)
            .invalid(&["/data/customer/id"]),
        large("a token of 900 KB", "/data/token/value", json!("t".repeat(900_000)))
            .invalid(&["/data/token/value", "/data/token/value"]),
        large("a title of 900 KB", "/data/title", json!("t".repeat(900_000))).invalid(&["/data/title"]),
    ]
}

fn card_numbers() -> Vec<Row> {
    let inside = json!(format!("card 4111 1111 1111 1111, thanks"));
    let places = [
        ("a card number as token", "/data/token/value", json!(CARD)),
        ("a card number as customerToken", "/data/customerToken", json!(CARD)),
        ("a card number as externalUserId", "/data/externalUserId", json!(CARD)),
        ("a card number in the title", "/data/title", inside),
        ("a card number in an extra member", "/data/note", json!({ "deep": [CARD] })),
        ("a card number as an extra number", "/data/note", json!(4_111_111_111_111_111_u64)),
        ("a card number as an extra fraction", "/data/note", json!(4_111_111_111_111_111.0)),
        ("a card number as a member's name", "/data/4111111111111111", json!(true)),
        ("a card number in the subject", "/subject", json!(CARD)),
        ("a card number as correlationid", "/correlationid", json!(CARD)),
    ];
    let cards = [
        ("a card number as mask", "/data/account/maskedNumber", json!(CARD)),
        ("a card number in the holder's name", "/data/account/holderName", json!(format!("Ada {CARD}"))),
        ("a card number as brand", "/data/account/brand", json!(CARD)),
    ];
    let row = |made: fn(&str) -> Value| {
        move |(name, pointer, value): (&'static str, &'static str, Value)| {
            structured(name, &set(made(name), pointer, value)).card_number()
        }
    };
    let rows = places.into_iter().map(row(event)).chain(cards.into_iter().map(row(aloha)));
    rows.chain(card_numbers_in_identities()).collect()
}

/// What every result, row and log line would repeat.
fn card_numbers_in_identities() -> Vec<Row> {
    let as_id = set(event("a card number as id"), "/id", json!(CARD));
    let in_source = set(event("a card number in the source"), "/source", json!(format!("urn:till:{CARD}")));
    let of_customer = set(event("a customer whose id is no card"), "/data/customer/id", json!("77"));
    let unreadable = bytes("a card number as an unreadable event's key", "hello").record_key(Some(CARD.into()));
    vec![
        structured("a card number as id", &as_id).card_number().unknown(),
        binary("a card number as id in a header", &as_id).card_number().unknown(),
        structured("a card number in the source", &in_source).card_number().unknown(),
        structured("a card number as key", &event("a card number as key")).record_key(Some(CARD.into())).card_number(),
        structured("a card number in a key", &of_customer)
            .record_key(Some(format!("{{\"card\":\"{CARD}\"}}").into_bytes()))
            .card_number(),
        unreadable.malformed().answered_under(ResultKey::None),
    ]
}

/// Valid, and bound to fail: nothing needs to be called to know it.
fn refused() -> Vec<Row> {
    let bank = set(aloha("a bank account for Aloha"), "/data/account", json!({ "kind": "checking" }));
    let late = set(event("expired long ago"), "/data/expiresAt", json!("2001-01-01T00:00:00Z"));
    vec![
        structured("a bank account for Aloha", &bank).ends("account_unsupported", "validate", "final"),
        structured("expired long ago", &late).ends("token_expired", "convert", "final"),
    ]
}

/// Strange, and as valid as any: only the converter, which never saw the token, refuses these.
fn strange_but_fine() -> Vec<Row> {
    let strange = |name, pointer, value| structured(name, &set(event(name), pointer, value));
    let lookalike = set(event("a customer's id like a card number"), "/data/customer/id", json!(CARD));
    let all = [
        structured("a customer's id like a card number", &lookalike).record_key(Some(CARD.into())),
        strange("bidi text in the title", "/data/title", json!("\u{202e}gnitset\u{2066}")),
        strange("u0000 in the title", "/data/title", json!("a\u{0}b")),
        strange("u0000 in the externalUserId", "/data/externalUserId", json!("\u{0}")),
        strange("control characters in the token", "/data/token/value", json!("a\u{1}\r\nb\u{0}")),
        strange("an id of bidi marks", "/id", json!("\u{202e}\u{2066}fine")),
        strange("numbers without measure", "/data/extra", json!([-0.0, 1e-300, 1.797e308, u64::MAX, i64::MIN])),
        strange("nulls wherever they may be", "/data/title", Value::Null),
        strange("a member of 900 KB", "/data/extra", json!("e".repeat(900_000))),
        structured("a key of 900 KB", &event("a key of 900 KB")).record_key(Some(vec![b'k'; 900_000])),
        structured("no key at all", &event("no key at all")).record_key(None),
        binary("binary mode", &event("binary mode")).header("ce_subject", None),
        structured("framed", &event("framed")).framed(),
        structured("a schema id in a header", &event("a schema id in a header"))
            .header("__value_schema_id", Some(&[1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9])),
    ];
    all.into_iter().map(|row| row.ends("token_rejected", "convert", "final")).collect()
}
