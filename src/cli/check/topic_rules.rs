//! What our topics must be like, decided from their settings alone.
//!
//! What would lose records, or could never be written, is a failure. What is merely unwise is a warning.

use std::time::Duration;

use super::finding::Finding;
use crate::cli::text::counted;
use crate::config::format_duration;
use crate::contract::{DeadLetterLimit, LARGEST_RESULT_BYTES};

/// What a topic takes if nobody says otherwise.
const KAFKAS_DEFAULT: u64 = 1_048_588;

/// What a topic is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The input.
    Created,
    /// Good results.
    Linked,
    /// Bad results.
    Rejected,
    /// Dead letters.
    DeadLetter,
}

impl Role {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 4] = [Self::Created, Self::Linked, Self::Rejected, Self::DeadLetter];

    /// The topic's key in the configuration.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Created => "kafka.topics.created",
            Self::Linked => "kafka.topics.linked",
            Self::Rejected => "kafka.topics.rejected",
            Self::DeadLetter => "kafka.topics.dead_letter",
        }
    }
}

/// A topic's settings, as far as they matter to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `cleanup.policy`
    pub cleanup_policy: String,
    /// `max.message.bytes`
    pub max_message_bytes: u64,
    /// `retention.ms`; below 0: for ever.
    pub retention_ms: i64,
    /// `min.insync.replicas`
    pub min_insync_replicas: i64,
}

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// What it is to us.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: usize,
    /// Copies of the partition that has the fewest.
    pub copies: usize,
    /// Its settings; `Err`: why they cannot be read.
    pub settings: Result<Settings, String>,
}

/// Everything to say about a topic; one line of praise if there is nothing to find fault with.
#[must_use]
pub fn judge(topic: &Topic, ledger_retention: Duration) -> Vec<Finding> {
    let check = format!("topic {}", topic.name);
    let settings = match &topic.settings {
        Ok(settings) => settings,
        Err(why) => return vec![unread(&check, topic, why)],
    };
    let found = [
        compaction(&check, topic, settings),
        size(&check, topic, settings),
        copies(&check, topic, settings),
        retention(&check, topic, settings, ledger_retention),
    ];
    let found: Vec<Finding> = found.into_iter().flatten().collect();
    if found.is_empty() {
        return vec![Finding::ok(check, praise(topic, settings))];
    }
    found
}

fn praise(topic: &Topic, settings: &Settings) -> String {
    let kept = u64::try_from(settings.retention_ms).map_or("for ever".to_owned(), |ms| format!("for {}", days(ms)));
    format!("{}, {}, kept {kept}", partitions(topic), counted(topic.copies, "copy", "copies"))
}

fn partitions(topic: &Topic) -> String {
    counted(topic.partitions, "partition", "partitions")
}

fn unread(check: &str, topic: &Topic, why: &str) -> Finding {
    let detail = format!("{}; its settings cannot be read: {why}", partitions(topic));
    Finding::warn(check, detail, format!("allow DescribeConfigs on {}, or check its settings by hand", topic.name))
}

fn compaction(check: &str, topic: &Topic, settings: &Settings) -> Option<Finding> {
    if !settings.cleanup_policy.split(',').any(|policy| policy.trim() == "compact") {
        return None;
    }
    let detail = |loss: &str| format!("cleanup.policy={}: {loss}", settings.cleanup_policy);
    let fix = format!("set cleanup.policy=delete on {}", topic.name);
    Some(match topic.role {
        Role::Created => Finding::fail(
            check,
            detail("of a customer's events only the last is kept, the others are lost unread"),
            fix,
        ),
        Role::DeadLetter => {
            Finding::fail(check, detail("of a customer's dead letters only the last is kept, the others are lost"), fix)
        }
        Role::Rejected => Finding::fail(
            check,
            detail(
                "the broker refuses records without a key, and a rejection can have none; earlier ones of a customer are lost",
            ),
            fix,
        ),
        Role::Linked => {
            Finding::warn(check, detail("a reader that comes late misses all but a customer's last profile"), fix)
        }
    })
}

fn size(check: &str, topic: &Topic, settings: &Settings) -> Option<Finding> {
    let limit = settings.max_message_bytes;
    let fix = format!("set max.message.bytes={KAFKAS_DEFAULT} on {}", topic.name);
    match topic.role {
        Role::Created => None,
        _ if limit < LARGEST_RESULT_BYTES => {
            let detail = format!(
                "max.message.bytes={limit}: what is written here can have {LARGEST_RESULT_BYTES} bytes, and one record that is refused stops its partition"
            );
            Some(Finding::fail(check, detail, fix))
        }
        Role::DeadLetter if limit < DeadLetterLimit::USUAL.bytes() => {
            let detail = format!(
                "max.message.bytes={limit}: a dead letter that would be larger is published without its original, which only the ledger has then, by workers that started since"
            );
            Some(Finding::warn(check, detail, fix))
        }
        Role::Linked | Role::Rejected | Role::DeadLetter => None,
    }
}

fn copies(check: &str, topic: &Topic, settings: &Settings) -> Option<Finding> {
    let copies = i64::try_from(topic.copies).unwrap_or(i64::MAX);
    (settings.min_insync_replicas > copies).then(|| {
        let detail = format!(
            "min.insync.replicas={} with {copies} copies: nothing can ever be written to it",
            settings.min_insync_replicas
        );
        Finding::fail(check, detail, format!("add copies of {}, or set min.insync.replicas={copies}", topic.name))
    })
}

