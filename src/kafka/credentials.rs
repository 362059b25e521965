//! Gives a running client another user and password. librdkafka can, rdkafka's safe interface cannot, so this is a file of
//! unsafe code.
//!
//! Properties: both texts are copied before the call ends; an error that librdkafka gives is destroyed once it was read.
#![expect(unsafe_code, reason = "rd_kafka_sasl_set_credentials is in rdkafka's raw bindings only")]

use std::ffi::CStr;

use rdkafka::bindings as raw;
use rdkafka::client::{Client, ClientContext};

/// Sets what the client's next connections log in with, by PLAIN or SCRAM. Those that are open stay open.
///
/// # Errors
/// librdkafka's words; they name neither.
pub(super) fn set<C: ClientContext>(client: &Client<C>, user: &CStr, password: &CStr) -> Result<(), String> {
    // SAFETY: the client is alive, both texts end with NUL; an error is ours to destroy, and lives until then.
    unsafe {
        let error = raw::rd_kafka_sasl_set_credentials(client.native_ptr(), user.as_ptr(), password.as_ptr());
        if error.is_null() {
            return Ok(());
        }
        let text = CStr::from_ptr(raw::rd_kafka_error_string(error)).to_string_lossy().into_owned();
        raw::rd_kafka_error_destroy(error);
        Err(text)
    }
}
