//! Nothing leads astray.

use super::corpus::CORPUS;
use super::*;
use proptest::prelude::*;

fn site() -> Site {
    Site::new("https", "app.example.com", None).unwrap()
}

fn nothing() -> ReturnTargets {
    ReturnTargets::default()
}

/// CVE class 20.
#[test]
fn no_payload_leads_off_the_origin() {
    assert!(CORPUS.len() >= 200, "{}", CORPUS.len());
    for payload in CORPUS {
        if let Some(target) = read(payload, &site(), &nothing()) {
            let text = target.as_str();
            assert!(
                text.starts_with("https://app.example.com/"),
                "{payload:?} leads to {text}"
            );
            assert!(!text.contains(['\\', '\r', '\n', '\t']), "{text}");
        }
    }
}

#[test]
fn a_target_is_read_as_a_browser_reads_it_and_always_absolute() {
    for (text, expected) in [
        ("/a?b=c#d", "https://app.example.com/a?b=c#d"),
        ("/", "https://app.example.com/"),
        ("//app.example.com/a", "https://app.example.com/a"),
        ("https://app.example.com:443/a", "https://app.example.com/a"),
        ("/.//evil.example", "https://app.example.com//evil.example"),
        ("a", "https://app.example.com/a"),
    ] {
        let target = read(text, &site(), &nothing()).map(String::from);
        assert_eq!(target.as_deref(), Some(expected), "{text}");
    }
}

/// CVE-2021-21291: `.example.com` matched `badexample.com`.
#[test]
fn a_listed_domain_ends_at_a_dot_and_a_listed_origin_is_exact() {
    let listed = ReturnTargets {
        origins: vec![Url::parse("https://other.test:8443").unwrap().origin()],
        domains: vec!["example.com".into()],
    };
    let leads = |text: &str| read(text, &site(), &listed).is_some();

    assert!(leads("https://shop.example.com/a"));
    assert!(leads("https://example.com/"));
    assert!(leads("https://other.test:8443/a"));
    for text in [
        "https://badexample.com/",
        "https://example.com.evil.test/",
        "http://shop.example.com/",
        "https://shop.example.com:8443/",
        "https://other.test/",
        "http://other.test:8443/",
        "https://x.other.test:8443/",
        "https://a@shop.example.com/",
    ] {
        assert!(!leads(text), "{text}");
    }
}

#[test]
fn a_target_is_as_long_as_it_may_be_and_no_longer() {
    let origin = "https://app.example.com";
    let path = format!("/{}", "a".repeat(TARGET_BYTES_MAX - origin.len() - 1));

    assert!(read(&path, &site(), &nothing()).is_some());
    assert!(read(&format!("{path}a"), &site(), &nothing()).is_none());
}

proptest! {
    #[test]
    fn whatever_is_written_the_origin_stays(text in "[/\\\\:@.?#%a-z\t\n ]{0,40}") {
        if let Some(target) = read(&text, &site(), &nothing()) {
            prop_assert_eq!(target.origin(), site().url().unwrap().origin());
        }
    }
}
