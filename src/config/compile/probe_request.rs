//! What a step of a probe sends.

use super::Compiler;
use super::probe::Names;
use crate::client::Speak;
use crate::config::decode::{Entries, Spanned};
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::config::scalar::{self, Misread, Purpose};
use crate::message::credential::may_be_credential;
use crate::probe::{Ask, FOLLOW_MAX, JsonTemplate, Payload, TIMEOUT, Template, Whither};
use http::{HeaderName, Method};
use serde_json::Value;

pub(super) fn compile(
    written: &Spanned<raw::StepRequest>,
    has_base: bool,
    names: &mut Names,
    compiler: &mut Compiler<'_>,
) -> Option<Ask> {
    let (place, raw) = (&written.span, &written.value);
    let to = whither(raw, place, has_base, names, compiler);
    let method = match &raw.method {
        Some(method) => compiler.value(&method.span, Code::Method, scalar::method(&method.value.0)),
        None => Some(Method::GET),
    };
    let headers = headers(&raw.headers, names, compiler);
    let query = pairs(&raw.query, names, compiler);
    let payload = payload(raw, place, names, compiler);
    let speak = raw.http.as_ref().map_or(Some(Speak::Any), |http| {
        let read = match http.value.0.as_str() {
            "1.1" => Ok(Speak::Http1),
            "2" => Ok(Speak::Http2),
            _ => Err(Misread::new("this version of HTTP is not spoken").label("1.1 or 2")),
        };
        compiler.value(&http.span, Code::UnknownValue, read)
    });
    let follow = raw.follow.as_ref().map_or(0, |follow| follow.value);
    Some(Ask {
        timeout: compiler.duration_or(raw.timeout.as_ref(), TIMEOUT),
        follow: u8::try_from(follow).unwrap_or(FOLLOW_MAX).min(FOLLOW_MAX),
        method: method?,
        to: to?,
        headers,
        query,
        payload,
        speak: speak?,
    })
}

fn whither(
    raw: &raw::StepRequest,
    place: &Span,
    has_base: bool,
    names: &Names,
    compiler: &mut Compiler<'_>,
) -> Option<Whither> {
    let keys = [("path", raw.path.is_some()), ("url", raw.url.is_some())];
    compiler.exactly_one(place, &keys);
    match (&raw.path, &raw.url) {
        (Some(path), None) => {
            let template = compiler.template(&path.span, &path.value, names)?;
            if !has_base {
                let diagnostic =
                    Diagnostic::at(Code::MissingKey, &path.span, "a path needs a `base`");
                compiler.tell(diagnostic.help("add `base: http://...` at the top, or use `url`"));
            }
            if !path.value.starts_with('/') && !path.value.starts_with("{{") {
                let diagnostic = Diagnostic::at(Code::Path, &path.span, "this is not a path");
                compiler.tell(diagnostic.label("it starts with `/`"));
            }
            Some(Whither::Path(template))
        }
        (None, Some(url)) => {
            let template = compiler.template(&url.span, &url.value, names)?;
            if !template.has_holes() && !has_base {
                let read = url.value.parse::<url::Url>().map_err(|error| {
                    Misread::new("this is no address to ask").label(error.to_string())
                });
                compiler.value(&url.span, Code::Url, read)?;
            }
            Some(Whither::Url(template))
        }
        (Some(_), Some(_)) | (None, None) => None,
    }
}

fn headers(
    written: &Entries<raw::OneOrMany<Spanned<raw::HeaderText>>>,
    names: &mut Names,
    compiler: &mut Compiler<'_>,
) -> Vec<(HeaderName, Template)> {
    let mut headers = Vec::new();
    for (name, values) in written.iter() {
        // The request belongs to us, so a host may be named; the trace is the probe's own.
        let purpose = if name.value.eq_ignore_ascii_case("host") {
            Purpose::Read
        } else {
            Purpose::Edit
        };
        let read = scalar::header_name(&name.value, purpose);
        let read = compiler.value(&name.span, Code::Header, read);
        for value in &values.0 {
            let template = match &value.value.0 {
                raw::SecretText::Inline(text) => {
                    let template = compiler.template(&value.span, text.expose(), names);
                    let hides = may_be_credential(&name.value);
                    if hides && template.as_ref().is_some_and(|one| !one.has_holes()) {
                        names.secrets.push(text.clone());
                    }
                    if hides {
                        template.map(Template::hidden)
                    } else {
                        template
                    }
                }
                elsewhere @ raw::SecretText::Elsewhere(_) => {
                    let secret = compiler.secret(&value.span, elsewhere);
                    secret.map(|secret| {
                        let template = Template::secret(secret.expose());
                        names.secrets.push(secret);
                        template
                    })
                }
            };
            headers.extend(read.clone().zip(template));
        }
    }
    headers
}

fn pairs(
    written: &Entries<Spanned<String>>,
    names: &Names,
    compiler: &mut Compiler<'_>,
) -> Vec<(String, Template)> {
    let mut pairs = Vec::with_capacity(written.0.len());
    for (name, value) in written.iter() {
        let template = compiler.template(&value.span, &value.value, names);
        pairs.extend(template.map(|template| (name.value.clone(), template)));
    }
    pairs
}

fn payload(
    raw: &raw::StepRequest,
    place: &Span,
    names: &Names,
    compiler: &mut Compiler<'_>,
) -> Payload {
    let given = [
        raw.body.as_ref().map(|_| "body"),
        raw.json.as_ref().map(|_| "json"),
        raw.form.as_ref().map(|_| "form"),
    ];
    let given: Vec<&str> = given.into_iter().flatten().collect();
    if given.len() > 1 {
        let message = "a request has at most one of `body`, `json` and `form`";
        let diagnostic = Diagnostic::at(Code::Exclusive, place, message);
        compiler.tell(diagnostic.label(format!("{} are there", given.join(" and "))));
    }
    if let Some(body) = &raw.body {
        let template = compiler.template(&body.span, &body.value, names);
        return template.map_or(Payload::Empty, Payload::Text);
    }
    if let Some(document) = &raw.json {
        return Payload::Json(json(document, names, compiler));
    }
    raw.form.as_ref().map_or(Payload::Empty, |form| {
        Payload::Form(pairs(form, names, compiler))
    })
}

/// JSON whose texts may have holes.
pub(super) fn json(
    written: &Spanned<raw::Json>,
    names: &Names,
    compiler: &mut Compiler<'_>,
) -> JsonTemplate {
    match &written.value {
        raw::Json::Null => JsonTemplate::Plain(Value::Null),
        raw::Json::Bool(value) => JsonTemplate::Plain(Value::from(*value)),
        raw::Json::Int(value) => JsonTemplate::Plain(Value::from(*value)),
        raw::Json::Number(value) => JsonTemplate::Plain(Value::from(*value)),
        raw::Json::Text(text) => {
            let template = compiler.template(&written.span, text, names);
            JsonTemplate::Text(template.unwrap_or_default())
        }
        raw::Json::List(items) => {
            let items = items.iter();
            JsonTemplate::List(items.map(|item| json(item, names, compiler)).collect())
        }
        raw::Json::Map(members) => {
            let members = members.iter();
            let members = members.map(|(key, value)| (key.clone(), json(value, names, compiler)));
            JsonTemplate::Map(members.collect())
        }
    }
}
