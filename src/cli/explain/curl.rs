//! The request that is asked about, as a pasted `curl` line.

use super::target::{NoTarget, TEXT_BYTES_MAX, Target, checked_method, no};

impl Target {
    /// Reads a pasted `curl` line, as browsers copy it.
    ///
    /// # Errors
    /// If it is none, or names no URL.
    pub(super) fn of_curl(text: &str) -> Result<Self, NoTarget> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(no("the line is longer than 64 KiB"));
        }
        let words = shell_words(text)?;
        let mut words = words.iter().map(String::as_str);
        match words.next() {
            Some("curl") => {}
            Some(other) => return Err(no(format!("the line begins with `{other}`, not `curl`"))),
            None => return Err(no("a `curl` line is needed on standard input")),
        }
        let mut line = CurlLine::default();
        while let Some(word) = words.next() {
            line.take(word, &mut words)?;
        }
        line.finish()
    }
}

/// What has been read of a `curl` line.
#[derive(Default)]
struct CurlLine {
    url: Option<String>,
    method: Option<String>,
    headers: Vec<String>,
    body_bytes: Option<usize>,
    query_from_data: bool,
    data: Vec<String>,
}

/// Letters of flags that take a value, which may follow in the same word.
const LETTERS_WITH_VALUE: &str = "AbcCdDeEFHKmoPQrtTuUwxXyYz";

/// Other flags that take a value. It says nothing about the request's head, and may be a secret: it
/// is read over.
const WITH_VALUE: &str = "\
    --abstract-unix-socket --alt-svc --aws-sigv4 --cacert --capath --cert --cert-type --ciphers \
    --config --connect-timeout --connect-to --continue-at --cookie-jar --crlfile --curves \
    --dns-interface --dns-ipv4-addr --dns-ipv6-addr --dns-servers --doh-url --dump-header --ech \
    --engine --etag-compare --etag-save --expect100-timeout --happy-eyeballs-timeout-ms \
    --haproxy-clientip --hsts --interface --ip-tos --keepalive-cnt --keepalive-time --key \
    --key-type --libcurl --limit-rate --local-port --login-options --max-filesize --max-redirs \
    --max-time --netrc-file --noproxy --output --output-dir --parallel-max --pass --pinnedpubkey \
    --preproxy --proto --proto-default --proto-redir --proxy --proxy-cacert --proxy-capath \
    --proxy-cert --proxy-cert-type --proxy-ciphers --proxy-crlfile --proxy-header --proxy-key \
    --proxy-key-type --proxy-pass --proxy-pinnedpubkey --proxy-service-name --proxy-tls13-ciphers \
    --proxy-tlsauthtype --proxy-tlspassword --proxy-tlsuser --proxy-user --proxy1.0 --quote \
    --random-file --rate --resolve --retry --retry-delay --retry-max-time --sasl-authzid \
    --service-name --socks4 --socks4a --socks5 --socks5-gssapi-service --socks5-hostname \
    --speed-limit --speed-time --stderr --time-cond --tls-max --tls13-ciphers --tlsauthtype \
    --tlspassword --tlsuser --trace --trace-ascii --trace-config --unix-socket --variable \
    --vlan-priority --write-out";

