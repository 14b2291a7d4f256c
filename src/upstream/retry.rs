//! When an attempt is followed by another one: conditions, safety, back-off.
//!
//! Settings and decisions without a socket; `proxy/retry.rs` acts on them.

use crate::clock;
use crate::trace::rpc::GrpcStatus;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, StatusCode};
use std::time::Duration;

/// How often, when and for how long an upstream or a route tries again.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Attempts after the first.
    pub attempts_max: u32,
    /// What calls for another attempt.
    pub on: Vec<RetryOn>,
    /// Longest time of one attempt up to the head of its answer, connecting included.
    pub per_try: Option<Duration>,
    /// Retries as a share of the requests of the last ten seconds, from 0 to 1.
    pub budget: f64,
    /// Waits between attempts.
    pub backoff: Backoff,
    /// Longest `Retry-After` that is waited for.
    pub retry_after_max: Duration,
    /// Most bytes of a request's body that are kept to be sent again.
    pub body_bytes_max: usize,
    /// Attempts beside one that is slow.
    pub hedge: Option<HedgePolicy>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 2,
            on: vec![
                RetryOn::Cause(Cause::Connect),
                RetryOn::Cause(Cause::RefusedStream),
                RetryOn::Cause(Cause::Reset),
                RetryOn::Cause(Cause::Timeout),
                RetryOn::Cause(Cause::Status(StatusCode::SERVICE_UNAVAILABLE)),
            ],
            per_try: None,
            budget: 0.2,
            backoff: Backoff::default(),
            retry_after_max: Duration::from_secs(1),
            body_bytes_max: 64 * 1024,
            hedge: None,
        }
    }
}

/// Attempts beside one that is slow, under the same budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HedgePolicy {
    /// How long an attempt may be without the head of an answer before another one begins.
    pub after: Duration,
    /// Most attempts beside the first.
    pub attempts_max: u32,
}

/// Exponential waits with full jitter: anything between nothing and the bound, which doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The bound before the first retry.
    pub base: Duration,
    /// Where it stops growing.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(25),
            max: Duration::from_millis(250),
        }
    }
}

impl Backoff {
    /// The longest wait before retry number `retry`, counted from zero.
    fn bound(&self, retry: u32) -> Duration {
        let factor = 1_u32.checked_shl(retry).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.max)
    }

    /// The wait before retry number `retry`, counted from zero.
    pub fn wait(&self, retry: u32) -> Duration {
        self.bound(retry).mul_f64(fastrand::f64())
    }
}

/// What calls for another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// Exactly this.
    Cause(Cause),
    /// Every answer from 500 on.
    ServerError,
}

impl RetryOn {
    fn covers(self, cause: Cause) -> bool {
        match self {
            Self::Cause(own) => own == cause,
            Self::ServerError => matches!(cause, Cause::Status(status) if status.is_server_error()),
        }
    }
}

/// Why an attempt was no success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No connection: nothing was sent.
    Connect,
    /// The other side says that it has not looked at the request: HTTP/2's `REFUSED_STREAM`, or a
    /// stream above the last one of a GOAWAY (RFC 9113 sections 6.8 and 8.7).
    RefusedStream,
    /// The connection or the stream broke before the head of an answer.
    Reset,
    /// No head of an answer in the time of one attempt.
    Timeout,
    /// An answer of this status.
    Status(StatusCode),
    /// A gRPC answer of headers alone ("trailers only"), of this status.
    Grpc(GrpcStatus),
}

impl Cause {
    /// As spans say it.
    pub fn with_text<T>(self, tell: impl FnOnce(&str) -> T) -> T {
        match self {
            Self::Connect => tell("connect"),
            Self::RefusedStream => tell("refused_stream"),
            Self::Reset => tell("reset"),
            Self::Timeout => tell("timeout"),
            Self::Status(status) => tell(status.as_str()),
            Self::Grpc(status) => tell(status.name()),
        }
    }

    /// Whether another attempt can do no harm: nothing was processed, or doing it twice is the
    /// same as doing it once (RFC 9110 section 9.2.2). gRPC has no such methods; whoever lists a
    /// gRPC status has said that its calls may be made again.
    pub fn is_safe(self, method: &Method) -> bool {
        match self {
            Self::Connect | Self::RefusedStream | Self::Grpc(_) => true,
            Self::Reset | Self::Timeout | Self::Status(_) => is_idempotent(method),
        }
    }
}

/// Whether a method may be sent again without asking (RFC 9110 section 9.2.2).
pub fn is_idempotent(method: &Method) -> bool {
    method.is_safe() || *method == Method::PUT || *method == Method::DELETE
}

impl RetryPolicy {
    /// Whether it ever makes another attempt.
    pub const fn is_active(&self) -> bool {
        self.attempts_max > 0 || self.hedge.is_some()
    }

    /// Whether `cause` calls for another attempt.
    pub fn covers(&self, cause: Cause) -> bool {
        self.on.iter().any(|on| on.covers(cause))
    }

    /// What is wrong with the head of an answer, if it calls for another attempt. `bare` says
    /// that the answer has no body.
    pub fn fault(&self, status: StatusCode, headers: &HeaderMap, bare: bool) -> Option<Cause> {
        let by_status = Cause::Status(status);
        if self.covers(by_status) {
            return Some(by_status);
        }
        let by_grpc = Cause::Grpc(GrpcStatus::from_headers(headers).filter(|_| bare)?);
        self.covers(by_grpc).then_some(by_grpc)
    }
}

