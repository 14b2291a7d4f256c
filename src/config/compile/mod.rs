//! Third pass: from what is written to a plan that cannot be wrong.
//!
//! Works on the repaired tree, so a value may be missing that had to be there; that was told
//! before and is passed over here. A plan is only handed out if nothing was told at all.

mod action;
mod allow;
mod arrival;
mod assertion;
mod auth;
mod auth_cache;
mod balance;
mod conditions;
mod cors;
mod decision;
pub(in crate::config) mod export;
mod ext_authz;
pub(in crate::config) mod files;
mod flows;
mod forward;
mod hash_part;
mod headers;
mod health;
mod identity;
mod jwt;
mod listeners;
mod login;
mod message;
mod oidc;
pub(in crate::config) mod probe;
mod probe_answer;
mod probe_request;
mod probes;
mod proofs;
mod provider;
mod ratelimit;
mod require;
mod resource;
mod retry;
mod routes;
mod sampling;
mod store;
mod telemetry;
mod tls;
mod unreachable;
mod upstreams;
mod variables;
mod verify;
mod websocket;

pub(in crate::config) use resource::DOWNWARD_API;
pub use variables::Overrides;

use super::decode::Spanned;
use super::diagnostic::{Code, Diagnostic, Findings, Span};
use super::env::Environment;
use super::otel_env::OtelVariables;
use super::plan::{DrainPlan, Plan};
use super::raw;
use super::scalar::{self, Misread};
use super::suggest::nearest;
use super::watch::ReadFiles;
use crate::admin::AdminSettings;
use crate::listener::ListenerSettings;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// How long a drain may take if the file does not say.
const DRAIN: Duration = Duration::from_secs(10);
/// Longest duration of what lasts for days, in hours.
const DAYS_HOURS_MAX: u64 = 720;
/// Where the admin listener is if nobody says.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// What every part of the compilation reads and writes.
pub(in crate::config) struct Compiler<'a> {
    pub(in crate::config) findings: &'a mut Findings,
    pub(in crate::config) environment: &'a Environment,
    /// The document, for whoever tells of its lines later.
    pub(in crate::config) document: &'a str,
    /// Where relative paths start.
    pub(in crate::config) folder: &'a Path,
    /// Files that the document names, readable or not: a change of one is a change of the whole.
    pub(in crate::config) files: &'a mut ReadFiles,
}

/// Compiles a document. The plan is only right if nothing was found that refuses it.
pub(in crate::config) fn compile(
    config: &raw::Config,
    overrides: &Overrides,
    compiler: &mut Compiler<'_>,
) -> Plan {
    let variables = OtelVariables::read(compiler.environment, compiler.findings);
    let resource = resource::compile(&config.service, &variables, overrides, compiler);
    let default = sampling::default(&config.sampling, &resource, &variables);
    let flags = sampling::flags(&[&config.feature_flags], compiler);
    let logs_in = login::uses_redis(config);
    let redis = config.redis.as_ref();
    let (rate_limits, redis) = ratelimit::compile(&config.rate_limits, redis, logs_in, compiler);
    let mut listeners = listeners::compile(&config.listeners, overrides, compiler);
    ratelimit::of_listeners(config, &mut listeners, compiler);
    let mut upstreams = upstreams::compile(&config.upstreams, &resource, compiler);
    let policies = auth::policies(config, &mut upstreams, compiler);
    let login = login::compile(config, &policies, redis.as_ref(), compiler);
    let audit = login::audit(config, login.as_ref(), compiler);
    proofs::warn_of_listeners(config, compiler);
    let identity = identity::of_file(config, compiler);
    let assertion = assertion::of_file(config, identity.as_deref(), compiler);
    let root_from = sampling::root_from(config, &listeners, compiler);
    let arrival = arrival::compile(config.arrival.as_ref(), &listeners, compiler);
    let verify = verify::compile(&config.verify, compiler);
    let flows = flows::compile(&config.flows, compiler);
    let scope = routes::Scope {
        compression: message::compression(config.compression.as_ref(), compiler),
        config,
        flows: &flows,
        identity: identity.as_ref(),
        default,
        trace_debug: variables.trace_debug,
    };
    let routes = routes::compile(&scope, compiler);
    auth::warn_of_unasked(config, compiler);
    let reserved = identity::reserved(identity.as_ref(), assertion.as_ref(), &policies, &routes);
    let export = export::compile(&config.export, &variables, compiler);
    let terminal = export::terminal(&variables);
    let telemetry = telemetry::compile(&config.telemetry, &variables, compiler);
    let admin = admin(&config.admin, overrides, &listeners, compiler);
    let probes = probes::compile(&config.probes, compiler);
    let store = store::compile(&config.store, &listeners, &admin, compiler);
    Plan {
        listeners,
        upstreams,
        routes,
        policies,
        login,
        audit,
        reserved,
        assertion,
        arrival,
        verify,
        rate_limits,
        redis,
        memory: ratelimit::overload(&config.overload, compiler),
        tracing: variables::tracing(config, variables, resource, default, flags, root_from),
        export,
        terminal,
        telemetry,
        store,
        probes,
        text: std::sync::Arc::default(),
        admin,
        access_log: config.access_log,
        drain: drain(&config.drain, compiler),
    }
}

