//! Places that are looked through, what was looked through, and what was found.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::needles::Needles;
use crate::support::admin::{Admin, TOKEN, answer};
use crate::support::patience::eventually;
use crate::support::stand::PATIENCE;

/// What a worker's admin server tells whoever asks.
const PAGES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// A search under way.
pub struct Sweep<'n> {
    needles: &'n Needles,
    bytes: BTreeMap<String, u64>,
    hits: Vec<String>,
}

impl<'n> Sweep<'n> {
    /// A search for these.
    pub fn new(needles: &'n Needles) -> Self {
        Self { needles, bytes: BTreeMap::new(), hits: Vec::new() }
    }

    /// Looks through bytes of this place.
    pub fn look(&mut self, place: &str, bytes: &[u8]) {
        *self.bytes.entry(place.to_owned()).or_default() += bytes.len() as u64;
        for ((name, form), at) in self.needles.find(bytes) {
            self.hits.push(format!("{place}: {name} in {form} at byte {at}"));
        }
    }

    /// Looks through every file below a folder that is wanted. Files may come and go meanwhile.
    pub fn files(&mut self, place: &str, folder: &Path, wanted: &dyn Fn(&Path) -> bool) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                self.files(place, &path, wanted);
            } else if wanted(&path)
                && let Ok(bytes) = std::fs::read(&path)
            {
                self.look(place, &bytes);
            }
        }
    }

    /// Looks at what the kernel tells everybody, and its owner, of a process. A process that forbids to be dumped tells its
    /// environment to root only: then that refusal is what its owner is told.
    pub fn process(&mut self, pid: u32) {
        for (place, name) in [("arguments", "cmdline"), ("environment", "environ")] {
            let told = match std::fs::read(format!("/proc/{pid}/{name}")) {
                Err(refused) if name == "environ" && refused.kind() == ErrorKind::PermissionDenied => {
                    refused.to_string().into_bytes()
                }
                told => told.expect("a process that runs"),
            };
            assert!(!told.is_empty(), "nothing is told of {name}");
            self.look(place, &told);
        }
    }

    /// Asks an admin server for everything, rightly and wrongly.
    pub async fn admin(&mut self, admin: &Admin) {
        for page in PAGES {
            let place = if page == "/metrics" { "metrics" } else { "admin answers" };
            // A part may have its trouble this moment; a page that is not there never comes.
            let told = eventually("a page that is there and well", PATIENCE, async || {
                Some(admin.get(page).await).filter(|told| told.status == StatusCode::OK)
            });
            self.look(place, told.await.text.as_bytes());
        }
        for path in ["/api/v1/intake/pause", "/api/v1/intake/resume", "/nothing"] {
            let refused = answer(admin.request(Method::POST, path).json(&json!({"why": 1}))).await;
            let told =
                answer(admin.request(Method::POST, path).bearer_auth(TOKEN).json(&json!({"nonsense": []}))).await;
            for told in [refused, told] {
                self.look("admin answers", format!("{:?}\n{}", told.headers, told.text).as_bytes());
            }
        }
    }

    /// The places, with what was found there.
    pub fn hits(&self) -> &[String] {
        &self.hits
    }

    /// Fails if anything was found, or if a place was empty; tells how much was looked through.
    pub fn assert_clean(&self, places: &[&str]) {
        let total: u64 = self.bytes.values().sum();
        eprintln!("looked for {} pieces in {total} bytes: {:?}", self.needles.pieces(), self.bytes);
        for place in places {
            assert!(self.bytes.get(*place).is_some_and(|bytes| *bytes > 0), "nothing was looked through at {place}");
        }
        assert!(self.hits.is_empty(), "I5: secrets left: {:#?}", self.hits);
    }
}

/// Whether a file is a segment of a partition's log of one of these topics: an index holds numbers only, and much room.
pub fn is_log_of(path: &Path, topics: &[&str]) -> bool {
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let topic = folder.rsplit_once('-').map_or("", |(topic, _)| topic);
    topics.contains(&topic) && path.extension().is_some_and(|ending| ending == "log")
}
