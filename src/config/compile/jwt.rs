//! Policies by token.

use super::Compiler;
use super::provider::{self, Prover, Written};
use crate::auth::jwt::{Introspection, JwtIssuer, JwtSettings, TokenPlace};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::config::scalar::{self, Misread, Purpose};
use std::sync::Arc;
use std::time::Duration;

/// How many verified tokens are remembered if the file does not say.
const ENTRIES: usize = 10_000;
/// How long an answer about an opaque token counts if the file does not say.
const INTROSPECTION_TTL: Duration = Duration::from_mins(1);
/// How long a refusal of one counts if the file does not say.
const INTROSPECTION_NEGATIVE_TTL: Duration = Duration::from_secs(5);

/// Compiles one.
pub(super) fn compile(
    written: &Spanned<raw::Jwt>,
    compiler: &mut Compiler<'_>,
) -> Option<JwtSettings> {
    let (span, jwt) = (&written.span, &written.value);
    let own = jwt.issuer.is_some();
    compiler.exactly_one(
        span,
        &[("issuer", own), ("issuers", !jwt.issuers.is_empty())],
    );
    check_beside(written, compiler);
    let own = own.then(|| raw::JwtIssuer {
        issuer: jwt.issuer.clone(),
        audiences: jwt.audiences.clone(),
        jwks: jwt.jwks.clone(),
        algorithms: jwt.algorithms.clone(),
        introspection: jwt.introspection.clone(),
        tls: jwt.tls.clone(),
        timeout: jwt.timeout.clone(),
        refresh: jwt.refresh.clone(),
    });
    let several = jwt.issuers.iter().map(|one| one.value.clone());
    let issuers: Vec<raw::JwtIssuer> = own.into_iter().chain(several).collect();
    check_issuers(&issuers, compiler);
    let issuers = issuers
        .iter()
        .filter_map(|one| issuer(one, compiler))
        .collect();
    for path in jwt.subject.iter().chain(&jwt.groups.0) {
        provider::check_claim_path(path, compiler);
    }
    let from: Vec<TokenPlace> = jwt
        .from
        .iter()
        .filter_map(|place| self::place(place, compiler))
        .collect();
    Some(JwtSettings {
        issuers,
        from: if from.is_empty() {
            vec![TokenPlace::Bearer]
        } else {
            from
        },
        types: jwt
            .types
            .0
            .iter()
            .map(|one| Arc::from(one.value.to_ascii_lowercase()))
            .collect(),
        leeway: provider::leeway(jwt.leeway.as_ref(), compiler),
        age_max: jwt
            .age_max
            .as_ref()
            .map(|_| compiler.duration_or(jwt.age_max.as_ref(), Duration::MAX)),
        entries: jwt
            .entries
            .as_ref()
            .map_or(ENTRIES, |entries| entries.value.0),
        subject: provider::claim_path(jwt.subject.as_ref().map_or("sub", |path| &path.value)),
        groups: provider::claim_paths(&jwt.groups.0, "groups"),
        forward: jwt.forward.as_ref().is_none_or(|one| one.value),
    })
}

/// What is said of an issuer stands with it: beside `issuers` it would count for none of them.
fn check_beside(written: &Spanned<raw::Jwt>, compiler: &mut Compiler<'_>) {
    let (span, jwt) = (&written.span, &written.value);
    if jwt.issuers.is_empty() || jwt.issuer.is_some() {
        return;
    }
    let introspection = jwt.introspection.as_ref();
    let beside = [
        ("audiences", jwt.audiences.0.first().map(|one| &one.span)),
        ("jwks", jwt.jwks.as_ref().map(|one| &one.span)),
        ("algorithms", jwt.algorithms.first().map(|one| &one.span)),
        ("introspection", introspection.map(|one| &one.span)),
        ("tls", jwt.tls.as_ref().map(|_| span)),
        ("timeout", jwt.timeout.as_ref().map(|one| &one.span)),
        ("refresh", jwt.refresh.as_ref().map(|one| &one.span)),
    ];
    for (key, place) in beside {
        let Some(place) = place else { continue };
        let message = format!("`{key}` stands beside `issuers`, and counts for none of them");
        let diagnostic = Diagnostic::at(Code::Unfit, place, message);
        compiler.tell(diagnostic.label("it belongs to each of them"));
    }
}