fn drain(drain: &raw::Drain, compiler: &mut Compiler<'_>) -> DrainPlan {
    let delay = compiler.off_or_duration(drain.delay.as_ref());
    DrainPlan {
        delay: delay.flatten().unwrap_or_default(),
        timeout: compiler.duration_or(drain.timeout.as_ref(), DRAIN),
    }
}

fn admin(
    admin: &raw::Admin,
    overrides: &Overrides,
    listeners: &[ListenerSettings],
    compiler: &mut Compiler<'_>,
) -> AdminSettings {
    let written = admin
        .address
        .as_ref()
        .map(|written| match written.value.0.as_str() {
            "off" => None,
            text => compiler.own_address(&written.span, text, listeners),
        });
    let chosen = overrides.admin.or(written);
    let address = chosen.unwrap_or(Some(ADMIN));
    let probes = admin.probes.as_ref().and_then(|probes| {
        let probed = compiler.own_address(&probes.span, &probes.value.0, listeners)?;
        if address == Some(probed) && probed.port() != 0 {
            let message = "`admin.probes` needs an address of its own";
            let diagnostic = Diagnostic::at(Code::DuplicateName, &probes.span, message);
            compiler.tell(diagnostic.label("`admin.address` has it"));
        }
        Some(probed)
    });
    AdminSettings {
        address,
        address_is_default: chosen.is_none(),
        probes,
    }
}

fn longer_than_zero(duration: Duration) -> Result<Duration, Misread> {
    if duration.is_zero() {
        return Err(Misread::new("this duration is zero").label("nothing is that quick"));
    }
    Ok(duration)
}

/// Reads an IP address and a port.
fn address(text: &str) -> Result<SocketAddr, Misread> {
    text.parse().map_err(|_| {
        let misread = Misread::new("this is not an address to listen on");
        match text.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_err() => {
                misread.label("the port is 0 to 65535")
            }
            Some(("localhost", port)) => misread
                .label("an IP address is needed")
                .write(format!("127.0.0.1:{port}")),
            Some(("" | "*", port)) => misread
                .label("an IP address is needed")
                .help(format!("write `0.0.0.0:{port}` for every interface")),
            Some(_) => misread.label("IP address and port, such as 127.0.0.1:8080"),
            None => misread.label("the port is missing, as in 127.0.0.1:8080"),
        }
    })
}

