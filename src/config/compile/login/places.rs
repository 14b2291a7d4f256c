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
    let url = compiler.url(written)?;
    let host = url.host_str().unwrap_or_default();
    let is_more = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
    if is_more || !url.username().is_empty() {
        let misread = Misread::new("this is more than an origin").label("scheme, host and port");
        return compiler.value(&written.span, Code::Url, Err(misread));
    }
    if Site::new(url.scheme(), host, url.port()).is_err() {
        let misread = Misread::new("a login needs https, or http on a loopback host");
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
