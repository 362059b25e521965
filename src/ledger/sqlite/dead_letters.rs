//! Dead letters for people, and the acts on them.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sqlx::sqlite::SqliteRow;

use super::operator::audit as write_audit;
use super::session::{File, Values};
use crate::domain::EventKey;
use crate::ledger::decode::Columns;
use crate::ledger::{
    Act, AuditFilter, AuditFrom, AuditLine, DeadLetter, DeadLetterFilter, DeadLetterGroup, DeadLetterPlace, Fate,
    LedgerError, LetterState, Reopening, Story,
};

/// `?1` to `?13` are the filter.
macro_rules! filtered {
    ($head:literal, $rest:literal) => {
        concat!(
            $head,
            "
FROM dead_letter d
WHERE d.state IN (?1, ?2, ?3)
    AND (?4 IS NULL OR d.reason_code = ?4)
    AND (?5 IS NULL OR d.reason_stage = ?5)
    AND (?6 IS NULL OR d.customer_system = ?6)
    AND (?7 IS NULL OR lower(d.customer_id) = lower(?7))
    AND (?8 IS NULL OR d.id = ?8)
    AND (?9 IS NULL OR d.dead_lettered_at >= ?9)
    AND (?10 IS NULL OR d.dead_lettered_at <= ?10)
    AND (?11 IS NULL OR (d.lane = ?11 AND d.record_offset = ?12
        AND (SELECT s.topic FROM sealed_record s WHERE s.key = d.key) IS ?13))",
            $rest
        )
    };
}

/// Behind a place that is always named, none being before all: so that it is sought in the index.
const PAGE: &str = filtered!(
    "
SELECT d.key, d.state, d.generation, d.source, d.id, d.lane, d.record_offset, d.record_timestamp,
    (SELECT s.topic FROM sealed_record s WHERE s.key = d.key) AS topic, d.customer_system, d.customer_id, d.reason_code, d.reason_stage, d.convert_attempts, d.link_attempts, d.lookup_attempts,
    d.dead_lettered_at, d.accepted_at",
    "
    AND (d.accepted_at, d.lane, d.record_offset, d.key) > (COALESCE(?14, -1), ?15, ?16, ?17)
ORDER BY d.accepted_at, d.lane, d.record_offset, d.key
LIMIT ?18"
);

const STATS: &str = filtered!(
    "
SELECT d.reason_code, d.reason_stage, count(*) AS count,
    MAX(0, (CAST(unixepoch('subsec') * 1000 AS INTEGER) - min(d.dead_lettered_at)) / 1000) AS oldest_age_s,
    MAX(0, (CAST(unixepoch('subsec') * 1000 AS INTEGER) - max(d.dead_lettered_at)) / 1000) AS newest_age_s,
    count(DISTINCT d.customer_system || '/' || d.customer_id) AS customers, min(d.id) AS example",
    "
GROUP BY d.reason_code, d.reason_stage
ORDER BY count(*) DESC, d.reason_code, d.reason_stage"
);

/// One whose place another event has taken stays discarded.
const CHANGE: &str = "
UPDATE dead_letter SET state = ?4
WHERE key = ?1 AND generation = ?2 AND state = ?3 AND replaced_by IS NULL";
const FATE: &str = "SELECT key, state, generation FROM event WHERE key = ?";
const STORY: &str = "
SELECT i.accepted_at, e.first_failed_at, e.possibly_sent,
    EXISTS (SELECT 1 FROM sealed_token t WHERE t.key = e.key) AS converted, e.timeline,
    (SELECT r.id FROM replacement p JOIN input r ON r.key = p.replaces WHERE p.key = e.key) AS replaces,
    EXISTS (SELECT 1 FROM dead_letter d WHERE d.key = e.key AND d.replaced_by IS NOT NULL) AS is_replaced,
    (SELECT r.id FROM dead_letter d JOIN input r ON r.key = d.replaced_by WHERE d.key = e.key) AS replaced_by
FROM event e JOIN input i ON i.key = e.key
WHERE e.key = ?";
macro_rules! audit_lines {
    ($from:literal) => {
        concat!(
            "
SELECT a.n, a.at, a.actor, a.act, a.target, NULL AS event_id, a.why
FROM audit a
WHERE (?1 IS NULL OR a.actor = ?1) AND (?2 IS NULL OR a.act = ?2) AND (?3 IS NULL OR a.target = ?3)
    AND (?4 IS NULL OR a.at >= ?4) AND (?5 IS NULL OR a.at <= ?5) AND ",
            $from,
            "
LIMIT ?7"
        )
    };
}
const AUDIT_LATEST: &str = audit_lines!("a.n < ?6 ORDER BY a.n DESC");
const AUDIT_EARLIEST: &str = audit_lines!("a.n > ?6 ORDER BY a.n");

pub(super) async fn now_ms(file: &File) -> Result<i64, LedgerError> {
    let mut work = file.read().await?;
    let now = work.now_ms().await?;
    work.done();
    Ok(now)
}

