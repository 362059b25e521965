//! Kafka's password where it stands in a file (`sasl.password_file`): read again when the file changes, and given to every
//! client that lives long, so that a rotation needs no restart.
//!
//! A client keeps its connections, and each new one logs in with what it was given last: so the file may change before or
//! after the broker's side does. Between the two a connection that breaks is refused, and tried again.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use zeroize::Zeroizing;

use super::{KafkaTrouble, credentials};
use crate::config::line_of_file;

/// How often a file is looked at. Whoever rotates a password takes longer than this for the next step.
const EVERY: Duration = Duration::from_secs(1);

/// A log-in whose password may change.
pub struct Rotation {
    user: CString,
    file: PathBuf,
    /// What the client has, its NUL included.
    known: Option<Zeroizing<Vec<u8>>>,
    /// Whether it was said that the file cannot be used.
    complained: bool,
}

impl Rotation {
    /// Of a client with these properties; `None` where there is no log-in, or its password cannot change.
    #[must_use]
    pub fn of(properties: &BTreeMap<String, String>, password_file: Option<&Path>) -> Option<Self> {
        let user = CString::new(properties.get("sasl.username")?.as_str()).ok()?;
        Some(Self { user, file: password_file?.to_owned(), known: None, complained: false })
    }

    /// Keeps a client's password up to date for as long as it is held.
    ///
    /// # Errors
    /// If the system starts no thread.
    pub fn follow<T, C>(self, held: &Arc<T>, client: fn(&T) -> &Client<C>) -> Result<(), KafkaTrouble>
    where
        T: Send + Sync + 'static,
        C: ClientContext + 'static,
    {
        let held = Arc::downgrade(held);
        let thread = std::thread::Builder::new().name("kafka-password".to_owned());
        let started = thread.spawn(move || self.run(&held, client));
        started.map(drop).map_err(|error| KafkaTrouble(format!("starting the thread kafka-password: {error}")))
    }

    fn run<T, C: ClientContext>(mut self, held: &Weak<T>, client: fn(&T) -> &Client<C>) {
        while let Some(alive) = held.upgrade() {
            self.look(|user, password| credentials::set(client(&alive), user, password));
            // Not held while we wait: a client ends when its owner lets it go.
            drop(alive);
            std::thread::park_timeout(EVERY);
        }
    }

    /// Gives the password if it is another than the client has. One that cannot be read leaves the client what it has.
    fn look(&mut self, give: impl FnOnce(&CStr, &CStr) -> Result<(), String>) {
        let read = self.read();
        let given = match &read {
            Ok(password) if self.known.as_ref() == Some(password) => Ok(()),
            Ok(password) => text(password).and_then(|password| give(&self.user, password)),
            Err(why) => Err(why.clone()),
        };
        match (given, read) {
            (Ok(()), Ok(password)) => {
                if self.known.as_ref().is_some_and(|known| *known != password) {
                    tracing::info!(file = %self.file.display(), "Kafka's password has changed; new connections use it");
                }
                self.known = Some(password);
                self.complained = false;
            }
            (Err(why), _) | (Ok(()), Err(why)) => {
                if !std::mem::replace(&mut self.complained, true) {
                    tracing::warn!(error = %why, "Kafka's password cannot be read again; the last one stays");
                }
            }
        }
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let line = line_of_file(&self.file)?;
        // One allocation: a vector that grows would leave a copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(line.len() + 1));
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(0);
        Ok(bytes)
    }
}

fn text(password: &[u8]) -> Result<&CStr, String> {
    CStr::from_bytes_with_nul(password).map_err(|_| "the password's file holds a NUL".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stage {
        folder: tempfile::TempDir,
        rotation: Rotation,
    }

    impl Stage {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let properties = BTreeMap::from([("sasl.username".to_owned(), "linker".to_owned())]);
            let rotation = Rotation::of(&properties, Some(&folder.path().join("password"))).unwrap();
            Self { folder, rotation }
        }

        fn write(&self, line: &str) {
            std::fs::write(self.folder.path().join("password"), line).unwrap();
        }

        /// What the client is given at a look.
        fn given(&mut self) -> Option<(String, String)> {
            let mut given = None;
            self.rotation.look(|user, password| {
                let text = |one: &CStr| one.to_str().unwrap().to_owned();
                given = Some((text(user), text(password)));
                Ok(())
            });
            given
        }
    }

    fn linker(password: &str) -> Option<(String, String)> {
        Some(("linker".to_owned(), password.to_owned()))
    }

    #[test]
    fn a_password_is_given_when_it_is_another_and_only_then() {
        let mut stage = Stage::new();
        stage.write("first\n");
        assert_eq!(stage.given(), linker("first"));
        assert_eq!(stage.given(), None);
        stage.write("second");
        assert_eq!(stage.given(), linker("second"));
        assert_eq!(stage.given(), None);
    }

    #[test]
    fn a_file_that_cannot_be_used_leaves_the_password_as_it_is() {
        let mut stage = Stage::new();
        stage.write("first");
        assert!(stage.given().is_some());
        for broken in ["", "\n", "a\0b"] {
            stage.write(broken);
            assert_eq!(stage.given(), None, "{broken:?}");
        }
        stage.write("second");
        assert_eq!(stage.given(), linker("second"));
    }

    #[test]
    fn a_password_that_the_client_refused_is_given_again() {
        let mut stage = Stage::new();
        stage.write("first");
        stage.rotation.look(|_, _| Err("no".to_owned()));
        assert_eq!(stage.given(), linker("first"));
    }

    #[test]
    fn only_a_password_of_a_file_is_followed() {
        let user = BTreeMap::from([("sasl.username".to_owned(), "linker".to_owned())]);
        assert!(Rotation::of(&user, None).is_none());
        assert!(Rotation::of(&BTreeMap::new(), Some(Path::new("password"))).is_none());
    }
}
