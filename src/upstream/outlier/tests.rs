//! Ejection and return of a whole upstream, with time paused.

use super::*;
use crate::upstream::{Choice, ClusterSettings};

const EJECTION: Duration = Duration::from_secs(30);
const NOBODY: [usize; 0] = [];

fn cluster(endpoints: u16, settings: OutlierSettings) -> Arc<Cluster> {
    let settings = ClusterSettings {
        outlier: Some(settings),
        ..ClusterSettings::local(1..=endpoints)
    };
    Cluster::new(settings, &Metrics::new()).unwrap()
}

fn report(cluster: &Cluster, endpoint: usize, status: Option<u16>, times: usize) {
    let endpoint = Arc::clone(&cluster.endpoints()[endpoint]);
    for _ in 0..times {
        let status = status.map(|status| StatusCode::from_u16(status).unwrap());
        cluster.report(&endpoint, status);
    }
}

fn ejected(cluster: &Cluster) -> Vec<usize> {
    let endpoints = cluster.endpoints();
    (0..endpoints.len())
        .filter(|&one| endpoints[one].standing.is_ejected())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_fifth_error_in_a_row_ejects_and_time_brings_back() {
    let cluster = cluster(3, OutlierSettings::default());

    report(&cluster, 1, Some(502), 4);
    assert_eq!(ejected(&cluster), NOBODY);
    report(&cluster, 1, Some(502), 1);
    assert_eq!(ejected(&cluster), [1]);

    tokio::time::sleep(EJECTION - Duration::from_secs(1)).await;
    assert_eq!(ejected(&cluster), [1]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(ejected(&cluster), NOBODY);
    let failure = cluster.endpoints()[1].standing.last_failure().unwrap();
    assert_eq!(&*failure.reason, "5 errors in a row");
}

#[tokio::test(start_paused = true)]
async fn a_second_ejection_lasts_twice_as_long_and_good_conduct_is_forgiven() {
    let cluster = cluster(3, OutlierSettings::default());
    report(&cluster, 0, None, 5);
    tokio::time::sleep(EJECTION + Duration::from_secs(2)).await;
    assert_eq!(ejected(&cluster), NOBODY);

    report(&cluster, 0, None, 5);
    tokio::time::sleep(EJECTION * 2 - Duration::from_secs(1)).await;
    assert_eq!(ejected(&cluster), [0]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(ejected(&cluster), NOBODY);

    // A few windows of ten seconds later it has no past.
    tokio::time::sleep(Duration::from_secs(45)).await;
    report(&cluster, 0, None, 5);
    tokio::time::sleep(EJECTION + Duration::from_secs(2)).await;
    assert_eq!(ejected(&cluster), NOBODY);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_share_is_away_and_never_the_only_one() {
    let four = cluster(4, OutlierSettings::default());
    for endpoint in 0..4 {
        report(&four, endpoint, Some(500), 5);
    }
    assert_eq!(ejected(&four), [0, 1]);

    let two = cluster(
        2,
        OutlierSettings {
            ejected_share_max: 0.0,
            ..OutlierSettings::default()
        },
    );
    report(&two, 0, Some(500), 5);
    report(&two, 1, Some(500), 5);
    assert_eq!(ejected(&two), [0]);

    let one = cluster(1, OutlierSettings::default());
    report(&one, 0, Some(500), 50);
    assert_eq!(ejected(&one), NOBODY);
    assert!(one.pick(&Choice::default()).is_some());
}

#[tokio::test(start_paused = true)]
async fn one_far_below_the_others_is_ejected_when_its_window_ends() {
    let settings = OutlierSettings {
        consecutive_errors: None,
        consecutive_failures: None,
        ..OutlierSettings::default()
    };
    let cluster = cluster(6, settings);
    // The first window may have begun already.
    tokio::time::sleep(Duration::from_secs(11)).await;
    for endpoint in 0..6 {
        let bad = if endpoint == 4 { 60 } else { 1 };
        report(&cluster, endpoint, Some(200), 100 - bad);
        report(&cluster, endpoint, Some(503), bad);
    }
    assert_eq!(ejected(&cluster), NOBODY);

    tokio::time::sleep(Duration::from_secs(11)).await;

    assert_eq!(ejected(&cluster), [4]);
}

#[tokio::test(start_paused = true)]
async fn a_client_error_is_an_answer_and_no_error() {
    let cluster = cluster(2, OutlierSettings::default());
    report(&cluster, 0, Some(500), 4);
    report(&cluster, 0, Some(404), 1);
    report(&cluster, 0, Some(500), 4);
    assert_eq!(ejected(&cluster), NOBODY);
}
