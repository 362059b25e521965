//! What a panic of a worker does.

use std::panic;

/// Ends the process at the first panic. A task that died silently would leave its event, its lane or its scribe waiting for
/// ever; a process that ends is resumed from the ledger, and the row that ends it each time is counted there. The message is
/// not logged: it may quote what was being worked on.
pub(super) fn end_the_process() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(
            place,
            "the worker found itself in a state that cannot be; it ends, a successor resumes its work"
        );
        std::process::abort();
    }));
}
