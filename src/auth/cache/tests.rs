//! Promises of what is remembered.

use super::*;
use crate::auth::{Asked, Identity, Proof, Reason};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Response, Version};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// A request to route `orders`.
pub(in crate::auth) fn asked<'a>(
    method: &'a Method,
    target: &'a PathAndQuery,
    headers: &'a HeaderMap,
) -> Asked<'a> {
    Asked {
        method,
        scheme: "https",
        host: "app.example.com",
        port: None,
        target,
        version: Version::HTTP_11,
        headers,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        peer: (Ipv4Addr::LOCALHOST, 1).into(),
        certificate: None,
        route: "orders",
        listener: "web",
        upgrades: false,
        is_preflight: false,
        body: None,
    }
}

fn cache(settings: CacheSettings) -> Arc<DecisionCache> {
    let counts = AuthCounts::unlisted(&Arc::from("legacy"));
    Arc::new(DecisionCache::new(settings, counts))
}

fn allow(subject: &str) -> Verdict {
    Verdict::allow(Identity {
        subject: Some(Arc::from(subject)),
        groups: Vec::new(),
        claims: serde_json::Map::new(),
        proof: Proof::Forward,
        policy: Arc::from("legacy"),
    })
}

fn theirs(headers: &[(&'static str, &'static str)], body: Bytes) -> Verdict {
    let mut answer = Response::new(body);
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        answer.headers_mut().append(*name, value);
    }
    let answer = DenialAnswer::Theirs(answer);
    Verdict::Deny(Box::new(crate::auth::Denial::new(Reason::Refused, answer)))
}

const STORED: Keep = Keep::Stored { at_most: None };

fn due() -> Instant {
    clock::instant() + Duration::from_millis(300)
}

/// Asks, and says how often that reached whoever decides.
struct Authorizer {
    cache: Arc<DecisionCache>,
    calls: AtomicUsize,
}

impl Authorizer {
    fn new(settings: CacheSettings) -> Self {
        Self {
            cache: cache(settings),
            calls: AtomicUsize::new(0),
        }
    }

