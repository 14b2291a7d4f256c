//! Compression, split and mirror of a route.

use super::hash_part::{self, Part};
use super::routes::{Index, Scope};
use super::{Compiler, action, conditions, sampling};
use crate::config::decode::{Entries, Spanned};
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::config::scalar::{self, Misread, Purpose};
use crate::message::compression::{Algorithm, CompressionRules, Effort, StreamCount};
use crate::proxy::plan::{BranchPlan, HostRewrite, MirrorHost, MirrorPlan, SplitPlan, Sticky};
use std::sync::Arc;
use std::time::Duration;

/// What is compressed if the file does not say: texts, and what is like them.
const TYPES: [&str; 16] = [
    "text/*",
    "application/javascript",
    "application/json",
    "application/ld+json",
    "application/manifest+json",
    "application/problem+json",
    "application/rss+xml",
    "application/vnd.api+json",
    "application/wasm",
    "application/xhtml+xml",
    "application/xml",
    "application/yaml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/svg+xml",
];
const BYTES_MIN: u64 = 1024;
const STREAMS_MAX: usize = 500;

const MIRROR_BODY_BYTES: u64 = 64 * 1024;
/// A copy is kept in memory until it is whole.
const MIRROR_BODY_BYTES_MAX: u64 = 16 << 20;
const MIRROR_REQUESTS: usize = 100;
const MIRROR_TIMEOUT: Duration = Duration::from_secs(15);

/// The file's compression, which holds for every route that does not say otherwise.
pub(super) fn compression(
    written: Option<&Spanned<raw::Compression>>,
    compiler: &mut Compiler<'_>,
) -> Option<Arc<CompressionRules>> {
    let own = StreamCount::new(false);
    let rules = rules(&written?.value, built_in(own.clone()), own, compiler);
    Some(Arc::new(rules))
}

fn built_in(streams: StreamCount) -> CompressionRules {
    CompressionRules {
        algorithms: vec![Algorithm::Zstd, Algorithm::Gzip],
        types: TYPES.map(Box::from).to_vec(),
        bytes_min: BYTES_MIN,
        effort: Effort::default(),
        streams_max: STREAMS_MAX,
        streams,
    }
}

/// A route's compression: the file's, `off`, or the file's with changes.
pub(super) fn route_compression(
    route: &raw::Route,
    scope: &Scope<'_>,
    compiler: &mut Compiler<'_>,
) -> Option<Arc<CompressionRules>> {
    let file = scope.compression.as_ref();
    let Some(own) = &route.compression else {
        return file.cloned();
    };
    match &own.value {
        raw::RouteCompression::Off => None,
        raw::RouteCompression::Rules(written) => {
            let own = StreamCount::new(true);
            let base = file.map(|rules| CompressionRules::clone(rules));
            let base = base.unwrap_or_else(|| built_in(own.clone()));
            Some(Arc::new(rules(written, base, own, compiler)))
        }
    }
}

fn rules(
    written: &raw::Compression,
    base: CompressionRules,
    own: StreamCount,
    compiler: &mut Compiler<'_>,
) -> CompressionRules {
    let mut algorithms = Vec::new();
    for algorithm in written.algorithms.iter().flatten() {
        let algorithm = match algorithm.value {
            raw::Algorithm::Zstd => Algorithm::Zstd,
            raw::Algorithm::Gzip => Algorithm::Gzip,
        };
        if !algorithms.contains(&algorithm) {
            algorithms.push(algorithm);
        }
    }
    let types =
        written.types.iter().flatten().filter_map(|media| {
            compiler.value(&media.span, Code::MediaType, media_type(&media.value))
        });
    let types: Vec<Box<str>> = types.collect();
    CompressionRules {
        algorithms: if algorithms.is_empty() {
            base.algorithms
        } else {
            algorithms
        },
        types: if written.types.is_some() {
            types
        } else {
            base.types
        },
        bytes_min: compiler
            .size(written.min_bytes.as_ref())
            .unwrap_or(base.bytes_min),
        effort: written.level.map_or(base.effort, |level| match level {
            raw::Level::Fast => Effort::Fast,
            raw::Level::Balanced => Effort::Balanced,
            raw::Level::Best => Effort::Best,
        }),
        streams_max: written
            .streams
            .as_ref()
            .map_or(base.streams_max, |streams| streams.value.0),
        // What is compressed by other rules does not count.
        streams: if written.streams.is_some() {
            own
        } else {
            base.streams
        },
    }
}

/// Reads a media type without parameters, or `kind/*`.
fn media_type(text: &str) -> Result<Box<str>, Misread> {
    let token =
        |text: &str| !text.contains('*') && scalar::header_name(text, Purpose::Read).is_ok();
    let lower = text.to_ascii_lowercase();
    let valid = lower
        .split_once('/')
        .is_some_and(|(kind, own)| token(kind) && (own == "*" || token(own)));
    let refused = [
        ("text/event-stream", "its events have to arrive at once"),
        ("application/grpc", "gRPC has a compression of its own"),
    ];
    let refused = refused.iter().find(|(start, _)| lower.starts_with(start));
    match (valid, refused) {
        (true, None) => Ok(lower.into()),
        (true, Some((_, why))) => Err(Misread::new("this type is never compressed").label(*why)),
        (false, _) => Err(Misread::new("this is not a media type")
            .label("such as `text/html`, or `text/*` for all of a kind")),
    }
}

