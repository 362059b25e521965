use std::collections::BTreeSet;

use super::*;

const PAGE: &str = include_str!("../../docs/reference/metrics.md");

fn text(metrics: &Metrics) -> String {
    metrics.text().unwrap()
}

/// A sample's value, by its name and labels as they are written.
fn value(metrics: &Metrics, sample: &str) -> f64 {
    let text = text(metrics);
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in\n{text}")).parse().unwrap()
}

/// Names, types and labels of the families, as they are told.
fn told(metrics: &Metrics) -> BTreeSet<(String, String, Vec<String>)> {
    let families = metrics.0.families.registry.gather();
    let of = |family: &prometheus::proto::MetricFamily| {
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        let mut labels = BTreeSet::new();
        for metric in family.get_metric() {
            labels.extend(metric.get_label().iter().map(|label| label.name().to_owned()));
        }
        (family.name().to_owned(), kind, labels.into_iter().collect())
    };
    families.iter().map(of).collect()
}

/// The same, as the page lists them.
fn listed() -> BTreeSet<(String, String, Vec<String>)> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `profile_linker_"));
    let of = |row: &str| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let mut labels: Vec<String> = cells[2].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        labels.sort();
        assert_eq!(cells.len(), 6, "name, type, labels, unit, meaning, alarm: {row}");
        (cells[0].trim_matches('`').to_owned(), cells[1].to_owned(), labels)
    };
    rows.map(of).collect()
}

#[test]
fn every_metric_is_described_and_every_description_has_its_metric() {
    let metrics = Metrics::new().unwrap();
    metrics.positions(BTreeMap::from([(0, 0)]));
    metrics.log_ends("created", &[(0, 1)]);
    assert_eq!(told(&metrics), listed());
}

#[test]
fn what_can_happen_is_there_at_zero_before_it_happened() {
    let metrics = Metrics::new().unwrap();
    for sample in [
        r#"profile_linker_events_total{reason="",result="linked"}"#,
        r#"profile_linker_events_total{reason="link_refused",result="rejected"}"#,
        r#"profile_linker_dead_letters_total{reason="retries_exhausted"}"#,
        r#"profile_linker_upstream_requests_total{operation="convert",outcome="unknown",upstream="payiq"}"#,
        r#"profile_linker_breaker_state{upstream="aloha"}"#,
        r#"profile_linker_intake_paused{reason="flood_guard"}"#,
        "profile_linker_transaction_seconds_count",
    ] {
        assert!(value(&metrics, sample).abs() < f64::EPSILON, "{sample}");
    }
    assert!(!text(&metrics).contains(r#"dead_letters_total{reason="link_refused"}"#), "it never ends as a dead letter");
}

#[test]
fn an_end_counts_by_its_result_and_a_dead_letter_twice() {
    let metrics = Metrics::new().unwrap();
    metrics.ended(None, Some(Duration::from_millis(700)));
    metrics.ended(Some(ReasonCode::LinkRefused), None);
    metrics.ended(Some(ReasonCode::LinkUnknown), Some(Duration::from_secs(900)));
    for (sample, expected) in [
        (r#"profile_linker_events_total{reason="",result="linked"}"#, 1.0),
        (r#"profile_linker_events_total{reason="link_refused",result="rejected"}"#, 1.0),
        (r#"profile_linker_events_total{reason="link_unknown",result="rejected"}"#, 1.0),
        (r#"profile_linker_dead_letters_total{reason="link_unknown"}"#, 1.0),
        (r#"profile_linker_event_duration_seconds_sum{result="linked"}"#, 0.7),
        (r#"profile_linker_event_duration_seconds_count{result="rejected"}"#, 1.0),
    ] {
        assert!((value(&metrics, sample) - expected).abs() < 1e-9, "{sample}");
    }
}

#[test]
fn the_lag_is_told_of_owned_partitions_only() {
    let metrics = Metrics::new().unwrap();
    metrics.positions(BTreeMap::from([(0, 10), (3, 5)]));
    assert_eq!(metrics.partitions(), [0, 3]);
    metrics.log_ends("created", &[(0, 12), (3, 5), (4, 9)]);
    let lag =
        |partition: i32| format!(r#"profile_linker_consumer_lag_records{{partition="{partition}",topic="created"}}"#);
    assert!((value(&metrics, &lag(0)) - 2.0).abs() < f64::EPSILON);
    assert!(!text(&metrics).contains(&lag(4)));
    metrics.positions(BTreeMap::from([(3, 5)]));
    metrics.log_ends("created", &[(3, 6)]);
    assert!(!text(&metrics).contains(&lag(0)), "it is another worker's now");
}
