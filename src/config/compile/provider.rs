//! Whoever issues tokens, and who we are to it.

use super::{Compiler, files};
use crate::auth::jose::{Algorithm, KeySet, KeySetError};
use crate::auth::provider::{
    Audience, ClientAuth, ClientKey, Endpoints, KeySource, OidcClient, ProviderSettings,
};
use crate::client::ClientTlsSettings;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::config::scalar::Misread;
use crate::secret::Secret;
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// How long one call may take if the file does not say.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often keys are fetched anew if the file does not say.
const REFRESH: Duration = Duration::from_hours(1);
/// How long keys are not asked for again after an unknown one.
const COOLDOWN: Duration = Duration::from_secs(30);
/// How far clocks may be apart if the file does not say.
const LEEWAY: Duration = Duration::from_secs(30);
/// Further apart, and an expired token is as good as a valid one.
const LEEWAY_MAX: Duration = Duration::from_mins(5);

/// What stands behind an issuer where it tells of itself.
const METADATA: [&str; 2] = [
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
];

/// What one issuer says of itself in a file, wherever it stands.
pub(super) struct Written<'a> {
    pub(super) issuer: Option<&'a Spanned<String>>,
    pub(super) jwks: Option<&'a Spanned<raw::Jwks>>,
    pub(super) endpoints: Option<&'a raw::Endpoints>,
    pub(super) introspection: Option<&'a Spanned<String>>,
    pub(super) tls: Option<&'a raw::ProviderTls>,
    pub(super) timeout: Option<&'a Spanned<raw::DurationText>>,
    pub(super) refresh: Option<&'a Spanned<raw::DurationText>>,
}

/// Compiles one issuer.
pub(super) fn provider(
    written: &Written<'_>,
    compiler: &mut Compiler<'_>,
) -> Option<ProviderSettings> {
    let issuer = written.issuer?;
    if let Some(before) = METADATA
        .iter()
        .find_map(|end| issuer.value.strip_suffix(end))
    {
        let misread = Misread::new("this is where an issuer tells of itself, and no issuer")
            .label("edgespan finds it by itself")
            .write(before);
        return compiler.value(&issuer.span, Code::Url, Err(misread));
    }
    let keys = match written.jwks {
        Some(jwks) => keys(jwks, compiler)?,
        None => {
            let url = compiler.asked_url(issuer)?;
            if url.query().is_some() || url.fragment().is_some() {
                let misread = Misread::new("this issuer does not tell where its keys are")
                    .label("an issuer has neither query nor fragment")
                    .help("say it with `jwks: {url: ...}`");
                return compiler.value(&issuer.span, Code::Url, Err(misread));
            }
            KeySource::Discovery
        }
    };
    let empty = raw::Endpoints::default();
    let endpoints = written.endpoints.unwrap_or(&empty);
    let mut at = |text: Option<&Spanned<String>>| text.and_then(|text| compiler.asked_url(text));
    let endpoints = Endpoints {
        token: at(endpoints.token.as_ref()),
        userinfo: at(endpoints.userinfo.as_ref()),
        introspection: at(endpoints.introspection.as_ref().or(written.introspection)),
        revocation: at(endpoints.revocation.as_ref()),
        pushed_authorization: at(endpoints.pushed_authorization.as_ref()),
        authorization: at(endpoints.authorization.as_ref()),
        end_session: at(endpoints.end_session.as_ref()),
    };
    Some(ProviderSettings {
        issuer: Arc::from(issuer.value.as_str()),
        keys,
        endpoints,
        tls: tls(written.tls, compiler),
        timeout: compiler.duration_or(written.timeout, TIMEOUT),
        refresh: compiler.duration_or(written.refresh, REFRESH),
        cooldown: COOLDOWN,
        is_rehearsed: false,
    })
}

fn keys(written: &Spanned<raw::Jwks>, compiler: &mut Compiler<'_>) -> Option<KeySource> {
    let (url, file) = (written.value.url.as_ref(), written.value.file.as_ref());
    compiler.exactly_one(
        &written.span,
        &[("url", url.is_some()), ("file", file.is_some())],
    );
    if let Some(url) = url {
        return compiler.asked_url(url).map(KeySource::Url);
    }
    // It is looked at again while edgespan runs, and not by a reload.
    let path = compiler.folder.join(&file?.value.0);
    let read = files::read(&path, KeySource::FILE_BYTES_MAX).and_then(|bytes| {
        let no_keys = |error: KeySetError| {
            let message = format!("{} is no set of keys", path.display());
            Misread::new(message).label(error.to_string())
        };
        KeySet::parse(&bytes).map(|_| ()).map_err(no_keys)
    });
    compiler.value(&file?.span, Code::File, read)?;
    Some(KeySource::File(path))
}

