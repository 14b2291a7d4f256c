//! The answer: what arrived, and what edgespan made of it.

use super::SCHEMA;
use super::secret::{SharedSecret, unhex};
use crate::trace::hex;
use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

/// Longest account that is read, in bytes.
const ACCOUNT_BYTES_MAX: usize = 1024 * 1024;

/// What arrived, as JSON. Fields may come to it; readers pass over what they do not know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// [`SCHEMA`].
    pub schema: String,
    /// The question's nonce in hex: an account with another one was not made for it.
    pub nonce: String,
    /// When it was made, in seconds since 1970 by the clock of who made it.
    pub unix_seconds: u64,
    /// edgespan's version.
    pub edgespan: String,
    /// The listener's name.
    pub listener: String,
    /// Who connected: address and port of the socket's other side.
    pub peer: String,
    /// For whom it connected, if a PROXY header said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxied_peer: Option<String>,
    /// `1.0`, `1.1` or `2`.
    pub http: String,
    /// What TLS told; None: it came in the clear.
    pub tls: Option<Tls>,
    /// The method. `CONNECT` for a WebSocket over HTTP/2.
    pub method: String,
    /// The path, as it arrived.
    pub path: String,
    /// The query, as it arrived.
    pub query: Option<String>,
    /// `Host` or `:authority`, as it arrived.
    pub authority: Option<String>,
    /// `websocket`, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<String>,
    /// Name and value of each line that arrived. A value's bytes are characters of the same
    /// number (Latin-1), so none is lost.
    pub headers: Vec<(String, String)>,
    /// How exactly `headers` tells what arrived.
    pub fidelity: Fidelity,
    /// Names of lines that are not told because their values are credentials, as they arrived,
    /// once for each line.
    pub removed: Vec<String>,
    /// The request's body; None: it had none.
    pub body: Option<Body>,
    /// Who the client is.
    pub client: Client,
    /// What was made of the trace context.
    pub context: Context,
}

/// How exactly the lines of an account are those that arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fidelity {
    /// HTTP/1, read from the bytes themselves: names with their case, lines in their order.
    Exact,
    /// HTTP/2: names are lower case on that wire. Lines of one name stand in their order; names
    /// stand in the order in which each came first.
    Decoded,
    /// HTTP/1 where the bytes were not at hand (the request came pipelined behind another one,
    /// or named the path with its host): names without their case, otherwise as `Decoded`.
    #[default]
    Grouped,
}

/// What a TLS handshake told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// `1.2` or `1.3`.
    pub version: Option<String>,
    /// What ALPN chose.
    pub alpn: Option<String>,
    /// The name that was asked for.
    pub sni: Option<String>,
}

/// A request's body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Bytes that arrived.
    pub bytes: u64,
    /// Their SHA-256, in hex.
    pub sha256: String,
}

/// Who the client is, as edgespan reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// `client.address`
    pub address: String,
    /// Whether the peer is one whose word about others is believed.
    pub peer_trusted: bool,
    /// The header that named the client; None: it is the peer itself.
    pub by: Option<String>,
    /// `http` or `https`, as the client used it.
    pub scheme: String,
}

/// What edgespan made of the trace context.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// Whether a valid context arrived, in any format that is read here.
    pub valid: bool,
    /// The trace of this request's SERVER span: the caller's, or a new one. None where nothing is
    /// traced.
    pub trace_id: Option<String>,
    /// That span.
    pub span_id: Option<String>,
    /// Whether the span is recorded.
    pub recorded: bool,
}

/// What became of an attempt to read an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It is whole and signed with the secret. Whether it answers the question at hand is told by
    /// its nonce.
    Account(Box<Account>),
    /// It has no signature.
    Unsigned,
    /// It is signed with a secret of another name, this one.
    OtherKey(String),
    /// The signature does not fit: bytes were changed, or somebody made it up.
    Forged,
    /// It is signed, and is no account of this version.
    Unreadable,
}

