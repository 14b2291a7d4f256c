//! Policies of who may pass, and what routes require.

use super::{Compiler, forward, jwt, oidc, proofs, require};
use crate::auth::{Means, PolicySettings, PolicyUse, RequirementSettings};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::upstream::ClusterSettings;
use std::sync::Arc;

/// Stands for no policy at all.
pub(super) const OFF: &str = "off";
/// What programs that read YAML 1.1 make of it.
const OFF_IN_YAML_1_1: &str = "false";

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
        ("oidc", written.oidc.is_some()),
        ("jwt", written.jwt.is_some()),
        ("forward", written.forward.is_some()),
        ("api_key", written.api_key.is_some()),
        ("basic", written.basic.is_some()),
        ("client_cert", written.client_cert.is_some()),
        ("ip", written.ip.is_some()),
    ];
    compiler.exactly_one(&name.span, &given);
    let forward = written.forward.as_ref().and_then(|forward| {
        let settings = forward::compile(name, forward, config, upstreams, compiler)?;
        Some(Means::Forward(Box::new(settings)))
    });
    let jwt = written.jwt.as_ref().and_then(|jwt| {
        let settings = jwt::compile(jwt, compiler)?;
        Some(Means::Jwt(Box::new(settings)))
    });
    let oidc = written.oidc.as_ref().and_then(|oidc| {
        let settings = oidc::compile(name, oidc, config, compiler)?;
        Some(Means::Oidc(Box::new(settings)))
    });
    let proof = proof(name, written, compiler);
    let require = written
        .jwt
        .as_ref()
        .and_then(|jwt| jwt.value.require.as_ref());
    let of_login = written.oidc.as_ref();
    let require = require.or(of_login.and_then(|oidc| oidc.value.require.as_ref()));
    let require = require.and_then(|own| {
        require::check(own, &[(name, written)], compiler);
        require::compile(&own.value, compiler)
    });
    Some(PolicySettings {
        name: Arc::from(name.value.as_str()),
        means: forward.or(jwt).or(oidc).or(proof)?,
        require,
        shadow: written.shadow.as_ref().is_some_and(|shadow| shadow.value),
    })
}

/// What needs no other program.
fn proof(
    name: &Spanned<String>,
    written: &raw::Policy,
    compiler: &mut Compiler<'_>,
) -> Option<Means> {
    let api_key = written.api_key.as_ref().and_then(|api_key| {
        let settings = proofs::api_key(name, api_key, compiler)?;
        Some(Means::ApiKey(Box::new(settings)))
    });
    let basic = written.basic.as_ref().and_then(|basic| {
        let settings = proofs::basic(name, basic, compiler)?;
        Some(Means::Basic(Box::new(settings)))
    });
    let client_cert = written.client_cert.as_ref();
    let client_cert = client_cert.map(|one| Means::ClientCert(proofs::client_cert(one, compiler)));
    let ip = written.ip.as_ref();
    let ip = ip.map(|networks| Means::Ip(compiler.networks(networks)));
    api_key.or(basic).or(client_cert).or(ip)
}

/// What a route says of who may pass, or the file.
pub(super) fn sets<'a>(
    route: &'a raw::Route,
    config: &'a raw::Config,
) -> &'a [Spanned<raw::PolicySet>] {
    if route.auth.0.is_empty() {
        &config.default_auth.0
    } else {
        &route.auth.0
    }
}

/// What a route requires; None: nothing.
pub(super) fn requirement(
    route: &raw::Route,
    config: &raw::Config,
    compiler: &mut Compiler<'_>,
) -> Option<RequirementSettings> {
    let sets = sets(route, config);
    if let [one] = sets
        && matches!(&one.value, raw::PolicySet::One(word) if word == OFF)
    {
        return None;
    }
    let any: Vec<Vec<PolicyUse>> = sets
        .iter()
        .map(|set| match &set.value {
            raw::PolicySet::One(name) => {
                let name = Spanned {
                    span: set.span.clone(),
                    value: name.clone(),
                };
                vec![PolicyUse {
                    policy: known(&name, config, compiler),
                    require: None,
                }]
            }
            raw::PolicySet::Use(written) => {
                let given = [
                    ("all", written.all.is_some()),
                    ("policy", written.policy.is_some()),
                ];
                compiler.exactly_one(&set.span, &given);
                forward::check_use(written, config, compiler);
                let all = written.all.iter().flatten();
                let names = all.chain(&written.policy);
                let require = written.require.as_ref();
                let require = require.and_then(|one| {
                    let held: Vec<_> = names.clone().filter_map(|name| of(name, config)).collect();
                    require::check(one, &held, compiler);
                    require::compile(&one.value, compiler)
                });
                names
                    .map(|name| PolicyUse {
                        policy: known(name, config, compiler),
                        require: require.clone(),
                    })
                    .collect()
            }
        })
        .collect();
    never_allows(sets, &any, config, compiler);
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

/// The policy of a name, with it.
fn of<'a>(
    name: &'a Spanned<String>,
    config: &'a raw::Config,
) -> Option<(&'a Spanned<String>, &'a raw::Policy)> {
    let mut policies = config.auth.iter();
    let (_, policy) = policies.find(|(own, _)| own.value == name.value)?;
    Some((name, policy))
}

