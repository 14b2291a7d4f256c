//! Which fields hold what opens doors, by their names.

/// Names whose values are credentials, folded and in order.
const CREDENTIALS: [&str; 17] = [
    "authorization",
    "cf-access-client-id",
    "cf-access-client-secret",
    "cf-access-jwt-assertion",
    "client-cert",
    "client-cert-chain",
    "cookie",
    "cookie2",
    "proxy-authorization",
    "set-cookie",
    "x-amzn-oidc-accesstoken",
    "x-amzn-oidc-data",
    "x-edgespan-verify",
    "x-forwarded-access-token",
    "x-forwarded-client-cert",
    "x-goog-iap-jwt-assertion",
    "x-ms-token-aad-access-token",
];

/// Words that the name of a credential holds, whoever made it up.
const WORDS: [&str; 18] = [
    "api-key",
    "apikey",
    "assertion",
    "auth-token",
    "authentication",
    "authorization",
    "bearer",
    "credential",
    "jwt",
    "passphrase",
    "passwd",
    "password",
    "saml",
    "secret",
    "session",
    "signature",
    "token",
    "verify",
];

/// Whether this field is known to be a credential, under whatever spelling.
pub fn is_credential(name: &str) -> bool {
    CREDENTIALS.contains(&folded(name).as_str())
}

/// Whether this field may be a credential, by what its name says. When in doubt it may.
pub fn may_be_credential(name: &str) -> bool {
    let folded = folded(name);
    let name = folded.as_str();
    let is_key = name.ends_with("-key") && name != "sec-websocket-key";
    CREDENTIALS.contains(&name)
        || is_key
        || name.ends_with("-auth")
        || WORDS.iter().any(|word| name.contains(word))
}

/// Lower case, with all punctuation alike: as servers read names that fold them.
fn folded(name: &str) -> String {
    let fold = |byte: u8| match byte.to_ascii_lowercase() {
        byte if byte.is_ascii_alphanumeric() => char::from(byte),
        _ => '-',
    };
    name.bytes().map(fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_doors_is_known_whatever_its_spelling() {
        for name in [
            "Cookie",
            "AUTHORIZATION",
            "Proxy-Authorization",
            "X_Edgespan_Verify",
            "Cf-Access-Jwt-Assertion",
            "CF_Access_Client_Secret",
            "CF-Access-Client-Id",
            "X-Amzn-Oidc-Data",
        ] {
            assert!(is_credential(name) && may_be_credential(name), "{name}");
        }
        for name in [
            "X-Api-Key",
            "X-Auth-Token",
            "X-CSRF-Token",
            "X-Session-Id",
            "X-Functions-Key",
            "X-Internal-Auth",
            "X-Hub-Signature-256",
            // What a CDN proves itself to its origin with.
            "X-Origin-Verify",
            "X-Authentication",
        ] {
            assert!(!is_credential(name) && may_be_credential(name), "{name}");
        }
        for name in [
            "traceparent",
            "tracestate",
            "baggage",
            "b3",
            "cf-ray",
            "via",
            "x-forwarded-for",
            "x-request-id",
            "sec-websocket-key",
        ] {
            assert!(!may_be_credential(name), "{name}");
        }
    }
}
