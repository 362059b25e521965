use tempfile::TempDir;

use super::*;
use crate::clock::SystemClock;
use crate::domain::Secret;
use crate::domain::flow_control::FloodLimits;
use crate::ledger::{self, Act, Vault};

struct Stage {
    _folder: TempDir,
    ledger: Arc<dyn Ledger>,
    conditions: Conditions,
    metrics: Metrics,
    watch: PauseWatch,
    readings: UnboundedReceiver<Reading>,
}

impl Stage {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = Secret::from(format!("sqlite://{}", folder.path().join("ledger.db").display()));
        let vault = Vault::new("k1", vec![("k1".to_owned(), Secret::new(vec![1; 32]))]).unwrap();
        ledger::migrate(&url, &vault).await.unwrap();
        let ledger = ledger::open(&url).await.unwrap();
        let (conditions, metrics) = (Conditions::new(Arc::new(SystemClock)), Metrics::new().unwrap());
        let (watch, readings) =
            PauseWatch::new(Arc::clone(&ledger), Arc::new(SystemClock), conditions.clone(), metrics.clone());
        Self { _folder: folder, ledger, conditions, metrics, watch, readings }
    }

    /// What the worker is to obey, and what people are told, after a reading.
    async fn read(&mut self) -> (u64, Vec<PauseKind>, Health, bool) {
        self.watch.refresh().await;
        let reading = self.readings.try_recv().unwrap();
        let kinds = reading.orders.unwrap().pauses.iter().map(|pause| pause.kind).collect();
        let counted = self.metrics.text().unwrap().contains("intake_paused{reason=\"operator\"} 1");
        (reading.number, kinds, self.conditions.of(Part::Intake), counted)
    }
}

#[tokio::test]
async fn what_is_told_of_pauses_is_what_the_worker_obeys() {
    let mut stage = Stage::set().await;
    let act = Act { actor: "ada".to_owned(), why: None };
    assert_eq!(stage.read().await, (1, vec![], Health::Ok, false));
    stage.ledger.pause(PauseKind::Operator, &act).await.unwrap();
    assert_eq!(stage.read().await, (2, vec![PauseKind::Operator], Health::Paused, true));
    stage.ledger.resume(None, FloodLimits::default(), &act).await.unwrap();
    assert_eq!(stage.read().await, (3, vec![], Health::Ok, false));
}

#[tokio::test]
async fn limits_that_were_named_are_told_for_as_long_as_they_count() {
    let mut stage = Stage::set().await;
    let act = Act { actor: "ada".to_owned(), why: Some("the batch of Tuesday".to_owned()) };
    let named = FloodLimits { run: Some(5000), share: Some(0.9) };
    let told = "resumed by ada with the flood guard's limit 5000 and share 0.9: the batch of Tuesday";
    for (limits, told) in [(named, told), (FloodLimits::default(), "")] {
        stage.ledger.resume(None, limits, &act).await.unwrap();
        stage.watch.refresh().await;
        let readiness = stage.conditions.readiness();
        let check = readiness.check(Part::Intake).unwrap();
        assert_eq!((check.status, check.reason.as_str()), ("ok", told));
        let orders = stage.readings.try_recv().unwrap().orders.unwrap();
        assert_eq!(orders.limits.map(|named| named.limits).unwrap_or_default(), limits, "the worker is told, too");
    }
}

#[tokio::test]
async fn a_reading_has_a_higher_number_than_those_that_began_before() {
    let mut stage = Stage::set().await;
    assert_eq!(stage.watch.begun(), 0);
    let others = [stage.watch.clone(), stage.watch.clone()];
    tokio::join!(others[0].refresh(), others[1].refresh());
    assert_eq!(stage.watch.begun(), 2, "what is written now is seen by the next");
    assert_eq!(stage.read().await.0, 1, "in their order");
    assert_eq!(stage.readings.try_recv().unwrap().number, 2);
    assert_eq!(stage.readings.try_recv().unwrap().number, 3);
}