/// A token is of one issuer, and only one of them is shown a token that nobody else can read.
fn check_issuers(issuers: &[raw::JwtIssuer], compiler: &mut Compiler<'_>) {
    let (mut named, mut asked): (Vec<&str>, bool) = (Vec::new(), false);
    for one in issuers {
        let Some(issuer) = &one.issuer else { continue };
        if named.contains(&issuer.value.as_str()) {
            let message = format!("`{}` stands here twice", issuer.value);
            let diagnostic = Diagnostic::at(Code::DuplicateName, &issuer.span, message);
            compiler.tell(diagnostic.label("all its `audiences` belong in one place"));
        }
        named.push(&issuer.value);
        if let Some(introspection) = one.introspection.as_ref().filter(|_| asked) {
            let message = "a second issuer to ask about opaque tokens";
            let diagnostic = Diagnostic::at(Code::Unfit, &introspection.span, message);
            let diagnostic = diagnostic.label("each would see the tokens of the other");
            compiler.tell(diagnostic.help("a policy of its own, with a header of its own"));
        }
        asked |= one.introspection.is_some();
    }
}

fn issuer(written: &raw::JwtIssuer, compiler: &mut Compiler<'_>) -> Option<JwtIssuer> {
    let introspection = written.introspection.as_ref();
    let issuer = written.issuer.as_ref()?;
    if written.audiences.0.is_empty() {
        let message = "`audiences` is missing: whom tokens have to be for";
        compiler.tell(Diagnostic::at(Code::Empty, &issuer.span, message));
    }
    let settings = provider::provider(
        &Written {
            issuer: Some(issuer),
            jwks: written.jwks.as_ref(),
            endpoints: None,
            introspection: introspection.and_then(|one| one.value.url.as_ref()),
            tls: written.tls.as_ref(),
            timeout: written.timeout.as_ref(),
            refresh: written.refresh.as_ref(),
        },
        compiler,
    )?;
    let audiences = written.audiences.0.iter();
    Some(JwtIssuer {
        provider: settings,
        audiences: audiences.map(|one| Arc::from(one.value.as_str())).collect(),
        algorithms: provider::algorithms(&written.algorithms, compiler),
        introspection: introspection.and_then(|one| {
            let one = &one.value;
            let prover = Prover {
                id: one.client_id.as_ref(),
                secret: one.client_secret.as_ref(),
                auth: one.client_auth.as_ref(),
                ..Prover::default()
            };
            let client = provider::client(&prover, compiler)?;
            let tokens = one.tokens.as_ref().map(|one| one.value);
            let audience = one.audience.as_ref().map(|one| one.value);
            Some(Introspection {
                jwts_too: tokens == Some(raw::AskedTokens::All),
                audience_required: audience != Some(raw::ToldAudience::IfTold),
                client,
                ttl: compiler.duration_or(one.ttl.as_ref(), INTROSPECTION_TTL),
                negative_ttl: compiler
                    .duration_or(one.negative_ttl.as_ref(), INTROSPECTION_NEGATIVE_TTL),
            })
        }),
    })
}

fn place(written: &Spanned<raw::TokenPlace>, compiler: &mut Compiler<'_>) -> Option<TokenPlace> {
    let named = match &written.value {
        raw::TokenPlace::Word(word) if word == "authorization" => return Some(TokenPlace::Bearer),
        raw::TokenPlace::Word(word) => {
            let message = format!("`{word}` is no place of a token");
            let diagnostic = Diagnostic::at(Code::Unfit, &written.span, message);
            compiler.tell(diagnostic.label("`authorization`, or one with a name"));
            return None;
        }
        raw::TokenPlace::Named(named) => named,
    };
    let given = [
        ("header", named.header.is_some()),
        ("cookie", named.cookie.is_some()),
        ("query", named.query.is_some()),
    ];
    compiler.exactly_one(&written.span, &given);
    if let Some(header) = &named.header {
        if header.value.0.eq_ignore_ascii_case("authorization") {
            let message = "`authorization` holds a scheme beside its token";
            let diagnostic = Diagnostic::at(Code::Unfit, &header.span, message);
            compiler.tell(diagnostic.label("written as a word: `from: [authorization]`"));
            return None;
        }
        let fields = [header.clone()];
        let name = super::headers::names(&fields, Purpose::Read, compiler);
        return name.into_iter().next().map(TokenPlace::Header);
    }
    let mut name = |written: &Option<Spanned<String>>| {
        let written = written.as_ref()?;
        let read = scalar::token(&written.value).then(|| Box::from(written.value.as_str()));
        let misread = || Misread::new("this is no name").label("letters, digits, `_`, `-` and `.`");
        compiler.value(&written.span, Code::Unfit, read.ok_or_else(misread))
    };
    let (cookie, query) = (name(&named.cookie), name(&named.query));
    cookie
        .map(TokenPlace::Cookie)
        .or(query.map(TokenPlace::Query))
}
