//! `[kafka.properties]`: passed on to librdkafka, except what would break the guarantees or has a key of its own.

use std::collections::BTreeMap;
use std::io::Read;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::kind::Raw;
use super::reading::Setting;

/// Refused, since the proofs rest on our own choice of them (guarantees, section 4).
/// `request.required.acks` is librdkafka's other name for `acks`.
const FIXED: [&str; 9] = [
    "isolation.level",
    "auto.offset.reset",
    "transactional.id",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "partitioner",
    "group.protocol",
    "partition.assignment.strategy",
];
/// Every property that begins so is refused too.
const FIXED_PREFIX: &str = "enable.auto.";
/// Properties that have a key of their own.
const OWN: [(&str, &str); 3] =
    [("bootstrap.servers", "kafka.brokers"), ("metadata.broker.list", "kafka.brokers"), ("group.id", "kafka.group")];

/// The property's name and its value as librdkafka takes it; a secret one may be given as `<name>_file`.
///
/// # Errors
/// What is wrong, to be read after the key's name; never quotes the value.
pub fn check(name: &str, raw: &Raw, others: &BTreeMap<String, Setting<String>>) -> Result<(String, String), String> {
    if FIXED.contains(&name) || name.starts_with(FIXED_PREFIX) {
        return Err("is fixed: the guarantees rest on our own choice of it; leave it out".to_owned());
    }
    if let Some((_, key)) = OWN.iter().find(|(own, _)| *own == name) {
        return Err(format!("has a key of its own: {key}"));
    }
    let named_by_file = name.strip_suffix("_file").filter(|name| is_secret(name));
    let (name, is_file) = named_by_file.map_or((name, false), |name| (name, true));
    // Before the file is opened: which of the two is meant must be said first, whatever the file is like.
    if others.contains_key(name) {
        return Err(format!("{name} and {name}_file are both set: only one of the two may be"));
    }
    let value = if is_file { from_file(raw)? } else { text(raw)? };
    librdkafka_takes(name, &value).map(|()| (name.to_owned(), value))
}

/// The one secret that a running client can be given anew.
pub const PASSWORD_FILE: &str = "sasl.password_file";
/// A file may hold a chain of certificates; a device has no end.
const FILE_LIMIT: u64 = 1 << 20;

/// Whether a property's value must not be shown. Of the log-in's properties all but those that tell no secret, so that a
/// misspelt one shows nothing either.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    const TELLING: [&str; 8] = ["password", "passphrase", "passw", "secret", "pem", "token", "jaas", "private.key"];
    const OPEN: [&str; 7] = [
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.username",
        "sasl.kerberos.principal",
        "sasl.kerberos.service.name",
        "sasl.oauthbearer.method",
        "sasl.oauthbearer.token.endpoint.url",
    ];
    let named = TELLING.iter().any(|part| name.contains(part)) || name.starts_with("sasl.");
    named && !OPEN.contains(&name) && !name.ends_with(".location")
}

/// What TLS needs and nobody set: where the system keeps its root certificates. Our OpenSSL is linked in, and does not
/// know where this machine's distribution puts them.
pub fn complete(properties: &mut BTreeMap<String, String>) {
    const ROOTS: [&str; 3] = ["ssl.ca.location", "ssl.ca.pem", "ssl.ca.certificate.stores"];
    let tls =
        properties.get("security.protocol").is_some_and(|protocol| protocol.to_ascii_lowercase().ends_with("ssl"));
    if tls && !ROOTS.iter().any(|root| properties.contains_key(*root)) {
        properties.insert("ssl.ca.location".to_owned(), "probe".to_owned());
    }
}

fn text(raw: &Raw) -> Result<String, String> {
    match raw {
        Raw::Text(text) | Raw::Loose(text) => Ok(text.to_string()),
        Raw::Integer(number) => Ok(number.to_string()),
        Raw::Float(number) => Ok(number.to_string()),
        Raw::Switch(on) => Ok(on.to_string()),
        Raw::Other(_) => Err("must be a string, a number or a boolean".to_owned()),
    }
}

fn from_file(raw: &Raw) -> Result<String, String> {
    let path = raw.text().filter(|path| !path.is_empty()).ok_or("must be the path of a file")?;
    let unreadable = |error: std::io::Error| format!("{path} cannot be read: {error}");
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_LIMIT + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(format!("{path} is too large: more than {FILE_LIMIT} bytes"));
    }
    let value = text.trim_end_matches(['\r', '\n']);
    if value.is_empty() { Err(format!("{path} is empty")) } else { Ok(value.to_owned()) }
}

fn librdkafka_takes(name: &str, value: &str) -> Result<(), String> {
    let mut client = ClientConfig::new();
    client.set(name, value);
    match client.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, description, ..)) if !is_secret(name) => {
            Err(format!("librdkafka refuses it: {description}"))
        }
        Err(_) => Err("librdkafka refuses it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(given: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut properties = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        complete(&mut properties);
        properties
    }

    #[test]
    fn tls_looks_for_the_systems_roots_unless_others_are_named() {
        for protocol in ["ssl", "SASL_SSL"] {
            assert_eq!(completed(&[("security.protocol", protocol)])["ssl.ca.location"], "probe");
        }
        let named = completed(&[("security.protocol", "ssl"), ("ssl.ca.location", "ca.pem")]);
        assert_eq!(named["ssl.ca.location"], "ca.pem");
        let inline = completed(&[("security.protocol", "ssl"), ("ssl.ca.pem", "-----")]);
        assert!(!inline.contains_key("ssl.ca.location"));
        assert!(!completed(&[("security.protocol", "sasl_plaintext")]).contains_key("ssl.ca.location"));
        assert!(completed(&[]).is_empty());
    }
}
