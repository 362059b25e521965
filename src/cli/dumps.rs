//! Memory holds tokens in clear while calls are on the wire; no file of it is written when the process dies.

use std::sync::{Mutex, PoisonError};

#[cfg(target_os = "linux")]
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::process::{Resource, Rlimit, setrlimit};

/// What was refused, until a log is there that can tell it: `run` reads its configuration before it logs.
static UNTOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Forbids core dumps of this process, and its children's. By the size limit, which every kernel knows; and by marking the
/// process as not dumpable, since a dump that goes to a program, as on most desktops, asks for no size. The mark also keeps
/// other processes of the same user from attaching to it and from reading its memory and environment.
pub(super) fn forbid() {
    let limit = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, limit) {
        keep(format!("core dumps cannot be limited; whoever starts this process should: {error}"));
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        keep(format!("this process can be dumped; whoever starts it should forbid it: {error}"));
    }
}

fn keep(refusal: String) {
    UNTOLD.lock().unwrap_or_else(PoisonError::into_inner).push(refusal);
}

fn take() -> Vec<String> {
    std::mem::take(&mut *UNTOLD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Warns of what could not be forbidden, once; called when logging has started.
pub(super) fn tell() {
    for refusal in take() {
        tracing::warn!("{refusal}");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_forbidden_is_kept_until_it_is_told_and_told_once() {
        keep("refused".to_owned());
        assert_eq!(take(), ["refused"]);
        tell();
        assert!(take().is_empty());
    }

    #[test]
    fn a_process_that_forbids_core_dumps_has_none() {
        forbid();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{line}");
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
