//! Questions at a terminal, and what becomes of those who do not say yes.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::Command;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::acting::{command, of_many};

/// The other end of a terminal that a command is asked at.
pub struct Terminal {
    pub ours: File,
    pub shown: String,
}

impl Terminal {
    /// Of a command that reads from it, and tells its troubles there.
    pub fn of(command: &mut Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        command.stdin(theirs.try_clone().unwrap()).stderr(theirs);
        Self { ours: File::from(ours), shown: String::new() }
    }

    /// Reads until this is shown, or to the end.
    pub fn shows(&mut self, words: &str) -> bool {
        let mut bytes = [0; 256];
        while !self.shown.contains(words) {
            match self.ours.read(&mut bytes) {
                // When nobody has it open any more, reading from it fails.
                Ok(0) | Err(_) => return false,
                Ok(count) => self.shown += &String::from_utf8_lossy(&bytes[..count]),
            }
        }
        true
    }
}

#[tokio::test]
async fn whoever_does_not_say_yes_is_told_that_nothing_was_done() {
    let bench = of_many(1).await;
    for (answer, code) in [(Some(&b"n\n"[..]), 130), (Some(b"\x04"), 130), (None, 130), (Some(b"y\n"), 0)] {
        let mut asked = command(&bench, &["discard", "e1"]);
        let mut terminal = Terminal::of(&mut asked);
        let mut child = asked.spawn().unwrap();
        // It has the terminal's other end, too.
        drop(asked);
        assert!(terminal.shows("discard 1 dead letter? [y/N]"), "{}", terminal.shown);
        match answer {
            Some(answer) => terminal.ours.write_all(answer).unwrap(),
            None => assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()),
        }
        terminal.shows("the end");
        assert_eq!(child.wait().unwrap().code(), Some(code), "{answer:?}: {}", terminal.shown);
        let said_so = terminal.shown.contains("\nnothing was done");
        assert_eq!(said_so, code == 130, "{answer:?}: {}", terminal.shown);
    }
}
