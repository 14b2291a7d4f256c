//! The reference that users read, made from the schema and the list of problems.

use super::compile::DOWNWARD_API;
use super::diagnostic::Code;
use super::schema::{described, resolve, schema};
use serde_json::{Map, Value};
use std::collections::VecDeque;

/// The first lines of a page that is made by a flag of `edgespan schema`.
fn made_by(flag: &str) -> String {
    format!("<!-- Made by `edgespan schema {flag}`; do not edit. -->\n\n")
}

/// `docs/configuration.md`: every key, with its type and default.
pub fn reference_markdown() -> String {
    let root = schema();
    let mut out = made_by("--markdown");
    out.push_str(&format!("# Configuration\n\n{INTRODUCTION}"));
    let mut waiting = VecDeque::from([("the top level".to_owned(), &root)]);
    let mut told: Vec<&str> = Vec::new();
    while let Some((heading, section)) = waiting.pop_front() {
        let Some(properties) = section.get("properties").and_then(Value::as_object) else {
            continue;
        };
        out.push_str(&format!("\n## {heading}\n\n"));
        if let (Some(text), true) = (
            section.get("description").and_then(Value::as_str),
            told.len() > 1,
        ) {
            out.push_str(&format!("{}\n\n", one_line(text)));
        }
        out.push_str("| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
        let required = section.get("required").and_then(Value::as_array);
        for (key, property) in properties {
            let needed = required.is_some_and(|keys| keys.iter().any(|one| one == key));
            out.push_str(&row(key, property, needed, &root));
            for name in references(property) {
                if !told.contains(&name)
                    && let Some(target) = root.pointer(&format!("/$defs/{name}"))
                {
                    told.push(name);
                    waiting.push_back((name.to_owned(), target));
                }
            }
        }
        if told.is_empty() {
            told.push("");
        }
    }
    out.push_str(&variables());
    out
}

/// `docs/errors.md`: every problem that `check` can tell.
pub fn errors_markdown() -> String {
    let mut out = made_by("--errors");
    out.push_str("# Errors and warnings of the configuration\n\n");
    out.push_str("`edgespan check --explain ID` prints the same.\n");
    for code in Code::ALL {
        out.push_str(&format!(
            "\n## {}\n\n**{}** {}\n",
            code.id(),
            code.title(),
            code.explanation()
        ));
    }
    out
}

const INTRODUCTION: &str = "\
A configuration is one YAML document. Unknown keys are refused, and `edgespan check FILE` tells every
problem of a file at once. Relative paths start at the folder of the file.

- **Durations** have a unit: `250ms`, `1.5s`, `2m`, `1h`.
- **Byte sizes** are a number of bytes, or have a unit: `64KiB`, `10MB`.
- **Placeholders**: `${NAME}` stands for a variable of the environment, `${NAME:-default}` has a default
  for a variable that is unset or empty, `$$` is a dollar sign. Inside `{ }` and `[ ]` put quotes
  around them. What is put in is typed as if it stood there without quotes.
- **Secrets** are a text, `{file: PATH}` or `{env: NAME}`. They are never printed.
";

fn row(key: &str, property: &Value, required: bool, root: &Value) -> String {
    let empty = Map::new();
    let own = property.as_object().unwrap_or(&empty);
    let target = resolve(property, root);
    let text = |key: &str| described(own, target, key);
    let meaning = text("description")
        .and_then(Value::as_str)
        .map(one_line)
        .unwrap_or_default();
    let default = match own.get("default") {
        _ if required => "required".to_owned(),
        // An empty map, list or null says nothing.
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => format!("`{value}`"),
        _ => String::new(),
    };
    let words = words(target);
    let meaning = if words.is_empty() {
        meaning
    } else {
        format!("{meaning} {words}")
    };
    format!(
        "| `{key}` | {} | {default} | {meaning} |\n",
        kind(property, root).replace('|', "\\|")
    )
}

/// The words of an enumeration and what each means.
fn words(target: &Value) -> String {
    let branches = target.get("oneOf").and_then(Value::as_array);
    let word = |branch: &Value| {
        let word = branch.get("const")?.as_str()?;
        let meaning = branch
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Some(format!(
            "`{word}`: {}",
            one_line(meaning).trim_end_matches('.')
        ))
    };
    let words: Vec<String> = branches.into_iter().flatten().filter_map(word).collect();
    if words.is_empty() {
        String::new()
    } else {
        format!("{}.", words.join("; "))
    }
}

/// What may stand at a place, in a few words.
fn kind(property: &Value, root: &Value) -> String {
    let target = resolve(property, root);
    if let Some(items) = target.get("items") {
        return format!("list of {}", kind(items, root));
    }
    if let Some(title) = target.get("title").and_then(Value::as_str) {
        return title.to_owned();
    }
    if let Some(values) = target
        .get("additionalProperties")
        .filter(|values| values.is_object())
    {
        return format!("map of {}", kind(values, root));
    }
    // Only what has keys has a section.
    let has_section = |name: &&str| root.pointer(&format!("/$defs/{name}/properties")).is_some();
    if let Some(name) = references(property).into_iter().find(has_section) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    let branches = target.get("anyOf").and_then(Value::as_array);
    if let Some(branches) = branches {
        let kinds: Vec<String> = branches.iter().map(|branch| kind(branch, root)).collect();
        return kinds.join(" or ");
    }
    match target.get("type").and_then(Value::as_str) {
        Some("string") => "text",
        Some("boolean") => "true or false",
        Some("integer") => "whole number",
        Some(other) => other,
        None => "any",
    }
    .to_owned()
}

/// Definitions that a property leads to.
fn references(property: &Value) -> Vec<&str> {
    match property {
        Value::Object(object) => {
            let own = object.get("$ref").and_then(Value::as_str);
            let own = own.and_then(|path| path.strip_prefix("#/$defs/"));
            own.into_iter()
                .chain(object.values().flat_map(references))
                .collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

/// The part on the environment.
fn variables() -> String {
    let mut out = VARIABLES.to_owned();
    out.push_str("\n| variable | resource attribute |\n| --- | --- |\n");
    for (variable, attribute) in DOWNWARD_API {
        out.push_str(&format!("| `{variable}` | `{attribute}` |\n"));
    }
    out
}

const VARIABLES: &str = "
## The environment

The standard variables of OpenTelemetry win over the file where they say the same thing, and flags of the
command line win over both. A variable that is empty counts as unset; one that cannot be used is warned of
and ignored.

| variable | does |
| --- | --- |
| `OTEL_SDK_DISABLED` | `true`: nothing is recorded, and trace context passes untouched |
| `TRACE_DEBUG` | `1`: every span of edgespan is recorded; the caller's flag leaves as it came |
| `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | win over `service` |
| `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | replace `sampling.default`, and nothing else |
| `OTEL_PROPAGATORS` | wins over `propagation.propagators`: `tracecontext`, `baggage`, `b3`, `b3multi`, `none` |
| `OTEL_TRACES_EXPORTER` | `otlp`, `console`, both (`otlp,console`), or `none`. `console` prints spans wherever stdout leads; with `none` what is printed counts as no export |
| `OTEL_EXPORTER_OTLP_ENDPOINT`, `_PROTOCOL`, `_HEADERS`, `_TIMEOUT`, `_COMPRESSION`, `_CERTIFICATE`, `_CLIENT_CERTIFICATE`, `_CLIENT_KEY`, and each with `_TRACES` before it | win over the first entry of `export`, or stand for one |
| `OTEL_BSP_SCHEDULE_DELAY`, `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` | win over `queue` of the first entry of `export` |
| `OTEL_BSP_EXPORT_TIMEOUT` | the longest that one attempt may take, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says it |
| `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, `OTEL_ATTRIBUTE_COUNT_LIMIT` | most attributes of a span; 128 |
| `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`, `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` | longest text of an attribute, in characters; no limit |
| `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS` | methods that keep their name in spans |

Inside Kubernetes (where `KUBERNETES_SERVICE_HOST` is set) these variables, filled by a manifest from the
downward API, become resource attributes:
";
