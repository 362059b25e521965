//! What the README and the architecture point at is there: tests that are named beside promises, and files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail, also in what it stands on")]

use std::path::{Path, PathBuf};

const PAGES: [&str; 6] = [
    "README.md",
    "docs/architecture.md",
    "docs/proofs.md",
    "docs/real-parts.md",
    "docs/how-to/connect-with-tls-and-sasl.md",
    "docs/how-to/upgrade.md",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_rule_of_the_proofs_is_held_by_tests_that_are_there() {
    let code = code();
    let page = read(root().join("docs/proofs.md"));
    let rules: Vec<_> = page.lines().filter(|line| line.starts_with("| ") && *line != "| rule | tests |").collect();
    assert!(rules.len() > 30, "the proofs have rules: {}", rules.len());
    for rule in rules {
        let tests: Vec<_> = code_spans(rule.trim_end_matches([' ', '|']).rsplit('|').next().unwrap()).collect();
        assert!(!tests.is_empty(), "no test holds {rule}");
        for test in tests {
            assert!(code.contains(&format!("fn {test}(")), "the proofs name {test}, which is not there");
        }
    }
}

#[test]
fn every_test_that_a_page_names_is_there() {
    let code = code();
    let mut named = 0;
    for page in PAGES {
        for name in code_spans(&read(root().join(page))).filter(|span| is_test_name(span)) {
            assert!(code.contains(&format!("fn {name}(")), "{page} names {name}, which is not there");
            named += 1;
        }
    }
    assert!(named > 15, "the promises name their tests: {named}");
}

#[test]
fn every_link_between_the_pages_leads_somewhere() {
    for page in PAGES {
        let path = root().join(page);
        let text = read(&path);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let there = target.contains("://") || path.with_file_name(target).exists();
            assert!(there, "{page} links to {target}, which is not there");
        }
    }
}

/// All of ours in one text.
fn code() -> String {
    ["src", "tests"].iter().flat_map(|folder| rust_files(&root().join(folder))).map(read).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// What stands between single backticks, line by line, so that a fence of three disturbs nothing.
fn code_spans(text: &str) -> impl Iterator<Item = String> {
    let spans = |line: &str| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    text.lines().filter(|line| !line.starts_with("```")).flat_map(spans).collect::<Vec<_>>().into_iter()
}

/// A sentence of words joined by underscores; keys and reasons have three words at most.
fn is_test_name(span: &str) -> bool {
    span.matches('_').count() > 3 && span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
