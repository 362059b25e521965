//! What is told of a statement that a database refuses: never the values in it, whatever the database itself says.

use profile_linker::domain::{Customer, System};

use crate::rows::{new_row, raise, up_to};
use crate::stage::Stage;

crate::ledger_cases!(Both:
    no_value_is_told_of_a_statement_that_is_refused,
);

/// What no error may tell: a customer's id, and the bytes of a record.
const NEEDLE: &str = "needle-4711";

/// Each makes the database refuse the record in another way. PostgreSQL quotes the value in its message, or the whole row in
/// its details.
const ON_POSTGRES: [&str; 3] = [
    "ALTER TABLE input ADD CONSTRAINT refused CHECK (customer_id::bigint > 0)",
    "ALTER TABLE input ADD CONSTRAINT refused CHECK (customer_id <> 'needle-4711')",
    "ALTER TABLE sealed_record ADD CONSTRAINT refused CHECK (length(bytes) < 5)",
];
const OFF_POSTGRES: &str =
    "ALTER TABLE input DROP CONSTRAINT IF EXISTS refused; ALTER TABLE sealed_record DROP CONSTRAINT IF EXISTS refused";
const ON_SQLITE: [&str; 1] = ["CREATE TRIGGER refused BEFORE INSERT ON input BEGIN SELECT json(NEW.customer_id); END"];
const OFF_SQLITE: &str = "DROP TRIGGER IF EXISTS refused";

async fn no_value_is_told_of_a_statement_that_is_refused(stage: &Stage) {
    drop(stage.ledger().await);
    let (refusing, off): (&[&'static str], _) =
        if stage.is_sqlite() { (&ON_SQLITE, OFF_SQLITE) } else { (&ON_POSTGRES, OFF_POSTGRES) };
    for how in refusing {
        stage.sql(how).await;
        let ledger = stage.open().await;
        let [claim] = raise(&*ledger, [0]).await;
        let mut row = new_row(claim, 0, "a");
        row.customer = Some(Customer { system: System::Loanpro, id: NEEDLE.to_owned() });
        row.sealed_record = NEEDLE.as_bytes().to_vec();
        let refused = ledger.accept(&[up_to(claim, 1, 1)], &[row]).await;
        let error = refused.map(drop).expect_err(how);
        let told = format!("{error} {error:?}");
        for form in [NEEDLE.to_owned(), data_encoding::HEXLOWER.encode(NEEDLE.as_bytes())] {
            assert!(!told.contains(&form), "{how}: {told}");
        }
        assert!(told.contains('('), "the database's code is told: {told}");
        drop(ledger);
        stage.sql(off).await;
    }
}
