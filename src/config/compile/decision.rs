//! Listeners in decision mode: which hosts ask, and where.

use super::Compiler;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::config::scalar::{self, Misread};
use crate::listener::{DecisionSettings, Dialect};
use std::sync::Arc;

/// What stands for no endpoint.
const OFF: &str = "off";

/// What a listener decides for whom; None if it is a gateway.
pub(super) fn compile(
    name: &Spanned<String>,
    listener: &raw::Listener,
    compiler: &mut Compiler<'_>,
) -> Option<Arc<DecisionSettings>> {
    if !is_decision(listener) {
        if let Some(written) = &listener.decision {
            let message = "`decision` has no effect without `mode: decision`";
            compiler.tell(Diagnostic::at(Code::NoEffect, &written.span, message));
        }
        return None;
    }
    if listener.trusted_proxies.is_empty() {
        let message = format!("listener `{}` decides for nobody", name.value);
        let diagnostic = Diagnostic::at(Code::NobodyTrusted, &name.span, message)
            .label("`mode: decision` needs `trusted_proxies`")
            .help("name the proxies that ask; 127.0.0.1 if they run beside edgespan");
        compiler.tell(diagnostic);
    }
    let default = raw::Decision::default();
    let written = listener.decision.as_ref();
    let place = written.map_or(&name.span, |written| &written.span);
    let written = written.map_or(&default, |written| &written.value);
    let endpoints = endpoints(written, compiler);
    if endpoints.is_empty() {
        let message = "every dialect is `off`";
        compiler.tell(Diagnostic::at(Code::Empty, place, message).label("nobody can ask"));
    }
    let endpoints = endpoints.into_iter().map(|(one, path, _)| (one, path));
    Some(Arc::new(DecisionSettings::new(endpoints.collect())))
}

/// Whether it decides and forwards nothing.
pub(super) fn is_decision(listener: &raw::Listener) -> bool {
    let mode = listener.mode.as_ref().map(|mode| mode.value);
    mode == Some(raw::ListenerMode::Decision)
}

/// Whether nothing of this file is ever forwarded: all listeners decide.
pub(super) fn only_decides(config: &raw::Config) -> bool {
    let mut listeners = config.listeners.iter();
    !config.listeners.0.is_empty() && listeners.all(|(_, listener)| is_decision(listener))
}

type Endpoint<'a> = (Dialect, Arc<str>, Option<&'a Span>);

fn endpoints<'a>(written: &'a raw::Decision, compiler: &mut Compiler<'_>) -> Vec<Endpoint<'a>> {
    let mut endpoints: Vec<Endpoint<'a>> = Vec::with_capacity(Dialect::ALL.len());
    for dialect in Dialect::ALL {
        let own = match dialect {
            Dialect::Nginx => &written.nginx,
            Dialect::Traefik => &written.traefik,
            Dialect::Caddy => &written.caddy,
            Dialect::Envoy => &written.envoy,
            Dialect::EnvoyGrpc => &written.envoy_grpc,
            Dialect::Haproxy => &written.haproxy,
        };
        let own = own.as_ref();
        let span = own.map(|own| &own.span);
        let text = own.map_or(dialect.default_path(), |own| &own.value.0);
        if text == OFF {
            continue;
        }
        let path = match span {
            Some(span) if dialect == Dialect::EnvoyGrpc => {
                compiler.value(span, Code::Path, only_path(text, dialect))
            }
            Some(span) => compiler.value(span, Code::Path, endpoint_path(text)),
            None => Some(text),
        };
        let Some(path) = path else { continue };
        let same = |other: &&Endpoint<'a>| is_within(dialect, path, other.0, &other.1);
        if let Some((other, _, beside)) = endpoints.iter().find(same)
            && let Some(place) = span.or(*beside)
        {
            let message = format!("`{}` and `{}` share a path", other.name(), dialect.name());
            let diagnostic = Diagnostic::at(Code::DuplicateName, place, message);
            compiler.tell(diagnostic.label("each dialect has its own"));
            continue;
        }
        endpoints.push((dialect, Arc::from(path), span));
    }
    endpoints
}

/// Whether one of two endpoints takes requests of the other. Envoy's takes all below it.
fn is_within(one: Dialect, one_path: &str, other: Dialect, other_path: &str) -> bool {
    let below = |upper: &str, lower: &str| {
        lower
            .strip_prefix(upper)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    one_path == other_path
        || one == Dialect::Envoy && below(one_path, other_path)
        || other == Dialect::Envoy && below(other_path, one_path)
}

/// The one path that a service of gRPC has.
fn only_path(text: &str, dialect: Dialect) -> Result<&str, Misread> {
    let path = dialect.default_path();
    if text == path {
        return Ok(text);
    }
    Err(Misread::new("gRPC asks at one path").label(format!("`off` or `{path}`")))
}

/// A path as requests have it once they are normalised.
fn endpoint_path(text: &str) -> Result<&str, Misread> {
    let path = scalar::plain_path(text)?;
    if path.ends_with('/') || path.contains("//") || path.contains('%') {
        return Err(Misread::new("this is no path to ask at").label("such as /auth/nginx"));
    }
    Ok(path)
}
