//! What the README and the pages in `docs/` point at is there: tests that are named beside promises, files, and keys.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail, also in what it stands on")]

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README, and every page below `docs/`.
fn pages() -> Vec<PathBuf> {
    let mut pages = files(&root().join("docs"), "md");
    assert!(pages.len() > 8, "the pages were not found: {pages:?}");
    pages.push(root().join("README.md"));
    pages
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
    for page in pages() {
        for name in code_spans(&read(&page)).filter(|span| is_test_name(span)) {
            let page = page.display();
            assert!(code.contains(&format!("fn {name}(")), "{page} names {name}, which is not there");
            named += 1;
        }
    }
    assert!(named > 15, "the promises name their tests: {named}");
}

#[test]
fn every_link_between_the_pages_leads_somewhere() {
    for path in pages() {
        let text = read(&path);
        for target in links(&text) {
            let there = target.contains("://") || path.with_file_name(target).exists();
            assert!(there, "{} links to {target}, which is not there", path.display());
        }
    }
}

/// From the README every page is reached, by links alone.
#[test]
fn no_page_is_out_of_reach() {
    let mut reached = vec![root().join("README.md")];
    let mut next = 0;
    while let Some(page) = reached.get(next).cloned() {
        next += 1;
        for target in links(&read(&page)).into_iter().filter(|target| target.ends_with(".md")) {
            let path = page.with_file_name(target).canonicalize().unwrap();
            if !reached.contains(&path) {
                reached.push(path);
            }
        }
    }
    for page in pages() {
        assert!(reached.contains(&page.canonicalize().unwrap()), "no page links to {}", page.display());
    }
}

/// Environment variables that pages name are keys of the reference, or options.
#[test]
fn every_variable_that_a_page_names_is_a_key() {
    let reference = read(root().join("docs/configuration.md"));
    for page in pages() {
        let text = read(&page);
        let named = text.match_indices("PROFILE_LINKER_").map(|(at, _)| &text[at..]);
        let name =
            |rest: &str| rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().map(str::to_owned);
        for variable in named.filter_map(name) {
            let open = ["PROFILE_LINKER_", "PROFILE_LINKER_KEYS__", "PROFILE_LINKER_KAFKA__PROPERTIES__"];
            let is_open = variable == open[0] || open[1..].iter().any(|prefix| variable.starts_with(prefix));
            let is_key = |name: &str| reference.contains(&format!("`{name}`"));
            let known = is_key(&variable) || variable.strip_suffix("_FILE").is_some_and(is_key);
            assert!(is_open || known || variable.starts_with("PROFILE_LINKER_TEST_"), "{}: {variable}", page.display());
        }
    }
}

/// All of ours in one text.
fn code() -> String {
    ["src", "tests"].iter().flat_map(|folder| files(&root().join(folder), "rs")).map(read).collect()
}

fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()).filter(|link| !link.is_empty()).collect()
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// What stands between single backticks, line by line, so that a fence of three disturbs nothing.
fn code_spans(text: &str) -> impl Iterator<Item = String> {
    let spans = |line: &str| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    text.lines().filter(|line| !line.starts_with("```")).flat_map(spans).collect::<Vec<_>>().into_iter()
}

/// A sentence of words joined by underscores; keys and reasons have three words at most, metrics their prefix.
fn is_test_name(span: &str) -> bool {
    span.matches('_').count() > 3
        && !span.starts_with("profile_linker_")
        && span.starts_with(char::is_alphabetic)
        && span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
