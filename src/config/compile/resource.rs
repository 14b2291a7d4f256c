//! The resource: the service that edgespan stands for.

use super::{Compiler, Overrides};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::env::Environment;
use crate::config::otel_env::OtelVariables;
use crate::config::raw;
use crate::config::scalar;
use crate::trace::resource::ResourceValue;
use std::sync::{Arc, LazyLock};

/// `service.name` if nobody says.
const SERVICE_NAME: &str = "edgespan";

/// Variables that a pod's manifest fills from the Kubernetes downward API, and the resource
/// attributes that they become.
pub(in crate::config) const DOWNWARD_API: &[(&str, &str)] = &[
    ("CLUSTER_NAME", "k8s.cluster.name"),
    ("CONTAINER_NAME", "k8s.container.name"),
    ("DEPLOYMENT_NAME", "k8s.deployment.name"),
    ("NODE_NAME", "k8s.node.name"),
    ("POD_IP", "k8s.pod.ip"),
    ("POD_NAME", "k8s.pod.name"),
    ("POD_NAMESPACE", "k8s.namespace.name"),
    ("POD_UID", "k8s.pod.uid"),
];

/// What is known of the service, each key once. What is said later wins: downward API, file,
/// `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`, `--service`.
pub(super) fn compile(
    service: &raw::Service,
    variables: &OtelVariables,
    overrides: &Overrides,
    compiler: &mut Compiler<'_>,
) -> Vec<(Arc<str>, ResourceValue)> {
    let mut resource = Resource::default();
    resource.text("service.name", SERVICE_NAME);
    resource.text("service.instance.id", &INSTANCE_ID);
    resource.downward_api(compiler.environment);
    let named = [
        ("service.name", &service.name),
        ("service.namespace", &service.namespace),
        ("service.version", &service.version),
        ("deployment.environment.name", &service.environment),
    ];
    for (key, value) in named {
        if let Some(value) = value {
            check_filled(value, compiler);
            resource.text(key, &value.value);
        }
    }
    for (key, value) in service.attributes.iter() {
        if !scalar::token(&key.value) {
            let message = "this cannot be an attribute's key";
            let diagnostic = Diagnostic::at(Code::FlowAttribute, &key.span, message);
            compiler.tell(diagnostic.label("letters, digits, `_`, `-` and `.`"));
        }
        resource.set(&key.value, typed(&value.value));
    }
    for (key, value) in &variables.resource {
        resource.text(key, value);
    }
    if let Some(name) = overrides
        .service
        .as_deref()
        .or(variables.service_name.as_deref())
    {
        resource.text("service.name", name);
    }
    resource.0
}

fn check_filled(value: &Spanned<String>, compiler: &mut Compiler<'_>) {
    if value.value.trim().is_empty() {
        compiler.tell(Diagnostic::at(Code::Empty, &value.span, "a name is empty"));
    }
}

fn typed(value: &raw::AttributeValue) -> ResourceValue {
    match value {
        raw::AttributeValue::Text(text) => ResourceValue::String(Arc::from(text.as_str())),
        raw::AttributeValue::Int(value) => ResourceValue::Int(*value),
        raw::AttributeValue::Double(value) => ResourceValue::Double(*value),
        raw::AttributeValue::Bool(value) => ResourceValue::Bool(*value),
    }
}

#[derive(Default)]
struct Resource(Vec<(Arc<str>, ResourceValue)>);

impl Resource {
    fn set(&mut self, key: &str, value: ResourceValue) {
        match self.0.iter_mut().find(|(known, _)| &**known == key) {
            Some((_, known)) => *known = value,
            None => self.0.push((Arc::from(key), value)),
        }
    }

    fn text(&mut self, key: &str, value: &str) {
        self.set(key, ResourceValue::String(Arc::from(value)));
    }

    /// Only inside a cluster: elsewhere `NODE_NAME` and its like mean something else.
    fn downward_api(&mut self, environment: &Environment) {
        if environment.filled("KUBERNETES_SERVICE_HOST").is_none() {
            return;
        }
        for (variable, key) in DOWNWARD_API {
            if let Some(value) = environment.filled(variable) {
                self.text(key, value);
            }
        }
    }
}

/// Tells this process from others of the service: a random UUID (RFC 9562, version 4), the same
/// for every configuration that the process ever compiles.
static INSTANCE_ID: LazyLock<String> = LazyLock::new(|| {
    let mut bytes = fastrand::u128(..).to_be_bytes();
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (position, byte) in bytes.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instance_id_is_a_uuid_of_version_4() {
        let parts: Vec<&str> = INSTANCE_ID.split('-').collect();

        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(parts[2].starts_with('4'));
        assert!(parts[3].starts_with(['8', '9', 'a', 'b']));
    }
}
