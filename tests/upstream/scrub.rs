//! A vendor's words, made fit to be shown.

use profile_linker::upstream::scrub::scrub;

use super::exchange::secret;

#[test]
fn plain_words_stay() {
    let text = "Title must be unique (error 409, id 3f2504e0-4f89-41d3-9a0c-0305e82c3301)";
    assert_eq!(scrub(text, &[&secret("something else entirely")]), text);
}

#[test]
fn secrets_go_whole_or_in_pieces() {
    let token = secret("tok-0123456789-abcdefghij");
    for text in
        ["bad tok-0123456789-abcdefghij!", "token=tok-0123456789-abcd", "'0123456789-abcdefghij'", "{abcdefghij}"]
    {
        let clean = scrub(text, &[&token]);
        assert!(!clean.contains("012345") && !clean.contains("abcdef"), "{text} became {clean}");
    }
    assert_eq!(scrub("pw 1234 rejected", &[&secret("1234")]), "pw [removed] rejected");
    assert_eq!(scrub("unchanged", &[&secret("")]), "unchanged");
}

#[test]
fn digit_runs_that_could_be_card_numbers_go() {
    for text in [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "no 4111111111111111.",
        "41111111111111112222",
    ] {
        let clean = scrub(text, &[]);
        assert!(clean.contains("[digits]") && !clean.contains("1111"), "{text} became {clean}");
    }
    assert_eq!(scrub("order 123456789012 of 2026", &[]), "order [digits] of 2026".replace("[digits]", "123456789012"));
    assert_eq!(scrub("card 4111 1111 1111 1111 declined", &[]), "card [digits] declined");
}

#[test]
fn long_words_and_control_characters_go_and_the_rest_is_cut() {
    assert_eq!(scrub(&format!("a {} b", "x".repeat(41)), &[]), "a [removed] b");
    assert_eq!(scrub("a\nb\u{7}c\td", &[]), "a b c d");
    assert_eq!(scrub(&"é ".repeat(1000), &[]).chars().count(), 500);
}