pub(super) async fn latest_ms(file: &File) -> Result<i64, LedgerError> {
    let mut work = file.read().await?;
    let now = work.now_ms().await?;
    let newest = work.row(sqlx::query("SELECT max(dead_lettered_at) AS newest FROM dead_letter")).await?;
    work.done();
    let newest = newest.map(|row| row.optional_int("newest")).transpose()?.flatten();
    Ok(newest.map_or(now, |newest| newest.max(now)))
}

pub(super) async fn page(
    file: &File,
    filter: &DeadLetterFilter,
    after: Option<DeadLetterPlace>,
    limit: usize,
) -> Result<Vec<DeadLetter>, LedgerError> {
    let query = of_filter(PAGE, filter)
        .bind(after.map(|place| place.accepted_at))
        .bind(after.map(|place| place.lane.0))
        .bind(after.map(|place| place.offset))
        .bind(after.map(|place| place.key.0.to_vec()))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX));
    ask(file, query).await?.iter().map(DeadLetter::of_row).collect()
}

pub(super) async fn stats(file: &File, filter: &DeadLetterFilter) -> Result<Vec<DeadLetterGroup>, LedgerError> {
    ask(file, of_filter(STATS, filter)).await?.iter().map(DeadLetterGroup::of_row).collect()
}

/// SQLite has no lists of values: a state that is not asked for stands as null, which no state is.
fn of_filter<'q>(sql: &'static str, filter: &DeadLetterFilter) -> Values<'q> {
    let codes = filter.state_codes();
    (0..LetterState::ALL.len())
        .fold(sqlx::query(sql), |query, place| query.bind(codes.get(place).copied()))
        .bind(filter.reason.clone())
        .bind(filter.stage.clone())
        .bind(filter.customer_system.clone())
        .bind(filter.customer_id.clone())
        .bind(filter.event_id.clone())
        .bind(filter.since)
        .bind(filter.until)
        .bind(filter.place.map(|(partition, _)| partition))
        .bind(filter.place.map(|(_, offset)| offset))
        .bind(filter.place_topic.clone())
}

pub(super) async fn change(
    file: &File,
    rows: &[Reopening],
    act: &Act,
    name: &'static str,
    [from, to]: [LetterState; 2],
) -> Result<Vec<EventKey>, LedgerError> {
    let mut work = file.write().await?;
    let mut changed = Vec::new();
    for row in rows {
        let key = row.key.0.as_slice();
        let query = sqlx::query(CHANGE).bind(key).bind(row.generation).bind(from.code()).bind(to.code());
        if work.run(query).await? == 1 {
            write_audit(&mut work, act, name, &HEXLOWER.encode(key)).await?;
            changed.push(row.key);
        }
    }
    work.commit().await?;
    Ok(changed)
}

pub(super) async fn fates(file: &File, keys: &[EventKey]) -> Result<Vec<Fate>, LedgerError> {
    let mut work = file.read().await?;
    let mut rows = Vec::new();
    for key in keys {
        rows.extend(work.row(sqlx::query(FATE).bind(key.0.as_slice())).await?);
    }
    work.done();
    rows.iter().map(Fate::of_row).collect()
}

pub(super) async fn story(file: &File, key: EventKey) -> Result<Option<Story>, LedgerError> {
    let rows = ask(file, sqlx::query(STORY).bind(key.0.to_vec())).await?;
    rows.first().map(Story::of_row).transpose()
}

pub(super) async fn audit(
    file: &File,
    filter: &AuditFilter,
    from: AuditFrom,
    limit: usize,
) -> Result<Vec<AuditLine>, LedgerError> {
    let sql = if matches!(from, AuditFrom::After(_)) { AUDIT_EARLIEST } else { AUDIT_LATEST };
    let query = sqlx::query(sql)
        .bind(filter.actor.clone())
        .bind(filter.act.clone())
        .bind(filter.target.clone())
        .bind(filter.since)
        .bind(filter.until)
        .bind(from.number())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let mut lines: Vec<_> = ask(file, query).await?.iter().map(AuditLine::of_row).collect::<Result<_, _>>()?;
    for line in &mut lines {
        line.event_id = event_id(file, &line.target).await?;
    }
    Ok(lines)
}

/// SQLite cannot decode hex in every version that is around, so the id of a target is looked up by itself.
async fn event_id(file: &File, target: &str) -> Result<Option<String>, LedgerError> {
    let Some(key) = HEXLOWER_PERMISSIVE.decode(target.as_bytes()).ok().filter(|key| key.len() == 16) else {
        return Ok(None);
    };
    let rows = ask(file, sqlx::query("SELECT id FROM input WHERE key = ?").bind(key)).await?;
    rows.first().map_or(Ok(None), |row| row.optional_text("id"))
}

async fn ask(file: &File, query: Values<'_>) -> Result<Vec<SqliteRow>, LedgerError> {
    let mut work = file.read().await?;
    let rows = work.rows(query).await?;
    work.done();
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::plan;
    use super::*;

    #[tokio::test]
    async fn a_page_is_sought_in_an_index_and_never_sorted() {
        for sql in [PAGE, AUDIT_LATEST, AUDIT_EARLIEST] {
            let plan = plan(sql).await;
            assert!(plan.starts_with("SEARCH ") && !plan.contains("ORDER BY"), "{plan}");
        }
    }
}
