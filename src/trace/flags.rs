//! Feature flags on spans, encoded once for all requests that carry them.

use super::span::{OpenSpan, SpanLimits};
use super::wire::{self, Any, field};
use std::sync::Arc;

/// The attributes `feature_flags` (a list of `key=variant`) and `feature_flags.<key>` of each:
/// TraceQL finds an element of a list, other stores only a whole value.
#[derive(Clone, Debug, Default)]
pub struct FeatureFlags {
    /// Attribute fields of `Span`, one after the other.
    records: Box<[u8]>,
    /// Where each of them ends.
    ends: Box<[usize]>,
}

impl FeatureFlags {
    /// Encodes `(key, variant)` pairs in their order. Keys have to be unique.
    pub fn new(flags: &[(Arc<str>, Arc<str>)], limits: &SpanLimits) -> Self {
        if flags.is_empty() {
            return Self::default();
        }
        let mut records = Vec::new();
        let mut ends = Vec::new();
        let pairs: Vec<String> = flags
            .iter()
            .map(|(key, variant)| format!("{key}={variant}"))
            .collect();
        let pairs: Vec<&str> = pairs.iter().map(|pair| limits.cut(pair)).collect();
        wire::key_value(
            &mut records,
            field::ATTRIBUTES,
            "feature_flags",
            &Any::TextArray(&pairs),
        );
        ends.push(records.len());
        for (key, variant) in flags {
            let variant = limits.cut(variant);
            let key = format!("feature_flags.{key}");
            wire::key_value(
                &mut records,
                field::ATTRIBUTES,
                &key,
                &Any::Text(&[variant]),
            );
            ends.push(records.len());
        }
        Self {
            records: records.into(),
            ends: ends.into(),
        }
    }

    /// Writes them to a span: one copy.
    pub fn write(&self, span: &mut OpenSpan) {
        span.encoded(&self.records, &self.ends);
    }
}
