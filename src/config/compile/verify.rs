//! Checks of headers from outside.

use super::{Compiler, headers};
use crate::client::Target;
use crate::config::decode::{Entries, Spanned};
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::config::scalar::{self, Misread, Purpose};
use crate::verify::allow::Allowance;
use crate::verify::arrival::SharedSecret;
use crate::verify::choice;
use crate::verify::watch::WatchSettings;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// From one run to the next if the file does not say.
const EVERY: Duration = Duration::from_secs(300);
/// Least time between two runs.
const EVERY_MIN: Duration = Duration::from_secs(1);
/// How long a request may take if the file does not say.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn compile(
    written: &Entries<raw::Verify>,
    compiler: &mut Compiler<'_>,
) -> Vec<WatchSettings> {
    let checks = written.iter();
    checks
        .filter_map(|(name, check)| one(name, check, compiler))
        .collect()
}

fn one(
    name: &Spanned<String>,
    written: &raw::Verify,
    compiler: &mut Compiler<'_>,
) -> Option<WatchSettings> {
    let url = written.url.as_ref();
    let url = url.and_then(|url| compiler.value(&url.span, Code::Url, address(&url.value)));
    let secret = written.secret.as_ref();
    let secret = secret.and_then(|source| shared_secret(source, compiler));
    let every = compiler.duration_or(written.every.as_ref(), EVERY);
    if let Some(place) = &written.every
        && every < EVERY_MIN
    {
        let diagnostic = Diagnostic::at(Code::OutOfRange, &place.span, "this is too often");
        compiler.tell(diagnostic.label("1s at least"));
    }
    let only = only(&written.only, compiler);
    let settings = WatchSettings {
        name: Arc::from(name.value.as_str()),
        every,
        timeout: compiler.duration_or(written.timeout.as_ref(), TIMEOUT),
        allowed: allowed(&written.allow, &only, compiler),
        only,
        ca: compiler.authority(written.ca.as_ref()),
        headers: fields(&written.headers, compiler),
        // Read last: everything else of a check without them is looked at, too.
        url: url?,
        secret: secret?,
    };
    Some(settings)
}

fn address(text: &str) -> Result<Url, Misread> {
    let no_url = || Misread::new("this is no address to ask");
    let url: Url = text
        .parse()
        .map_err(|_| no_url().label("such as https://app.example.com"))?;
    Target::of(&url).map_err(|error| no_url().label(error.to_string()))?;
    Ok(url)
}

fn shared_secret(
    source: &Spanned<raw::SecretSource>,
    compiler: &mut Compiler<'_>,
) -> Option<SharedSecret> {
    let written = raw::SecretText::Elsewhere(source.value.clone());
    let content = compiler.secret(&source.span, &written)?;
    let read = SharedSecret::new(content.expose().as_bytes()).map_err(|error| {
        let misread = Misread::new("this secret can be guessed").label(error.to_string());
        misread.help("`openssl rand -hex 32` makes one")
    });
    compiler.value(&source.span, Code::Secret, read)
}

fn only(written: &[Spanned<String>], compiler: &mut Compiler<'_>) -> Vec<String> {
    let known = |word: &Spanned<String>| {
        choice::chosen(&[word.value.as_str()], Vec::new(), false)
            .map(|_| word.value.clone())
            .map_err(|unknown| {
                let misread = Misread::new(unknown.to_string());
                misread.help(format!("one of {}", unknown.known.join(", ")))
            })
    };
    let words = written.iter();
    words
        .filter_map(|word| compiler.value(&word.span, Code::UnknownName, known(word)))
        .collect()
}

fn allowed(
    written: &[Spanned<String>],
    only: &[String],
    compiler: &mut Compiler<'_>,
) -> Vec<Allowance> {
    let only: Vec<&str> = only.iter().map(String::as_str).collect();
    let checks = choice::chosen(&only, Vec::new(), false);
    let checks = checks.map(|(checks, _)| checks).unwrap_or_default();
    let mut allowed = Vec::with_capacity(written.len());
    for text in written {
        let read = text
            .value
            .parse()
            .map_err(|error: crate::verify::allow::BadAllowance| Misread::told_by(&error));
        let Some(one): Option<Allowance> = compiler.value(&text.span, Code::UnknownName, read)
        else {
            continue;
        };
        if !one.fits_one_of(&checks) {
            let message = format!("nothing called `{}` is sent", one.header());
            compiler.tell(Diagnostic::at(Code::UnknownName, &text.span, message));
        }
        allowed.push(one);
    }
    allowed
}

fn fields(
    written: &Entries<Spanned<raw::SecretText>>,
    compiler: &mut Compiler<'_>,
) -> Vec<(http::HeaderName, http::HeaderValue)> {
    let mut fields = Vec::with_capacity(written.0.len());
    for (name, value) in written.iter() {
        let read = scalar::header_name(&name.value, Purpose::Edit);
        let name = compiler.value(&name.span, Code::Header, read);
        let value = headers::header_value(&value.span, &value.value, true, compiler);
        fields.extend(name.zip(value));
    }
    fields
}
