//! `{traceparent}` and its like in a command's arguments, and arguments as a span may show them.

use crate::cli::job::context::Place;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// The arguments with the context filled in. Other braces stay as they are; without a place of
/// ours so does everything.
pub(super) fn filled(arguments: &[OsString], place: Option<&Place>) -> Vec<OsString> {
    let Some(place) = place else {
        return arguments.to_vec();
    };
    let known = [
        ("{traceparent}", place.traceparent()),
        ("{tracestate}", place.tracestate()),
        ("{trace_id}", place.head.trace_id.to_string()),
        ("{span_id}", place.span_id.to_string()),
    ];
    arguments.iter().map(|one| replaced(one, &known)).collect()
}

/// Arguments need not be UTF-8.
fn replaced(argument: &OsStr, known: &[(&str, String)]) -> OsString {
    let mut rest = argument.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let Some((&first, after)) = rest.split_first() {
        let found = known
            .iter()
            .find_map(|(name, value)| Some((rest.strip_prefix(name.as_bytes())?, value)));
        match found {
            Some((beyond, value)) => {
                out.extend_from_slice(value.as_bytes());
                rest = beyond;
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    OsString::from_vec(out)
}

/// Words that say that a value is not for others.
const SECRET: [&str; 9] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "auth",
    "cookie",
    "credential",
    "bearer",
];

/// Longest argument that is shown, in characters.
const SHOWN_MAX: usize = 256;

/// What stands for a secret.
const REDACTED: &str = "REDACTED";

/// The command line as a span may show it: the value of an option whose name speaks of a secret
/// is left out, with `=` or as the next argument, and so are credentials in URLs and in headers.
pub(super) fn without_secrets(command: &[OsString]) -> Vec<String> {
    let mut hides_next = false;
    let shown = |argument: &OsString| {
        let text = argument.to_string_lossy();
        let hidden = std::mem::take(&mut hides_next);
        let is_option = text.starts_with('-');
        // Also what begins with a hyphen: passwords may.
        if hidden {
            return REDACTED.to_owned();
        }
        let (name, value) = match text.split_once(['=', ':']) {
            Some((name, value)) if !value.starts_with("//") => (name, Some(value)),
            _ => (&*text, None),
        };
        match value {
            Some(_) if is_secret(name) => format!("{name}={REDACTED}"),
            None if is_option && is_secret(name) => {
                hides_next = true;
                text.chars().take(SHOWN_MAX).collect()
            }
            _ => {
                let (before, address) = match text.split_once('=') {
                    Some((option, address)) if !option.contains("://") => {
                        (format!("{option}="), address)
                    }
                    _ => (String::new(), &*text),
                };
                let whole = before + &without_credentials(address);
                whole.chars().take(SHOWN_MAX).collect()
            }
        }
    };
    command.iter().map(shown).collect()
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|word| name.contains(word)) || matches!(name.as_str(), "-p" | "-u" | "--user")
}

/// A URL without what stands before its `@`, and without its query.
fn without_credentials(text: &str) -> String {
    let Ok(mut url) = text.parse::<url::Url>() else {
        return text.to_owned();
    };
    if !url.has_host() {
        return text.to_owned();
    }
    let had = !url.username().is_empty() || url.password().is_some() || url.query().is_some();
    let cleared = url.set_username("").and(url.set_password(None));
    url.set_query(None);
    if had && cleared.is_ok() {
        url.to_string()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Vec<OsString> {
        texts.iter().map(OsString::from).collect()
    }

    #[test]
    fn only_known_braces_are_filled_in() {
        let known = [("{traceparent}", "00-a-b-01".to_owned())];
        let replace = |text: &str| replaced(OsStr::new(text), &known).into_string().unwrap();

        assert_eq!(
            replace("traceparent: {traceparent}"),
            "traceparent: 00-a-b-01"
        );
        assert_eq!(replace("{traceparent}{traceparent}"), "00-a-b-0100-a-b-01");
        assert_eq!(replace("{ {x} {trace"), "{ {x} {trace");
    }

    #[test]
    fn an_argument_that_is_no_text_passes_as_it_is() {
        let odd = OsString::from_vec(vec![b'{', 0xff, b'}']);

        assert_eq!(replaced(&odd, &[("{a}", String::new())]), odd);
    }

    #[test]
    fn secrets_of_a_command_line_are_not_shown() {
        let command = words(&[
            "curl",
            "-H",
            "Authorization: Bearer abc",
            "--password",
            "hunter2",
            "--api-key=abc",
            "https://user:pw@example.com/a?token=b",
            "-v",
            "PGPASSWORD=x",
            "--retries",
            "3",
            "--url=https://user:pw@example.com/b",
            "DATABASE=postgres://user:pw@db/orders",
            "https://example.com/?next=https://a",
            "--token",
            "-abc",
        ]);

        let shown = without_secrets(&command);

        let expected = [
            "curl",
            "-H",
            "Authorization=REDACTED",
            "--password",
            "REDACTED",
            "--api-key=REDACTED",
            "https://example.com/a",
            "-v",
            "PGPASSWORD=REDACTED",
            "--retries",
            "3",
            "--url=https://example.com/b",
            "DATABASE=postgres://db/orders",
            "https://example.com/",
            "--token",
            "REDACTED",
        ];
        assert_eq!(shown, expected);
    }
}