    async fn ask(&self, question: &str, verdict: Verdict, keep: Keep) -> AuthCacheOutcome {
        let question = self.cache.parts(&[question.as_bytes()]);
        let ask = async {
            self.calls.fetch_add(1, Ordering::Relaxed);
            Decided::new(verdict, keep)
        };
        let answered = self
            .cache
            .decide(question, (clock::instant(), due()), None, ask)
            .await;
        answered
            .unwrap_or_else(|_| panic!("nobody else asks"))
            .outcome
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

async fn later(millis: u64) {
    tokio::time::advance(Duration::from_millis(millis)).await;
}

use AuthCacheOutcome::{Bypass, Hit, Miss, Shared};

#[tokio::test(start_paused = true)]
async fn a_permission_is_remembered_for_its_time_and_not_longer() {
    let authorizer = Authorizer::new(CacheSettings::default());

    assert_eq!(authorizer.ask("a", allow("ada"), STORED).await, Miss);
    assert_eq!(authorizer.ask("a", allow("ada"), STORED).await, Hit);
    assert_eq!(authorizer.ask("b", allow("bob"), STORED).await, Miss);
    later(9_999).await;
    assert_eq!(authorizer.ask("a", allow("ada"), STORED).await, Hit);
    later(1).await;
    assert_eq!(authorizer.ask("a", allow("ada"), STORED).await, Miss);
    assert_eq!(authorizer.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hit_is_the_same_decision() {
    let cache = cache(CacheSettings::default());
    let question = cache.parts(&[b"a"]);
    let origin = Origin {
        trace_id: TraceId::from_bytes([1; 16]),
        span_id: SpanId::from_bytes([2; 8]),
    };
    let ask = || async { Decided::new(allow("ada"), STORED) };
    let miss = cache
        .decide(question, (clock::instant(), due()), Some(origin), ask())
        .await;
    let hit = cache
        .decide(question, (clock::instant(), due()), None, ask())
        .await;

    let (Ok(miss), Ok(hit)) = (miss, hit) else {
        panic!("both are answered")
    };
    assert_eq!(miss.origin, None);
    assert_eq!(hit.origin, Some(origin));
    assert_eq!(format!("{:?}", miss.verdict), format!("{:?}", hit.verdict));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_remembered_briefly_or_not_at_all() {
    let deny = || Verdict::deny(Reason::Refused);
    let briefly = Authorizer::new(CacheSettings::default());
    let never = Authorizer::new(CacheSettings {
        negative_ttl: None,
        ..CacheSettings::default()
    });

    assert_eq!(briefly.ask("a", deny(), STORED).await, Miss);
    later(999).await;
    assert_eq!(briefly.ask("a", deny(), STORED).await, Hit);
    later(1).await;
    assert_eq!(briefly.ask("a", deny(), STORED).await, Miss);
    assert_eq!(never.ask("a", deny(), STORED).await, Miss);
    assert_eq!(never.ask("a", deny(), STORED).await, Miss);
}

#[tokio::test(start_paused = true)]
async fn the_authorizer_may_shorten_the_time_and_never_prolong_it() {
    let authorizer = Authorizer::new(CacheSettings::default());
    let at_most = |seconds| Keep::Stored {
        at_most: Some(Duration::from_secs(seconds)),
    };

    authorizer.ask("short", allow("ada"), at_most(2)).await;
    authorizer.ask("long", allow("ada"), at_most(3_600)).await;
    later(2_000).await;
    assert_eq!(authorizer.ask("short", allow("ada"), STORED).await, Miss);
    assert_eq!(authorizer.ask("long", allow("ada"), STORED).await, Hit);
    later(8_000).await;
    assert_eq!(authorizer.ask("long", allow("ada"), STORED).await, Miss);
}

#[tokio::test(start_paused = true)]
async fn a_cookie_for_one_client_is_given_to_no_other() {
    let authorizer = Authorizer::new(CacheSettings::default());
    let mut grant = Grant::default();
    let cookie = HeaderValue::from_static("sid=1");
    grant.answer.push((SET_COOKIE, cookie));
    let allowed = || Verdict::Allow(Box::new(grant.clone()));
    let refused = || theirs(&[("set-cookie", "csrf=1")], Bytes::new());

    for _ in 0..2 {
        assert_eq!(authorizer.ask("a", allowed(), STORED).await, Miss);
        assert_eq!(authorizer.ask("b", refused(), STORED).await, Miss);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_and_answers_that_may_not_be_kept_are_not() {
    let authorizer = Authorizer::new(CacheSettings::default());

    for keep in [Keep::Shared, Keep::Own] {
        for _ in 0..2 {
            let failure = Verdict::deny(Reason::Timeout);
            assert_eq!(authorizer.ask("a", failure, keep).await, Miss);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_decision_is_kept_up_to_its_size() {
    let authorizer = Authorizer::new(CacheSettings::default());
    let of = |bytes: usize| theirs(&[], Bytes::from(vec![b'x'; bytes]));

    authorizer.ask("at", of(DECISION_BYTES_MAX), STORED).await;
    authorizer
        .ask("over", of(DECISION_BYTES_MAX + 1), STORED)
        .await;

    assert_eq!(authorizer.ask("at", of(1), STORED).await, Hit);
    assert_eq!(authorizer.ask("over", of(1), STORED).await, Miss);
}

#[tokio::test(start_paused = true)]
async fn the_bound_holds_and_what_is_given_up_is_counted() {
    for max in [1, 3, SHARDED_FROM] {
        let authorizer = Authorizer::new(CacheSettings {
            entries_max: max,
            ..CacheSettings::default()
        });
        for n in 0..max * 2 {
            authorizer.ask(&n.to_string(), allow("ada"), STORED).await;
        }

        let cache = &authorizer.cache;
        let shards = std::iter::once(&cache.first).chain(&cache.others);
        let held: usize = shards.map(|one| one.lock().unwrap().table.len()).sum();
        let given_up = usize::try_from(cache.counts.cache(AuthCacheOutcome::Evicted)).unwrap();
        assert!(held <= max, "{held} of {max}");
        assert_eq!(held + given_up, max * 2);
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_no_question_is_asked_each_time() {
    let cache = cache(CacheSettings::default());
    for _ in 0..2 {
        let ask = async { Decided::new(allow("ada"), STORED) };
        let answered = cache
            .decide(None, (clock::instant(), due()), None, ask)
            .await;
        assert_eq!(answered.map(|one| one.outcome).ok(), Some(Bypass));
    }
}

/// Begins to ask in a task, up to where the authorizer holds it.
fn begin(
    authorizer: &Arc<Authorizer>,
    gate: &Arc<Notify>,
    keep: Keep,
) -> tokio::task::JoinHandle<Result<AuthCacheOutcome, StillWaiting>> {
    let (authorizer, gate) = (Arc::clone(authorizer), Arc::clone(gate));
    tokio::spawn(async move {
        let question = authorizer.cache.parts(&[b"a"]);
        let ask = async {
            authorizer.calls.fetch_add(1, Ordering::Relaxed);
            gate.notified().await;
            Decided::new(allow("ada"), keep)
        };
        let answered = authorizer
            .cache
            .decide(question, (clock::instant(), due()), None, ask)
            .await;
        answered.map(|one| one.outcome)
    })
}

async fn settle() {
    for _ in 0..300 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_equal_requests_at_once_are_one_call() {
    for keep in [STORED, Keep::Shared] {
        let authorizer = Arc::new(Authorizer::new(CacheSettings::default()));
        let gate = Arc::new(Notify::new());
        let requests: Vec<_> = (0..100).map(|_| begin(&authorizer, &gate, keep)).collect();
        settle().await;
        gate.notify_one();

        let mut shared = 0;
        for request in requests {
            shared += usize::from(request.await.unwrap() == Ok(Shared));
        }

        assert_eq!(authorizer.calls(), 1);
        assert_eq!(shared, 99);
        assert!(authorizer.cache.first.lock().unwrap().asked.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn those_that_wait_for_what_is_not_theirs_ask_at_the_same_time() {
    let authorizer = Arc::new(Authorizer::new(CacheSettings::default()));
    let gate = Arc::new(Notify::new());
    let requests: Vec<_> = (0..5)
        .map(|_| begin(&authorizer, &gate, Keep::Own))
        .collect();
    settle().await;
    assert_eq!(authorizer.calls(), 1);
    gate.notify_one();
    settle().await;

    assert_eq!(authorizer.calls(), 5, "all of the others ask by now");
    gate.notify_waiters();
    for request in requests {
        assert!(matches!(request.await.unwrap(), Ok(Miss | Bypass)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_takes_nobody_elses_answer_with_it() {
    let authorizer = Arc::new(Authorizer::new(CacheSettings::default()));
    let gate = Arc::new(Notify::new());
    let leaves = begin(&authorizer, &gate, STORED);
    settle().await;
    let stay: Vec<_> = (0..3).map(|_| begin(&authorizer, &gate, STORED)).collect();
    settle().await;
    assert_eq!(authorizer.calls(), 1);

    leaves.abort();
    settle().await;

    assert_eq!(authorizer.calls(), 2, "one that waited asks now");
    gate.notify_one();
    let mut outcomes = Vec::new();
    for request in stay {
        outcomes.push(request.await.unwrap().unwrap());
    }
    outcomes.sort_by_key(|one| one.name());
    assert_eq!(outcomes, [Miss, Shared, Shared]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_his_own_time() {
    let authorizer = Arc::new(Authorizer::new(CacheSettings::default()));
    let gate = Arc::new(Notify::new());
    let slow = begin(&authorizer, &gate, STORED);
    settle().await;
    let waits = begin(&authorizer, &gate, STORED);
    settle().await;

    later(301).await;

    assert_eq!(waits.await.unwrap(), Err(StillWaiting));
    gate.notify_one();
    assert_eq!(slow.await.unwrap(), Ok(Miss));
}
