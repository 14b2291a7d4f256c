//! What holds for any message.

use super::super::messages::{CheckRequest, CheckResponse};
use super::super::question::{self, Telling};
use super::super::reply::Reply;
use super::super::service;
use super::{ALLOWING, FAILING, REFUSING, REQUEST, bytes, read, with_asked};
use crate::auth::Asked;
use crate::auth::forward::FieldPattern;
use crate::clock::Timestamp;
use http::uri::PathAndQuery;
use http::{HeaderName, StatusCode};
use proptest::prelude::*;
use prost::Message as _;

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic_and_noise_is_no_permission_of_itself(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        if let Ok(question) = CheckRequest::decode(&*noise) {
            drop(service::subject(question));
        }
        if let Ok(answer) = CheckResponse::decode(&*noise) {
            drop(read(answer));
        }
        for valid in [REQUEST, ALLOWING, REFUSING, FAILING] {
            let mut broken = bytes(valid);
            let at = at.index(broken.len());
            broken[at] ^= flip;
            if let Ok(question) = CheckRequest::decode(&*broken) {
                drop(service::subject(question));
            }
            if let Ok(answer) = CheckResponse::decode(&*broken) {
                drop(read(answer));
            }
        }
    }

    #[test]
    fn a_refusal_that_is_written_is_read_the_same(
        code in 300_u16..600,
        fields in proptest::collection::vec(("x-[a-c]", "[ -~]{0,9}"), 0..6),
        body in "\\PC{0,20}",
    ) {
        let mut headers = http::HeaderMap::new();
        headers.insert("content-type", http::HeaderValue::from_static("text/html"));
        for (name, value) in &fields {
            let name = HeaderName::try_from(name).unwrap();
            headers.append(name, http::HeaderValue::try_from(value.trim()).unwrap());
        }
        let code = StatusCode::from_u16(code).unwrap();
        let message = service::deny(code, &headers, body.as_bytes()).encode_to_vec();
        let answer = CheckResponse::decode(&*message).unwrap();
        let Ok(Reply::Deny(denial)) = read(answer) else {
            return Err(TestCaseError::fail("it refuses"));
        };
        prop_assert_eq!(denial.status(), code);
        prop_assert_eq!(denial.headers(), &headers);
        prop_assert_eq!(&**denial.body(), body.as_bytes());
    }

    #[test]
    fn a_request_that_is_told_of_is_the_same_to_whom_it_is_told(
        target in "/[a-z%20?&=.;]{0,20}",
        value in "[!-~]{1,9}",
        cookie in "[a-z]{1,3}=[a-z0-9]{0,5}(; [a-z]{1,3}=[a-z0-9]{0,5}){0,3}",
    ) {
        let parsed = target.parse::<PathAndQuery>();
        prop_assume!(parsed.is_ok());
        let parsed = parsed.unwrap();
        let fields = [("x-a", value.as_str()), ("cookie", cookie.as_str())];
        let question = with_asked(&fields, |asked| {
            let target = parsed.clone();
            let asked = Asked { target: &target, ..*asked };
            let telling = Telling { headers: &[FieldPattern::All], context: &[], body_bytes: None };
            question::of(&asked, &telling, Timestamp::default())
        });
        let question = CheckRequest::decode(&*question.encode_to_vec()).unwrap();
        let subject = service::subject(question).unwrap();
        prop_assert_eq!(subject.target, parsed.as_str());
        prop_assert_eq!(&subject.headers["x-a"], &value);
        prop_assert_eq!(&subject.headers["cookie"], &cookie);
        prop_assert_eq!((&*subject.method, &*subject.scheme), ("POST", "https"));
        prop_assert_eq!(&*subject.host, "app.example.com:8443");
        prop_assert_eq!(subject.client, "203.0.113.9:4711".parse().unwrap());
    }
}
