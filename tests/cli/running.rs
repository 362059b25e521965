//! Commands that go on beside the test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Enough for a start on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A process that is ended with the test, and what it says on stderr.
pub struct Running {
    child: Child,
    said: mpsc::Receiver<String>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (tell, said) = mpsc::channel();
        let err = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || err.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        // Read away, or it would stop at a full pipe.
        let mut out = child.stdout.take().unwrap();
        std::thread::spawn(move || out.read_to_end(&mut Vec::new()));
        Self { child, said }
    }

    /// Waits until it says this.
    pub fn says(self, words: &str) -> Self {
        let mut all = Vec::new();
        while let Ok(line) = self.said.recv_timeout(PATIENCE) {
            if line.contains(words) {
                return self;
            }
            all.push(line);
        }
        panic!("not said: {words:?}\n{}", all.join("\n"));
    }

    /// All that it says until it ends.
    pub fn last_words(self) -> String {
        let mut all = Vec::new();
        while let Ok(line) = self.said.recv_timeout(PATIENCE) {
            all.push(line);
        }
        all.join("\n")
    }

    /// How it ended by itself; `None`: it did not.
    pub fn ended(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            // A process that ends closes what it says.
            match self.said.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap().code(),
                Err(RecvTimeoutError::Timeout) => break,
            }
        }
        None
    }

    /// Sends it a signal; answers how it ended.
    pub fn end(&mut self, signal: &str) -> i32 {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