/// Warns of a set that lets nobody pass, because all policies of one before it are among its own: a
/// request that this one knows is decided about there, and one that it does not know, it does not
/// know a second time either. What only says where a client is does not always decide.
fn never_allows(
    sets: &[Spanned<raw::PolicySet>],
    any: &[Vec<PolicyUse>],
    config: &raw::Config,
    compiler: &mut Compiler<'_>,
) {
    // What was refused of a set says nothing of the others.
    if !compiler.findings.are_harmless() {
        return;
    }
    let written = |name: &str| {
        let mut all = config.auth.iter();
        all.find(|(own, _)| own.value == *name)
            .map(|(_, policy)| policy)
    };
    let enforced = |set: &Vec<PolicyUse>| -> Vec<Arc<str>> {
        let names = set.iter().map(|one| Arc::clone(&one.policy));
        let is_enforced = |name: &Arc<str>| {
            let shadow = written(name).and_then(|policy| policy.shadow.as_ref());
            !shadow.is_some_and(|shadow| shadow.value)
        };
        names.filter(is_enforced).collect()
    };
    let enforced: Vec<_> = any.iter().map(enforced).collect();
    let decides = |set: &&Vec<Arc<str>>| {
        let mut names = set.iter();
        names.any(|name| written(name).is_some_and(|policy| policy.ip.is_none()))
    };
    for (at, set) in enforced.iter().enumerate() {
        let before = enforced.iter().take(at).filter(decides);
        let mut before = before.filter(|one| one.iter().all(|name| set.contains(name)));
        if let (Some(one), Some(place)) = (before.next(), sets.get(at)) {
            let names = one.join("`, `");
            let diagnostic = Diagnostic::at(Code::NoEffect, &place.span, "nobody passes by this");
            let diagnostic = diagnostic.label(format!("`{names}` has decided before"));
            let help = "ask for all of it in one place, or make a policy of its own";
            compiler.tell(diagnostic.help(help));
        }
    }
}

/// A policy that no route asks protects nothing, whatever its author believes.
pub(super) fn warn_of_unasked(config: &raw::Config, compiler: &mut Compiler<'_>) {
    // What is wrong elsewhere may be why.
    if config.routes.is_empty() || !compiler.findings.are_harmless() {
        return;
    }
    let of_routes = config.routes.iter().map(|route| &route.value.auth.0);
    let sets = of_routes.chain([&config.default_auth.0]).flatten();
    let asked: Vec<&str> = sets
        .flat_map(|set| match &set.value {
            raw::PolicySet::One(name) => vec![name.as_str()],
            raw::PolicySet::Use(written) => {
                let names = written.all.iter().flatten().chain(&written.policy);
                names.map(|name| name.value.as_str()).collect()
            }
        })
        .collect();
    let is_asked = |name: &Spanned<String>| asked.contains(&name.value.as_str());
    for (name, _) in config.auth.iter() {
        if !is_asked(name) {
            let message = format!("policy `{}` has no effect", name.value);
            let diagnostic = Diagnostic::at(Code::NoEffect, &name.span, message);
            compiler.tell(diagnostic.label("no route has it in `auth`, nor has `default_auth`"));
        }
    }
}

fn known(name: &Spanned<String>, config: &raw::Config, compiler: &mut Compiler<'_>) -> Arc<str> {
    let defined: Vec<_> = config
        .auth
        .iter()
        .map(|(name, _)| (name.value.as_str(), &name.span))
        .collect();
    if !defined.iter().any(|(defined, _)| *defined == name.value) {
        if name.value == OFF_IN_YAML_1_1 {
            let message = format!("no policy is called `{}`", name.value);
            let diagnostic = Diagnostic::at(Code::UnknownName, &name.span, message);
            compiler.tell(diagnostic.suggest(OFF));
        } else {
            compiler.dangling("policy", name, &defined);
        }
    }
    Arc::from(name.value.as_str())
}
