//! What an authorizer's answer means.

use super::super::messages::*;
use super::super::reply::{Allowed, Nonsense, Reply};
use super::{field, read, status};
use crate::auth::{AnswerChange, HeaderChange};
use http::{HeaderName, StatusCode};

fn allowed(ok: OkHttpResponse) -> Allowed {
    let answer = CheckResponse {
        status: status(0),
        http_response: Some(HttpResponse::Ok(ok)),
        dynamic_metadata: None,
    };
    match read(answer) {
        Ok(Reply::Allow(allowed)) => allowed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_but_an_ok_allows() {
    let response = |status, http_response| CheckResponse {
        status,
        http_response,
        dynamic_metadata: None,
    };
    let ok = || Some(HttpResponse::Ok(OkHttpResponse::default()));
    let denied = || Some(HttpResponse::Denied(DeniedHttpResponse::default()));
    let error = || Some(HttpResponse::Error(DeniedHttpResponse::default()));

    for allows in [
        response(status(0), None),
        response(status(0), ok()),
        response(None, ok()),
    ] {
        assert!(matches!(read(allows), Ok(Reply::Allow(_))));
    }
    for denies in [
        response(status(7), None),
        response(status(16), denied()),
        response(status(-1), None),
        response(None, denied()),
    ] {
        let Ok(Reply::Deny(answer)) = read(denies) else {
            panic!("it refuses");
        };
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    }
    assert!(matches!(
        read(response(status(14), error())),
        Ok(Reply::Failed(None))
    ));
    assert_eq!(read(response(None, None)).unwrap_err(), Nonsense::Empty);
    for contradicts in [
        response(status(0), denied()),
        response(status(0), error()),
        response(status(7), ok()),
    ] {
        assert_eq!(read(contradicts).unwrap_err(), Nonsense::Contradiction);
    }
}

#[test]
fn a_refusal_reaches_the_client_as_it_is() {
    let answer = |code, body: &str| CheckResponse {
        status: status(7),
        http_response: Some(HttpResponse::Denied(DeniedHttpResponse {
            status: Some(HttpStatus { code }),
            headers: vec![
                field("Location", "/login"),
                field("set-cookie", "a=1"),
                field("set-cookie", "b=2"),
                field("content-length", "99"),
                field("connection", "close"),
            ],
            body: body.to_owned(),
        })),
        dynamic_metadata: None,
    };

    let Ok(Reply::Deny(denial)) = read(answer(302, "go")) else {
        panic!("it refuses");
    };
    assert_eq!(
        (denial.status().as_u16(), &**denial.body()),
        (302, &b"go"[..])
    );
    assert_eq!(denial.headers()["location"], "/login");
    assert_eq!(denial.headers().get_all("set-cookie").iter().count(), 2);
    assert_eq!(denial.headers()["content-type"], "text/plain");
    assert_eq!(denial.headers().len(), 4);
    for code in [-1, 1, 100, 101, 199, 600, 65_936] {
        assert_eq!(
            read(answer(code, "")).unwrap_err(),
            Nonsense::Status,
            "{code}"
        );
    }
}

#[test]
fn a_change_of_a_header_is_made_as_its_action_says() {
    let with = |name: &str, append, action: AppendAction| HeaderValueOption {
        append,
        append_action: action.into(),
        ..field(name, "v")
    };
    use AppendAction::{AddIfAbsent, AppendIfExistsOrAdd, OverwriteIfExists};
    let options = vec![
        field("a", "v"),
        with("b", Some(true), AppendIfExistsOrAdd),
        with("c", Some(false), AppendIfExistsOrAdd),
        with("x-there", None, AddIfAbsent),
        with("x-there", None, OverwriteIfExists),
        with("d", None, AddIfAbsent),
        with("d", None, OverwriteIfExists),
        with("e", Some(true), AddIfAbsent),
    ];
    let allowed = allowed(OkHttpResponse {
        headers: options.clone(),
        headers_to_remove: vec!["f".to_owned()],
        response_headers_to_add: options,
        ..OkHttpResponse::default()
    });

    let value = || http::HeaderValue::from_static("v");
    let name = HeaderName::from_static;
    let expected = vec![
        HeaderChange::Set(name("a"), value()),
        HeaderChange::Append(name("b"), value()),
        HeaderChange::Set(name("c"), value()),
        HeaderChange::AddIfAbsent(name("x-there"), value()),
        HeaderChange::SetIfPresent(name("x-there"), value()),
        HeaderChange::AddIfAbsent(name("d"), value()),
        HeaderChange::SetIfPresent(name("d"), value()),
        HeaderChange::Append(name("e"), value()),
        HeaderChange::Remove(name("f")),
    ];
    assert_eq!(allowed.grant.request, expected);
    let added: Vec<&str> = allowed
        .grant
        .answer
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(added, ["a", "b", "e"]);
    let expected = vec![
        AnswerChange::Set(name("c"), value()),
        AnswerChange::AddIfAbsent(name("x-there"), value()),
        AnswerChange::SetIfPresent(name("x-there"), value()),
        AnswerChange::AddIfAbsent(name("d"), value()),
        AnswerChange::SetIfPresent(name("d"), value()),
    ];
    assert_eq!(allowed.grant.answer_changes, expected);
}

#[test]
fn host_framing_and_trace_context_are_not_an_authorizers_to_change() {
    let barred = [
        ":path",
        ":authority",
        "Host",
        "content-length",
        "content_length",
        "transfer-encoding",
        "Transfer_Encoding",
        "connection",
        "upgrade",
        "te",
        "trailer",
        "traceparent",
        "tracestate",
        "baggage",
        "b3",
        "x-b3-traceid",
    ];
    let allowed = allowed(OkHttpResponse {
        headers: barred.iter().map(|name| field(name, "v")).collect(),
        headers_to_remove: barred.iter().map(ToString::to_string).collect(),
        response_headers_to_add: barred.iter().map(|name| field(name, "v")).collect(),
        ..OkHttpResponse::default()
    });

    assert!(allowed.grant.request.is_empty());
    assert!(allowed.grant.answer.is_empty());
    assert!(allowed.grant.answer_changes.is_empty());
    assert_eq!(allowed.ignored, 3 * barred.len());
}

#[test]
fn an_answer_of_endless_changes_is_none() {
    let many = |count: usize| (0..count).map(|index| field(&format!("x-{index}"), "v"));
    for (count, fits) in [(256, true), (257, false), (40_000, false)] {
        let allowing = CheckResponse {
            status: status(0),
            http_response: Some(HttpResponse::Ok(OkHttpResponse {
                headers: many(count).collect(),
                ..OkHttpResponse::default()
            })),
            dynamic_metadata: None,
        };
        let refusing = CheckResponse {
            status: status(7),
            http_response: Some(HttpResponse::Denied(DeniedHttpResponse {
                headers: many(count).collect(),
                ..DeniedHttpResponse::default()
            })),
            dynamic_metadata: None,
        };
        for answer in [allowing, refusing] {
            let read = read(answer);
            assert_eq!(read.is_ok(), fits, "{count}");
            assert!(fits || read.is_err_and(|error| error == Nonsense::TooMany));
        }
    }
}

#[test]
fn a_header_that_cannot_be_one_makes_the_whole_answer_none() {
    for (name, value) in [("", "v"), ("a b", "v"), ("a", "v\r\nx: y"), ("a", "\0")] {
        let answer = CheckResponse {
            status: status(0),
            http_response: Some(HttpResponse::Ok(OkHttpResponse {
                headers: vec![field(name, value)],
                ..OkHttpResponse::default()
            })),
            dynamic_metadata: None,
        };
        assert_eq!(read(answer).unwrap_err(), Nonsense::Header, "{name:?}");
    }
}
