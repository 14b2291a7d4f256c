//! Cross-origin rules (the Fetch standard's CORS protocol).

use super::{Compiler, conditions, headers};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::config::scalar::{Misread, Purpose};
use crate::proxy::plan::{CorsOrigins, CorsPolicy};
use http::HeaderValue;
use url::{Origin, Url};

pub(super) fn compile(written: &raw::Cors, compiler: &mut Compiler<'_>) -> CorsPolicy {
    let credentials = written
        .credentials
        .as_ref()
        .is_some_and(|credentials| credentials.value);
    let origins = origins(&written.origins.0, compiler);
    if matches!(origins, CorsOrigins::Upstream) {
        refuse_without_origins(written, compiler);
    }
    if let (CorsOrigins::Any, true, Some(place)) = (&origins, credentials, &written.credentials) {
        let message = "credentials cannot be allowed to every origin";
        let mut diagnostic = Diagnostic::at(Code::Cors, &place.span, message)
            .label("any site could act as the user")
            .help("list the origins that may");
        if let Some(any) = written.origins.0.first() {
            diagnostic = diagnostic.beside(&any.span, "every origin");
        }
        compiler.tell(diagnostic);
    }
    CorsPolicy {
        origins,
        methods: conditions::methods(&written.methods, compiler),
        headers: headers::names(&written.headers, Purpose::Read, compiler),
        expose: headers::names(&written.expose, Purpose::Read, compiler),
        credentials,
        max_age: written
            .max_age
            .as_ref()
            .and_then(|written| compiler.duration(&written.span, &written.value.0)),
    }
}

/// Where the upstream's own rules hold, ours would have no effect.
fn refuse_without_origins(written: &raw::Cors, compiler: &mut Compiler<'_>) {
    let places = [
        written.methods.first().map(|one| &one.span),
        written.headers.first().map(|one| &one.span),
        written.credentials.as_ref().map(|one| &one.span),
        written.max_age.as_ref().map(|one| &one.span),
    ];
    for place in places.into_iter().flatten() {
        let message = "this has no effect without `origins`";
        let diagnostic = Diagnostic::at(Code::Cors, place, message)
            .help("without `origins` the upstream answers preflights by its own rules");
        compiler.tell(diagnostic);
    }
}

fn origins(written: &[Spanned<String>], compiler: &mut Compiler<'_>) -> CorsOrigins {
    if written.is_empty() {
        return CorsOrigins::Upstream;
    }
    if let Some(any) = written.iter().find(|origin| origin.value == "*") {
        if written.len() > 1 {
            let message = "`*` allows every origin and stands alone";
            compiler.tell(Diagnostic::at(Code::Cors, &any.span, message));
        }
        return CorsOrigins::Any;
    }
    let origins = written
        .iter()
        .filter_map(|written| compiler.value(&written.span, Code::Cors, origin(&written.value)));
    CorsOrigins::List(origins.collect())
}

/// Browsers send an origin in exactly one spelling; another one would never be equal.
fn origin(text: &str) -> Result<HeaderValue, Misread> {
    let misread = || Misread::new("this is not an origin").label("such as https://app.example.com");
    let origin = Url::parse(text).map_err(|_| misread())?.origin();
    if !matches!(origin, Origin::Tuple(..)) {
        return Err(misread());
    }
    let spelling = origin.ascii_serialization();
    if spelling != text {
        return Err(Misread::new("browsers spell this origin differently")
            .label("compared byte for byte")
            .write(spelling));
    }
    HeaderValue::from_str(text).map_err(|_| misread())
}
