//! PayIQ's answers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile_linker::domain::Secret;
use profile_linker::upstream::CallOutcome;
use profile_linker::upstream::payiq::classify;
use profile_linker_fuzz::{TOKEN, answer, check_told};

fuzz_target!(|bytes: &[u8]| {
    let Some(exchange) = answer(bytes) else { return };
    let token = Secret::from(TOKEN.to_owned());
    let outcome = classify(exchange, &[&token]);
    check_told(&outcome);
    if let CallOutcome::Done(converted) = outcome {
        assert!(!converted.token.expose().is_empty() && converted.token.expose().len() <= 8192);
    }
});
