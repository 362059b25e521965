use super::*;
use crate::domain::{Epoch, Lane};
use crate::ledger::Claim;

const LEDGER: [u8; 8] = [7; 8];

/// Accepted up to 100, published up to 40, given numbers up to 45.
fn row() -> LaneRow {
    LaneRow {
        claim: Claim { lane: Lane(3), epoch: Epoch(2) },
        clean: true,
        position: Some(100),
        saved_cursor: 40,
        last_seq: 45,
        suspect_below: 0,
        topic_id: None,
    }
}

fn at(offset: i64, metadata: String) -> Committed {
    Committed { partition: 3, offset: Some(offset), metadata }
}

fn ours(offset: i64, cursor: i64) -> Committed {
    at(offset, cursor::encode(LEDGER, cursor))
}

fn start(committed: &Committed) -> Start {
    starting_point(LEDGER, false, &row(), false, Some(committed)).unwrap()
}

fn adopted(committed: &Committed) -> Start {
    starting_point(LEDGER, true, &row(), false, Some(committed)).unwrap()
}

#[test]
fn kafkas_own_commit_counts_and_corrects_nothing() {
    let start = start(&ours(90, 42));
    assert_eq!((start.offset, start.position, start.committed), (Some(90), Some(100), Some(90)));
    assert_eq!((start.cursor, start.last_seq), (42, 45));
    assert!(start.correction(&row()).is_none());
}

#[test]
fn of_the_two_cursors_the_greater_one_counts() {
    assert_eq!(start(&ours(100, 3)).cursor, 40);
}

#[test]
fn where_the_commit_is_gone_the_rows_lower_bounds_take_its_place() {
    let gone = Committed { partition: 3, offset: None, metadata: String::new() };
    for committed in [None, Some(&gone)] {
        let start = starting_point(LEDGER, false, &row(), false, committed).unwrap();
        assert_eq!((start.offset, start.committed, start.cursor), (Some(100), None, 40));
    }
}

#[test]
fn a_cursor_above_every_number_says_that_the_ledger_was_restored() {
    assert!(!start(&ours(100, 45)).restored);
    let start = start(&ours(100, 46));
    assert!(start.restored);
    assert_eq!((start.cursor, start.last_seq, start.suspect_below), (46, 46, 100));
    assert!(start.correction(&row()).unwrap().restored);
}

#[test]
fn a_position_above_the_rows_says_so_too_and_the_gap_is_read_again() {
    assert!(!start(&ours(100, 40)).restored);
    let start = start(&ours(101, 40));
    assert!(start.restored);
    assert_eq!((start.offset, start.position, start.suspect_below), (Some(100), Some(100), 101));
    assert_eq!(start.committed, None, "the older position is committed at once");
    let empty = LaneRow { position: None, saved_cursor: 0, last_seq: 0, ..row() };
    let start = starting_point(LEDGER, false, &empty, false, Some(&ours(7, 0))).unwrap();
    assert!(start.restored);
    assert_eq!(
        (start.offset, start.suspect_below),
        (None, 7),
        "an empty ledger of the same id: read from the earliest"
    );
    assert!(!starting_point(LEDGER, false, &empty, false, Some(&ours(0, 0))).unwrap().restored);
}

#[test]
fn a_position_without_our_metadata_was_set_by_an_operator_and_is_obeyed() {
    for metadata in ["", "by hand", "pl2:newer"] {
        for offset in [5, 500] {
            let start = start(&at(offset, metadata.to_owned()));
            assert_eq!((start.offset, start.position, start.cursor), (Some(offset), Some(offset), 40));
            assert_eq!((start.committed, start.restored), (None, false), "committed again with our cursor");
            assert_eq!(start.correction(&row()).unwrap().position, Some(offset));
        }
    }
}

#[test]
fn another_ledgers_position_is_refused_unless_it_is_adopted() {
    let another = at(90, cursor::encode([9; 8], 1_000));
    let refused = starting_point(LEDGER, false, &row(), false, Some(&another));
    assert!(matches!(refused, Err(WorkerError::Misconfigured(why)) if why.contains("--adopt-ledger")));
    let start = adopted(&another);
    assert_eq!((start.offset, start.position, start.committed), (Some(90), Some(90), None));
    assert_eq!(start.cursor, 40, "our own unpublished results are still to be published");
    assert_eq!(start.last_seq, 1_000, "and numbers go on above theirs");
    assert!(!start.restored);
}

#[test]
fn an_adopting_worker_starts_at_kafkas_position_and_reads_nothing_again() {
    let start = adopted(&ours(500, 90));
    assert_eq!((start.offset, start.position), (Some(500), Some(500)));
    assert_eq!((start.cursor, start.last_seq), (90, 90));
    assert!(!start.restored);
}

#[test]
fn a_topic_made_anew_is_read_from_its_start_whatever_was_committed_of_the_old_one() {
    let row = LaneRow { position: None, ..row() };
    for committed in [ours(900, 44), at(900, "by hand".to_owned())] {
        let start = starting_point(LEDGER, false, &row, true, Some(&committed)).unwrap();
        assert_eq!((start.offset, start.position, start.committed), (None, Some(0), None));
        assert!(!start.restored);
    }
    assert_eq!(starting_point(LEDGER, false, &row, true, Some(&ours(900, 44))).unwrap().cursor, 44);
}