impl CurlLine {
    fn take<'a>(
        &mut self,
        word: &'a str,
        rest: &mut impl Iterator<Item = &'a str>,
    ) -> Result<(), NoTarget> {
        let Some(flags) = word.strip_prefix('-').filter(|flags| !flags.is_empty()) else {
            // It is not repeated here: it may hold a password.
            return match self.url.replace(word.to_owned()) {
                None => Ok(()),
                Some(_) => Err(no(
                    "the line has two URLs, or a flag with a value that is not known here",
                )),
            };
        };
        if flags.starts_with('-') {
            let joined = word.split_once('=');
            let (flag, joined) = joined.map_or((word, None), |(flag, value)| (flag, Some(value)));
            return self.flag(flag, joined, rest);
        }
        // Several letters may share a dash; the first that takes a value takes the rest.
        let valued = flags.find(|letter| LETTERS_WITH_VALUE.contains(letter));
        let (plain, valued) = flags.split_at(valued.unwrap_or(flags.len()));
        for letter in plain.chars() {
            self.flag(&format!("-{letter}"), None, rest)?;
        }
        let mut valued = valued.chars();
        match valued.next() {
            None => Ok(()),
            Some(letter) => {
                let joined = Some(valued.as_str()).filter(|value| !value.is_empty());
                self.flag(&format!("-{letter}"), joined, rest)
            }
        }
    }

    /// One flag, and the value that is written together with it: `-XPOST`, `--request=POST`.
    fn flag<'a>(
        &mut self,
        flag: &str,
        joined: Option<&'a str>,
        rest: &mut impl Iterator<Item = &'a str>,
    ) -> Result<(), NoTarget> {
        let mut value = || {
            let value = joined.or_else(|| rest.next()).map(str::to_owned);
            value.ok_or_else(|| no(format!("`{flag}` needs a value")))
        };
        match flag {
            "-X" | "--request" => self.method = Some(value()?),
            "-H" | "--header" => self.headers.push(value()?),
            "-A" | "--user-agent" => self.headers.push(format!("user-agent: {}", value()?)),
            "-e" | "--referer" => self.headers.push(format!("referer: {}", value()?)),
            "-b" | "--cookie" => self.headers.push(format!("cookie: {}", value()?)),
            "-r" | "--range" => self.headers.push(format!("range: bytes={}", value()?)),
            // What they say is never shown; only that there is something matters here.
            "-u" | "--user" => {
                value()?;
                self.headers
                    .push("authorization: Basic (hidden)".to_owned());
            }
            "--oauth2-bearer" => {
                value()?;
                self.headers
                    .push("authorization: Bearer (hidden)".to_owned());
            }
            "-I" | "--head" => self.method = Some("HEAD".to_owned()),
            "-G" | "--get" => self.query_from_data = true,
            "--url" => self.url = Some(value()?),
            "-d" | "--data" | "--data-raw" | "--data-binary" | "--data-ascii"
            | "--data-urlencode" | "--json" | "-F" | "--form" | "--form-string" | "-T"
            | "--upload-file" => {
                let data = value()?;
                self.take_data(flag, data);
            }
            flag if takes_value(flag) => drop(value()?),
            _ => {}
        }
        Ok(())
    }

    fn take_data(&mut self, flag: &str, data: String) {
        let content_type = match flag {
            "--json" => Some("application/json"),
            "-F" | "--form" | "--form-string" => Some("multipart/form-data"),
            "-T" | "--upload-file" => {
                self.method.get_or_insert_with(|| "PUT".to_owned());
                None
            }
            _ => Some("application/x-www-form-urlencoded"),
        };
        let is_named = |line: &String| line.to_ascii_lowercase().starts_with("content-type:");
        if let Some(content_type) = content_type
            && !self.headers.iter().any(is_named)
        {
            self.headers.push(format!("content-type: {content_type}"));
        }
        *self.body_bytes.get_or_insert(0) += data.len();
        self.data.push(data);
    }

    fn finish(self) -> Result<Target, NoTarget> {
        let url = self.url.ok_or_else(|| no("the line has no URL"))?;
        let url = if url.contains("://") {
            url
        } else {
            format!("http://{url}") // as curl reads it
        };
        let mut target = Target::of_url(&url)?;
        let posts = !self.data.is_empty() && !self.query_from_data;
        let implied = if posts { "POST" } else { "GET" };
        target.method = checked_method(self.method.as_deref().unwrap_or(implied))?;
        if self.query_from_data && !self.data.is_empty() {
            let mark = if target.path.contains('?') { '&' } else { '?' };
            target.path = format!("{}{mark}{}", target.path, self.data.join("&"));
        }
        // Of headers given twice, the content type that `-d` implies gives way.
        let mut seen_type = false;
        for line in self.headers.iter().rev() {
            let is_type = line.to_ascii_lowercase().starts_with("content-type:");
            if !(is_type && seen_type) {
                target.add_header(line)?;
            }
            seen_type |= is_type;
        }
        target.headers.reverse();
        if posts && let Some(bytes) = self.body_bytes {
            target.add_header(&format!("content-length: {bytes}"))?;
        }
        Ok(target)
    }
}

fn takes_value(flag: &str) -> bool {
    match flag.strip_prefix('-') {
        Some(letter) if !letter.starts_with('-') => LETTERS_WITH_VALUE.contains(letter),
        Some(_) => WITH_VALUE.split(' ').any(|known| known == flag),
        None => false,
    }
}

/// Splits a line as a POSIX shell does, `$'...'` of bash included; expands nothing.
fn shell_words(text: &str) -> Result<Vec<String>, NoTarget> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('\n') | None => {}
                // Windows' line ends.
                Some('\r') if letters.peek() == Some(&'\n') => drop(letters.next()),
                Some(escaped) => word.get_or_insert_default().push(escaped),
            },
            '\'' => quoted(&mut letters, word.get_or_insert_default())?,
            '$' if letters.peek() == Some(&'\'') => {
                letters.next();
                ansi_quoted(&mut letters, word.get_or_insert_default())?;
            }
            '"' => double_quoted(&mut letters, word.get_or_insert_default())?,
            letter if letter.is_whitespace() => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

fn open_quote() -> NoTarget {
    no("a quotation mark is never closed")
}

fn quoted(letters: &mut impl Iterator<Item = char>, word: &mut String) -> Result<(), NoTarget> {
    for letter in letters {
        if letter == '\'' {
            return Ok(());
        }
        word.push(letter);
    }
    Err(open_quote())
}

fn double_quoted(
    letters: &mut impl Iterator<Item = char>,
    word: &mut String,
) -> Result<(), NoTarget> {
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Ok(()),
            '\\' => match letters.next() {
                Some('\n') => {}
                Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
                None => break,
            },
            letter => word.push(letter),
        }
    }
    Err(open_quote())
}

