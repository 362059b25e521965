//! What is in `deploy/`, the Dockerfile and the Compose file: read, and compared with each other and with the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Parser;
use profile_linker::cli::Cli;
use serde::Deserialize;
use serde_json::Value;

use crate::bench::{Bench, text};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn yaml(text: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text).map(|one| Value::deserialize(one).unwrap()).collect()
}

/// Every object of the Kubernetes manifests.
fn manifests() -> Vec<Value> {
    let folder = root().join("deploy/kubernetes");
    let files: BTreeSet<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.iter().flat_map(|file| yaml(&read(file))).collect()
}

fn of_kind(kind: &str) -> Value {
    let found: Vec<Value> = manifests().into_iter().filter(|one| one["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind}");
    found[0].clone()
}

fn pods() -> [Value; 2] {
    ["Deployment", "Job"].map(|kind| of_kind(kind)["spec"]["template"].clone())
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

/// What is called `profile-linker` with these arguments is a command of the program.
pub fn assert_is_a_command(arguments: &[&str]) {
    let parsed = Cli::try_parse_from(std::iter::once("profile-linker").chain(arguments.iter().copied()));
    assert!(parsed.is_ok(), "{arguments:?}: {}", parsed.err().unwrap());
}

#[test]
fn every_kubernetes_object_is_of_a_kind_that_is_known_and_has_a_name() {
    let known = BTreeMap::from([
        ("ConfigMap", "v1"),
        ("Secret", "v1"),
        ("Job", "batch/v1"),
        ("Deployment", "apps/v1"),
        ("PodDisruptionBudget", "policy/v1"),
    ]);
    let all = manifests();
    assert_eq!(all.len(), known.len());
    for one in all {
        let kind = one["kind"].as_str().unwrap();
        assert_eq!(one["apiVersion"], known[kind], "{kind}");
        assert!(one["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("profile-linker")), "{kind}");
    }
}

#[test]
fn the_pods_run_commands_of_this_version_without_rights() {
    for pod in pods() {
        let spec = &pod["spec"];
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(
            (&spec["securityContext"]["runAsNonRoot"], &spec["securityContext"]["runAsUser"]),
            (&true.into(), &10001.into())
        );
        let container = &spec["containers"][0];
        assert_eq!(container["image"], format!("profile-linker:{VERSION}"));
        let security = &container["securityContext"];
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(strings(&security["capabilities"]["drop"]), ["ALL"]);
        assert_is_a_command(&strings(&container["args"]));
    }
}

#[test]
fn the_pods_mount_what_the_manifests_hold() {
    for pod in pods() {
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        let mounted = pod["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
        let names = |list: &[Value]| list.iter().map(|one| one["name"].to_string()).collect::<BTreeSet<_>>();
        assert_eq!(names(volumes), names(mounted));
        let of = |name: &str| volumes.iter().find(|one| one["name"] == name).unwrap();
        assert_eq!(of("config")["configMap"]["name"], of_kind("ConfigMap")["metadata"]["name"]);
        assert_eq!(of("secrets")["secret"]["secretName"], of_kind("Secret")["metadata"]["name"]);
    }
    let deployment = of_kind("Deployment");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels);
    assert_ne!(&of_kind("Job")["spec"]["template"]["metadata"]["labels"], labels, "a Job's pod is no worker");
}

#[test]
fn the_configuration_of_the_config_map_is_right_with_the_secrets_files() {
    let bench = Bench::new();
    for (name, value) in of_kind("Secret")["stringData"].as_object().unwrap() {
        bench.file(&format!("secrets/{name}"), value.as_str().unwrap());
    }
    let here = format!("\"{}/secrets/", bench.directory.path().display());
    let config_map = of_kind("ConfigMap");
    let toml = config_map["data"]["worker.toml"].as_str().unwrap();
    let file = bench.file("worker.toml", &toml.replace("\"/secrets/", &here));
    let unedited = bench.run(&["config", "--config", text(&file)]);
    assert_eq!(unedited.code, 78, "nobody runs with the example's token for the admin port");
    assert!(unedited.err.contains("admin.token_file"), "{}", unedited.err);
    bench.file("secrets/admin-token", "a token for tests, and for nothing else");
    let ended = bench.run(&["config", "--config", text(&file), "--output", "json"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let grace = of_kind("Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].clone();
    let stop = ended.lines().into_iter().find(|line| line["key"] == "worker.shutdown_timeout").unwrap();
    let stop: i64 = stop["value"].as_str().unwrap().trim_end_matches('s').parse().unwrap();
    assert!(grace.as_i64().unwrap() > stop, "a stop can drain");
    let listen = ended.lines().into_iter().find(|line| line["key"] == "admin.listen").unwrap();
    let container = of_kind("Deployment")["spec"]["template"]["spec"]["containers"][0].clone();
    assert_eq!(listen["value"], format!("0.0.0.0:{}", container["ports"][0]["containerPort"]));
    assert_eq!(container["livenessProbe"]["httpGet"]["port"], container["ports"][0]["name"]);
}

#[test]
fn the_compose_file_configures_the_worker_rightly() {
    let compose = &yaml(&read("docker-compose.yml"))[0];
    let bench = Bench::new();
    let key = compose["configs"]["k1"]["content"].as_str().unwrap();
    let key = bench.file("k1", key);
    let mut variables: BTreeMap<String, String> = compose["x-program"]["environment"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    variables.insert("PROFILE_LINKER_KEYS__K1__FILE".to_owned(), text(&key).to_owned());
    let pairs: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let ended = bench.run_with(&["config"], &pairs);
    assert_eq!(ended.code, 0, "{}", ended.err);
    for service in ["sandbox", "migrate", "worker"] {
        assert_is_a_command(&strings(&compose["services"][service]["command"]));
    }
}

#[test]
fn the_image_runs_the_program_without_rights() {
    let dockerfile = read("Dockerfile");
    let lines: Vec<&str> = dockerfile.lines().collect();
    let user = lines.iter().rev().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert_eq!(user, "10001", "by number, so that Kubernetes sees that it is not root");
    assert!(lines.contains(&"ENTRYPOINT [\"profile-linker\"]"));
    let command = lines.iter().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    assert_is_a_command(&strings(&serde_json::from_str(command).unwrap()));
}
