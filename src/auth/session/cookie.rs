//! The cookies that a session lies in, or its handle: one, or up to five where it is large.
//!
//! A large one is cut into `NAME.0` to `NAME.4`, of which the first begins with how many there are.
//! A dot, because a policy's name may end in `-0` and never in a dot. Nothing is read before it is
//! known to be within its bounds.

use super::CookieSettings;
use super::SessionError;
use crate::auth::oidc::cookies;
use crate::message::cookie;
use http::{HeaderMap, HeaderValue};
use std::borrow::Cow;
use std::time::Duration;

/// Longest value of one cookie, in bytes. Browsers take 4,096 with name and value, and names are
/// 160 at most.
pub(super) const CHUNK_BYTES_MAX: usize = 3_800;
/// Most cookies of one session.
const CHUNKS_MAX: usize = 5;
/// The bit of the cookie that is not cut.
const WHOLE: u8 = 1 << CHUNKS_MAX;

/// What a request brings of one session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Brought<'h> {
    /// Its text. None: nothing, or nothing that can be one.
    pub(super) text: Option<Cow<'h, str>>,
    /// Which cookies there are, a bit each.
    present: u8,
}

impl Brought<'_> {
    /// Whether there is no cookie at all.
    pub(super) const fn is_nothing(&self) -> bool {
        self.present == 0
    }
}

/// The cookies of one policy.
#[derive(Clone, Copy)]
pub(super) struct Cookies<'a> {
    pub(super) settings: &'a CookieSettings,
    pub(super) policy: &'a str,
    /// Whether they are those of `https`.
    pub(super) secure: bool,
}

impl Cookies<'_> {
    /// Reads them. A name that is there twice was put there by somebody else, and counts for
    /// nothing; so do pieces that are not all there, or too many.
    pub(super) fn read<'h>(&self, headers: &'h HeaderMap) -> Brought<'h> {
        let mut values: [Option<&str>; CHUNKS_MAX] = [None; CHUNKS_MAX];
        let mut whole = None;
        let (mut present, mut is_double) = (0, false);
        for pair in cookie::pairs(headers) {
            let Some((place, value)) = self.ours(pair) else {
                continue;
            };
            let slot = match place {
                Some(at) => values.get_mut(at),
                None => Some(&mut whole),
            };
            let Some(slot) = slot else { continue };
            let bit = place.map_or(WHOLE, |at| 1 << at);
            is_double |= present & bit != 0;
            present |= bit;
            *slot = std::str::from_utf8(value)
                .ok()
                .filter(|value| value.len() <= CHUNK_BYTES_MAX);
        }
        let text = match (is_double, present) {
            (true, _) => None,
            (false, WHOLE) => whole.map(Cow::Borrowed),
            (false, present) if present & WHOLE == 0 => joined(&values).map(Cow::Owned),
            (false, _) => None,
        };
        Brought { text, present }
    }

    /// Which cookie of this session a pair is, and its value: None within stands for the one that
    /// is not cut.
    fn ours<'p>(&self, pair: &'p [u8]) -> Option<(Option<usize>, &'p [u8])> {
        let mark = cookies::mark(self.settings, self.secure);
        let rest = pair.strip_prefix(mark.as_bytes())?;
        let rest = rest.strip_prefix(self.settings.name.as_bytes())?;
        let rest = rest.strip_prefix(b"-")?;
        match rest.strip_prefix(self.policy.as_bytes())? {
            [b'=', value @ ..] => Some((None, value)),
            [b'.', digit @ b'0'..=b'9', b'=', value @ ..] => {
                let at = usize::from(digit - b'0');
                (at < CHUNKS_MAX).then_some((Some(at), value))
            }
            _ => None,
        }
    }

    /// The `Set-Cookie` values that put a text there, and take away what is left of another one.
    ///
    /// # Errors
    /// [`SessionError::TooLarge`]
    pub(super) fn write(
        &self,
        text: &str,
        max_age: Duration,
        brought: &Brought<'_>,
    ) -> Result<Vec<HeaderValue>, SessionError> {
        let mut set = Vec::new();
        let mut written = 0;
        if text.len() <= CHUNK_BYTES_MAX {
            set.extend(self.set(None, text, max_age));
            written = WHOLE;
        } else {
            let count = (text.len() + 2).div_ceil(CHUNK_BYTES_MAX);
            if count > CHUNKS_MAX {
                return Err(SessionError::TooLarge(text.len()));
            }
            let text = format!("{count}.{text}");
            for (at, piece) in text.as_bytes().chunks(CHUNK_BYTES_MAX).enumerate() {
                let piece = std::str::from_utf8(piece).unwrap_or_default();
                set.extend(self.set(Some(at), piece, max_age));
                written |= 1 << at;
            }
        }
        set.extend(self.clear_bits(brought.present & !written));
        Ok(set)
    }

    /// The `Set-Cookie` values that take them from the browser.
    pub(super) fn clear(&self, brought: &Brought<'_>) -> Vec<HeaderValue> {
        self.clear_bits(brought.present).collect()
    }

    fn clear_bits(&self, bits: u8) -> impl Iterator<Item = HeaderValue> {
        let chunks = (0..CHUNKS_MAX).filter(move |at| bits & (1 << at) != 0);
        let whole = (bits & WHOLE != 0).then_some(None);
        let places = chunks.map(Some).chain(whole);
        places.filter_map(|place| self.set(place, "", Duration::ZERO))
    }

    /// None if a policy's name cannot stand in a cookie, which the configuration refuses.
    fn set(&self, place: Option<usize>, value: &str, max_age: Duration) -> Option<HeaderValue> {
        let rest = match place {
            Some(at) => format!("{}.{at}", self.policy),
            None => self.policy.to_owned(),
        };
        cookies::set_session(self.settings, self.secure, &rest, value, max_age)
    }
}

