//! Policies of who may pass, and what routes require.

use super::Compiler;
use crate::auth::{ForwardSettings, Means, PolicySettings, RequirementSettings};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::config::scalar::{self, Misread};
use crate::upstream::{ClusterSettings, EndpointAddress};
use http::uri::PathAndQuery;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Stands for no policy at all.
const OFF: &str = "off";
/// How long an external decision may take if the file does not say.
const FORWARD_TIMEOUT: Duration = Duration::from_millis(300);

/// Compiles them. An authorizer that is named by its URL becomes one more upstream.
pub(super) fn policies(
    config: &raw::Config,
    upstreams: &mut Vec<ClusterSettings>,
    compiler: &mut Compiler<'_>,
) -> Vec<PolicySettings> {
    let policies = config.auth.iter();
    policies
        .filter_map(|(name, policy)| one(name, policy, config, upstreams, compiler))
        .collect()
}

fn one(
    name: &Spanned<String>,
    written: &raw::Policy,
    config: &raw::Config,
    upstreams: &mut Vec<ClusterSettings>,
    compiler: &mut Compiler<'_>,
) -> Option<PolicySettings> {
    if name.value == OFF {
        let diagnostic =
            Diagnostic::at(Code::DuplicateName, &name.span, "no policy is called `off`");
        compiler.tell(diagnostic.label("routes write it for: no policy"));
    }
    let given = [
        ("forward", written.forward.is_some()),
        ("ip", written.ip.is_some()),
    ];
    compiler.exactly_one(&name.span, &given);
    let forward = written.forward.as_ref().and_then(|forward| {
        let settings = self::forward(name, forward, config, upstreams, compiler)?;
        Some(Means::Forward(Box::new(settings)))
    });
    let ip = written.ip.as_ref();
    let ip = ip.map(|networks| Means::Ip(compiler.networks(networks)));
    Some(PolicySettings {
        name: Arc::from(name.value.as_str()),
        means: forward.or(ip)?,
        shadow: written.shadow.as_ref().is_some_and(|shadow| shadow.value),
    })
}

fn forward(
    policy: &Spanned<String>,
    written: &Spanned<raw::Forward>,
    config: &raw::Config,
    upstreams: &mut Vec<ClusterSettings>,
    compiler: &mut Compiler<'_>,
) -> Option<ForwardSettings> {
    let (span, written) = (&written.span, &written.value);
    let given = [
        ("url", written.url.is_some()),
        ("upstream", written.upstream.is_some()),
    ];
    compiler.exactly_one(span, &given);
    let timeout = compiler.duration_or(written.timeout.as_ref(), FORWARD_TIMEOUT);
    if let Some(name) = &written.upstream {
        let defined: Vec<_> = config
            .upstreams
            .iter()
            .map(|(name, _)| (name.value.as_str(), &name.span))
            .collect();
        if !defined.iter().any(|(defined, _)| *defined == name.value) {
            compiler.dangling("upstream", name, &defined);
        }
        let path = written.path.as_ref().and_then(|path| {
            let read = question_path(&path.value.0);
            compiler.value(&path.span, Code::Path, read)
        });
        return Some(ForwardSettings {
            upstream: Arc::from(name.value.as_str()),
            path: path.unwrap_or_else(|| PathAndQuery::from_static("/")),
            timeout,
        });
    }
    let url = written.url.as_ref()?;
    let (endpoint, path) = compiler.value(
        &url.span,
        Code::Url,
        question_url(&url.value.0, compiler.folder),
    )?;
    let upstream: Arc<str> = Arc::from(format!("auth.{}", policy.value));
    upstreams.push(ClusterSettings::of(Arc::clone(&upstream), endpoint));
    Some(ForwardSettings {
        upstream,
        path,
        timeout,
    })
}

fn question_path(text: &str) -> Result<PathAndQuery, Misread> {
    let path = text.starts_with('/').then(|| text.parse().ok()).flatten();
    path.ok_or_else(|| Misread::new("this is no path to ask at").label("such as /auth"))
}

/// The endpoint and the path of an authorizer's URL.
fn question_url(text: &str, folder: &Path) -> Result<(EndpointAddress, PathAndQuery), Misread> {
    let behind_scheme = text.find("://").map_or(0, |at| at + 3);
    let path_at = text.get(behind_scheme..).and_then(|rest| rest.find('/'));
    let (endpoint, path) = match path_at {
        Some(at) => text.split_at(behind_scheme + at),
        None => (text, "/"),
    };
    Ok((scalar::endpoint(endpoint, folder)?, question_path(path)?))
}

/// What a route requires; None: nothing.
pub(super) fn requirement(
    route: &raw::Route,
    config: &raw::Config,
    compiler: &mut Compiler<'_>,
) -> Option<RequirementSettings> {
    let own = &route.auth.0;
    let sets = if own.is_empty() {
        &config.default_auth.0
    } else {
        own
    };
    if let [one] = sets.as_slice()
        && matches!(&one.value, raw::PolicySet::One(word) if word == OFF)
    {
        return None;
    }
    let any: Vec<Vec<Arc<str>>> = sets
        .iter()
        .map(|set| match &set.value {
            raw::PolicySet::One(name) => {
                let name = Spanned {
                    span: set.span.clone(),
                    value: name.clone(),
                };
                vec![known(&name, config, compiler)]
            }
            raw::PolicySet::All(all) => all
                .all
                .iter()
                .map(|name| known(name, config, compiler))
                .collect(),
        })
        .collect();
    let preflights = route.auth_preflights.as_ref();
    if let Some(written) = preflights.filter(|_| any.is_empty()) {
        let message = "`auth_preflights` has no effect";
        let diagnostic = Diagnostic::at(Code::NoEffect, &written.span, message);
        compiler.tell(diagnostic.label("the route has no `auth`"));
    }
    (!any.is_empty()).then(|| RequirementSettings {
        any,
        preflights_pass: preflights.map(|one| one.value) == Some(raw::Preflights::Pass),
    })
}

fn known(name: &Spanned<String>, config: &raw::Config, compiler: &mut Compiler<'_>) -> Arc<str> {
    let defined: Vec<_> = config
        .auth
        .iter()
        .map(|(name, _)| (name.value.as_str(), &name.span))
        .collect();
    if !defined.iter().any(|(defined, _)| *defined == name.value) {
        compiler.dangling("policy", name, &defined);
    }
    Arc::from(name.value.as_str())
}
