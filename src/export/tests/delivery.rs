//! Queue, batches, retries and shutdown, with time paused.

use crate::clock;
use crate::export::account::DropReason;
use crate::export::deliver::LANES;
use crate::export::exporter::Exporter;
use crate::export::reply::{Arrived, Failure, FailureKind, Remedy};
use crate::export::retry::Backoff;
use crate::export::settings::BatchSettings;
use crate::export::testing::script::{Act, Script};
use crate::export::testing::{finished, finished_of, names};
use crate::trace::sink::{FinishedSpans, SpanSink as _};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

const BATCH: BatchSettings = BatchSettings {
    queue_spans_max: 100,
    batch_spans_max: 10,
    delay: SECOND,
};

fn exporter(script: &Script, batch: BatchSettings) -> Exporter {
    Exporter::over(
        script.clone(),
        &batch,
        Backoff::default(),
        "a script".to_owned(),
    )
}

fn refused() -> Act {
    Act::Reply(Err(Failure::connection("refused".to_owned())))
}

fn failing(remedy: Remedy) -> Act {
    Act::Reply(Err(Failure {
        kind: FailureKind::Refused,
        remedy,
        detail: String::new(),
    }))
}

#[track_caller]
fn check_account(exporter: &Exporter, line: &str) {
    let account = exporter.account().snapshot();
    assert!(account.balances(), "{account:?}");
    assert_eq!(account.to_string(), format!("spans accepted {line}"));
    if account.pending == 0 {
        assert_eq!(
            exporter.stats().queue_bytes,
            0,
            "settled spans leave no bytes behind"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_leaves_at_once_and_the_rest_after_the_delay_of_its_first_span() {
    let script = Script::default();
    let exporter = exporter(&script, BATCH);
    let start = clock::instant();

    for number in 0..12 {
        exporter.accept(&finished(number..number + 1));
    }
    tokio::time::sleep(SECOND / 2).await;
    exporter.accept(&finished(12..13));
    assert!(exporter.flush_by_itself(13).await);

    assert_eq!(script.batches().len(), 2);
    let attempts: Vec<_> = script.attempts().iter().map(|at| *at - start).collect();
    assert!(attempts[0] < SECOND / 100, "{attempts:?}");
    assert!(
        attempts[1] >= SECOND && attempts[1] < SECOND + SECOND / 100,
        "{attempts:?}"
    );
    check_account(
        &exporter,
        "13 = exported 13 + rejected 0 + dropped 0 + pending 0",
    );
}

#[tokio::test(start_paused = true)]
async fn no_batch_has_more_spans_than_it_may() {
    let script = Script::default();
    let exporter = exporter(&script, BATCH);

    exporter.accept(&finished(0..7));
    exporter.accept(&finished(7..14));
    exporter.accept(&finished(14..39));
    assert!(exporter.flush(SECOND).await);

    assert!(script.batches().iter().all(|batch| batch.len() <= 10));
    assert_eq!(script.names(), names(0..39));
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_day_loses_nothing_below_the_bound() {
    let script = Script::of((0..20_000).map(|_| refused()));
    let exporter = exporter(&script, BATCH);

    exporter.accept(&finished(0..60));
    tokio::time::sleep(DAY).await;
    exporter.accept(&finished(60..90));
    check_account(
        &exporter,
        "90 = exported 0 + rejected 0 + dropped 0 + pending 90",
    );
    script.recover();
    tokio::time::sleep(Duration::from_mins(1)).await;

    assert_eq!(script.names(), names(0..90));
    check_account(
        &exporter,
        "90 = exported 90 + rejected 0 + dropped 0 + pending 0",
    );
}

#[tokio::test(start_paused = true)]
async fn above_the_bound_the_newest_spans_are_dropped_and_counted() {
    let script = Script::of((0..1000).map(|_| refused()));
    let exporter = exporter(&script, BATCH);

    for number in 0..150 {
        exporter.accept(&finished(number..number + 1));
    }
    tokio::time::sleep(SECOND).await;
    check_account(
        &exporter,
        "150 = exported 0 + rejected 0 + dropped 50 (queue_full 50) + pending 100",
    );
    script.recover();
    tokio::time::sleep(Duration::from_mins(1)).await;

    assert_eq!(script.names(), names(0..100));
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_in_bytes_too() {
    let script = Script::of((0..1000).map(|_| refused()));
    let exporter = exporter(&script, BATCH);
    let mebibyte = 1024 * 1024;

    for number in 0..80 {
        exporter.accept(&finished_of(number..number + 1, mebibyte));
    }

    let account = exporter.account().snapshot();
    assert_eq!(
        (account.pending, account.dropped.of(DropReason::QueueFull)),
        (63, 17)
    );
    let stats = exporter.stats();
    assert!(stats.queue_bytes <= stats.queue_bytes_max);
}

#[tokio::test(start_paused = true)]
async fn retries_back_off_from_one_second_to_thirty() {
    let script = Script::of((0..8).map(|_| refused()));
    let exporter = exporter(&script, BATCH);

    exporter.accept(&finished(0..10));
    tokio::time::sleep(Duration::from_mins(5)).await;

    let at = script.attempts();
    let waits: Vec<f64> = at
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64())
        .collect();
    for (wait, whole) in waits
        .iter()
        .zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0])
    {
        assert!(*wait >= whole * 0.75 && *wait <= whole + 0.01, "{waits:?}");
    }
    assert_eq!(script.names(), names(0..10));
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_asks_for_rest_gets_it_from_every_lane() {
    let rest = Duration::from_secs(90);
    let script = Script::of([failing(Remedy::Retry(Some(rest)))]);
    let exporter = exporter(&script, BATCH);

    exporter.accept(&finished(0..10));
    tokio::time::sleep(SECOND).await;
    exporter.accept(&finished(10..40));
    tokio::time::sleep(Duration::from_mins(3)).await;

    let at = script.attempts();
    assert!(
        at[1..].iter().all(|at_next| *at_next - at[0] >= rest),
        "{at:?}"
    );
    assert_eq!(script.names(), names(0..40));
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_tried_again_is_dropped_and_the_next_batch_follows() {
    let script = Script::of([failing(Remedy::GiveUp)]);
    let exporter = exporter(&script, BATCH);

    exporter.accept(&finished(0..10));
    exporter.accept(&finished(10..20));
    tokio::time::sleep(SECOND).await;

    assert_eq!(script.attempts().len(), 2);
    check_account(
        &exporter,
        "20 = exported 10 + rejected 0 + dropped 10 (not_retryable 10) + pending 0",
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_too_large_is_halved_down_to_the_one_span_that_is() {
    // 10, then 5 and 2 and 1: the first single span is too large, all else arrives.
    let script = Script::of((0..4).map(|_| failing(Remedy::Split)));
    let exporter = exporter(&script, BATCH);

    exporter.accept(&finished(0..10));
    tokio::time::sleep(SECOND).await;

    assert_eq!(script.names(), names(1..10));
    check_account(
        &exporter,
        "10 = exported 9 + rejected 0 + dropped 1 (too_large 1) + pending 0",
    );
}

#[tokio::test(start_paused = true)]
async fn rejected_spans_are_counted_and_never_sent_again() {
    let partial = Arrived {
        rejected: 3,
        message: "no trace id".to_owned(),
    };
    let script = Script::of([Act::Reply(Ok(partial))]);
    let exporter = exporter(&script, BATCH);

    exporter.accept(&finished(0..10));
    tokio::time::sleep(DAY).await;

    assert_eq!(script.attempts().len(), 1);
    check_account(
        &exporter,
        "10 = exported 7 + rejected 3 + dropped 0 + pending 0",
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_collector_is_sent_several_batches_at_once_and_no_more() {
    let acts = (0..LANES * 2).map(|_| Act::Late(SECOND, Ok(Arrived::default())));
    let script = Script::of(acts);
    let exporter = exporter(&script, BATCH);

    exporter.accept(&finished(0..80));
    tokio::time::sleep(SECOND / 2).await;

    assert_eq!(script.attempts().len(), LANES);
    tokio::time::sleep(SECOND * 2).await;
    assert_eq!(script.names(), names(0..80));
}

#[tokio::test(start_paused = true)]
async fn shutdown_sends_what_waits() {
    let script = Script::default();
    let exporter = exporter(&script, BATCH);
    exporter.accept(&finished(0..33));

    let account = exporter.shutdown(SECOND).await;

    assert_eq!(account.exported, 33);
    exporter.accept(&finished(33..35));
    check_account(
        &exporter,
        "35 = exported 33 + rejected 0 + dropped 2 (shutdown 2) + pending 0",
    );
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_a_backoff_and_tries_each_batch_once_more() {
    // One lane fails, and all rest; of the last tries two fail again.
    let script = Script::of((0..3).map(|_| refused()));
    let exporter = exporter(&script, BATCH);
    exporter.accept(&finished(0..50));
    tokio::time::sleep(SECOND / 100).await;
    assert_eq!(script.attempts().len(), 1);
    let start = clock::instant();

    exporter.shutdown(Duration::from_secs(10)).await;

    assert!(start.elapsed() < SECOND / 10);
    check_account(
        &exporter,
        "50 = exported 30 + rejected 0 + dropped 20 (shutdown 20) + pending 0",
    );
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_in_time_before_a_collector_that_never_answers() {
    let script = Script::of((0..100).map(|_| Act::Hang));
    let exporter = exporter(&script, BATCH);
    exporter.accept(&finished(0..77));
    tokio::time::sleep(SECOND * 2).await;
    let start = clock::instant();

    exporter.shutdown(SECOND * 3).await;

    assert_eq!(start.elapsed().as_secs(), 3);
    check_account(
        &exporter,
        "77 = exported 0 + rejected 0 + dropped 77 (shutdown 77) + pending 0",
    );
}

#[tokio::test(start_paused = true)]
async fn an_exporter_that_is_dropped_still_sends_what_waits() {
    let script = Script::default();
    let exporter = exporter(&script, BATCH);
    exporter.accept(&finished(0..33));

    drop(exporter);
    tokio::time::sleep(SECOND / 100).await;

    assert_eq!(script.names(), names(0..33));
}

#[tokio::test(start_paused = true)]
async fn a_request_without_spans_changes_nothing() {
    let script = Script::default();
    let exporter = exporter(&script, BATCH);

    exporter.accept(&FinishedSpans::default());
    tokio::time::sleep(DAY).await;

    assert_eq!(script.attempts(), []);
    check_account(
        &exporter,
        "0 = exported 0 + rejected 0 + dropped 0 + pending 0",
    );
}

#[tokio::test(start_paused = true)]
async fn settings_of_zero_and_of_centuries_still_export() {
    for (spans, delay) in [(0, Duration::ZERO), (usize::MAX, Duration::MAX)] {
        let script = Script::default();
        let exporter = exporter(
            &script,
            BatchSettings {
                queue_spans_max: spans,
                batch_spans_max: spans,
                delay,
            },
        );

        exporter.accept(&finished(0..1));
        tokio::time::sleep(DAY).await;

        assert_eq!(script.names(), names(0..1));
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_by_kind() {
    let timeout = Failure::timeout(SECOND);
    let script = Script::of([refused(), refused(), Act::Reply(Err(timeout))]);
    let exporter = exporter(&script, BATCH);

    exporter.accept(&finished(0..10));
    tokio::time::sleep(Duration::from_mins(1)).await;

    let stats = exporter.stats();
    assert_eq!(stats.attempts, 4);
    let failed: Vec<_> = stats
        .failures
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(
        failed,
        [(FailureKind::Connection, 2), (FailureKind::Timeout, 1)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_account_balances_at_every_moment_under_load() {
    const PRODUCERS: u32 = 3;
    const REQUESTS: u32 = 4000;
    let faults = [
        || refused(),
        || failing(Remedy::GiveUp),
        || failing(Remedy::Split),
        || {
            Act::Reply(Ok(Arrived {
                rejected: 2,
                message: String::new(),
            }))
        },
        || Act::Reply(Ok(Arrived::default())),
    ];
    let script = Script::of((0..3000).map(|_| faults[fastrand::usize(..faults.len())]()));
    let backoff = Backoff {
        first: Duration::from_micros(50),
        most: Duration::from_micros(200),
    };
    let exporter = Exporter::over(script, &BATCH, backoff, "a script".to_owned());

    let producers: Vec<_> = (0..PRODUCERS)
        .map(|_| {
            let exporter = exporter.clone();
            tokio::task::spawn_blocking(move || {
                for request in 0..REQUESTS {
                    exporter.accept(&finished(0..request % 4 + 1));
                    let account = exporter.account().snapshot();
                    assert!(account.balances() && account.pending <= 100, "{account:?}");
                }
            })
        })
        .collect();
    for producer in producers {
        producer.await.unwrap();
    }
    exporter.shutdown(Duration::from_secs(20)).await;

    let account = exporter.account().snapshot();
    assert!(account.balances() && account.pending == 0, "{account:?}");
    assert_eq!(account.accepted, u64::from(PRODUCERS * REQUESTS / 4 * 10));
    assert_eq!(exporter.stats().queue_bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn spans_of_many_requests_arrive_whole_and_each_once() {
    const PRODUCERS: u32 = 3;
    const EACH: u32 = 3000;
    let script = Script::default();
    let roomy = BatchSettings {
        queue_spans_max: 100_000,
        ..BATCH
    };
    let exporter = exporter(&script, roomy);

    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let exporter = exporter.clone();
            tokio::task::spawn_blocking(move || {
                for number in producer * EACH..(producer + 1) * EACH {
                    exporter.accept(&finished(number..number + 1));
                }
            })
        })
        .collect();
    for producer in producers {
        producer.await.unwrap();
    }
    exporter.shutdown(Duration::from_secs(20)).await;

    assert_eq!(script.names(), names(0..PRODUCERS * EACH));
}

impl Exporter {
    /// Waits, without hurrying anything, until this many spans have left.
    async fn flush_by_itself(&self, spans: u64) -> bool {
        for _ in 0..1000 {
            if self.account().snapshot().settled() == spans {
                return true;
            }
            tokio::time::sleep(SECOND / 100).await;
        }
        false
    }
}