/// The first piece says how many there are: one digit and a dot.
fn joined(values: &[Option<&str>; CHUNKS_MAX]) -> Option<String> {
    let first = values.first().copied().flatten()?;
    let (count, first) = first.split_once('.')?;
    let count = match count.as_bytes() {
        [digit @ b'2'..=b'5'] => usize::from(digit - b'0'),
        _ => return None,
    };
    let rest = values.get(1..count)?;
    let bytes = rest
        .iter()
        .flatten()
        .map(|value| value.len())
        .sum::<usize>();
    let mut text = String::with_capacity(first.len() + bytes);
    text.push_str(first);
    for value in rest {
        text.push_str((*value)?);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::super::tests::browser;
    use super::*;
    use http::header::COOKIE;
    use proptest::prelude::*;

    fn settings(domain: Option<&str>) -> CookieSettings {
        CookieSettings {
            name: "edgespan".into(),
            domain: domain.map(Into::into),
            same_site: "Strict",
        }
    }

    fn of(settings: &CookieSettings, secure: bool) -> Cookies<'_> {
        Cookies {
            settings,
            policy: "web",
            secure,
        }
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let lines = lines.iter().map(|line| line.parse().unwrap());
        lines.map(|line| (COOKIE, line)).collect()
    }

    fn nothing() -> Brought<'static> {
        Brought {
            text: None,
            present: 0,
        }
    }

    #[test]
    fn names_and_attributes_are_those_of_the_scheme_and_the_domain() {
        let (host, domain) = (settings(None), settings(Some("example.com")));
        let set = |settings, secure| {
            let age = Duration::from_secs(60);
            let set = of(settings, secure).write("v", age, &nothing()).unwrap();
            set[0].to_str().unwrap().to_owned()
        };

        assert_eq!(
            set(&host, true),
            "__Host-edgespan-web=v; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"
        );
        assert_eq!(
            set(&domain, true),
            "__Secure-edgespan-web=v; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure; \
             Domain=example.com"
        );
        assert_eq!(
            set(&host, false),
            "edgespan-web=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn a_text_at_each_bound_takes_the_cookies_it_needs_and_comes_back() {
        let settings = settings(None);
        let cookies = of(&settings, true);
        for (length, pieces) in [
            (0, Some(1)),
            (1, Some(1)),
            (CHUNK_BYTES_MAX, Some(1)),
            (CHUNK_BYTES_MAX + 1, Some(2)),
            (2 * CHUNK_BYTES_MAX - 2, Some(2)),
            (2 * CHUNK_BYTES_MAX - 1, Some(3)),
            (5 * CHUNK_BYTES_MAX - 2, Some(5)),
            (5 * CHUNK_BYTES_MAX - 1, None),
        ] {
            let text: String = (0..length)
                .map(|at| char::from(b'a' + (at % 26) as u8))
                .collect();
            let written = cookies.write(&text, Duration::from_secs(9), &nothing());
            assert_eq!(written.as_ref().map(Vec::len).ok(), pieces, "{length}");
            let Ok(written) = written else {
                assert_eq!(written, Err(SessionError::TooLarge(length)));
                continue;
            };
            let headers = browser(&written);
            let brought = cookies.read(&headers);
            assert_eq!(brought.text.as_deref(), Some(&*text));
            assert_eq!(cookies.clear(&brought).len(), pieces.unwrap());
            for one in &written {
                assert!(
                    one.as_bytes()
                        .split(|byte| *byte == b';')
                        .next()
                        .unwrap()
                        .len()
                        <= 4_096
                );
            }
        }
    }

    #[test]
    fn what_is_left_of_a_larger_session_is_taken_away() {
        let settings = settings(None);
        let cookies = of(&settings, true);
        let large = "x".repeat(3 * CHUNK_BYTES_MAX - 2);
        let written = cookies
            .write(&large, Duration::from_secs(9), &nothing())
            .unwrap();
        let headers = browser(&written);

        let small = cookies
            .write("y", Duration::from_secs(9), &cookies.read(&headers))
            .unwrap();

        let gone = |one: &&HeaderValue| one.to_str().unwrap().contains("Max-Age=0");
        assert_eq!(small.iter().filter(gone).count(), 3);
        assert!(
            small
                .iter()
                .all(|one| one.to_str().unwrap().contains("; Secure"))
        );
        assert_eq!(cookies.read(&browser(&small)).text.as_deref(), Some("y"));
    }

    /// CVE-2024-24814: a number of pieces that the client says, believed.
    #[test]
    fn pieces_without_bounds_or_without_a_whole_are_nothing() {
        let settings = settings(None);
        let n = "__Host-edgespan-web";
        let long = "x".repeat(CHUNK_BYTES_MAX + 1);
        for line in [
            format!("{n}.0=99999999.a; {n}.1=b"),
            format!("{n}.0=9.a; {n}.1=b"),
            format!("{n}.0=1.a"),
            format!("{n}.0=0.a"),
            format!("{n}.0=-2.a; {n}.1=b"),
            format!("{n}.0=3.a; {n}.1=b"),
            format!("{n}.1=b; {n}.2=c"),
            format!("{n}.0=ab; {n}.1=c"),
            format!("{n}=a; {n}.0=2.a; {n}.1=b"),
            format!("{n}=a; {n}=a"),
            format!("{n}.0=2.a; {n}.1=b; {n}.1=b"),
            format!("{n}={long}"),
            format!("{n}.0=2.a; {n}.1={long}"),
        ] {
            let headers = headers(&[&line]);
            let brought = of(&settings, true).read(&headers);
            assert_eq!(brought.text, None, "{line:.80}");
            assert!(!brought.is_nothing(), "{line:.80}");
        }
        for line in [
            "web=a",
            "edgespan-web=a",
            "__Secure-edgespan-web=a",
            "__Host-edgespan-webb=a",
            "__Host-edgespan-web.7=a",
            "__Host-edgespan-web.99999999=a",
            "__Host-edgespan-web",
            "a=__Host-edgespan-web=a",
        ] {
            let headers = headers(&[line]);
            let brought = of(&settings, true).read(&headers);
            assert_eq!(brought, nothing(), "{line}");
        }
    }

    #[test]
    fn cookies_are_found_in_every_line_and_between_others() {
        let settings = settings(None);
        let headers = headers(&[
            "a=1;  __Host-edgespan-web.1=b ;c=2",
            "__Host-edgespan-web.0=2.a",
        ]);
        let brought = of(&settings, true).read(&headers);
        assert_eq!(brought.text.as_deref(), Some("ab"));
    }

    proptest! {
        #[test]
        fn no_cookie_line_is_too_odd(line in "(__Host-edgespan-web[.0-9]{0,3}=[0-9.a]{0,4}; ?){0,6}") {
            let settings = settings(None);
            if let Ok(line) = line.parse::<HeaderValue>() {
                let headers: HeaderMap = [(COOKIE, line)].into_iter().collect();
                let brought = of(&settings, true).read(&headers);
                prop_assert!(brought.text.is_none() || !brought.is_nothing());
            }
        }
    }
}
