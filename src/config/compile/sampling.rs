//! Rates, and the flags that spans carry.

use super::Compiler;
use crate::config::decode::{Entries, Spanned};
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::otel_env::OtelVariables;
use crate::config::raw;
use crate::config::scalar::{self, Purpose};
use crate::listener::ListenerSettings;
use crate::trace::resource::ResourceValue;
use crate::trace::root::RootFrom;
use crate::trace::sampler::{SamplingRule, UnsampledParent};
use http::HeaderName;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Feature flags as `(key, variant)` in key order.
pub(super) type Flags = Arc<[(Arc<str>, Arc<str>)]>;

/// Most headers that are looked at for a trace's root.
const ROOTS_MAX: usize = 8;

/// Most flags of a span: each is an attribute of its own.
const FLAGS_MAX: usize = 32;

/// The rule where neither route nor flow has one: the environment's, else the default, which
/// `OTEL_TRACES_SAMPLER` replaces.
pub(super) fn default(
    sampling: &raw::Sampling,
    resource: &[(Arc<str>, ResourceValue)],
    variables: &OtelVariables,
) -> SamplingRule {
    let environment = resource
        .iter()
        .find(|(key, _)| &**key == "deployment.environment.name")
        .and_then(|(_, value)| text(value));
    let environments = sampling.environments.iter();
    let mut named = environments.filter(|(name, _)| Some(name.value.as_str()) == environment);
    let unsampled_parent = unsampled(sampling.unsampled_parent).unwrap_or_default();
    let rule = if let Some((_, rate)) = named.next() {
        SamplingRule {
            ratio: rate.0,
            parent_based: true,
            unsampled_parent,
        }
    } else if let Some(sampler) = variables.sampler {
        SamplingRule {
            ratio: sampler.ratio,
            parent_based: sampler.parent_based,
            unsampled_parent,
        }
    } else {
        let ratio = sampling.default.map_or(1.0, |rate| rate.0);
        SamplingRule {
            ratio,
            parent_based: true,
            unsampled_parent,
        }
    };
    if variables.trace_debug {
        everything()
    } else {
        rule
    }
}

fn text(value: &ResourceValue) -> Option<&str> {
    match value {
        ResourceValue::String(text) => Some(text),
        ResourceValue::Int(_) | ResourceValue::Double(_) | ResourceValue::Bool(_) => None,
    }
}

/// `TRACE_DEBUG=1`: every span of ours is recorded. The flag that leaves stays the caller's.
pub(super) const fn everything() -> SamplingRule {
    SamplingRule {
        ratio: 1.0,
        parent_based: true,
        unsampled_parent: UnsampledParent::Record,
    }
}

/// What stands nearest wins.
pub(super) fn resolve(
    default: SamplingRule,
    rates: [Option<raw::Rate>; 2],
    unsampled_parents: [Option<raw::UnsampledParent>; 2],
) -> SamplingRule {
    let rate = rates.into_iter().flatten().next();
    let own = unsampled_parents.into_iter().flatten().next();
    SamplingRule {
        ratio: rate.map_or(default.ratio, |rate| rate.0),
        // A rate of ours is asked only where there is no parent.
        parent_based: rate.is_some() || default.parent_based,
        unsampled_parent: unsampled(own).unwrap_or(default.unsampled_parent),
    }
}

fn unsampled(written: Option<raw::UnsampledParent>) -> Option<UnsampledParent> {
    written.map(|written| match written {
        raw::UnsampledParent::Respect => UnsampledParent::Respect,
        raw::UnsampledParent::Record => UnsampledParent::Record,
    })
}

/// Merges flags; those of later maps win.
pub(super) fn flags(maps: &[&Entries<Spanned<String>>], compiler: &mut Compiler<'_>) -> Flags {
    let mut merged: BTreeMap<&str, &str> = BTreeMap::new();
    for (position, map) in maps.iter().enumerate() {
        for (key, variant) in map.iter() {
            let usable = |text: &str| {
                !text.is_empty()
                    && text.len() <= 128
                    && !text.contains(|one: char| one.is_control() || one == '=')
            };
            // Earlier maps were told of when they were compiled alone.
            if position + 1 == maps.len() && !(usable(&key.value) && usable(&variant.value)) {
                let message = format!("`{}` cannot be a flag of a span", key.value);
                let diagnostic = Diagnostic::at(Code::FlowAttribute, &key.span, message);
                compiler.tell(diagnostic.label("key and variant: some text without `=`"));
            }
            merged.insert(&key.value, &variant.value);
        }
    }
    if let (true, Some((key, _))) = (
        merged.len() > FLAGS_MAX,
        maps.last().and_then(|map| map.0.last()),
    ) {
        let message = format!("a span carries at most {FLAGS_MAX} feature flags");
        compiler.tell(Diagnostic::at(Code::OutOfRange, &key.span, message));
    }
    let pair = |(key, variant): (&str, &str)| (Arc::from(key), Arc::from(variant));
    merged.into_iter().map(pair).collect()
}
/// Headers that root traces.
pub(super) fn root_from(
    config: &raw::Config,
    listeners: &[ListenerSettings],
    compiler: &mut Compiler<'_>,
) -> RootFrom {
    let written = &config.propagation.root_from;
    let mut names: Vec<HeaderName> = Vec::with_capacity(written.len());
    for name in written {
        let read = scalar::header_name(&name.value.0, Purpose::Read);
        let Some(read) = compiler.value(&name.span, Code::Header, read) else {
            continue;
        };
        if names.contains(&read) {
            let message = format!("`{read}` is there twice");
            compiler.tell(Diagnostic::at(Code::DuplicateName, &name.span, message));
        } else if names.len() == ROOTS_MAX {
            let message = format!("traces are rooted from {ROOTS_MAX} headers at most");
            compiler.tell(Diagnostic::at(Code::OutOfRange, &name.span, message));
        }
        names.push(read);
    }
    let nobody = |listener: &ListenerSettings| listener.trusted_proxies.is_empty();
    if let Some(first) = written.first()
        && !listeners.is_empty()
        && listeners.iter().all(nobody)
    {
        let message = "`root_from` has no effect";
        let diagnostic = Diagnostic::at(Code::NoEffect, &first.span, message);
        compiler
            .tell(diagnostic.label("no listener has `trusted_proxies` or `cloudflare` to believe"));
    }
    RootFrom::new(names)
}
