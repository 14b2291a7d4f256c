//! A session as bytes, to be sealed. Bounded by what was sealed: no length is believed before the
//! bytes are there.

use super::{Proves, Session, SessionTokens};
use crate::secret::Secret;
use std::sync::Arc;

/// What the bytes begin with: this form of them.
const VERSION: u8 = 1;

/// The bytes of a session.
pub(super) fn encode(session: &Session) -> Vec<u8> {
    let tokens = &session.tokens;
    let claims = serde_json::to_vec(&session.claims).unwrap_or_default();
    let mut bytes = vec![VERSION];
    for text in [
        &session.id,
        &session.policy,
        &session.issuer,
        &session.subject,
    ] {
        put(&mut bytes, text.as_bytes());
    }
    maybe(&mut bytes, session.sid.as_deref());
    put(&mut bytes, &claims);
    for token in [&tokens.access, &tokens.id, &tokens.refresh] {
        maybe(&mut bytes, token.as_ref().map(Secret::expose));
    }
    // Nobody's token is valid until the end of time, so that stands for: not told.
    let until = tokens.access_until.unwrap_or(u64::MAX);
    for time in [until, session.began, session.seen] {
        bytes.extend(time.to_be_bytes());
    }
    bytes
}

/// The session that these are the bytes of. None if they are of anything else.
pub(super) fn decode(bytes: &[u8]) -> Option<Session> {
    let rest = &mut bytes.strip_prefix(&[VERSION])?;
    let mut text = || text(rest).map(Arc::<str>::from);
    let (id, policy, issuer, subject) = (text()?, text()?, text()?, text()?);
    let sid = optional(rest)?.map(Arc::from);
    let claims = serde_json::from_slice(take(rest)?).ok()?;
    let mut token = || optional(rest).map(|token| token.map(Secret::new));
    let (access, id_token, refresh) = (token()?, token()?, token()?);
    let (until, began, seen) = (number(rest)?, number(rest)?, number(rest)?);
    rest.is_empty().then_some(Session {
        id,
        policy,
        issuer,
        subject,
        sid,
        claims,
        tokens: SessionTokens {
            access,
            access_until: (until != u64::MAX).then_some(until),
            id: id_token,
            refresh,
        },
        began,
        seen,
        proves: Proves::default(),
    })
}

/// A length, then as many bytes. What is larger than a length can tell is never sealed.
fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    bytes.extend(length.to_be_bytes());
    bytes.extend(part);
}

fn maybe(bytes: &mut Vec<u8>, part: Option<&str>) {
    bytes.push(u8::from(part.is_some()));
    if let Some(part) = part {
        put(bytes, part.as_bytes());
    }
}

fn take<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (part, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    Some(part)
}

fn text<'b>(rest: &mut &'b [u8]) -> Option<&'b str> {
    std::str::from_utf8(take(rest)?).ok()
}

/// The outer None: these are no bytes of ours.
fn optional<'b>(rest: &mut &'b [u8]) -> Option<Option<&'b str>> {
    let (is_there, behind) = rest.split_first()?;
    *rest = behind;
    match is_there {
        0 => Some(None),
        1 => text(rest).map(Some),
        _ => None,
    }
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (number, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u64::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::option;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn claims() -> impl Strategy<Value = Map<String, Value>> {
        let value = prop_oneof![
            any::<String>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            proptest::collection::vec(any::<String>(), 0..4).prop_map(Value::from),
        ];
        let pairs = proptest::collection::vec((any::<String>(), value), 0..6);
        pairs.prop_map(|pairs| pairs.into_iter().collect())
    }

    prop_compose! {
        fn session()(
            texts: [String; 4],
            sid in option::of(any::<String>()),
            claims in claims(),
            tokens in proptest::collection::vec(option::of(any::<String>()), 3),
            until in option::of(0..u64::MAX),
            began: u64,
            seen: u64,
        ) -> Session {
            let [id, policy, issuer, subject] = texts.map(Arc::from);
            let token = |at: usize| tokens[at].clone().map(Secret::new);
            Session {
                id, policy, issuer, subject,
                sid: sid.map(Arc::from),
                claims,
                tokens: SessionTokens {
                    access: token(0),
                    access_until: until,
                    id: token(1),
                    refresh: token(2),
                },
                began, seen, proves: Proves::default(),
            }
        }
    }

    proptest! {
        #[test]
        fn every_session_comes_back(session in session()) {
            let bytes = encode(&session);
            let read = decode(&bytes).unwrap();
            prop_assert_eq!(&read.tokens, &session.tokens);
            prop_assert_eq!(&read.claims, &session.claims);
            prop_assert_eq!((read.began, read.seen), (session.began, session.seen));
            prop_assert_eq!(encode(&read), bytes);
        }

        #[test]
        fn a_session_that_was_cut_or_went_on_is_none(session in session(), at: prop::sample::Index) {
            let bytes = encode(&session);
            prop_assert!(decode(&bytes[..at.index(bytes.len())]).is_none());
            prop_assert!(decode(&[&bytes[..], &[0]].concat()).is_none());
        }

        #[test]
        fn no_bytes_are_too_odd_to_be_refused(bytes: Vec<u8>) {
            let _session = decode(&bytes);
        }
    }

    #[test]
    fn a_length_that_nothing_follows_takes_no_memory() {
        let mut bytes = vec![VERSION];
        bytes.extend(u32::MAX.to_be_bytes());
        assert!(decode(&bytes).is_none());
    }
}
