//! Aloha's answers: to a link, and to a look.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile_linker::domain::Secret;
use profile_linker::upstream::LookOutcome;
use profile_linker::upstream::aloha::{classify_link, classify_payments};
use profile_linker_fuzz::{TOKEN, answer, check_detail, check_told};

fuzz_target!(|bytes: &[u8]| {
    let token = Secret::from(TOKEN.to_owned());
    if let Some(exchange) = answer(bytes) {
        check_told(&classify_link(exchange, &[&token]));
    }
    let Some(exchange) = answer(bytes) else { return };
    if let LookOutcome::Failed { detail, .. } | LookOutcome::Misconfigured { detail } =
        classify_payments(exchange, &token, &[&token])
    {
        check_detail(&detail);
    }
});