/// A record that outlives its row in the ledger is a stranger when it is read again: a duplicate would be worked on anew.
fn retention(check: &str, topic: &Topic, settings: &Settings, ledger: Duration) -> Option<Finding> {
    if !matches!(topic.role, Role::Created | Role::DeadLetter) {
        return None;
    }
    let ours = format_duration(ledger);
    let Ok(kept) = u64::try_from(settings.retention_ms) else {
        let detail = format!(
            "retention.ms={}: its records are kept for ever, the ledger knows an event for {ours} after its end; an older one that is read again is worked on again",
            settings.retention_ms
        );
        let fix = format!("set retention.ms on {} below {ours}, or never reset the group's position", topic.name);
        return Some(Finding::warn(check, detail, fix));
    };
    (Duration::from_millis(kept) >= ledger).then(|| {
        let detail = format!(
            "retention.ms={kept} ({}): its records outlive the ledger's memory of them, ledger.retention = {ours}; read again, they would be worked on again",
            days(kept)
        );
        let fix = format!("set ledger.retention above {}, or retention.ms on {} below {ours}", days(kept), topic.name);
        Finding::fail(check, detail, fix)
    })
}

fn days(ms: u64) -> String {
    const DAY_MS: u64 = 24 * 3600 * 1000;
    if ms >= DAY_MS && ms.is_multiple_of(DAY_MS) {
        return format!("{} d", ms / DAY_MS);
    }
    format!("{:.1} h", Duration::from_millis(ms).as_secs_f64() / 3600.0)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    const DAY_MS: i64 = 24 * 3600 * 1000;
    const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

    fn judged(role: Role, change: impl FnOnce(&mut Settings)) -> (Status, String) {
        let mut settings = Settings {
            cleanup_policy: "delete".to_owned(),
            max_message_bytes: 1_048_588,
            retention_ms: 7 * DAY_MS,
            min_insync_replicas: 1,
        };
        change(&mut settings);
        let topic = Topic { role, name: "t".to_owned(), partitions: 6, copies: 1, settings: Ok(settings) };
        let found = judge(&topic, MONTH);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].fix.is_none(), found[0].status == Status::Ok, "{found:?}");
        (found[0].status, found[0].told())
    }

    #[test]
    fn a_topic_as_kafka_makes_it_by_default_is_fine_in_every_role() {
        for role in Role::ALL {
            let (status, told) = judged(role, |_| {});
            assert_eq!(status, Status::Ok, "{role:?}");
            assert!(told.contains("6 partitions, 1 copy, kept for"), "one copy is not many: {told}");
        }
    }

    #[test]
    fn compaction_fails_where_it_loses_records_and_warns_where_readers_miss_some() {
        for policy in ["compact", "delete,compact", "compact, delete"] {
            for (role, status) in [
                (Role::Created, Status::Fail),
                (Role::DeadLetter, Status::Fail),
                (Role::Rejected, Status::Fail),
                (Role::Linked, Status::Warn),
            ] {
                let (found, told) = judged(role, |settings| policy.clone_into(&mut settings.cleanup_policy));
                assert_eq!(found, status, "{role:?}: {told}");
                assert!(told.contains("cleanup.policy") && told.contains("topic t"), "{told}");
            }
        }
    }

    #[test]
    fn a_limit_below_what_we_may_write_fails_and_the_inputs_does_not_matter() {
        let small = |role, bytes| judged(role, |settings| settings.max_message_bytes = bytes).0;
        assert_eq!(small(Role::DeadLetter, 65_536), Status::Fail);
        assert_eq!(small(Role::DeadLetter, 999_999), Status::Warn, "an original may be left out");
        assert_eq!(small(Role::DeadLetter, 1_000_000), Status::Ok);
        assert_eq!(small(Role::Linked, 65_536), Status::Fail);
        assert_eq!(small(Role::Rejected, 100_000), Status::Ok);
        assert_eq!(small(Role::Created, 10), Status::Ok);
    }

    #[test]
    fn the_ledger_must_remember_longer_than_the_input_and_the_dead_letters_are_kept() {
        let kept = |role, ms| judged(role, |settings| settings.retention_ms = ms).0;
        for role in [Role::Created, Role::DeadLetter] {
            assert_eq!(kept(role, 30 * DAY_MS - 1), Status::Ok);
            assert_eq!(kept(role, 30 * DAY_MS), Status::Fail);
            assert_eq!(kept(role, -1), Status::Warn, "for ever");
        }
        assert_eq!(kept(Role::Linked, -1), Status::Ok, "results are not read by us");
    }

    #[test]
    fn too_few_copies_for_any_write_fail_and_unreadable_settings_warn() {
        assert_eq!(judged(Role::Linked, |settings| settings.min_insync_replicas = 2).0, Status::Fail);
        let settings = Err("not authorised".to_owned());
        let topic = Topic { role: Role::Created, name: "t".to_owned(), partitions: 1, copies: 1, settings };
        let found = judge(&topic, MONTH);
        assert_eq!((found.len(), found[0].status), (1, Status::Warn), "{found:?}");
    }
}
