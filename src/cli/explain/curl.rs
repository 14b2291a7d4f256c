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
    ignored: Vec<String>,
}

/// Flags of curl that take a value and say nothing about the request's head.
const WITH_VALUE: [&str; 20] = [
    "-o",
    "--output",
    "-w",
    "--write-out",
    "-m",
    "--max-time",
    "--connect-timeout",
    "--resolve",
    "--connect-to",
    "--cacert",
    "--cert",
    "-E",
    "--key",
    "-x",
    "--proxy",
    "--retry",
    "-c",
    "--cookie-jar",
    "--limit-rate",
    "--interface",
];

impl CurlLine {
    fn take<'a>(
        &mut self,
        word: &'a str,
        rest: &mut impl Iterator<Item = &'a str>,
    ) -> Result<(), NoTarget> {
        let (flag, joined) = split_flag(word);
        let mut value = || -> Result<String, NoTarget> {
            joined
                .map(str::to_owned)
                .or_else(|| rest.next().map(str::to_owned))
                .ok_or_else(|| no(format!("`{flag}` needs a value")))
        };
        match flag {
            "-X" | "--request" => self.method = Some(value()?),
            "-H" | "--header" => self.headers.push(value()?),
            "-A" | "--user-agent" => self.headers.push(format!("user-agent: {}", value()?)),
            "-e" | "--referer" => self.headers.push(format!("referer: {}", value()?)),
            "-b" | "--cookie" => self.headers.push(format!("cookie: {}", value()?)),
            // Its value is never shown; only that there is one matters here.
            "-u" | "--user" => {
                value()?;
                self.headers
                    .push("authorization: Basic (hidden)".to_owned());
            }
            "-I" | "--head" => self.method = Some("HEAD".to_owned()),
            "-G" | "--get" => self.query_from_data = true,
            "--url" => self.url = Some(value()?),
            "-d" | "--data" | "--data-raw" | "--data-binary" | "--data-ascii"
            | "--data-urlencode" | "--json" | "-F" | "--form" | "-T" | "--upload-file" => {
                let data = value()?;
                self.take_data(flag, data);
            }
            flag if WITH_VALUE.contains(&flag) => {
                let value = value()?;
                self.ignored.push(format!("{flag} {value}"));
            }
            flag if flag.starts_with('-') && flag.len() > 1 => self.ignored.push(flag.to_owned()),
            url if self.url.is_none() => self.url = Some(url.to_owned()),
            other => {
                return Err(no(format!(
                    "the line has two URLs; `{other}` is the second"
                )));
            }
        }
        Ok(())
    }

    fn take_data(&mut self, flag: &str, data: String) {
        let content_type = match flag {
            "--json" => Some("application/json"),
            "-F" | "--form" => Some("multipart/form-data"),
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
        target.ignored = self.ignored;
        Ok(target)
    }
}

/// A flag and the value that is written together with it: `-XPOST`, `--request=POST`.
fn split_flag(word: &str) -> (&str, Option<&str>) {
    const SHORT: [&str; 9] = ["-X", "-H", "-A", "-e", "-b", "-u", "-d", "-F", "-T"];
    if word.starts_with("--")
        && let Some((flag, value)) = word.split_once('=')
    {
        return (flag, Some(value));
    }
    let short = SHORT.into_iter().find(|flag| word.starts_with(flag));
    match short.and_then(|flag| Some((flag, word.strip_prefix(flag)?))) {
        Some((flag, value)) if !value.is_empty() => (flag, Some(value)),
        _ => (word, None),
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
        assert_eq!(target.ignored, ["--compressed", "-o /dev/null"]);
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
        let target = Target::of_curl("curl -u root:hunter2 http://a/").unwrap();

        assert!(!format!("{target:?}").contains("hunter2"));
        assert_eq!(target.headers[0].0, "authorization");
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
