//! What origins learn of who a client is, and the header names that are nobody else's.

use super::{Compiler, flows};
use crate::auth::assertion::AssertionSettings;
use crate::auth::{FieldPattern, IdentityPart, IdentitySettings, PolicySettings};
use crate::config::decode::{Entries, Spanned};
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::config::scalar::{self, Misread, Purpose};
use crate::message::forwarded;
use crate::message::reserved::Reserved;
use crate::proxy::plan::RoutePlan;
use crate::route::RouteSpec;
use http::HeaderName;
use http::header::AUTHORIZATION;
use std::sync::Arc;

/// What stands between the elements of a list if the file does not say.
const SEPARATOR: &str = ",";
/// Most attributes of a span that tell of an identity: they count against its bound.
const SPAN_ATTRIBUTES_MAX: usize = 16;
/// Longest separator, in bytes.
const SEPARATOR_BYTES_MAX: usize = 8;

/// Fields that requests need for something else than an identity: removing what a client sends
/// there would break it.
const NEEDED: [&str; 25] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "b3",
    "baggage",
    "cache-control",
    "content-encoding",
    "content-type",
    "cookie",
    "date",
    "expect",
    "grpc-timeout",
    "if-match",
    "if-none-match",
    "origin",
    "proxy-authorization",
    "range",
    "referer",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "user-agent",
    "via",
];

/// The file's own; `None` if it says nothing.
pub(super) fn of_file(
    config: &raw::Config,
    compiler: &mut Compiler<'_>,
) -> Option<Arc<IdentitySettings>> {
    let written = config.identity.as_ref()?;
    Some(Arc::new(settings(&written.value, compiler)))
}

/// What the origin of a route learns.
pub(super) fn of_route(
    route: &raw::Route,
    guarded: bool,
    of_file: Option<&Arc<IdentitySettings>>,
    compiler: &mut Compiler<'_>,
) -> Option<Arc<IdentitySettings>> {
    let Some(written) = &route.identity else {
        return of_file.filter(|_| guarded).cloned();
    };
    if !guarded {
        let message = "`identity` has no effect";
        let diagnostic = Diagnostic::at(Code::NoEffect, &written.span, message);
        compiler.tell(diagnostic.label("the route has no `auth`, so that nobody is known"));
    }
    Some(Arc::new(settings(&written.value, compiler)))
}

fn settings(written: &raw::Identity, compiler: &mut Compiler<'_>) -> IdentitySettings {
    let mut headers: Vec<(HeaderName, IdentityPart)> = Vec::new();
    for (name, part) in written.headers.iter() {
        let field = compiler.identity_header(&name.span, &name.value);
        let part = self::part(part, compiler);
        let Some((field, part)) = field.zip(part) else {
            continue;
        };
        let same = |(other, _): &&(HeaderName, IdentityPart)| {
            forwarded::is_spelling_of(other.as_str(), field.as_str())
        };
        if let Some((other, _)) = headers.iter().find(same) {
            let message = format!("`{field}` is another spelling of `{other}`");
            let diagnostic = Diagnostic::at(Code::DuplicateName, &name.span, message);
            compiler.tell(diagnostic.label("many servers read both as one name"));
            continue;
        }
        headers.push((field, part));
    }
    IdentitySettings {
        headers,
        separator: separator(written.separator.as_ref(), compiler),
        span_attribute: written.span_attribute.map(|attribute| match attribute {
            raw::SubjectAttribute::Enduser => "enduser.id",
            raw::SubjectAttribute::User => "user.id",
        }),
        span_attributes: span_attributes(&written.span_attributes, compiler),
    }
}

fn span_attributes(
    written: &Entries<Spanned<String>>,
    compiler: &mut Compiler<'_>,
) -> Vec<(Box<str>, IdentityPart)> {
    if let Some((name, _)) = written.iter().nth(SPAN_ATTRIBUTES_MAX) {
        let message = format!("more than {SPAN_ATTRIBUTES_MAX} attributes of an identity");
        compiler.tell(Diagnostic::at(Code::OutOfRange, &name.span, message));
    }
    let mut attributes = Vec::new();
    for (name, part) in written.iter() {
        flows::check_key(name, compiler);
        if let Some(part) = self::part(part, compiler) {
            attributes.push((Box::from(name.value.as_str()), part));
        }
    }
    attributes
}

fn part(written: &Spanned<String>, compiler: &mut Compiler<'_>) -> Option<IdentityPart> {
    let read = IdentityPart::parse(&written.value).ok_or_else(|| {
        let misread = Misread::new("this is no part of an identity");
        misread.help("`subject`, `groups`, `proof`, `policy`, or `claims.NAME`")
    });
    compiler.value(&written.span, Code::UnknownValue, read)
}

