//! What a panic does. Its message is never shown: it may quote what was being worked on.

use std::panic;

/// Tells where it was, and nothing else. For commands: the one that panicked fails.
pub(super) fn say_where_only() {
    panic::set_hook(Box::new(|info| {
        tracing::error!(
            place = place(info),
            "the program found itself in a state that cannot be; this is a mistake of ours"
        );
    }));
}

/// Ends the process at the first panic. A task that died silently would leave its event, its lane or its scribe waiting for
/// ever; a process that ends is resumed from the ledger, and the row that ends it each time is counted there.
pub(super) fn end_the_process() {
    panic::set_hook(Box::new(|info| {
        tracing::error!(
            place = place(info),
            "the worker found itself in a state that cannot be; it ends, a successor resumes its work"
        );
        std::process::abort();
    }));
}

fn place(info: &panic::PanicHookInfo<'_>) -> String {
    info.location().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl Write for Said {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_tells_where_and_not_what() {
        let said = Said::default();
        let lines = said.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || lines.clone()).finish();
        let before = panic::take_hook();
        say_where_only();
        let ended = tracing::subscriber::with_default(subscriber, || {
            panic::catch_unwind(|| panic!("while at work on tok_AbCdEfGhIjKlMnOp"))
        });
        panic::set_hook(before);
        assert!(ended.is_err());
        let said = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
        assert!(said.contains("panics.rs:") && !said.contains("tok_"), "{said}");
    }
}
