//! LoanPro's answers: to a link, and to a look.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile_linker::domain::{Customer, Secret, System};
use profile_linker::upstream::loanpro::{classify_link, classify_page};
use profile_linker::upstream::{LookOutcome, LookUp};
use profile_linker_fuzz::{TOKEN, answer, check_detail, check_told};

fuzz_target!(|bytes: &[u8]| {
    let token = Secret::from(TOKEN.to_owned());
    if let Some(exchange) = answer(bytes) {
        check_told(&classify_link(exchange, &[&token]));
    }
    let Some(exchange) = answer(bytes) else { return };
    let customer = Customer { system: System::Loanpro, id: "7".to_owned() };
    let look_up = LookUp { customer, markers: vec!["ABCD2345".to_owned()], token: Some(token.clone()) };
    if let Err(LookOutcome::Failed { detail, .. } | LookOutcome::Misconfigured { detail }) =
        classify_page(exchange, &look_up, &[&token])
    {
        check_detail(&detail);
    }
});
