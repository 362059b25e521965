//! Which dead letters a command is about.

use super::View;
use crate::cli::exit::Failure;
use crate::cli::filter::reason_code;
use crate::config::parse_duration;
use crate::domain::{ReasonCode, Stage, System};
use crate::ledger::{DeadLetterFilter, LetterState};

/// The last millisecond of the year 9999.
const LATEST_MS: i64 = 253_402_300_799_999;

/// What is not given does not matter; all that is given must fit.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Selection {
    /// The event with this CloudEvents id; as `--event-id`
    #[arg(value_name = "EVENT_ID", conflicts_with = "event_id")]
    id: Option<String>,
    /// With this CloudEvents id only
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    /// Dead-lettered for this reason only
    #[arg(long, value_name = "CODE", value_parser = reason_code)]
    reason: Option<ReasonCode>,
    /// Rejected at this stage only: decode, validate, convert or link
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    stage: Option<Stage>,
    /// Of this customer only; `loanpro/42` names the link target, too
    #[arg(long, value_name = "ID", value_parser = customer)]
    customer: Option<CustomerName>,
    /// Dead-lettered since then: RFC 3339, or `1h` ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// Dead-lettered until then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Moment>,
    /// Whose record stood there only
    #[arg(long, value_name = "TOPIC/PARTITION/OFFSET", value_parser = origin)]
    origin: Option<Place>,
}

/// A customer as people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CustomerName {
    system: Option<System>,
    id: String,
}

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Milliseconds since 1970.
    At(i64),
    /// Milliseconds before now, by the clock of whoever compares.
    Ago(i64),
}

/// A place in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    topic: String,
    partition: i32,
    offset: i64,
}

impl Selection {
    /// Whether it names anything at all.
    pub fn is_everything(&self) -> bool {
        let Self { id, event_id, reason, stage, customer, since, until, origin } = self;
        let texts = id.is_none() && event_id.is_none() && reason.is_none() && stage.is_none();
        texts && customer.is_none() && since.is_none() && until.is_none() && origin.is_none()
    }

    /// Whether it names nothing but times.
    pub fn is_of_times_only(&self) -> bool {
        Self { since: None, until: None, ..self.clone() }.is_everything()
    }

    /// From when on; ages are counted from `now`.
    pub fn since(&self, now: i64) -> Option<i64> {
        self.since.map(|moment| moment.before(now))
    }

    /// The filter that the ledger understands; times that are told as ages are counted by its clock.
    ///
    /// # Errors
    /// The ledger is unreachable (69).
    pub async fn filter(&self, desk: &View, states: &[LetterState]) -> Result<DeadLetterFilter, Failure> {
        let now = match [self.since, self.until].iter().any(|moment| matches!(moment, Some(Moment::Ago(_)))) {
            true => desk.letters.now_ms().await.map_err(|error| desk.failed(&error))?,
            false => 0,
        };
        // What is of the topic that the ledger serves is not marked with it.
        let other_topic = self.origin.as_ref().map(|place| &place.topic).filter(|topic| **topic != desk.topic);
        Ok(DeadLetterFilter {
            states: states.to_vec(),
            reason: self.reason.map(|code| code.as_str().to_owned()),
            stage: self.stage.map(|stage| stage.as_str().to_owned()),
            customer_system: self.customer.as_ref().and_then(|name| name.system).map(|one| one.as_str().to_owned()),
            customer_id: self.customer.as_ref().map(|name| name.id.clone()),
            event_id: self.id.clone().or_else(|| self.event_id.clone()),
            since: self.since.map(|moment| moment.before(now)),
            until: self.until.map(|moment| moment.before(now)),
            place: self.origin.as_ref().map(|place| (place.partition, place.offset)),
            place_topic: other_topic.cloned(),
        })
    }
}

impl Moment {
    /// The time, milliseconds since 1970. Nothing was dead-lettered before 1970, and no database knows all times that people can
    /// write: what is earlier or later than any dead letter is told as the first or last time that all of them know.
    pub fn before(self, now: i64) -> i64 {
        let at = match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.saturating_sub(ago),
        };
        at.clamp(0, LATEST_MS)
    }
}