fn separator(written: Option<&Spanned<String>>, compiler: &mut Compiler<'_>) -> Box<str> {
    let Some(written) = written else {
        return SEPARATOR.into();
    };
    let text = written.value.as_str();
    let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let fits = printable && !text.trim().is_empty() && text.len() <= SEPARATOR_BYTES_MAX;
    let read = fits.then(|| Box::from(text)).ok_or_else(|| {
        let misread = Misread::new("this cannot stand between the elements of a list");
        misread.label("one to eight printable characters, such as `,` or `; `")
    });
    let read = compiler.value(&written.span, Code::Header, read);
    read.unwrap_or_else(|| SEPARATOR.into())
}

impl Compiler<'_> {
    /// Reads the name of a field that nobody but edgespan may write from here on.
    pub(super) fn identity_header(&mut self, span: &Span, text: &str) -> Option<HeaderName> {
        let read = scalar::header_name(text, Purpose::Edit).and_then(|name| {
            if NEEDED.contains(&name.as_str()) || name.as_str().starts_with("x-b3-") {
                let misread = Misread::new(format!("`{name}` cannot name an identity"));
                return Err(misread.label("clients need it for something else"));
            }
            if forwarded::is_claim(name.as_str()) {
                let misread = Misread::new(format!("`{name}` cannot name an identity"));
                return Err(misread.label("it tells where a request came from"));
            }
            Ok(name)
        });
        self.value(span, Code::Header, read)
    }

    /// Reads the name of a field that a token goes to.
    pub(super) fn token_header(&mut self, span: &Span, text: &str) -> Option<HeaderName> {
        let read = scalar::header_name(text, Purpose::Edit).and_then(|name| {
            if name != AUTHORIZATION && NEEDED.contains(&name.as_str()) {
                let misread = Misread::new(format!("`{name}` cannot hold a token"));
                return Err(misread.label("origins need it for something else"));
            }
            Ok(name)
        });
        self.value(span, Code::Header, read)
    }
}

/// Whether an identity of the file or of one of its routes is told by this field.
pub(super) fn says(config: &raw::Config, field: &HeaderName) -> bool {
    let of_file = config.identity.iter();
    let of_routes = config.routes.iter();
    let of_routes = of_routes.filter_map(|route| route.value.identity.as_ref());
    let written = of_file.chain(of_routes);
    let mut names = written.flat_map(|one| one.value.headers.iter().map(|(name, _)| name));
    names.any(|name| forwarded::is_spelling_of(&name.value.to_ascii_lowercase(), field.as_str()))
}

/// The names of the whole file: what a client sends under one of them is removed from every
/// request, whatever its route. Fields that clients need are none of them, also where an
/// authorizer's answer brings some: that policy removes them where it decides.
pub(super) fn reserved(
    of_file: Option<&Arc<IdentitySettings>>,
    assertion: Option<&AssertionSettings>,
    policies: &[PolicySettings],
    routes: &[(RouteSpec, RoutePlan)],
) -> Arc<Reserved> {
    let of_routes = routes
        .iter()
        .filter_map(|(_, route)| route.identity.as_ref());
    let made = of_file.into_iter().chain(of_routes);
    let made = made.flat_map(|settings| settings.headers.iter().map(|(name, _)| name));
    let told = || policies.iter().flat_map(PolicySettings::identity_headers);
    let names = told().filter_map(|pattern| match pattern {
        FieldPattern::Name(name) => Some(name).filter(|name| !is_needed(name)),
        FieldPattern::Prefix(_) | FieldPattern::All => None,
    });
    let prefixes = told().filter_map(|pattern| match pattern {
        FieldPattern::Prefix(prefix) => Some(&**prefix).filter(|prefix| !begins_needed(prefix)),
        FieldPattern::Name(_) | FieldPattern::All => None,
    });
    let signed = assertion.map(|assertion| &assertion.header);
    let passed = policies.iter().flat_map(PolicySettings::token_headers);
    let reserved = Reserved::new(made.chain(names).chain(signed).chain(passed).cloned());
    Arc::new(reserved.with_prefixes(prefixes))
}

fn is_needed(name: &HeaderName) -> bool {
    let name = name.as_str();
    NEEDED.contains(&name) || name.starts_with("x-b3-") || forwarded::is_claim(name)
}

/// Whether fields that clients or proxies need begin like this.
fn begins_needed(prefix: &str) -> bool {
    let families = [
        "x-b3-",
        "x-forwarded-",
        "x-original-",
        "host",
        "content-length",
        "trace",
    ];
    let mut needed = NEEDED.iter().chain(&families);
    needed.any(|name| name.starts_with(prefix)) || forwarded::is_claim(prefix)
}