/// A split, told where it cannot work.
pub(super) fn split(
    split: &Spanned<raw::Split>,
    route: &raw::Route,
    scope: &Scope<'_>,
    index: &Index<'_>,
    compiler: &mut Compiler<'_>,
) -> SplitPlan {
    let written = &split.value;
    let flag = written.flag.as_ref();
    let mut seen: Vec<&Spanned<String>> = Vec::new();
    let mut branches = Vec::with_capacity(written.branches.len());
    for branch in &written.branches {
        let branch = &branch.value;
        if let Some(variant) = &branch.variant {
            if let Some(first) = seen.iter().find(|one| one.value == variant.value) {
                let message = format!("two branches are called `{}`", variant.value);
                let diagnostic = Diagnostic::at(Code::DuplicateName, &variant.span, message);
                compiler.tell(diagnostic.beside(&first.span, "first here"));
            }
            seen.push(variant);
        }
        branches.push(one_branch(branch, flag, route, scope, index, compiler));
    }
    if !branches.is_empty() && branches.iter().all(|branch| branch.weight == 0) {
        let message = "no branch of this split has a weight";
        let diagnostic = Diagnostic::at(Code::Split, &split.span, message);
        compiler.tell(diagnostic.label("requests that ask for no branch would have none"));
    }
    SplitPlan {
        flag: Arc::from(flag.map_or("", |flag| &flag.value)),
        sticky: written
            .sticky
            .as_ref()
            .and_then(|sticky| tie(sticky, compiler)),
        branches,
    }
}

fn one_branch(
    branch: &raw::Branch,
    flag: Option<&Spanned<String>>,
    route: &raw::Route,
    scope: &Scope<'_>,
    index: &Index<'_>,
    compiler: &mut Compiler<'_>,
) -> BranchPlan {
    if let Some(upstream) = &branch.upstream {
        action::known_upstream(upstream, scope, index, compiler);
    }
    let headers = conditions::headers(&branch.headers, compiler);
    let default = u32::from(branch.headers.0.is_empty());
    let weight = branch.weight.as_ref();
    let own = flag.zip(branch.variant.as_ref());
    let own = own.map(|(flag, variant)| (flag.clone(), variant.clone()));
    let own = Entries(own.into_iter().collect());
    let maps = [&scope.config.feature_flags, &route.feature_flags, &own];
    BranchPlan {
        variant: Arc::from(branch.variant.as_ref().map_or("", |variant| &variant.value)),
        upstream: Arc::from(branch.upstream.as_ref().map_or("", |name| &name.value)),
        weight: weight.map_or(default, |weight| weight.value.0),
        headers,
        feature_flags: sampling::flags(&maps, compiler),
    }
}

fn tie(sticky: &Spanned<raw::Sticky>, compiler: &mut Compiler<'_>) -> Option<Sticky> {
    let key = match &sticky.value {
        raw::Sticky::Word(word) if word == "trace" => return Some(Sticky::Trace),
        // The schema lets no other word through.
        raw::Sticky::Word(_) => return Some(Sticky::Address),
        raw::Sticky::Key(key) => key,
    };
    Some(match hash_part::compile(&sticky.span, key, compiler)? {
        Part::Header(name) => Sticky::Header(name),
        Part::Cookie(name) => Sticky::Cookie(Box::from(&*name)),
    })
}

/// A mirror.
pub(super) fn mirror(
    mirror: &Spanned<raw::Mirror>,
    scope: &Scope<'_>,
    index: &Index<'_>,
    compiler: &mut Compiler<'_>,
) -> MirrorPlan {
    let written = &mirror.value;
    if let Some(upstream) = &written.upstream {
        action::known_upstream(upstream, scope, index, compiler);
    }
    let body_bytes = compiler.size(written.body_bytes.as_ref());
    if let (Some(bytes), Some(place)) = (body_bytes, &written.body_bytes)
        && bytes > MIRROR_BODY_BYTES_MAX
    {
        let message = "a copy's body is kept in memory";
        let diagnostic = Diagnostic::at(Code::OutOfRange, &place.span, message);
        compiler.tell(diagnostic.label("at most 16 MiB"));
    }
    let host = written.host.as_ref();
    MirrorPlan {
        upstream: Arc::from(written.upstream.as_ref().map_or("", |name| &name.value)),
        share: written.share.map_or(1.0, |share| share.0),
        body_bytes_max: body_bytes.unwrap_or(MIRROR_BODY_BYTES),
        requests_max: written
            .requests
            .as_ref()
            .map_or(MIRROR_REQUESTS, |requests| requests.value.0),
        timeout: compiler.duration_or(written.timeout.as_ref(), MIRROR_TIMEOUT),
        host: host
            .and_then(|host| mirror_host(host, compiler))
            .unwrap_or_default(),
    }
}

fn mirror_host(host: &Spanned<raw::HostText>, compiler: &mut Compiler<'_>) -> Option<MirrorHost> {
    if host.value.0 == "shadow" {
        return Some(MirrorHost::Shadow);
    }
    action::host_rewrite(host, compiler).map(|host| match host {
        HostRewrite::Keep => MirrorHost::Keep,
        HostRewrite::Endpoint => MirrorHost::Endpoint,
        HostRewrite::To(host) => MirrorHost::To(host),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_a_kind_and_a_name_or_a_star() {
        for (text, expected) in [
            ("Text/HTML", "text/html"),
            ("text/*", "text/*"),
            ("application/ld+json", "application/ld+json"),
        ] {
            assert_eq!(&*media_type(text).unwrap(), expected);
        }
        for other in [
            "",
            "text",
            "*",
            "*/*x",
            "text/",
            "/html",
            "text/html; charset=utf-8",
            "text/event-stream",
            "application/grpc+proto",
        ] {
            assert!(media_type(other).is_err(), "{other}");
        }
    }
}