impl Compiler<'_> {
    /// Reads an address that no data listener may have: operators never come in by a data port.
    fn own_address(
        &mut self,
        span: &Span,
        text: &str,
        listeners: &[ListenerSettings],
    ) -> Option<SocketAddr> {
        let read = self.value(span, Code::Address, address(text))?;
        let taken = |listener: &&ListenerSettings| read.port() != 0 && listener.address == read;
        if let Some(listener) = listeners.iter().find(taken) {
            let message = format!("listener `{}` has this address", listener.name);
            self.tell(Diagnostic::at(Code::DuplicateName, span, message));
        }
        Some(read)
    }

    /// Takes a value, or tells at its place why there is none.
    fn value<T>(&mut self, span: &Span, code: Code, read: Result<T, Misread>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(misread) => {
                let mut diagnostic = Diagnostic::at(code, span, misread.message);
                diagnostic.label = misread.label;
                diagnostic.help = misread.help;
                diagnostic.replacement = misread.replacement;
                self.findings.push(diagnostic);
                None
            }
        }
    }

    fn tell(&mut self, diagnostic: Diagnostic) {
        self.findings.push(diagnostic);
    }

    /// A duration longer than zero, or the default.
    fn duration_or(
        &mut self,
        written: Option<&Spanned<raw::DurationText>>,
        default: Duration,
    ) -> Duration {
        let read = written.and_then(|written| self.duration(&written.span, &written.value.0));
        read.unwrap_or(default)
    }

    /// A duration longer than zero.
    fn duration(&mut self, span: &Span, text: &str) -> Option<Duration> {
        let read = scalar::duration(text).and_then(longer_than_zero);
        self.value(span, Code::Duration, read)
    }

    /// A duration of up to thirty days, or the default.
    fn days_or(
        &mut self,
        written: Option<&Spanned<raw::DurationText>>,
        default: Duration,
    ) -> Duration {
        let read = written.and_then(|written| {
            let read = scalar::duration_up_to(&written.value.0, DAYS_HOURS_MAX);
            let read = read.and_then(longer_than_zero);
            self.value(&written.span, Code::Duration, read)
        });
        read.unwrap_or(default)
    }

    /// `off`, or a duration longer than zero. The outer None: not given, or told.
    fn off_or_duration(
        &mut self,
        written: Option<&Spanned<raw::OffOrDuration>>,
    ) -> Option<Option<Duration>> {
        let written = written?;
        if written.value.0 == "off" {
            return Some(None);
        }
        self.duration(&written.span, &written.value.0).map(Some)
    }

    fn size(&mut self, written: Option<&Spanned<raw::SizeText>>) -> Option<u64> {
        let written = written?;
        self.value(&written.span, Code::Size, scalar::size(&written.value.0))
    }

    /// Tells unless exactly one of the keys of a map is there.
    fn exactly_one(&mut self, span: &Span, keys: &[(&str, bool)]) {
        let given: Vec<&str> = keys
            .iter()
            .filter(|(_, given)| *given)
            .map(|(key, _)| *key)
            .collect();
        // A value that is no map at all was told of as such.
        let is_told = given.is_empty() && self.findings.refuse(span);
        if given.len() == 1 || is_told {
            return;
        }
        let names: Vec<String> = keys.iter().map(|(key, _)| format!("`{key}`")).collect();
        let message = format!("exactly one of {} is needed", names.join(", "));
        let label = match given.as_slice() {
            [] => "none is there".to_owned(),
            given => format!("{} are there", given.join(" and ")),
        };
        self.tell(Diagnostic::at(Code::Exclusive, span, message).label(label));
    }

    /// Tells that nothing has this name.
    fn dangling(&mut self, noun: &str, name: &Spanned<String>, defined: &[(&str, &Span)]) {
        let message = format!("no {noun} is called `{}`", name.value);
        let diagnostic = Diagnostic::at(Code::UnknownName, &name.span, message);
        let meant = nearest(&name.value, defined.iter().map(|(name, _)| *name));
        let place = meant.and_then(|meant| defined.iter().find(|(name, _)| *name == meant));
        let diagnostic = match (place, defined) {
            (Some((meant, _)), [(_, only)]) => diagnostic
                .suggest(meant)
                .beside(only, format!("the only {noun}")),
            (Some((meant, place)), _) => diagnostic.suggest(meant).beside(place, "defined here"),
            (None, []) => diagnostic.help(format!("the file defines no {noun}")),
            (None, [(_, only)]) => diagnostic.beside(only, format!("the only {noun}")),
            (None, several) => {
                let names: Vec<&str> = several.iter().take(20).map(|(name, _)| *name).collect();
                let nouns = match noun.strip_suffix('y') {
                    Some(stem) => format!("{stem}ies"),
                    None => format!("{noun}s"),
                };
                diagnostic.help(format!("{nouns}: {}", names.join(", ")))
            }
        };
        self.tell(diagnostic);
    }
}
