//! Who is told what arrived.

use super::Compiler;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::config::scalar::{self, Misread};
use crate::listener::ListenerSettings;
use crate::ratelimit::Quota;
use crate::verify::arrival::{ArrivalSettings, RATE_PER_SECOND_MAX, SharedSecret};
use std::time::Duration;

/// Questions a second if the file does not say.
const RATE: u32 = 10;

pub(super) fn compile(
    written: Option<&Spanned<raw::Arrival>>,
    listeners: &[ListenerSettings],
    compiler: &mut Compiler<'_>,
) -> Option<ArrivalSettings> {
    let (place, written) = written.map(|written| (&written.span, &written.value))?;
    let mut secrets: Vec<SharedSecret> = Vec::with_capacity(written.secrets.len());
    for source in &written.secrets {
        let Some(secret) = secret(source, compiler) else {
            continue;
        };
        if secrets.contains(&secret) {
            let message = "this secret is there twice";
            compiler.tell(Diagnostic::at(Code::DuplicateName, &source.span, message));
        }
        secrets.push(secret);
    }
    if !listeners.is_empty() && listeners.iter().all(|one| one.decision.is_some()) {
        let message = "`arrival` has no effect";
        let diagnostic = Diagnostic::at(Code::NoEffect, place, message);
        compiler.tell(diagnostic.label("no listener is a gateway"));
    }
    Some(ArrivalSettings {
        secrets,
        quota: quota(written.rate.as_ref(), compiler),
    })
}

fn secret(
    source: &Spanned<raw::SecretSource>,
    compiler: &mut Compiler<'_>,
) -> Option<SharedSecret> {
    let written = raw::SecretText::Elsewhere(source.value.clone());
    let content = compiler.secret(&source.span, &written)?;
    let read = SharedSecret::new(content.expose().as_bytes()).map_err(|error| {
        let misread = Misread::new("this secret can be guessed").label(error.to_string());
        misread.help("`openssl rand -hex 32` makes one")
    });
    compiler.value(&source.span, Code::Secret, read)
}

fn quota(written: Option<&Spanned<raw::RequestRateText>>, compiler: &mut Compiler<'_>) -> Quota {
    let read = written.and_then(|rate| {
        let read = scalar::request_rate(&rate.value.0);
        compiler.value(&rate.span, Code::RequestRate, read)
    });
    let (count, period) = read.unwrap_or((RATE, Duration::from_secs(1)));
    let per_second = u64::from(count).div_ceil(period.as_secs().max(1));
    // A burst beyond what a second allows would fill what is remembered.
    let burst = count.min(RATE_PER_SECOND_MAX);
    if let Some(rate) = written
        && per_second > u64::from(RATE_PER_SECOND_MAX)
    {
        let message = "this rate is too high";
        let diagnostic = Diagnostic::at(Code::OutOfRange, &rate.span, message);
        compiler.tell(diagnostic.label("at most 100/s: each question is remembered"));
    }
    Quota::new(count, period, burst)
}
