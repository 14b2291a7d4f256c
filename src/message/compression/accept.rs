//! `Accept-Encoding`: which content coding a client wants (RFC 9110 section 12.5.3).

use super::Algorithm;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// What a client's `Accept-Encoding` comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The answer is to be coded so; `only` says that it may not go as it is.
    Coded { algorithm: Algorithm, only: bool },
    /// The answer goes as it is.
    AsItIs,
}

/// Weights in thousandths. None: not named.
#[derive(Clone, Copy, Default)]
struct Weights {
    gzip: Option<u16>,
    zstd: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

/// Chooses among what is offered: the greatest weight, of equal ones the first. Without the field
/// anything would do, but whoever does not ask for a coding may not know any.
pub(super) fn choose(headers: &HeaderMap, offered: &[Algorithm]) -> Choice {
    let mut weights = Weights::default();
    for value in headers.get_all(ACCEPT_ENCODING) {
        // What is not text names no coding.
        for element in value.to_str().unwrap_or_default().split(',') {
            weights.take(element);
        }
    }
    let weight = |algorithm: &Algorithm| {
        let named = match algorithm {
            Algorithm::Gzip => weights.gzip,
            Algorithm::Zstd => weights.zstd,
        };
        named.or(weights.any).unwrap_or(0)
    };
    let mut best: Option<(Algorithm, u16)> = None;
    for algorithm in offered {
        let weight = weight(algorithm);
        if weight > best.map_or(0, |(_, most)| most) {
            best = Some((*algorithm, weight));
        }
    }
    // "identity" is acceptable unless it, or `*` without it, is refused.
    let only = weights.identity.or(weights.any) == Some(0);
    match best {
        Some((algorithm, weight)) if weights.identity.is_none_or(|own| weight >= own) => {
            Choice::Coded { algorithm, only }
        }
        _ => Choice::AsItIs,
    }
}

impl Weights {
    /// Takes in one element of the list. One that cannot be read is passed over; of a coding named
    /// twice the first counts.
    fn take(&mut self, element: &str) {
        let (coding, parameters) = match element.split_once(';') {
            Some((coding, parameters)) => (coding.trim(), Some(parameters)),
            None => (element.trim(), None),
        };
        let Some(weight) = parameters.map_or(Some(1000), weight) else {
            return;
        };
        let is = |name: &str| coding.eq_ignore_ascii_case(name);
        let slot = if is("gzip") || is("x-gzip") {
            &mut self.gzip
        } else if is("zstd") {
            &mut self.zstd
        } else if is("identity") {
            &mut self.identity
        } else if coding == "*" {
            &mut self.any
        } else {
            return;
        };
        slot.get_or_insert(weight);
    }
}

/// `q=0.5` in thousandths (RFC 9110 section 12.4.2).
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.trim().split_once('=')?;
    if !name.trim_end().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const BOTH: [Algorithm; 2] = [Algorithm::Zstd, Algorithm::Gzip];
    const GZIP: Choice = Choice::Coded {
        algorithm: Algorithm::Gzip,
        only: false,
    };
    const ZSTD: Choice = Choice::Coded {
        algorithm: Algorithm::Zstd,
        only: false,
    };

    fn chosen(values: &[&str]) -> Choice {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
        }
        choose(&headers, &BOTH)
    }

    #[track_caller]
    fn check(value: &str, expected: Choice) {
        assert_eq!(chosen(&[value]), expected, "{value}");
    }

    #[test]
    fn the_greatest_weight_wins_and_of_equal_ones_what_is_offered_first() {
        check("gzip", GZIP);
        check("gzip, deflate, br, zstd", ZSTD);
        check("gzip;q=1.0, zstd;q=0.5", GZIP);
        check("gzip;q=0.501,zstd;q=0.5", GZIP);
        check("GZip ; Q=0.7", GZIP);
        check("x-gzip", GZIP);
        check("*", ZSTD);
        check("*;q=0.1, zstd;q=0", GZIP);
        check("gzip;q=0, gzip", Choice::AsItIs);
        assert_eq!(chosen(&["br", "gzip"]), GZIP);
    }

    #[test]
    fn who_asks_for_nothing_gets_it_as_it_is() {
        assert_eq!(chosen(&[]), Choice::AsItIs);
        check("", Choice::AsItIs);
        check("br, deflate", Choice::AsItIs);
        check("gzip;q=0", Choice::AsItIs);
        check("identity", Choice::AsItIs);
        check("identity;q=1, gzip;q=0.5", Choice::AsItIs);
        check("identity;q=0.5, gzip;q=0.5", GZIP);
    }

    #[test]
    fn a_client_may_refuse_the_answer_as_it_is() {
        let only = Choice::Coded {
            algorithm: Algorithm::Gzip,
            only: true,
        };

        check("gzip, identity;q=0", only);
        check("gzip, *;q=0", only);
        check("gzip, identity;q=0.1, *;q=0", GZIP);
        // Nothing that we have would do: the origin's answer is the best there is.
        check("br, identity;q=0", Choice::AsItIs);
    }

    #[test]
    fn a_weight_that_is_none_makes_its_element_void() {
        for bad in ["2", "1.001", "0.0001", "-1", ".5", "x", "", "0,5", "1e0"] {
            check(&format!("gzip;q={bad}"), Choice::AsItIs);
        }
        check("gzip;x=1", Choice::AsItIs);
        check("gzip;q=1.", GZIP);
        check("gzip;q=0.", Choice::AsItIs);
    }

    proptest! {
        #[test]
        fn no_value_makes_the_choice_panic(value in "[ -~]{0,60}") {
            chosen(&[&value]);
        }

        #[test]
        fn what_is_chosen_was_named_with_some_weight(
            gzip in 0_u16..=1000,
            zstd in 0_u16..=1000,
        ) {
            let text = |weight: u16| format!("{}.{:03}", weight / 1000, weight % 1000);
            let value = format!("gzip;q={}, zstd;q={}", text(gzip), text(zstd));

            let expected = match (gzip, zstd) {
                (0, 0) => Choice::AsItIs,
                _ if gzip > zstd => GZIP,
                _ => ZSTD,
            };

            prop_assert_eq!(chosen(&[&value]), expected);
        }
    }
}