impl Account {
    /// The account's bytes, and the value of [`SIGNATURE_HEADER`](super::SIGNATURE_HEADER).
    pub fn seal(&self, secret: &SharedSecret) -> (String, String) {
        // Strings and numbers under text keys always are JSON.
        let body = serde_json::to_string(self).unwrap_or_default();
        let tag = hmac::sign(&secret.account, body.as_bytes());
        let signature = format!("v1 {} {}", secret.id(), hex::text(tag.as_ref()));
        (body, signature)
    }

    /// Reads an answer and its signature header.
    pub fn open(secret: &SharedSecret, body: &[u8], signature: Option<&str>) -> Opened {
        let Some(signature) = signature else {
            return Opened::Unsigned;
        };
        let mut fields = signature.split(' ');
        let (version, id, tag) = (fields.next(), fields.next(), fields.next());
        let tag = tag.and_then(unhex::<32>);
        let (Some("v1"), Some(id), Some(tag), None) = (version, id, tag, fields.next()) else {
            return Opened::Forged;
        };
        if id != secret.id() {
            return match unhex::<2>(id) {
                Some(_) => Opened::OtherKey(id.to_owned()),
                None => Opened::Forged,
            };
        }
        if body.len() > ACCOUNT_BYTES_MAX || hmac::verify(&secret.account, body, &tag).is_err() {
            return Opened::Forged;
        }
        let account: Option<Self> = serde_json::from_slice(body).ok();
        account
            .filter(|account| account.schema == SCHEMA)
            .map_or(Opened::Unreadable, |account| {
                Opened::Account(Box::new(account))
            })
    }

    /// The text message that a WebSocket gets: the signature, a line feed, the account.
    pub fn seal_message(&self, secret: &SharedSecret) -> String {
        let (body, signature) = self.seal(secret);
        format!("{signature}\n{body}")
    }

    /// Reads such a message.
    pub fn open_message(secret: &SharedSecret, message: &str) -> Opened {
        match message.split_once('\n') {
            Some((signature, body)) => Self::open(secret, body.as_bytes(), Some(signature)),
            None => Opened::Unsigned,
        }
    }
}

/// Bytes of a header's value as characters of the same number.
pub fn latin1(value: &[u8]) -> String {
    value.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret() -> SharedSecret {
        SharedSecret::new(b"0123456789abcdef").unwrap()
    }

    fn account(headers: Vec<(String, String)>) -> Account {
        Account {
            schema: SCHEMA.to_owned(),
            headers,
            ..Account::default()
        }
    }

    #[test]
    fn an_account_that_was_touched_or_made_up_is_told_apart() {
        let (body, signature) = account(Vec::new()).seal(&secret());
        let open = |body: &str, signature| Account::open(&secret(), body.as_bytes(), signature);
        let other = SharedSecret::new(b"another secret of that length").unwrap();

        assert_eq!(open(&body, None), Opened::Unsigned);
        assert_eq!(open(&format!("{body} "), Some(&signature)), Opened::Forged);
        assert_eq!(open(&body, Some("v1 x y")), Opened::Forged);
        assert_eq!(
            Account::open(&other, body.as_bytes(), Some(&signature)),
            Opened::OtherKey(secret().id())
        );
        let foreign = Account {
            schema: "edgespan.arrival/2".to_owned(),
            ..Account::default()
        };
        let (body, signature) = foreign.seal(&secret());
        assert_eq!(open(&body, Some(&signature)), Opened::Unreadable);
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(values: Vec<Vec<u8>>) {
            let headers = values.iter().map(|value| ("Name".to_owned(), latin1(value))).collect();
            let account = account(headers);
            let (body, signature) = account.seal(&secret());

            let opened = Account::open(&secret(), body.as_bytes(), Some(&signature));
            let message = Account::open_message(&secret(), &account.seal_message(&secret()));

            prop_assert_eq!(&opened, &Opened::Account(Box::new(account)));
            prop_assert_eq!(message, opened);
        }

        #[test]
        fn no_answer_makes_it_panic(body: Vec<u8>, signature in "\\PC{0,90}") {
            let opened = Account::open(&secret(), &body, Some(&signature));
            prop_assert!(!matches!(opened, Opened::Account(_)));
        }
    }
}