/// Reads a time.
///
/// # Errors
/// What would be one.
pub fn moment(text: &str) -> Result<Moment, String> {
    let ago = parse_duration(text).and_then(|ago| i64::try_from(ago.as_millis()).ok()).map(Moment::Ago);
    let at = || text.parse::<jiff::Timestamp>().ok().map(|at| Moment::At(at.as_millisecond()));
    ago.or_else(at).ok_or_else(|| "a time such as 2026-01-31T12:00:00Z (RFC 3339), or 15m, 1h, 2d ago".to_owned())
}

fn stage(text: &str) -> Result<Stage, String> {
    let found = Stage::ALL.into_iter().find(|stage| stage.as_str() == text);
    found.ok_or_else(|| format!("no such stage; there are {}", Stage::ALL.map(Stage::as_str).join(", ")))
}

fn customer(text: &str) -> Result<CustomerName, String> {
    let Some((system, id)) = text.split_once('/') else {
        return Ok(CustomerName { system: None, id: text.to_owned() });
    };
    let found = [System::Loanpro, System::Aloha].into_iter().find(|one| one.as_str() == system);
    let system = found.ok_or("no such link target; there are loanpro and aloha")?;
    Ok(CustomerName { system: Some(system), id: id.to_owned() })
}

fn origin(text: &str) -> Result<Place, String> {
    let mut parts = text.rsplitn(3, '/');
    let (offset, partition, topic) = (parts.next(), parts.next(), parts.next());
    let place = || {
        let (partition, offset) = (partition?.parse().ok()?, offset?.parse().ok()?);
        Some(Place { topic: topic?.to_owned(), partition, offset })
    };
    place().ok_or_else(|| "topic/partition/offset, such as payments.profile-created.v1/0/17".to_owned())
}

/// Which states are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum States {
    /// What is dead-lettered or being replayed.
    #[default]
    Open,
    /// What may be replayed.
    DeadLettered,
    /// What is being replayed.
    Replaying,
    /// What was set aside.
    Discarded,
    /// Everything.
    All,
}

impl States {
    /// As `--state` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::DeadLettered => "dead-lettered",
            Self::Replaying => "replaying",
            Self::Discarded => "discarded",
            Self::All => "all",
        }
    }

    /// The ledger's states.
    pub fn states(self) -> &'static [LetterState] {
        match self {
            Self::Open => &[LetterState::DeadLettered, LetterState::Replaying],
            Self::DeadLettered => &[LetterState::DeadLettered],
            Self::Replaying => &[LetterState::Replaying],
            Self::Discarded => &[LetterState::Discarded],
            Self::All => &LetterState::ALL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_such_or_as_ages() {
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(Moment::At(1000)));
        assert_eq!(moment("1h"), Ok(Moment::Ago(3_600_000)));
        assert_eq!((Moment::At(5).before(7), Moment::Ago(5).before(7)), (5, 2));
        assert!(moment("yesterday").unwrap_err().contains("RFC 3339"));
    }

    #[test]
    fn no_time_is_too_early_or_too_late_to_ask_for() {
        let now = 1_700_000_000_000;
        let asked = |text: &str| moment(text).unwrap().before(now);
        for text in ["3000000d", "99999999999d", "-009998-01-01T00:00:00Z", "1969-12-31T23:59:59Z"] {
            assert_eq!(asked(text), 0, "{text}");
        }
        assert_eq!(asked("9999-12-30T00:00:00Z"), LATEST_MS - 172_799_999);
        assert_eq!(Moment::At(i64::MAX).before(now), LATEST_MS);
        for text in ["99999999999999999999d", "1e3d", "+012345-01-01T00:00:00Z"] {
            assert!(moment(text).unwrap_err().contains("RFC 3339"), "{text}");
        }
    }

    #[test]
    fn customers_and_origins_are_read_as_tables_show_them() {
        assert_eq!(customer("42").unwrap(), CustomerName { system: None, id: "42".to_owned() });
        assert_eq!(customer("aloha/a-b").unwrap(), CustomerName { system: Some(System::Aloha), id: "a-b".to_owned() });
        assert!(customer("other/1").is_err());
        let place = Place { topic: "a.b".to_owned(), partition: 3, offset: 17 };
        assert_eq!(origin("a.b/3/17"), Ok(place));
        for text in ["a.b/3", "3/17", "a/b/c", "a/0/-"] {
            assert!(origin(text).is_err(), "{text}");
        }
    }
}