fn tls(written: Option<&raw::ProviderTls>, compiler: &mut Compiler<'_>) -> ClientTlsSettings {
    let Some(written) = written else {
        return ClientTlsSettings::default();
    };
    let certificate = written.certificate.as_ref();
    ClientTlsSettings {
        ca: compiler.authority(written.ca.as_ref()),
        identity: certificate.and_then(|files| compiler.certificate(files)),
    }
}

/// What a file says of who we are to a provider.
#[derive(Clone, Copy, Default)]
pub(super) struct Prover<'a> {
    pub(super) id: Option<&'a Spanned<String>>,
    pub(super) secret: Option<&'a Spanned<raw::SecretText>>,
    pub(super) key: Option<&'a Spanned<raw::SecretSource>>,
    pub(super) auth: Option<&'a Spanned<raw::ClientAuth>>,
    pub(super) audience: Option<&'a Spanned<raw::ClientAudience>>,
}

/// Who we are to a provider.
pub(super) fn client(written: &Prover<'_>, compiler: &mut Compiler<'_>) -> Option<OidcClient> {
    let Prover {
        id,
        secret,
        key,
        auth,
        audience,
    } = *written;
    let id = id?;
    let secret_value = secret.and_then(|one| client_secret(one, compiler));
    let key_value = key.and_then(|one| signing_key(one, compiler));
    let way = auth.map_or_else(
        || match (key, secret) {
            (Some(_), _) => raw::ClientAuth::PrivateKeyJwt,
            (None, Some(_)) => raw::ClientAuth::Basic,
            (None, None) => raw::ClientAuth::None,
        },
        |auth| auth.value,
    );
    let uses_key = way == raw::ClientAuth::PrivateKeyJwt;
    let uses_secret = matches!(way, raw::ClientAuth::Basic | raw::ClientAuth::Post);
    let given = [
        ("client_secret", secret.map(|one| &one.span), uses_secret),
        ("client_key", key.map(|one| &one.span), uses_key),
        ("client_audience", audience.map(|one| &one.span), uses_key),
    ];
    for (what, span, is_used) in given {
        if let Some(span) = span.filter(|_| !is_used) {
            let message = format!("`{what}` has no effect");
            let diagnostic = Diagnostic::at(Code::NoEffect, span, message);
            compiler.tell(diagnostic.label("what proves who edgespan is does not need it"));
        }
    }
    let mut lacks = |what: &str, span: &Span| {
        let message = format!("this way needs `{what}`");
        compiler.tell(Diagnostic::at(Code::Unfit, span, message));
    };
    let span = auth.map_or(&id.span, |auth| &auth.span);
    let auth = match way {
        raw::ClientAuth::PrivateKeyJwt => {
            if key.is_none() {
                lacks("client_key", span);
            }
            ClientAuth::PrivateKeyJwt(key_value?)
        }
        raw::ClientAuth::Basic | raw::ClientAuth::Post => {
            if secret.is_none() {
                lacks("client_secret", span);
            }
            if way == raw::ClientAuth::Basic {
                ClientAuth::Basic(secret_value?)
            } else {
                ClientAuth::Post(secret_value?)
            }
        }
        raw::ClientAuth::None => ClientAuth::Nothing,
    };
    Some(OidcClient {
        id: Arc::from(id.value.as_str()),
        auth,
        audience: match audience.map(|one| one.value) {
            Some(raw::ClientAudience::TokenEndpoint) => Audience::TokenEndpoint,
            Some(raw::ClientAudience::Issuer) | None => Audience::Issuer,
        },
    })
}

/// The secret that a provider has given to us.
fn client_secret(
    written: &Spanned<raw::SecretText>,
    compiler: &mut Compiler<'_>,
) -> Option<Secret> {
    let secret = compiler.secret(&written.span, &written.value)?;
    let text = secret.expose();
    let is_inline = matches!(written.value, raw::SecretText::Inline(_));
    let is_name = |rest: &str| {
        let fits = |one: u8| one.is_ascii_uppercase() || one.is_ascii_digit() || one == b'_';
        !rest.is_empty() && rest.bytes().all(fits)
    };
    let read = if text.is_empty() {
        Err(Misread::new("this secret is empty").label("there is nothing in it"))
    } else if is_inline && text.strip_prefix('$').is_some_and(is_name) {
        let misread = Misread::new("this is the name of a variable, and not its value");
        Err(misread.help("write `{env: NAME}` or `${NAME}`"))
    } else {
        Ok(secret)
    };
    compiler.value(&written.span, Code::Secret, read)
}

