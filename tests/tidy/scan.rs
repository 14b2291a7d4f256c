//! Reads Rust just well enough to count and to see imports: comments and strings are blanked, so
//! that braces and paths in them mean nothing.

/// One function with a body.
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// Where it begins, counted from one.
    pub(crate) line: usize,
    /// Lines with code between its braces.
    pub(crate) lines: usize,
}

/// One mention of a folder of `src`.
pub(crate) struct Import {
    /// The folder.
    pub(crate) folder: String,
    /// Where, counted from one.
    pub(crate) line: usize,
}

/// The text with comments as blanks and the inside of literals as `"`; lines stay what they were.
pub(crate) fn blank(text: &str) -> String {
    let mut out = Blanked::default();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let literal = literal_len(rest, out.ends_in_word);
        let comment = comment_len(rest);
        if comment > 0 {
            out.fill(&rest[..comment], ' ');
            rest = &rest[comment..];
        } else if literal > 0 {
            out.fill(&rest[..literal], '"');
            rest = &rest[literal..];
        } else {
            out.keep(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out.text
}

/// What [`blank`] has written so far.
#[derive(Default)]
struct Blanked {
    text: String,
    /// Whether an `r` now would be the end of a word, not the start of a raw string.
    ends_in_word: bool,
}

impl Blanked {
    fn keep(&mut self, c: char) {
        self.text.push(c);
        self.ends_in_word = is_word(c);
    }

    fn fill(&mut self, part: &str, with: char) {
        let filled = part.chars().map(|c| if c == '\n' { c } else { with });
        self.text.extend(filled);
        self.ends_in_word = false;
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Bytes of the comment that starts here, or 0.
fn comment_len(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if !text.starts_with("/*") {
        return 0;
    }
    let (mut at, mut open) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (at, open) = (at + 2, open + 1);
        } else if text[at..].starts_with("*/") {
            (at, open) = (at + 2, open - 1);
            if open == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Bytes of the string or character that starts here, or 0.
fn literal_len(text: &str, in_word: bool) -> usize {
    let bare = match text.strip_prefix(['b', 'c']) {
        Some(bare) if !in_word => bare,
        _ => text,
    };
    let prefix = text.len() - bare.len();
    if let Some(raw) = bare.strip_prefix('r').filter(|_| !in_word) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let inside = hashes + 1;
            let len = raw[inside..]
                .find(&end)
                .map_or(raw.len(), |at| inside + at + end.len());
            return prefix + 1 + len;
        }
    }
    let mut chars = bare.chars();
    let quote = match (chars.next(), chars.next(), chars.next()) {
        (Some('"'), _, _) => '"',
        // `'a'` and `'\n'` are characters, `'a` is a lifetime.
        (Some('\''), Some('\\'), _) | (Some('\''), Some(_), Some('\'')) => '\'',
        _ => return 0,
    };
    let mut escaped = false;
    for (at, c) in bare.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return prefix + at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Every function with a body, in blanked text.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if code[..at].ends_with(is_word) {
            continue;
        }
        let name: String = code[at + 3..].chars().take_while(|c| is_word(*c)).collect();
        let Some(body) = body(&code[at..]) else {
            continue;
        };
        let lines = body.lines().filter(|line| !line.trim().is_empty()).count();
        let line = line_of(code, at);
        found.push(Function { name, line, lines });
    }
    found
}

/// What stands between the braces of the function that starts here; none for a bare signature.
fn body(code: &str) -> Option<&str> {
    let mut brackets = 0_i32;
    let open = code.char_indices().find_map(|(at, c)| {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            '{' | ';' if brackets == 0 => return Some((at, c)),
            _ => {}
        }
        None
    });
    let (start, '{') = open? else { return None };
    let inside = &code[start + 1..];
    Some(&inside[..closing(inside)])
}

/// Where the brace closes that was opened just before.
fn closing(code: &str) -> usize {
    let mut open = 1;
    for (at, c) in code.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return at;
        }
    }
    code.len()
}

/// Every path that leads to a folder of the crate, in blanked text of a module that `depth` times
/// `super` leads out of.
pub(crate) fn imports(code: &str, depth: usize) -> Vec<Import> {
    let to_root = "super::".repeat(depth);
    let mut found = Vec::new();
    for start in ["crate::", &to_root] {
        if start.is_empty() {
            continue;
        }
        for (at, _) in code.match_indices(start) {
            let before = &code[..at];
            if before.ends_with(is_word) || before.ends_with("super::") {
                continue;
            }
            let line = line_of(code, at);
            let path = &code[at + start.len()..];
            let folders = first_names(path).into_iter();
            found.extend(folders.map(|folder| Import { folder, line }));
        }
    }
    found.sort_by_key(|import| import.line);
    found
}

/// `a` of `a::b`; `a` and `c` of `{a::{b, d}, c}`.
fn first_names(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![path.chars().take_while(|c| is_word(*c)).collect()];
    };
    let mut open = 0;
    let mut names = vec![String::new()];
    let mut done = false;
    for c in group[..closing(group)].chars() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            ',' if open == 0 => {
                names.push(String::new());
                done = false;
            }
            c if open == 0 && !done && is_word(c) => names.last_mut().unwrap().push(c),
            c if open == 0 && !c.is_whitespace() => done = true,
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}
