//! What is taken out of vendors' texts.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use profile_linker::contract::scrub;
use profile_linker::domain::Secret;

fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

#[test]
fn secrets_are_removed_whole_or_in_pieces() {
    let token = secret("tok_AbCdEfGhIjKlMnOp");
    let rows = [
        ("token tok_AbCdEfGhIjKlMnOp is used", "token [removed] is used"),
        ("token 'tok_AbCdEfGh...' is used", "token '[removed]...' is used"),
        ("ends in GhIjKlMnOp", "ends in [removed]"),
        ("tok_AbCdEfGhIjKlMnOptok_AbCdEfGhIjKlMnOp", "[removed]"),
        ("nothing here, tok_ is short", "nothing here, tok_ is short"),
    ];
    for (text, expected) in rows {
        assert_eq!(scrub(text, &[&token]), expected);
    }
}

#[test]
fn every_secret_given_is_removed() {
    assert_eq!(
        scrub("a=first-secret b=abc é", &[&secret("first-secret"), &secret("abc"), &secret("")]),
        "a=[removed] b=[removed] é"
    );
    assert_eq!(scrub("first-secret", &[&secret("first-secret"), &secret("irs")]), "[removed]");
    assert_eq!(scrub("éé", &[&Secret::new(vec![0xa9])]), "[removed]");
    assert_eq!(scrub("éa", &[&Secret::new(vec![0xc3])]), "[removed]a");
}

#[test]
fn digits_that_could_be_a_card_number_are_removed() {
    let rows = [
        ("card 4111111111111111 declined", "card [removed] declined"),
        ("card 4111 1111 1111 1111 declined", "card [removed] declined"),
        ("card 4111\t1111\t1111\t1111 declined", "card [removed] declined"),
        ("no check digit 4111111111111112", "no check digit [removed]"),
        ("very long 41111111111111111111111", "very long [removed]"),
        ("error 123456789012 at 2026-01-02", "error 123456789012 at 2026-01-02"),
    ];
    for (text, expected) in rows {
        assert_eq!(scrub(text, &[]), expected);
    }
}

#[test]
fn control_characters_go_and_the_length_is_limited() {
    assert_eq!(scrub("a\u{1b}[31m\nb\u{0}", &[]), "a [31m b ");
    assert_eq!(scrub(&"é".repeat(20_000), &[]).chars().count(), 500);
}

#[test]
fn a_long_run_that_could_be_somebody_elses_token_is_removed() {
    let token = "Q2hlY2tpbmc/NDI+MTExMQ==Q2hlY2tpbmc/NDI+MTExMQ==";
    let rows = [
        (format!("{{\"Token\":\"{token}\",\"Acc"), "{\"Token\":\"[removed]\",\"Acc".to_owned()),
        (token.replace('/', "\\/"), "[removed]".to_owned()),
        (format!("é{token}"), "é[removed]".to_owned()),
        (format!("{} {token}", "x".repeat(16 * 1024 - 44)), "[removed] [removed]".to_owned()),
    ];
    for (text, expected) in rows {
        assert_eq!(scrub(&text, &[]), expected);
    }
    for kept in ["error id a1d0f726ce614f88a0d65091bf90454a", "id 93f5f620-ec93-47dd-ab24-c07bbf0b16bf of a customer"] {
        assert_eq!(scrub(kept, &[]), kept);
    }
}

/// Written in every way in which vendors give back what they were sent.
fn written(token: &str) -> Vec<String> {
    let escaped: String = token.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let reserved = |text: &str| text.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D");
    let unicode: String = token.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let mut all = vec![
        HEXLOWER.encode(token.as_bytes()),
        HEXUPPER.encode(token.as_bytes()),
        escaped.to_lowercase(),
        escaped.replace('%', "%25"),
        escaped,
        reserved(token),
        unicode,
        token.replace('/', "\\/"),
    ];
    for before in ["", "u", "u:"] {
        for behind in ["", ".", ".."] {
            let whole = format!("{before}{token}{behind}");
            all.push(BASE64.encode(whole.as_bytes()));
            all.push(BASE64URL_NOPAD.encode(whole.as_bytes()));
            all.push(reserved(&BASE64.encode(whole.as_bytes())));
        }
    }
    all
}

#[test]
fn a_secret_is_known_in_every_way_of_writing_it() {
    // So short that none of its writings is a run that would be removed whatever it is; and with what is written with escapes.
    for token in ["tok-4f1e9c2a7d5b", "a+b/c=d+e/f=g+h/i=j+k/l=m"] {
        for written in written(token) {
            let told = scrub(&format!("bad value '{written}', see our pages"), &[&secret(token)]);
            let middle = told.strip_prefix("bad value '").and_then(|rest| rest.strip_suffix("', see our pages"));
            // At its ends stands what depends on the bytes beside it.
            let left = middle.map(|middle| middle.replace("[removed]", ""));
            assert!(left.as_ref().is_some_and(|left| left.len() <= 12), "{written}: {told}");
            assert!(middle.is_some_and(|middle| middle.matches("[removed]").count() == 1), "{written}: {told}");
        }
    }
}

#[test]
fn a_piece_of_a_secrets_writing_is_removed_too() {
    let token = "tok-4f1e9c2a7d5b";
    let hex = HEXLOWER.encode(token.as_bytes());
    let base64 = BASE64.encode(format!("u:{token}").as_bytes());
    for piece in [&hex[5..15], &base64[6..16], "%74%6F%6b-4f1e9"] {
        assert_eq!(scrub(&format!("got {piece} there"), &[&secret(token)]), "got [removed] there", "{piece}");
    }
    for kept in ["100% of 20 %", "a \\u00 b \\ud800 c %zz %4", "error id a1d0f726ce614f88a0d65091bf90454a", "C:\\temp"]
    {
        assert_eq!(scrub(kept, &[&secret(token), &secret("abc")]), kept);
    }
}
