//! Checks over more than one key, and of the files that keys name.

use std::path::Path;

use super::error::Problem;
use super::kind::{self, Kind};
use super::reading::Reading;
use super::{address, keys, sealing, timeouts};
use crate::contract::LARGEST_RESULT_BYTES;

const TOPICS: [&str; 4] =
    ["kafka.topics.created", "kafka.topics.linked", "kafka.topics.rejected", "kafka.topics.dead_letter"];

/// An upstream's table and what it cannot do without.
const UPSTREAMS: [(&str, &[&str]); 3] = [
    ("converter.payiq", &["base_url", "api_key", "signing_key"]),
    ("target.loanpro", &["base_url", "token", "instance_id"]),
    ("target.aloha", &["base_url", "user", "password", "company_code"]),
];

/// All of them.
pub fn check(reading: &Reading, problems: &mut Vec<Problem>) {
    check_topics(reading, problems);
    for (table, required) in UPSTREAMS {
        if reading.uses(table) {
            check_upstream(reading, table, required, problems);
        }
    }
    check_secret_files(reading, problems);
    check_admin(reading, problems);
    check_retry(reading, problems);
    check_record_limit(reading, problems);
    timeouts::check(reading, problems);
}

/// No two roles may share a topic: a result would come back in as an input.
pub fn check_topics(reading: &Reading, problems: &mut Vec<Problem>) {
    for (index, path) in TOPICS.iter().enumerate() {
        let Ok(name) = reading.text(path) else { continue };
        let same = TOPICS[..index].iter().find(|other| reading.text(other).is_ok_and(|other| other == name));
        if let Some(other) = same {
            problems.push(about(reading, path, format!("is the same topic as {other}; each needs its own")));
        }
    }
}

fn check_upstream(reading: &Reading, table: &str, required: &[&str], problems: &mut Vec<Problem>) {
    for name in required {
        let path = format!("{table}.{name}");
        let known = reading.values.contains_key(path.as_str()) || reading.secret_files.contains_key(path.as_str());
        let told = problems.iter().any(|problem| problem.key.starts_with(&path));
        if !known && !told {
            let twin =
                if keys::find(&path).is_some_and(|key| key.kind.is_secret()) { ", or set its _file twin" } else { "" };
            let variable = keys::environment_name(&path);
            problems.push(Problem::missing(&path, format!("is required with [{table}]; set it, or {variable}{twin}")));
        }
    }
    let plain = reading.text(&format!("{table}.base_url")).is_ok_and(|url| address::is_plain_beyond_loopback(&url));
    if plain && !reading.switch(&format!("{table}.allow_plain_http")).unwrap_or(false) {
        let message = "sends tokens in clear beyond this machine; use https://, or set allow_plain_http = true";
        problems.push(about(reading, &format!("{table}.base_url"), message.to_owned()));
    }
    if let Some(path) = reading.optional_file(&format!("{table}.ca_file"))
        && let Err(error) = std::fs::metadata(&path)
    {
        problems.push(about(reading, &format!("{table}.ca_file"), format!("cannot be read: {error}")));
    }
}

fn check_secret_files(reading: &Reading, problems: &mut Vec<Problem>) {
    for (path, file) in &reading.secret_files {
        if let Err(message) = secret_file(&file.value, path) {
            problems.push(Problem::at(&format!("{path}_file"), &file.origin, message));
        }
    }
}

fn secret_file(file: &Path, path: &str) -> Result<(), String> {
    let line = sealing::line_of(file)?;
    let is_url = keys::find(path).is_some_and(|key| key.kind == Kind::LedgerUrl);
    if is_url || kind::is_credential(&line) {
        return Ok(());
    }
    Err(format!("{} does not hold one line of printable ASCII", file.display()))
}

fn check_admin(reading: &Reading, problems: &mut Vec<Problem>) {
    let beyond = reading.listen("admin.listen").is_ok_and(|listen| !listen.ip().is_loopback());
    let told = problems.iter().any(|problem| problem.key.starts_with("admin.token"));
    if beyond && !told && !reading.is_set("admin.token") {
        let message = "listens beyond this machine; set admin.token or admin.token_file, or listen on 127.0.0.1";
        problems.push(about(reading, "admin.listen", message.to_owned()));
    }
}

/// Librdkafka measures a record before it is sent: a result above this limit would never leave.
fn check_record_limit(reading: &Reading, problems: &mut Vec<Problem>) {
    let Some(setting) = reading.properties.get("message.max.bytes") else { return };
    // Librdkafka would read 0200000 as octal, and 0x3e8: only what all read alike is taken.
    let is_plain = setting.value.starts_with(|digit: char| ('1'..='9').contains(&digit));
    let limit = setting.value.parse::<u64>().ok().filter(|_| is_plain);
    if limit.is_none_or(|limit| limit < LARGEST_RESULT_BYTES) {
        let message = match limit {
            None => "must be a number of bytes in decimal digits; leave it out".to_owned(),
            Some(_) => format!(
                "a result can have {LARGEST_RESULT_BYTES} bytes, and one that cannot be sent stops its partition; leave it out"
            ),
        };
        let problem = Problem::at("kafka.properties.message.max.bytes", &setting.origin, message);
        problems.push(problem.showing(format!("{:?}", setting.value)));
    }
}

fn check_retry(reading: &Reading, problems: &mut Vec<Problem>) {
    let (initial, longest) = (reading.duration("retry.initial"), reading.duration("retry.max_interval"));
    if let (Ok(initial), Ok(longest)) = (initial, longest)
        && initial > longest
    {
        problems.push(about(reading, "retry.initial", "must not be longer than retry.max_interval".to_owned()));
    }
}

fn about(reading: &Reading, path: &str, message: String) -> Problem {
    let Some(setting) = reading.values.get(path) else {
        return Problem::missing(path, message);
    };
    let problem = Problem::at(path, &setting.origin, message);
    match setting.value.shown() {
        Some(shown) => problem.showing(format!("{shown:?}")),
        None => problem,
    }
}
