//! What is delivered: the release build, the image, the systemd unit, and what says which version it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::deploying::assert_is_a_command;

/// The directives that the unit uses. A name that systemd does not know is only a warning in its log, and a hardening that was
/// misspelt is none.
const KNOWN: [(&str, &[&str]); 3] = [
    ("Unit", &["Description", "Wants", "After"]),
    (
        "Service",
        &[
            "ExecStart",
            "LoadCredential",
            "Restart",
            "RestartSec",
            "RestartPreventExitStatus",
            "TimeoutStopSec",
            "KillSignal",
            "DynamicUser",
            "StateDirectory",
            "WorkingDirectory",
            "NoNewPrivileges",
            "ProtectSystem",
            "ProtectHome",
            "PrivateTmp",
            "PrivateDevices",
            "ProtectClock",
            "ProtectControlGroups",
            "ProtectKernelLogs",
            "ProtectKernelModules",
            "ProtectKernelTunables",
            "ProtectHostname",
            "RestrictAddressFamilies",
            "RestrictNamespaces",
            "RestrictRealtime",
            "RestrictSUIDSGID",
            "LockPersonality",
            "MemoryDenyWriteExecute",
            "CapabilityBoundingSet",
            "SystemCallArchitectures",
            "SystemCallFilter",
            "UMask",
        ],
    ),
    ("Install", &["WantedBy"]),
];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A unit file by systemd's grammar, as far as the unit needs it: sections, directives that may come more than once, comments.
fn unit(text: &str) -> BTreeMap<(String, String), Vec<String>> {
    let mut section = None;
    let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = Some(name.to_owned());
            continue;
        }
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("no directive: {line}"));
        let section = section.clone().unwrap_or_else(|| panic!("before any section: {line}"));
        found.entry((section, name.to_owned())).or_default().push(value.to_owned());
    }
    found
}

#[test]
fn the_systemd_unit_says_only_what_systemd_knows_and_starts_the_worker_without_rights() {
    let unit = unit(&read("deploy/systemd/profile-linker.service"));
    let known: BTreeSet<(String, String)> = KNOWN
        .iter()
        .flat_map(|(section, names)| names.iter().map(|name| ((*section).to_owned(), (*name).to_owned())))
        .collect();
    assert_eq!(unit.keys().cloned().collect::<BTreeSet<_>>(), known);
    let all = |name: &str| unit[&("Service".to_owned(), name.to_owned())].clone();
    let one = |name: &str| {
        let values = all(name);
        assert_eq!(values.len(), 1, "{name}");
        values[0].clone()
    };
    let start = one("ExecStart");
    let command: Vec<&str> = start.split_whitespace().collect();
    assert_eq!(command[0], "/usr/local/bin/profile-linker");
    assert_is_a_command(&command[1..]);
    assert_eq!(one("RestartPreventExitStatus"), "2 78");
    for (name, value) in
        [("DynamicUser", "yes"), ("NoNewPrivileges", "yes"), ("ProtectSystem", "strict"), ("CapabilityBoundingSet", "")]
    {
        assert_eq!(one(name), value, "{name}");
    }
    // The default of [worker] shutdown_timeout is 30 s.
    assert_eq!(one("TimeoutStopSec"), "45s");
    for credential in all("LoadCredential") {
        let (name, path) = credential.split_once(':').unwrap();
        assert_eq!(path, format!("/etc/profile-linker/secrets/{name}"));
    }
}

#[test]
fn a_release_is_linked_as_a_whole_and_stripped() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let release = &manifest["profile"]["release"];
    assert!(["thin", "fat"].contains(&release["lto"].as_str().unwrap()), "{release}");
    assert_eq!(release["strip"].as_str(), Some("symbols"));
}

/// By itself, or by what it is merged with.
fn is_read_only(service: &serde_json::Value) -> bool {
    service["read_only"] == true || service.get("<<").is_some_and(is_read_only)
}

#[test]
fn the_image_and_the_compose_file_need_no_root_and_no_writable_one() {
    let dockerfile = read("Dockerfile");
    let last_user = dockerfile.lines().rev().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert!(last_user.parse::<u32>().is_ok_and(|user| user != 0), "{last_user}");
    assert!(!dockerfile.lines().any(|line| line.starts_with("VOLUME")), "it writes nothing to disk");
    let compose: serde_json::Value = serde_yaml_ng::from_str(&read("docker-compose.yml")).unwrap();
    for service in ["sandbox", "migrate", "worker"] {
        assert!(is_read_only(&compose["services"][service]), "{service}");
    }
}

#[test]
fn the_changelog_has_a_place_for_what_comes_and_the_version_is_one_by_the_rules() {
    let changelog = read("CHANGELOG.md");
    assert!(changelog.lines().any(|line| line == "## [Unreleased]"));
    let released = changelog.lines().filter_map(|line| line.strip_prefix("## [")).filter(|line| !line.starts_with('U'));
    let version: Vec<u32> = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse().unwrap()).collect();
    assert_eq!(version.len(), 3);
    for line in released {
        let (version, date) = line.split_once("] - ").unwrap_or_else(|| panic!("no version with its day: {line}"));
        assert!(version.split('.').count() == 3 && date.len() == 10, "{line}");
    }
}
