//! What the audit tells, and how it reaches a webhook.

use super::*;
use crate::auth::seal::SealKey;
use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::telemetry::metrics::{Metrics, WebhookOutcome};
use aws_lc_rs::hmac;
use opentelemetry::trace::{SpanId, TraceId};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use url::Url;

/// A webhook that answers with these statuses, one after the other, and with 204 after them.
async fn hook(statuses: &'static [u16]) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, got) = mpsc::channel(64);
    tokio::spawn(async move {
        let mut statuses = statuses.iter();
        while let Ok((mut stream, _)) = listener.accept().await {
            let request = read_request(&mut stream).await;
            let status = statuses.next().unwrap_or(&204);
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
            drop(stream.write_all(answer.as_bytes()).await);
            drop(sender.send(request).await);
        }
    });
    (address, got)
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4_096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then_some(value)
        });
        if body.len() >= length.unwrap().parse::<usize>().unwrap() {
            return text;
        }
    }
}

fn settings(address: SocketAddr, events_max: usize) -> AuditSettings {
    AuditSettings {
        webhook: Some(WebhookSettings {
            url: Url::parse(&format!("http://{address}/audit")).unwrap(),
            secret: Secret::new("s3cret"),
            timeout: Duration::from_secs(5),
            events_max,
        }),
        ..AuditSettings::default()
    }
}

fn login() -> AuditEvent<'static> {
    AuditEvent {
        issuer: Some("https://id.example.com"),
        subject: Some("ada@example.com"),
        session: Some("session-1"),
        mfa_enabled: Some(true),
        user_type: Some("staff"),
        client: Some("203.0.113.9".parse().unwrap()),
        host: Some("app.example.com"),
        ..AuditEvent::new(AuditKind::Login, AuditResult::Success, Some("staff"))
    }
}

fn audit(settings: AuditSettings) -> (Audit, Arc<AuditCounts>) {
    let counts = Metrics::new().audit();
    let audit = Audit::new(settings, sealer(b'a'), Arc::clone(&counts));
    (audit, counts)
}