fn signing_key(
    source: &Spanned<raw::SecretSource>,
    compiler: &mut Compiler<'_>,
) -> Option<Arc<ClientKey>> {
    let written = raw::SecretText::Elsewhere(source.value.clone());
    let pem = compiler.secret(&source.span, &written)?;
    let read = ClientKey::from_pem(pem.expose().as_bytes())
        .map_err(|error| Misread::new("this is no key of a client").label(error.to_string()));
    compiler
        .value(&source.span, Code::SigningKey, read)
        .map(Arc::new)
}

/// Algorithms by name; all of them if none is named.
pub(super) fn algorithms(
    written: &[Spanned<String>],
    compiler: &mut Compiler<'_>,
) -> Vec<Algorithm> {
    if written.is_empty() {
        return Algorithm::ALL.to_vec();
    }
    let read = written.iter().filter_map(|name| {
        let known: Vec<&str> = Algorithm::ALL.into_iter().map(Algorithm::name).collect();
        let misread = || {
            let misread = Misread::new(format!("`{}` is no algorithm of ours", name.value))
                .help(format!("algorithms: {}", known.join(", ")));
            if name.value.starts_with("HS") {
                misread.label("who verifies by a shared secret could sign, too")
            } else {
                misread
            }
        };
        let read = Algorithm::of(&name.value).ok_or_else(misread);
        compiler.value(&name.span, Code::Unfit, read)
    });
    read.collect()
}

/// How far clocks may be apart.
pub(super) fn leeway(
    written: Option<&Spanned<raw::DurationText>>,
    compiler: &mut Compiler<'_>,
) -> Duration {
    let leeway = compiler.duration_or(written, LEEWAY);
    if let Some(written) = written.filter(|_| leeway > LEEWAY_MAX) {
        let diagnostic = Diagnostic::at(
            Code::OutOfRange,
            &written.span,
            "clocks are not that far apart",
        );
        compiler.tell(diagnostic.label("up to 5m"));
    }
    leeway
}

/// Tells if a path of a claim cannot be one.
pub(super) fn check_claim_path(path: &Spanned<String>, compiler: &mut Compiler<'_>) {
    if crate::auth::claim_path(&path.value).is_none() {
        let message = "this is no path of a claim";
        let diagnostic = Diagnostic::at(Code::Unfit, &path.span, message);
        let label = "such as `realm_access.roles`, or `\"https://example.com/roles\"`";
        compiler.tell(diagnostic.label(label));
    }
}

/// A dotted path of a claim, a name with dots of its own in quotes.
pub(super) fn claim_path(text: &str) -> Box<[Box<str>]> {
    crate::auth::claim_path(text).unwrap_or_else(|| [Box::from(text)].into())
}

/// Paths of claims, or the one that is usual.
pub(super) fn claim_paths(written: &[Spanned<String>], usual: &str) -> Vec<Box<[Box<str>]>> {
    if written.is_empty() {
        return vec![claim_path(usual)];
    }
    written.iter().map(|path| claim_path(&path.value)).collect()
}

impl Compiler<'_> {
    /// An address that can be asked: `http` or `https`.
    pub(super) fn url(&mut self, written: &Spanned<String>) -> Option<Url> {
        let no_url = || Misread::new("this is no address that can be asked");
        let read = written
            .value
            .parse::<Url>()
            .map_err(|_| no_url().label("such as https://id.example.com"));
        let read = read.and_then(|url| {
            crate::client::Target::of(&url)
                .map(|_| url)
                .map_err(|error| no_url().label(error.to_string()))
        });
        self.value(&written.span, Code::Url, read)
    }

    /// The same of a provider: tells if what is said there can be read and changed on the way.
    fn asked_url(&mut self, written: &Spanned<String>) -> Option<Url> {
        let url = self.url(written)?;
        if url.scheme() == "http" && !is_of_this_machine(&url) {
            let message = "this provider is asked without TLS";
            let diagnostic = Diagnostic::at(Code::PlainProvider, &written.span, message);
            self.tell(diagnostic.label("whoever is on the way can give it other keys"));
        }
        Some(url)
    }
}

/// Whether what is sent there stays on this machine.
pub(super) fn is_of_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