/// How long an answer asks to wait (RFC 9110 section 10.2.3): seconds or a date. None if it does
/// not, or says something that is neither.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than a number holds are too many for everybody.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since_epoch = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let now = Duration::from_nanos(clock::wall().as_unix_nanos());
    Some(since_epoch.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn policy(on: &[RetryOn]) -> RetryPolicy {
        RetryPolicy {
            on: on.to_vec(),
            ..RetryPolicy::default()
        }
    }

    #[test]
    fn a_method_may_be_sent_again_only_if_twice_is_the_same_as_once() {
        let idempotent = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];
        for method in [
            "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "POST", "PATCH", "X",
        ] {
            let parsed: Method = method.parse().unwrap();
            assert_eq!(
                is_idempotent(&parsed),
                idempotent.contains(&method),
                "{method}"
            );
        }
    }

    #[test]
    fn what_was_not_processed_is_safe_with_every_method() {
        for cause in [Cause::Connect, Cause::RefusedStream] {
            assert!(cause.is_safe(&Method::POST));
        }
        for cause in [
            Cause::Reset,
            Cause::Timeout,
            Cause::Status(StatusCode::BAD_GATEWAY),
        ] {
            assert!(!cause.is_safe(&Method::POST));
            assert!(cause.is_safe(&Method::GET));
        }
    }

    #[test]
    fn a_condition_covers_what_it_names_and_nothing_beside() {
        let bad = RetryOn::Cause(Cause::Status(StatusCode::BAD_GATEWAY));
        assert!(policy(&[bad]).covers(Cause::Status(StatusCode::BAD_GATEWAY)));
        assert!(!policy(&[bad]).covers(Cause::Status(StatusCode::GATEWAY_TIMEOUT)));
        assert!(!policy(&[bad]).covers(Cause::Reset));

        let all = policy(&[RetryOn::ServerError]);
        assert!(!all.covers(Cause::Status(StatusCode::from_u16(499).unwrap())));
        assert!(all.covers(Cause::Status(StatusCode::INTERNAL_SERVER_ERROR)));
        assert!(all.covers(Cause::Status(StatusCode::from_u16(599).unwrap())));
        assert!(!all.covers(Cause::Connect));
    }

    #[test]
    fn a_grpc_status_counts_only_where_no_message_may_have_come_before_it() {
        let unavailable = GrpcStatus::from_number(14);
        let policy = policy(&[RetryOn::Cause(Cause::Grpc(unavailable))]);
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from_static("14"));

        let found = policy.fault(StatusCode::OK, &headers, true);
        assert_eq!(found, Some(Cause::Grpc(unavailable)));
        assert_eq!(policy.fault(StatusCode::OK, &headers, false), None);

        headers.insert("grpc-status", HeaderValue::from_static("5"));
        assert_eq!(policy.fault(StatusCode::OK, &headers, true), None);
    }

    #[test]
    fn a_backoff_doubles_up_to_its_bound() {
        let backoff = Backoff {
            base: Duration::from_millis(25),
            max: Duration::from_millis(90),
        };
        let bounds: Vec<u128> = (0..4)
            .map(|retry| backoff.bound(retry).as_millis())
            .collect();
        assert_eq!(bounds, [25, 50, 90, 90]);
        assert_eq!(backoff.bound(200).as_millis(), 90);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_longer_than_its_bound(retry: u32, base in 0_u64..10_000, max in 0_u64..10_000) {
            let backoff = Backoff { base: Duration::from_millis(base), max: Duration::from_millis(max) };
            prop_assert!(backoff.wait(retry) <= backoff.bound(retry));
            prop_assert!(backoff.bound(retry) <= backoff.max);
        }

        #[test]
        fn whatever_stands_in_retry_after_is_seconds_a_date_or_nothing(text in "[ -~]{0,40}") {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(&text).unwrap());
            if let Ok(seconds) = text.trim().parse::<u64>() && !text.contains('+') {
                prop_assert_eq!(retry_after(&headers), Some(Duration::from_secs(seconds)));
            } else {
                // Nothing to say but that it does not panic.
                retry_after(&headers);
            }
        }
    }

    #[track_caller]
    fn check_retry_after(text: &str, expected: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
        assert_eq!(
            retry_after(&headers).map(|wait| wait.as_secs()),
            expected,
            "{text}"
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        check_retry_after("0", Some(0));
        check_retry_after(" 7 ", Some(7));
        check_retry_after("99999999999999999999999", Some(u64::MAX));
        check_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", Some(0));
        for nothing in ["", "-1", "+1", "1.5", "soon"] {
            check_retry_after(nothing, None);
        }
        let later = clock::wall().plus(Duration::from_secs(100)).as_unix_nanos();
        let later = std::time::UNIX_EPOCH + Duration::from_nanos(later);
        let mut headers = HeaderMap::new();
        let text = httpdate::fmt_http_date(later);
        headers.insert(RETRY_AFTER, HeaderValue::from_str(&text).unwrap());
        let wait = retry_after(&headers).unwrap().as_secs();
        assert!((95..=100).contains(&wait), "{wait}");
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
