//! Where logins are: their own paths, the origin that providers lead back to, the template of
//! their pages.

use super::super::files::read;
use super::Compiler;
use crate::auth::oidc::Site;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::config::scalar::{self, Misread};
use std::sync::Arc;
use url::Url;

/// Where our own paths begin if the file does not say.
const PATH: &str = "/oauth2";
/// Largest template of pages.
const TEMPLATE_BYTES_MAX: u64 = 256 << 10;
/// What a template has to hold.
const CONTENT: &str = "{{content}}";

/// Where our own paths begin.
pub(super) fn path(login: &raw::Login, compiler: &mut Compiler<'_>) -> Arc<str> {
    let Some(written) = &login.path else {
        return Arc::from(PATH);
    };
    let read = scalar::plain_path(&written.value).and_then(|path| {
        if path.ends_with('/') || path.contains("//") {
            let misread = Misread::new("paths of a login begin with a path of their own");
            return Err(misread.label("no `/` at its end, such as `/oauth2`"));
        }
        Ok(Arc::from(path))
    });
    let path = compiler.value(&written.span, Code::Path, read);
    path.unwrap_or_else(|| Arc::from(PATH))
}

/// The origin that providers lead back to. Browsers have to send the cookies of a login there and
/// where it began, so that both lie below the domain of the cookies.
pub(super) fn callback_origin(login: &raw::Login, compiler: &mut Compiler<'_>) -> Option<Url> {
    let written = login.callback_origin.as_ref()?;
    let url = compiler.value(&written.span, Code::Url, origin(&written.value))?;
    let host = url.host_str().unwrap_or_default();
    if host.contains('*') {
        let misread = Misread::new("providers lead back to one host")
            .label("a name without `*`")
            .help("such as `https://login.example.com`");
        return compiler.value(&written.span, Code::Url, Err(misread));
    }
    if Site::new(url.scheme(), host, url.port()).is_err() {
        let misread = Misread::new("a login needs https, or http on a loopback host")
            .write(format!("https://{host}"));
        return compiler.value(&written.span, Code::Url, Err(misread));
    }
    let domain = login.cookie.domain.as_ref().map(|one| &*one.value);
    let is_below = |domain: &str| {
        let before = host.strip_suffix(domain);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    if !domain.is_some_and(is_below) {
        let message = "one callback for several hosts needs cookies that they share";
        let diagnostic = Diagnostic::at(Code::Unfit, &written.span, message);
        let label = "this host is not below `login.cookie.domain`";
        compiler.tell(diagnostic.label(label));
    }
    Some(url)
}

/// An origin as browsers have it: scheme, host and port; else what is wrong with it, and what to
/// write.
pub(super) fn origin(text: &str) -> Result<Url, Misread> {
    let no_origin = || Misread::new("this is no origin");
    // `login.example.com:8443` would be read as a scheme and a path.
    if !text.contains("://") {
        let host = text.trim_start_matches('/').split(['/', '?', '#']).next();
        let host = host
            .filter(|host| !host.is_empty())
            .unwrap_or("login.example.com");
        let misread = no_origin().label("it has no scheme");
        return Err(misread.write(format!("https://{host}")));
    }
    let url = Url::parse(text).map_err(|error| {
        let misread = no_origin().label(error.to_string());
        misread.help("such as `https://login.example.com`")
    })?;
    let host = url.host_str().unwrap_or_default();
    if !matches!(url.scheme(), "http" | "https") {
        let label = format!("browsers do not log in by `{}`", url.scheme());
        return Err(no_origin().label(label).write(format!("https://{host}")));
    }
    let is_of_somebody = !url.username().is_empty() || url.password().is_some();
    let is_of_a_page = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
    if is_of_a_page || is_of_somebody {
        let origin = url.origin().ascii_serialization();
        let misread = Misread::new("this is more than an origin").label("scheme, host and port");
        return Err(misread.write(origin));
    }
    Ok(url)
}

/// A page of the operator's own.
pub(super) fn template(
    file: Option<&Spanned<raw::FileText>>,
    compiler: &mut Compiler<'_>,
) -> Option<Arc<str>> {
    let file = file?;
    let path = compiler.folder.join(&file.value.0);
    compiler.files.push(path.clone());
    let text = read(&path, TEMPLATE_BYTES_MAX).and_then(|bytes| {
        let cannot = || Misread::new(format!("cannot use {}", path.display()));
        let text = String::from_utf8(bytes).map_err(|_| cannot().label("it is not UTF-8"))?;
        if text.contains(CONTENT) {
            Ok(Arc::from(text))
        } else {
            Err(cannot().label("`{{content}}` has to stand in it"))
        }
    });
    compiler.value(&file.span, Code::File, text)
}
