//! Proofs that need no other program: the files that they go by, and what they ask for.

use super::Compiler;
use super::auth_cache::cookie_name;
use super::files::read;
use crate::auth::{
    ApiKeySettings, ApiKeys, BasicSettings, ClientCertSettings, KeyEntry, LineError, Passwords,
};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic, Findings, Span};
use crate::config::raw;
use crate::config::scalar::{self, Misread, Purpose};
use crate::config::tree::{self, Node, Value};
use http::HeaderName;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Largest file of keys or passwords, in bytes: 100,000 entries with long names and many groups.
const FILE_BYTES_MAX: u64 = 32 << 20;
/// The header of an API key if the file does not say.
const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
/// How long a right password is remembered if the file does not say.
const REMEMBER: Duration = Duration::from_secs(60);

/// Compiles API keys. None if the file is of no use, which was told.
pub(super) fn api_key(
    policy: &Spanned<String>,
    written: &Spanned<raw::ApiKey>,
    compiler: &mut Compiler<'_>,
) -> Option<ApiKeySettings> {
    let (span, written) = (&written.span, &written.value);
    let header = match &written.header {
        None => Some(KEY_HEADER),
        Some(header) if header.value.0 == "off" => None,
        Some(header) => {
            let read = scalar::header_name(&header.value.0, Purpose::Edit);
            compiler.value(&header.span, Code::Header, read)
        }
    };
    let query = written.query.as_ref().and_then(|query| {
        let read = if query.value.is_empty() {
            Err(Misread::new("this is no query parameter"))
        } else {
            Ok(Box::from(query.value.as_str()))
        };
        compiler.value(&query.span, Code::Empty, read)
    });
    let cookie = written
        .cookie
        .as_ref()
        .and_then(|name| cookie_name(name, compiler));
    if header.is_none() && written.query.is_none() && written.cookie.is_none() {
        let message = "no part of a request would carry a key";
        let diagnostic = Diagnostic::at(Code::Unfit, span, message);
        compiler.tell(diagnostic.label("`header`, `query` or `cookie`"));
    }
    let scopes = written.scopes.0.iter();
    let keys = keys(written.file.as_ref()?, compiler)?;
    Some(ApiKeySettings {
        keys,
        header,
        query,
        cookie,
        scopes: scopes
            .map(|scope| Arc::from(scope.value.as_str()))
            .collect(),
        challenge: ApiKeySettings::challenge(&policy.value),
        forward: written.forward.as_ref().is_some_and(|one| one.value),
    })
}

/// Compiles names and passwords. None if the file is of no use, which was told.
pub(super) fn basic(
    policy: &Spanned<String>,
    written: &Spanned<raw::Basic>,
    compiler: &mut Compiler<'_>,
) -> Option<BasicSettings> {
    let written = &written.value;
    let realm = written.realm.as_ref().unwrap_or(policy);
    let read = BasicSettings::challenge(&realm.value).ok_or_else(|| {
        Misread::new("this cannot be a realm")
            .label("ASCII without control characters")
            .help("`realm` says what one logs in to; without it the policy's name is taken")
    });
    let challenge = compiler.value(&realm.span, Code::Header, read);
    let remember = compiler.off_or_duration(written.remember.as_ref());
    let file = written.file.as_ref()?;
    let text = text(file, compiler)?;
    let passwords = of_lines(file, Passwords::read(&text), compiler)?;
    Some(BasicSettings {
        passwords,
        challenge: challenge?,
        remember: remember.unwrap_or(Some(REMEMBER)),
        forward: written.forward.as_ref().is_some_and(|one| one.value),
    })
}

/// Compiles names and digests of certificates.
pub(super) fn client_cert(
    written: &Spanned<raw::ClientCert>,
    compiler: &mut Compiler<'_>,
) -> ClientCertSettings {
    let (span, written) = (&written.span, &written.value);
    if written.san.is_empty() && written.sha256.0.is_empty() {
        let message = "this would take every certificate";
        let diagnostic = Diagnostic::at(Code::MissingKey, span, message);
        compiler.tell(diagnostic.label("`san`, `sha256` or both"));
    }
    let digest = |one: &Spanned<String>| {
        let read = ClientCertSettings::digest(&one.value).ok_or_else(|| {
            Misread::new("this is no SHA-256 of a certificate")
                .label("64 hex digits")
                .help("`openssl x509 -noout -fingerprint -sha256 -in client.crt` prints it")
        });
        compiler.value(&one.span, Code::Host, read)
    };
    let sha256 = written.sha256.0.iter().filter_map(digest).collect();
    ClientCertSettings {
        names: super::tls::names(&written.san, compiler),
        sha256,
    }
}