/// Browsers on Unix copy what has an apostrophe in it this way.
fn ansi_quoted(
    letters: &mut impl Iterator<Item = char>,
    word: &mut String,
) -> Result<(), NoTarget> {
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => return Ok(()),
            '\\' => match letters.next() {
                Some('n') => word.push('\n'),
                Some('r') => word.push('\r'),
                Some('t') => word.push('\t'),
                Some('u') => {
                    let digits: String = letters.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).ok();
                    word.push(code.and_then(char::from_u32).unwrap_or('\u{fffd}'));
                }
                Some(escaped) => word.push(escaped),
                None => break,
            },
            letter => word.push(letter),
        }
    }
    Err(open_quote())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_copied_from_a_browser_is_read_with_its_quotes() {
        let target = Target::of_curl(
            "curl 'https://app.example.com/api?a=1' \\\n  -X PUT -H 'Accept: */*' \\\n  \
             -H $'X-Name: O\\'Neill' --data-raw '{\"a\":1}' --compressed -o /dev/null",
        )
        .unwrap();

        assert_eq!(target.method, "PUT");
        assert_eq!(target.authority, "app.example.com");
        assert_eq!(target.path, "/api?a=1");
        let headers: Vec<String> = target
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        assert_eq!(
            headers,
            [
                "Accept: */*",
                "X-Name: O'Neill",
                "content-type: application/x-www-form-urlencoded",
                "content-length: 7"
            ]
        );
    }

    #[test]
    fn data_makes_a_post_and_with_get_a_query() {
        let post = Target::of_curl("curl a.example/x -d a=1").unwrap();
        let get = Target::of_curl("curl -G a.example/x -da=1 -d b=2").unwrap();

        assert_eq!((post.method.as_str(), post.path.as_str()), ("POST", "/x"));
        assert_eq!(
            (get.method.as_str(), get.path.as_str()),
            ("GET", "/x?a=1&b=2")
        );
    }

    #[test]
    fn the_password_of_a_pasted_line_is_forgotten() {
        for line in [
            "curl -u root:hunter2 http://a/",
            "curl -sSuroot:hunter2 http://a/",
            "curl http://a/ -sSLu root:hunter2",
            "curl --oauth2-bearer hunter2 http://a/",
            "curl http://root:hunter2@a/ -H 'authorization: x'",
        ] {
            let target = Target::of_curl(line).unwrap();

            assert!(!format!("{target:?}").contains("hunter2"), "{line}");
            assert_eq!(target.headers[0].0, "authorization", "{line}");
        }
    }

    #[test]
    fn what_does_not_go_to_the_server_is_read_over_with_its_value() {
        for flags in [
            "-U me:hunter2",
            "-Ume:hunter2",
            "-sU me:hunter2",
            "--proxy-user me:hunter2",
            "--proxy http://me:hunter2@proxy:3128",
            "--pass hunter2 --key k.pem -E c.pem:hunter2",
            "--proxy-header 'x-token: hunter2'",
            "--aws-sigv4 aws:amz -K hunter2 -m10 -o/dev/null",
            "-sSfL --compressed --http2 -k",
        ] {
            for line in [
                format!("curl {flags} http://a/"),
                format!("curl http://a/ {flags}"),
            ] {
                let target = Target::of_curl(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
                assert_eq!(target, Target::of_url("http://a/").map(with_get).unwrap());
            }
        }
    }

    fn with_get(mut target: Target) -> Target {
        target.method = "GET".to_owned();
        target
    }

    #[test]
    fn letters_may_share_a_dash() {
        let target = Target::of_curl("curl -sIXDELETE a.example -Gr 0-9").unwrap();

        assert_eq!(target.method, "DELETE");
        assert_eq!(
            target.headers,
            [("range".to_owned(), "bytes=0-9".to_owned())]
        );
    }

    #[test]
    fn no_refusal_tells_a_password() {
        for line in [
            "curl http://a/ http://root:hunter2@b/",
            "curl --no-such-flag root:hunter2 http://a/",
            "curl -H 'authorization hunter2' http://a/",
        ] {
            let error = Target::of_curl(line).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{line}: {error}");
        }
    }

    #[test]
    fn a_line_that_is_not_whole_is_refused() {
        for (line, reason) in [
            ("curl 'http://a/", "never closed"),
            ("wget http://a/", "begins with `wget`"),
            ("curl -H", "`-H` needs a value"),
            ("curl -s", "has no URL"),
            ("curl http://a/ http://b/", "two URLs"),
        ] {
            let error = Target::of_curl(line).unwrap_err().to_string();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            drop(Target::of_curl(&format!("curl {text}")));
        }

        #[test]
        fn whatever_is_put_in_single_quotes_comes_out(word in "[^']{0,40}") {
            let words = shell_words(&format!("curl '{word}' end")).unwrap();
            prop_assert_eq!(&words[1], &word);
        }
    }
}