fn sealer(letter: u8) -> Arc<Sealer> {
    let key = format!("{}AAA=", String::from_utf8(vec![letter; 40]).unwrap());
    Arc::new(Sealer::new(&[SealKey::parse(&key).unwrap()]))
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| {
        let (own, value) = line.split_once(": ")?;
        own.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[tokio::test]
async fn an_event_reaches_the_webhook_signed_and_names_nobody() {
    let (address, mut got) = hook(&[]).await;
    let (audit, counts) = audit(settings(address, 8));

    audit.tell(&login(), None);
    let request = got.recv().await.unwrap();
    audit.close(Duration::from_secs(5)).await;

    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /audit HTTP/1.1\r\n"), "{head}");
    let signature = header(head, "edgespan-signature").unwrap();
    let (time, tag) = signature
        .strip_prefix("t=")
        .and_then(|rest| rest.split_once(",v1="))
        .unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"s3cret");
    let expected = hmac::sign(&key, format!("{time}.{body}").as_bytes());
    assert_eq!(tag, hex::text(expected.as_ref()));
    let event: Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&event["event"], &event["result"], &event["policy"]),
        (&"login".into(), &"success".into(), &"staff".into())
    );
    assert_eq!(event["mfa_enabled"], Value::Bool(true));
    assert_eq!(event["subject"].as_str().unwrap().len(), 32);
    assert!(!request.contains("ada"), "{request}");
    assert!(!request.contains("session-1"), "{request}");
    assert_eq!(event.get("reason"), None);
    assert_eq!(counts.outcome(WebhookOutcome::Delivered), 1);
    assert_eq!(counts.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_sent_again_under_the_same_id_until_it_is_taken() {
    let (address, mut got) = hook(&[500, 429, 503]).await;
    let (audit, counts) = audit(settings(address, 8));

    audit.tell(&login(), None);
    let mut bodies = Vec::new();
    for _ in 0..4 {
        let request = got.recv().await.unwrap();
        bodies.push(request.split_once("\r\n\r\n").unwrap().1.to_owned());
    }
    audit.close(Duration::from_secs(5)).await;

    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    assert_eq!(counts.outcome(WebhookOutcome::Delivered), 1);
}

#[tokio::test]
async fn what_a_webhook_does_not_want_is_not_sent_again() {
    for status in [&[400], &[401], &[404], &[302]] {
        let (address, _got) = hook(status).await;
        let (audit, counts) = audit(settings(address, 8));
        audit.tell(&login(), None);
        audit.close(Duration::from_secs(5)).await;
        assert_eq!(counts.outcome(WebhookOutcome::Refused), 1, "{status:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_is_away_is_given_up_after_a_minute() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let (audit, counts) = audit(settings(address, 8));
    let began = clock::instant();

    audit.tell(&login(), None);
    audit.close(Duration::from_mins(5)).await;

    assert_eq!(counts.outcome(WebhookOutcome::Failed), 1);
    assert!(
        began.elapsed() <= Duration::from_secs(65),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn events_beyond_the_bound_are_counted_and_nobody_waits() {
    // It takes connections and answers nobody.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (audit, counts) = audit(settings(silent.local_addr().unwrap(), 3));

    // Nothing runs between them: one thread, and `tell` never waits.
    for _ in 0..5 {
        audit.tell(&login(), None);
    }
    assert_eq!(counts.outcome(WebhookOutcome::Dropped), 2);
    assert_eq!(counts.waiting(), 3);

    audit.close(Duration::from_millis(20)).await;
    assert_eq!(counts.outcome(WebhookOutcome::Dropped), 5);
    assert_eq!(counts.waiting(), 0);
    audit.tell(&login(), None);
    assert_eq!(counts.outcome(WebhookOutcome::Dropped), 6);
}

#[tokio::test]
async fn a_subject_is_plain_only_where_the_file_asks_for_it() {
    let hashed = audit(AuditSettings::default()).0;
    let again = audit(AuditSettings::default()).0;
    let plain = audit(AuditSettings {
        plain_subject: true,
        ..AuditSettings::default()
    });
    assert_eq!(hashed.subject("ada"), again.subject("ada"));
    assert_ne!(hashed.subject("ada"), hashed.subject("bob"));
    assert_eq!(plain.0.subject("ada"), "ada");

    let no_keys = || Arc::new(Sealer::new(&[]));
    let keyless = || Audit::new(AuditSettings::default(), no_keys(), Metrics::new().audit());
    assert_ne!(keyless().subject("ada"), keyless().subject("ada"));
    let other = Audit::new(
        AuditSettings::default(),
        sealer(b'b'),
        Metrics::new().audit(),
    );
    assert_ne!(hashed.subject("ada"), other.subject("ada"));
    assert!(
        !plain
            .0
            .is_of(&AuditSettings::default(), Some(&plain.0.sealer))
    );
    assert!(hashed.is_of(&AuditSettings::default(), Some(&hashed.sealer)));
    assert!(
        hashed.is_of(&AuditSettings::default(), None),
        "without logins it has its own"
    );
    assert!(!hashed.is_of(&AuditSettings::default(), Some(&other.sealer)));
}

/// Whoever has no session can be refused as often as he likes; who has one is still told of then,
/// and so is every login.
#[tokio::test]
async fn a_flood_of_refusals_crowds_out_nothing_else_and_is_counted() {
    let (audit, counts) = audit(AuditSettings::default());
    let refusal = |subject| AuditEvent {
        subject,
        ..AuditEvent::new(AuditKind::Refusal, AuditResult::Denied, Some("staff"))
    };
    // Two seconds may be touched, and not three.
    let flood = 2 * allowance::A_SECOND_MAX + 1;
    for _ in 0..flood {
        audit.tell(&refusal(None), None);
    }
    let withheld = counts.all_withheld();
    assert!(withheld > 0 && withheld < flood, "{withheld}");

    audit.tell(&refusal(Some("ada")), None);
    audit.tell(&login(), None);

    assert_eq!(counts.all_withheld(), withheld);
}

#[test]
fn the_fields_of_an_event_are_these_in_this_order() {
    let event = AuditEvent {
        route: Some("orders"),
        reason: Some("access_denied"),
        logout: Some(LogoutKind::BackChannel),
        ..login()
    };
    let told = Told {
        event: &event,
        id: "e1",
        subject: Some("s1"),
        session: Some("d1"),
        trace: Some((TraceId::from(1), SpanId::from(2))),
        at: Timestamp::from_unix_nanos(1_700_000_000_000_000_000),
    };
    let json = String::from_utf8(told.json()).unwrap();
    assert_eq!(
        json,
        concat!(
            r#"{"id":"e1","time":"2023-11-14T22:13:20.000Z","event":"login","result":"success","#,
            r#""reason":"access_denied","logout":"back_channel","policy":"staff","#,
            r#""route":"orders","issuer":"https://id.example.com","subject":"s1","session":"d1","#,
            r#""auth_method":"oidc","mfa_enabled":true,"user_type":"staff","#,
            r#""client_address":"203.0.113.9","host":"app.example.com","#,
            r#""trace_id":"00000000000000000000000000000001","span_id":"0000000000000002"}"#
        )
    );
}
