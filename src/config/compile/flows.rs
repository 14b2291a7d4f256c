//! Flows and the attributes that their spans carry.

use super::Compiler;
use crate::config::decode::{Entries, Spanned};
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::config::scalar::{self, Purpose};
use crate::message::credential;
use crate::trace::flow::{Flow, FlowAttribute, FlowSource, ValueKind};
use std::sync::Arc;

/// Most attributes of a flow: they count against the bound of a span's attributes.
const ATTRIBUTES_MAX: usize = 32;

/// First parts of keys that spans have anyway.
const RESERVED_SPACES: &[&str] = &[
    "client",
    "edgespan",
    "error",
    "exception",
    "feature_flags",
    "flow",
    "http",
    "network",
    "otel",
    "peer",
    "rpc",
    "server",
    "service",
    "telemetry",
    "url",
    "user_agent",
];

/// A flow, and where each capture that it takes is named.
pub(super) struct Compiled<'a> {
    pub(super) flow: Arc<Flow>,
    pub(super) written: &'a raw::Flow,
    pub(super) place: &'a Span,
    pub(super) captures: Vec<&'a Spanned<String>>,
}

pub(super) fn compile<'a>(
    flows: &'a Entries<raw::Flow>,
    compiler: &mut Compiler<'_>,
) -> Vec<Compiled<'a>> {
    let one = |(name, flow): &'a (Spanned<String>, raw::Flow)| Compiled {
        flow: Arc::new(Flow {
            name: Arc::from(name.value.as_str()),
            attributes: attributes(name, flow, compiler),
        }),
        written: flow,
        place: &name.span,
        captures: flow
            .attributes
            .iter()
            .filter_map(|(_, attribute)| attribute.value.path.as_ref())
            .collect(),
    };
    flows.iter().map(one).collect()
}

fn attributes(
    name: &Spanned<String>,
    flow: &raw::Flow,
    compiler: &mut Compiler<'_>,
) -> Vec<FlowAttribute> {
    if flow.attributes.0.len() > ATTRIBUTES_MAX {
        let message = format!(
            "flow `{}` has more than {ATTRIBUTES_MAX} attributes",
            name.value
        );
        compiler.tell(Diagnostic::at(Code::FlowAttribute, &name.span, message));
    }
    let mut compiled = Vec::with_capacity(flow.attributes.0.len());
    for (key, attribute) in flow.attributes.iter() {
        check_key(key, compiler);
        let attribute_keys = [
            ("path", attribute.value.path.is_some()),
            ("request_header", attribute.value.request_header.is_some()),
            ("response_header", attribute.value.response_header.is_some()),
        ];
        compiler.exactly_one(&key.span, &attribute_keys);
        if let Some(source) = source(&attribute.value, compiler) {
            compiled.push(FlowAttribute {
                key: Arc::from(key.value.as_str()),
                source,
                kind: match attribute.value.kind.unwrap_or_default() {
                    raw::ValueType::String => ValueKind::String,
                    raw::ValueType::Int => ValueKind::Int,
                    raw::ValueType::Double => ValueKind::Double,
                    raw::ValueType::Bool => ValueKind::Bool,
                },
            });
        }
    }
    compiled
}

/// Tells what is wrong with an attribute's key.
pub(super) fn check_key(key: &Spanned<String>, compiler: &mut Compiler<'_>) {
    let space = key.value.split('.').next().unwrap_or_default();
    let message = if !scalar::token(&key.value) {
        "this cannot be an attribute's key".to_owned()
    } else if RESERVED_SPACES.contains(&space) {
        format!("spans have `{}` anyway", key.value)
    } else {
        return;
    };
    let diagnostic = Diagnostic::at(Code::FlowAttribute, &key.span, message);
    compiler.tell(if scalar::token(&key.value) {
        diagnostic
            .label(format!("`{space}` and `{space}.*` are taken"))
            .help(format!(
                "give it a space of its own, such as `app.{}`",
                key.value.replace('.', "_")
            ))
    } else {
        diagnostic.label("letters, digits, `_`, `-` and `.`")
    });
}

fn source(written: &raw::FlowAttribute, compiler: &mut Compiler<'_>) -> Option<FlowSource> {
    let mut header = |name: &Spanned<raw::HeaderName>| {
        let read = scalar::header_name(&name.value.0, Purpose::Read);
        if credential::is_credential(&name.value.0) {
            let message = format!("`{}` is a credential", name.value.0);
            let diagnostic = Diagnostic::at(Code::FlowAttribute, &name.span, message);
            compiler.tell(diagnostic.label("it would stand in every span of the flow"));
        }
        compiler.value(&name.span, Code::Header, read)
    };
    if let Some(capture) = &written.path {
        return Some(FlowSource::Path(Arc::from(capture.value.as_str())));
    }
    if let Some(name) = &written.request_header {
        return header(name).map(FlowSource::RequestHeader);
    }
    let name = written.response_header.as_ref()?;
    header(name).map(FlowSource::ResponseHeader)
}
