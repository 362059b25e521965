//! A dead letter's replacement by an edited event, in one transaction.

use data_encoding::HEXLOWER;

use super::operator::audit;
use super::session::File;
use crate::ledger::{Act, LedgerError, NoteKind, Replacement, RowState};

const IS_AS_SEEN: &str = "
SELECT 1 FROM event e JOIN dead_letter d ON d.key = e.key
WHERE e.key = ?1 AND e.state = 5 AND e.generation = ?2 AND d.state = 1 AND d.generation = ?2";
const INPUT: &str = "
INSERT INTO input (key, lane, record_offset, record_timestamp, accepted_at, payload_hash, source, id, customer_system,
    customer_id)
SELECT ?2, lane, record_offset, record_timestamp, accepted_at, ?3, ?4, ?5, ?6, ?7 FROM input WHERE key = ?1
ON CONFLICT DO NOTHING";
const EVENT: &str = "
INSERT INTO event (key, lane, epoch, state, possibly_sent, generation)
SELECT ?2, e.lane, l.epoch, ?3, ?4, 1 FROM event e JOIN lane l ON l.lane = e.lane WHERE e.key = ?1";
const RECORD: &str = "
INSERT INTO sealed_record (key, lane, record_offset, kept, bytes, topic)
SELECT ?2, e.lane, i.record_offset, 0, ?3, s.topic
FROM event e JOIN input i ON i.key = e.key LEFT JOIN sealed_record s ON s.key = e.key WHERE e.key = ?1";
const TOKEN: &str = "
INSERT INTO sealed_token (key, bytes, account) SELECT ?2, ?3, account FROM sealed_token WHERE key = ?1";
const REPLACED: &str = "INSERT INTO replacement (key, replaces, markers) VALUES (?2, ?1, ?3)";
const DISCARD: &str = "UPDATE dead_letter SET state = 3, replaced_by = ?2 WHERE key = ?1";
const NOTE: &str = "INSERT INTO note (key, kind) VALUES (?, ?)";

pub(super) async fn replace(file: &File, replacement: &Replacement, act: &Act) -> Result<bool, LedgerError> {
    let (old, key) = (replacement.replaced.key.0.to_vec(), replacement.identity.key().0.to_vec());
    let of_both = |sql: &'static str| sqlx::query(sql).bind(old.clone()).bind(key.clone());
    let mut work = file.write().await?;
    let seen = sqlx::query(IS_AS_SEEN).bind(old.clone()).bind(replacement.replaced.generation);
    if work.row(seen).await?.is_none() {
        return work.commit().await.map(|()| false);
    }
    let input = of_both(INPUT)
        .bind(replacement.payload_hash.to_vec())
        .bind(replacement.identity.source.clone())
        .bind(replacement.identity.id.clone())
        .bind(replacement.customer.system.as_str())
        .bind(replacement.customer.id.clone());
    if work.run(input).await? == 0 {
        return work.commit().await.map(|()| false);
    }
    let state = if replacement.sealed_token.is_some() { RowState::Converted } else { RowState::Accepted };
    work.run(of_both(EVENT).bind(state.code()).bind(replacement.possibly_sent)).await?;
    work.run(of_both(RECORD).bind(replacement.sealed_record.clone())).await?;
    if let Some(token) = &replacement.sealed_token {
        work.run(of_both(TOKEN).bind(token.clone())).await?;
    }
    work.run(of_both(REPLACED).bind(replacement.markers_text()?)).await?;
    work.run(of_both(DISCARD)).await?;
    work.run(sqlx::query(NOTE).bind(key.clone()).bind(NoteKind::Reopened.code())).await?;
    audit(&mut work, act, "edit", &HEXLOWER.encode(&old)).await?;
    work.commit().await?;
    Ok(true)
}