/// Warns of policies by certificate that no request can meet, whichever listener it comes in by.
/// Behind one for decisions the connection is the host's.
pub(super) fn warn_of_listeners(config: &raw::Config, compiler: &mut Compiler<'_>) {
    let mut listeners = config.listeners.iter();
    let asks = |listener: &raw::Listener| {
        let mode = listener.mode.as_ref().map(|mode| mode.value);
        let tls = listener.tls.as_ref();
        mode != Some(raw::ListenerMode::Decision) && tls.is_some_and(|tls| tls.client.is_some())
    };
    if config.listeners.iter().next().is_none() || listeners.any(|(_, one)| asks(one)) {
        return;
    }
    for (name, policy) in config.auth.iter() {
        let Some(written) = &policy.client_cert else {
            continue;
        };
        let message = format!("policy `{}` knows nobody by a certificate", name.value);
        let label = "no listener for clients asks them for certificates";
        let diagnostic = Diagnostic::at(Code::NoEffect, &written.span, message).label(label);
        compiler.tell(diagnostic.help("`tls: {client: {ca: ...}}` of a listener asks for them"));
    }
}

/// Reads the file of keys, by its name as lines or as YAML.
fn keys(file: &Spanned<raw::FileText>, compiler: &mut Compiler<'_>) -> Option<ApiKeys> {
    let text = text(file, compiler)?;
    let extension = Path::new(&file.value.0).extension();
    let is_yaml = extension.is_some_and(|one| one == "yaml" || one == "yml");
    let read = if is_yaml {
        in_yaml(&text)
    } else {
        ApiKeys::read(&text)
    };
    of_lines(file, read, compiler)
}

fn text(file: &Spanned<raw::FileText>, compiler: &mut Compiler<'_>) -> Option<String> {
    let path = compiler.folder.join(&file.value.0);
    compiler.files.push(path.clone());
    let bytes = read(&path, FILE_BYTES_MAX).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|_| {
            Misread::new(format!("cannot read {}", path.display())).label("it is not UTF-8")
        })
    });
    compiler.value(&file.span, Code::File, bytes)
}

/// Tells what is wrong with which line of a file, at the place that names the file.
fn of_lines<T>(
    file: &Spanned<raw::FileText>,
    read: Result<T, Vec<LineError>>,
    compiler: &mut Compiler<'_>,
) -> Option<T> {
    let errors = match read {
        Ok(value) => return Some(value),
        Err(errors) => errors,
    };
    for error in errors {
        let message = match error.line {
            Some(line) => format!("{}:{line}: {}", file.value.0, error.problem),
            None => format!("{}: {}", file.value.0, error.problem),
        };
        let mut diagnostic = Diagnostic::at(Code::File, &file.span, message);
        diagnostic.help = error.help.map(Into::into);
        compiler.tell(diagnostic);
    }
    None
}

/// A list of `{name, sha256, scopes}`, by itself or under `keys`.
fn in_yaml(text: &str) -> Result<ApiKeys, Vec<LineError>> {
    let of_file = |problem| LineError {
        line: None,
        problem,
        help: Some("a list of `{name, sha256, scopes}`"),
    };
    let mut findings = Findings::default();
    let root = tree::parse(text, &mut findings);
    let Some(root) = root.filter(|_| findings.are_harmless()) else {
        return Err(vec![of_file("this is not YAML")]);
    };
    let root = root.get("keys").unwrap_or(&root);
    let Value::Sequence(items) = &root.value else {
        return Err(vec![of_file("this is no list of keys")]);
    };
    let mut lines = Lines::of(text);
    let (mut errors, mut owned) = (Vec::new(), Vec::new());
    for item in items {
        let line = lines.at(&item.span);
        match entry(item) {
            Ok((name, sha256, scopes)) => owned.push((line, name, sha256, scopes.join(","))),
            Err(problem) if errors.len() < 20 => errors.push(LineError {
                line: Some(line),
                ..of_file(problem)
            }),
            Err(_) => {}
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let entries: Vec<_> = owned
        .iter()
        .map(|(line, name, sha256, scopes)| KeyEntry {
            line: *line,
            name,
            sha256,
            scopes,
        })
        .collect();
    ApiKeys::of(&entries)
}

type Entry<'a> = (&'a str, &'a str, Vec<&'a str>);

fn entry(item: &Node) -> Result<Entry<'_>, &'static str> {
    let Value::Mapping(fields) = &item.value else {
        return Err("this is no `{name, sha256, scopes}`");
    };
    let (mut name, mut sha256, mut scopes) = (None, None, Vec::new());
    for field in fields {
        match field.key.as_str() {
            "name" => name = field.value.text(),
            "sha256" => sha256 = field.value.text(),
            "scopes" => {
                let Value::Sequence(items) = &field.value.value else {
                    return Err("`scopes` is a list");
                };
                for item in items {
                    let scope = item.text().filter(|scope| !scope.contains(','));
                    scopes.push(scope.ok_or("a scope is a text without commas")?);
                }
            }
            _ => return Err("a key has `name`, `sha256` and `scopes`, and nothing else"),
        }
    }
    let name = name.ok_or("`name` is missing")?;
    Ok((name, sha256.ok_or("`sha256` is missing")?, scopes))
}

/// Lines of places, asked for in ascending order.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    const fn of(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
        }
    }

    fn at(&mut self, span: &Span) -> usize {
        let passed = self.text.get(self.at..span.start).unwrap_or_default();
        self.line += passed.bytes().filter(|byte| *byte == b'\n').count();
        self.at = self.at.max(span.start);
        self.line
    }
}
