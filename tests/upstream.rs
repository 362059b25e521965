//! The vendors' clients, at their two borders: what a call's answer means, and what goes over the wire.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own tools may fail the test")]

mod upstream {
    mod aloha;
    mod authorities;
    mod credential;
    mod exchange;
    mod http_calls;
    mod http_gate;
    mod http_reuse;
    mod loanpro_calls;
    mod loanpro_link;
    mod loanpro_lookup;
    mod payiq_account;
    mod payiq_answers;
    mod payiq_calls;
    mod probing;
    mod properties;
    mod rate;
    mod retry_after;
    mod server;
    mod setup;
    mod tls;
    mod unreadable;
}
