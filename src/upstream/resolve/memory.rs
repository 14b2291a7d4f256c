//! What name servers said last, for when they say nothing: no answer about one host, or about one
//! family of its addresses, shall not pass for the answer that there is none.

use super::Families;
use super::lookup::LookupError;
use hickory_resolver::net::NetError;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long an answer in one family waits for that of the other.
const OTHER_FAMILY_MAX: Duration = Duration::from_millis(500);

/// What was said of one family: addresses, and how long they may be used.
pub(super) type Answer = Result<(Vec<IpAddr>, Duration), LookupError>;

/// What was said of one host. None: it was not asked for in that family.
#[derive(Default)]
pub(super) struct Said {
    pub(super) v4: Option<Answer>,
    pub(super) v6: Option<Answer>,
}

/// What is to be used of it.
pub(super) struct Heard {
    pub(super) found: Vec<IpAddr>,
    /// How long what was said just now may be used.
    pub(super) ttl: Duration,
    /// Why something is missing, or as it was said before.
    pub(super) missing: Option<LookupError>,
    /// Whether any addresses were said just now.
    pub(super) is_news: bool,
    /// How it was said that there is nothing.
    pub(super) denied: Option<LookupError>,
}

/// Addresses of hosts, as they were said last.
#[derive(Default)]
pub(super) struct Memory(HashMap<Arc<str>, Known>);

/// Of one host, in either family.
#[derive(Clone, Default)]
struct Known {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
}

impl Memory {
    /// Whether addresses in IPv4 are known of a host.
    pub(super) fn has_v4(&self, host: &str) -> bool {
        self.0.get(host).is_some_and(|known| !known.v4.is_empty())
    }

    /// Nobody but these hosts is asked for any more.
    pub(super) fn retain(&mut self, is_asked: impl Fn(&str) -> bool) {
        self.0.retain(|host, _| is_asked(host));
    }

    /// Takes in what was said of a host, and fills in what was not.
    pub(super) fn hear(&mut self, host: &Arc<str>, said: Said, families: Families) -> Heard {
        let known = self.0.entry(Arc::clone(host)).or_default();
        let mut heard = Heard {
            found: Vec::new(),
            ttl: Duration::MAX,
            missing: None,
            is_news: false,
            denied: None,
        };
        let v4 = said.v4.and_then(|v4| heard.take(v4, &mut known.v4));
        let v6 = said.v6.and_then(|v6| heard.take(v6, &mut known.v6));
        // Where there are both, IPv4 alone is used.
        let enough = families == Families::Auto && v4.is_none() && !known.v4.is_empty();
        heard.missing = v4.or(v6.filter(|_| !enough));
        heard
    }
}

impl Heard {
    /// Takes in one family; gives back why nothing was said of it.
    fn take(&mut self, answer: Answer, known: &mut Vec<IpAddr>) -> Option<LookupError> {
        let missing = match answer {
            Ok((found, ttl)) => {
                self.ttl = self.ttl.min(ttl);
                self.is_news = true;
                *known = found;
                None
            }
            Err(error) if error.is_negative() => {
                known.clear();
                self.denied = Some(error);
                None
            }
            Err(error) => Some(error),
        };
        self.found.extend_from_slice(known);
        missing
    }
}

/// Both families at once. A server that is silent about one of them shall not hold up the other;
/// but IPv4 is what is used where there are both, so with `patience`, where something is in use
/// already, it is waited for.
pub(super) async fn both(
    v4: impl Future<Output = Answer>,
    v6: impl Future<Output = Answer>,
    patience: bool,
) -> Said {
    let (mut v4, mut v6) = (std::pin::pin!(v4), std::pin::pin!(v6));
    let (v4, v6) = tokio::select! {
        first = &mut v4 => {
            let second = if first.is_ok() { in_time(v6).await } else { v6.await };
            (first, second)
        }
        first = &mut v6 => {
            let waits = patience || first.is_err();
            let second = if waits { v4.await } else { in_time(v4).await };
            (second, first)
        }
    };
    Said {
        v4: Some(v4),
        v6: Some(v6),
    }
}

async fn in_time(answer: impl Future<Output = Answer>) -> Answer {
    let answer = tokio::time::timeout(OTHER_FAMILY_MAX, answer).await;
    answer.unwrap_or(Err(LookupError::NoAnswer(NetError::Timeout)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    fn of(address: IpAddr, seconds: u64) -> Answer {
        Ok((vec![address], Duration::from_secs(seconds)))
    }

    fn nothing() -> Answer {
        Err(LookupError::Nothing(None))
    }

    fn silence() -> Answer {
        Err(LookupError::NoAnswer(NetError::Timeout))
    }

    fn said(v4: Answer, v6: Answer) -> Said {
        Said {
            v4: Some(v4),
            v6: Some(v6),
        }
    }

    /// What is used after these answers, one after the other, and whether something is missing.
    #[track_caller]
    fn check(answers: Vec<Said>, families: Families, expected: (&[IpAddr], bool)) {
        let (mut memory, host) = (Memory::default(), Arc::from("app"));
        let mut used = (Vec::new(), false);
        for answer in answers {
            let heard = memory.hear(&host, answer, families);
            used = (heard.found, heard.missing.is_some());
        }
        assert_eq!((&*used.0, used.1), expected);
    }

    #[test]
    fn both_families_make_one_answer_with_the_shorter_time() {
        let heard = Memory::default().hear(
            &Arc::from("app"),
            said(of(V4, 9), of(V6, 5)),
            Families::Auto,
        );

        assert_eq!(heard.found, [V4, V6]);
        assert_eq!(heard.ttl, Duration::from_secs(5));
        assert!(heard.missing.is_none() && heard.denied.is_none());
    }

    #[test]
    fn a_family_that_nothing_is_said_of_is_as_it_was() {
        let both = || said(of(V4, 9), of(V6, 9));
        for families in [Families::Auto, Families::All] {
            check(
                vec![both(), said(silence(), of(V6, 9))],
                families,
                (&[V4, V6], true),
            );
            check(
                vec![both(), said(nothing(), of(V6, 9))],
                families,
                (&[V6], false),
            );
            check(vec![said(silence(), of(V6, 9))], families, (&[V6], true));
        }
        let half = || vec![both(), said(of(V4, 9), silence())];
        check(half(), Families::Auto, (&[V4, V6], false));
        check(half(), Families::All, (&[V4, V6], true));
    }

    #[test]
    fn what_was_denied_is_not_remembered() {
        let answers = vec![
            said(of(V4, 9), nothing()),
            said(nothing(), nothing()),
            said(silence(), of(V6, 9)),
        ];
        check(answers, Families::Auto, (&[V6], true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_family_that_nobody_answers_for_does_not_hold_up_the_other() {
        let answer = both(async { of(V4, 9) }, pending(), true).await;
        assert!(answer.v4.unwrap().is_ok() && answer.v6.unwrap().is_err());

        let answer = both(pending(), async { of(V6, 9) }, false).await;
        assert!(!answer.v4.unwrap().unwrap_err().is_negative());
        assert!(answer.v6.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn ipv4_is_waited_for_where_it_is_in_use() {
        let late = async {
            tokio::time::sleep(OTHER_FAMILY_MAX * 4).await;
            of(V4, 9)
        };

        let answer = both(late, async { of(V6, 9) }, true).await;

        assert!(answer.v4.unwrap().is_ok());
    }
}
