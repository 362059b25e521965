use std::process::Output;

use profile_linker::sandbox::{STORY, STORY_ADDRESS};
use serde_json::json;
use tokio::process::Command;

use crate::house::{House, open};

/// Counts every curl and how it ended, whatever pipe it stands in.
const PRELUDE: &str = r#"curl() { command curl "$@"; code=$?; echo "$code" >> "$CODES"; return "$code"; }"#;

/// The commands of the story: its lines that are set in by two, without the tables at its end.
fn commands() -> String {
    let told = STORY.split("\nFaults:").next().unwrap();
    let lines = told.lines().filter(|line| line.starts_with("  "));
    lines.collect::<Vec<_>>().join("\n")
}

async fn play(house: &House) -> (Output, Vec<String>) {
    let codes = tempfile::NamedTempFile::new().unwrap();
    let script = commands().replace(STORY_ADDRESS, &house.running.address().to_string());
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{PRELUDE}\n{script}")).env("CODES", codes.path());
    let output = shell.output().await.unwrap();
    let codes = std::fs::read_to_string(codes.path()).unwrap();
    (output, codes.lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn the_story_of_the_help_can_be_pasted_and_ends_as_told() {
    let house = open().await;
    let (output, codes) = play(&house).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(codes.len(), commands().matches("curl ").count(), "{errors}");
    assert!(codes.iter().all(|code| code == "0"), "{codes:?} {errors}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("503\n200\n"));

    let state = house.state().await;
    let of = |list: &str| state[list].as_array().unwrap().len();
    assert_eq!((of("profiles"), of("conversions"), of("payments")), (1, 1, 2));
    assert_eq!(
        (&state["profiles"][0]["title"], &state["profiles"][0]["primary"]),
        (&json!("Checking 6789"), &json!(true))
    );
    assert_eq!(state["profiles"][0]["token"], state["conversions"][0]["permanentToken"]);
    assert_eq!((&state["payments"][0]["kind"], &state["payments"][1]["kind"]), (&json!("log"), &json!("process")));
    assert_eq!(state["calls"]["counts"]["loanpro.lookup"], 3);
}
