//! Retries.

use super::Compiler;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::config::scalar::Misread;
use crate::trace::rpc::GrpcStatus;
use crate::upstream::{Backoff, Cause, HedgePolicy, RetryOn, RetryPolicy};
use http::StatusCode;
use std::sync::Arc;

/// Every word for `on`, beside statuses.
const WORDS: [&str; 11] = [
    "connect",
    "refused_stream",
    "reset",
    "timeout",
    "5xx",
    "gateway_error",
    "cancelled",
    "deadline_exceeded",
    "internal",
    "resource_exhausted",
    "unavailable",
];

pub(super) fn compile(
    written: Option<&Spanned<raw::Retries>>,
    compiler: &mut Compiler<'_>,
) -> Option<Arc<RetryPolicy>> {
    let written = &written?.value;
    let default = RetryPolicy::default();
    let attempts = written.attempts.as_ref().map(|written| written.value);
    let body_bytes = compiler.size(written.body_bytes.as_ref());
    let body_bytes = body_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let per_try = written.per_try_timeout.as_ref();
    Some(Arc::new(RetryPolicy {
        attempts_max: attempts.unwrap_or(default.attempts_max),
        on: match &written.on {
            Some(words) => conditions(words, compiler),
            None => default.on,
        },
        per_try: per_try.and_then(|limit| compiler.duration(&limit.span, &limit.value.0)),
        budget: written.budget.map_or(default.budget, |rate| rate.0),
        backoff: backoff(&written.backoff, compiler),
        retry_after_max: compiler
            .duration_or(written.retry_after.as_ref(), default.retry_after_max),
        body_bytes_max: body_bytes.unwrap_or(default.body_bytes_max),
        hedge: written
            .hedge
            .as_ref()
            .and_then(|hedge| self::hedge(&hedge.value, compiler)),
    }))
}

fn conditions(words: &[Spanned<raw::RetryWord>], compiler: &mut Compiler<'_>) -> Vec<RetryOn> {
    let mut on = Vec::with_capacity(words.len());
    for word in words {
        let read = condition(&word.value.0);
        if let Some(read) = compiler.value(&word.span, Code::UnknownValue, read) {
            on.extend(read);
        }
    }
    on
}

/// What a word stands for.
fn condition(word: &str) -> Result<Vec<RetryOn>, Misread> {
    let grpc = |number| vec![RetryOn::Cause(Cause::Grpc(GrpcStatus::from_number(number)))];
    let cause = |cause| vec![RetryOn::Cause(cause)];
    Ok(match word {
        "connect" => cause(Cause::Connect),
        "refused_stream" => cause(Cause::RefusedStream),
        "reset" => cause(Cause::Reset),
        "timeout" => cause(Cause::Timeout),
        "5xx" => vec![RetryOn::ServerError],
        "gateway_error" => [502, 503, 504].into_iter().filter_map(status).collect(),
        "cancelled" => grpc(1),
        "deadline_exceeded" => grpc(4),
        "resource_exhausted" => grpc(8),
        "internal" => grpc(13),
        "unavailable" => grpc(14),
        number => {
            let read = number
                .parse()
                .ok()
                .filter(|code| (400..=599).contains(code));
            match read.and_then(status) {
                Some(status) => vec![status],
                None => {
                    let known = WORDS.map(|word| format!("`{word}`")).join(", ");
                    return Err(Misread::new("this is no reason to try again")
                        .help(format!("a status from 400 to 599, or one of {known}")));
                }
            }
        }
    })
}

fn status(code: u16) -> Option<RetryOn> {
    let status = StatusCode::from_u16(code).ok()?;
    Some(RetryOn::Cause(Cause::Status(status)))
}

fn backoff(written: &raw::RetryBackoff, compiler: &mut Compiler<'_>) -> Backoff {
    let default = Backoff::default();
    let base = compiler.duration_or(written.base.as_ref(), default.base);
    let max = compiler.duration_or(written.max.as_ref(), default.max.max(base));
    if let Some(span) = written.max.as_ref().map(|written| &written.span)
        && max < base
    {
        let message = "`backoff.max` is shorter than `backoff.base`";
        compiler.tell(Diagnostic::at(Code::Unfit, span, message));
    }
    Backoff { base, max }
}

fn hedge(written: &raw::Hedge, compiler: &mut Compiler<'_>) -> Option<HedgePolicy> {
    let after = written.after.as_ref()?;
    Some(HedgePolicy {
        after: compiler.duration(&after.span, &after.value.0)?,
        attempts_max: written.attempts.as_ref().map_or(1, |count| count.value),
    })
}
