//! Who may stand in between, guessed from what hops write into requests and answers.
//!
//! A header is evidence and no proof: anybody can write one, and a hop may hide. So every product
//! is told with what was seen of it, and nobody is blamed on one header alone.

use super::compare::Line;
use http::HeaderMap;
use std::fmt;

/// Longest value that is shown, in characters.
const VALUE_MAX: usize = 40;

/// A hop that showed itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Which product.
    pub product: Product,
    /// What was seen of it, the most telling first.
    pub seen: Vec<Evidence>,
}

/// One header that tells of a hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The header, in lower case.
    pub header: String,
    /// Its value, shortened.
    pub value: String,
    /// Whether it stood in the request that arrived; else in the answer.
    pub in_request: bool,
}

/// Products that show themselves, in the order in which they usually stand: the one nearest to
/// clients first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Product {
    /// Cloudflare: edge, tunnel, Access.
    Cloudflare,
    /// Vercel.
    Vercel,
    /// Amazon CloudFront.
    CloudFront,
    /// Fastly.
    Fastly,
    /// Google's load balancers.
    Google,
    /// An Application Load Balancer of AWS.
    AwsAlb,
    /// Varnish.
    Varnish,
    /// Envoy, and what is made of it: Istio, Consul's API gateway, Contour.
    Envoy,
    /// HAProxy.
    HaProxy,
    /// Traefik.
    Traefik,
    /// Caddy.
    Caddy,
    /// nginx.
    Nginx,
    /// An edgespan before the one that tells.
    Edgespan,
    /// Another proxy that writes `Via`.
    Other,
}

impl Product {
    /// As the report names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cloudflare => "cloudflare",
            Self::Vercel => "vercel",
            Self::CloudFront => "cloudfront",
            Self::Fastly => "fastly",
            Self::Google => "google",
            Self::AwsAlb => "aws alb",
            Self::Varnish => "varnish",
            Self::Envoy => "envoy",
            Self::HaProxy => "haproxy",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Nginx => "nginx",
            Self::Edgespan => "edgespan",
            Self::Other => "a proxy",
        }
    }
}

/// What a header must hold to tell of a product; nothing: its name is enough.
struct Sign {
    product: Product,
    header: &'static str,
    holds: &'static str,
}

const fn sign(product: Product, header: &'static str, holds: &'static str) -> Sign {
    Sign {
        product,
        header,
        holds,
    }
}

/// The most telling first.
const SIGNS: &[Sign] = &[
    sign(Product::Cloudflare, "cf-ray", ""),
    sign(Product::Cloudflare, "cf-connecting-ip", ""),
    sign(Product::Cloudflare, "cf-mitigated", ""),
    sign(Product::Cloudflare, "cdn-loop", "cloudflare"),
    sign(Product::Cloudflare, "server", "cloudflare"),
    sign(Product::Vercel, "x-vercel-id", ""),
    sign(Product::Vercel, "x-vercel-cache", ""),
    sign(Product::Vercel, "server", "vercel"),
    sign(Product::CloudFront, "x-amz-cf-id", ""),
    sign(Product::CloudFront, "x-amz-cf-pop", ""),
    sign(Product::CloudFront, "via", "cloudfront"),
    sign(Product::CloudFront, "x-cache", "cloudfront"),
    sign(Product::Fastly, "x-served-by", "cache-"),
    sign(Product::Fastly, "cdn-loop", "fastly"),
    sign(Product::Google, "x-cloud-trace-context", ""),
    sign(Product::Google, "via", "google"),
    sign(Product::AwsAlb, "x-amzn-trace-id", ""),
    sign(Product::AwsAlb, "server", "awselb"),
    sign(Product::Varnish, "x-varnish", ""),
    sign(Product::Varnish, "via", "varnish"),
    sign(Product::Envoy, "x-envoy-upstream-service-time", ""),
    sign(Product::Envoy, "x-envoy-expected-rq-timeout-ms", ""),
    sign(Product::Envoy, "x-envoy-decorator-operation", ""),
    sign(Product::Envoy, "x-envoy-external-address", ""),
    sign(Product::Envoy, "x-envoy-attempt-count", ""),
    sign(Product::Envoy, "server", "envoy"),
    sign(Product::HaProxy, "via", "haproxy"),
    sign(Product::HaProxy, "server", "haproxy"),
    sign(Product::Traefik, "x-forwarded-server", ""),
    sign(Product::Traefik, "via", "traefik"),
    sign(Product::Caddy, "via", "caddy"),
    sign(Product::Caddy, "server", "caddy"),
    sign(Product::Nginx, "via", "nginx"),
    sign(Product::Nginx, "server", "nginx"),
    sign(Product::Nginx, "x-real-ip", ""),
    sign(Product::Edgespan, "via", "edgespan"),
];

/// Hops that show themselves, in the order in which they probably stand.
///
/// `arrived` is what an edgespan told of the request, if one did.
pub fn seen(answer: &HeaderMap, arrived: &[Line]) -> Vec<Hop> {
    let mut hops: Vec<Hop> = Vec::new();
    for sign in SIGNS {
        for evidence in sign.found_in(answer, arrived) {
            match hops.iter_mut().find(|hop| hop.product == sign.product) {
                Some(hop) => hop.seen.push(evidence),
                None => hops.push(Hop {
                    product: sign.product,
                    seen: vec![evidence],
                }),
            }
        }
    }
    if let Some(other) = unknown(answer, arrived) {
        hops.push(other);
    }
    hops.sort_by_key(|hop| (place(hop, arrived), hop.product));
    hops
}

impl Sign {
    fn found_in(&self, answer: &HeaderMap, arrived: &[Line]) -> Vec<Evidence> {
        let of_request = arrived.iter();
        let of_request = of_request.filter(|(name, _)| name.eq_ignore_ascii_case(self.header));
        let of_request = of_request.map(|(_, value)| (value.clone(), true));
        let of_answer = answer.get_all(self.header).iter();
        // In an answer it is the one at the end, who is no hop.
        let of_answer = of_answer.filter(|_| self.product != Product::Edgespan);
        let of_answer = of_answer.map(|value| {
            let value = value.as_bytes().iter().copied().map(char::from);
            (value.collect::<String>(), false)
        });
        let found = of_request
            .chain(of_answer)
            .find(|(value, _)| value.to_ascii_lowercase().contains(self.holds));
        let evidence = found.map(|(value, in_request)| Evidence {
            header: self.header.to_owned(),
            value: value.chars().take(VALUE_MAX).collect(),
            in_request,
        });
        evidence.into_iter().collect()
    }
}

/// A `via` that names no product of the list.
fn unknown(answer: &HeaderMap, arrived: &[Line]) -> Option<Hop> {
    let known = |value: &str| {
        let value = value.to_ascii_lowercase();
        let mut signs = SIGNS.iter().filter(|sign| sign.header == "via");
        signs.any(|sign| value.contains(sign.holds))
    };
    let all = Sign {
        product: Product::Other,
        header: "via",
        holds: "",
    };
    let mut evidence = all.found_in(answer, arrived);
    evidence.retain(|one| !one.value.is_empty() && !known(&one.value));
    (!evidence.is_empty()).then_some(Hop {
        product: Product::Other,
        seen: evidence,
    })
}

/// `Via` in a request lists hops in their order (RFC 9110 section 7.6.3); others stand before.
fn place(hop: &Hop, arrived: &[Line]) -> usize {
    let vias = arrived
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("via"));
    let all: Vec<&str> = vias.flat_map(|(_, value)| value.split(',')).collect();
    let own = |via: &&str| via.to_ascii_lowercase().contains(hop.product.name());
    all.iter().position(own).map_or(0, |at| at + 1)
}

impl fmt::Display for Evidence {
    /// `cf-ray 8f2a1c-FRA`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if matches!(self.header.as_str(), "via" | "server") {
            ":"
        } else {
            ""
        };
        write!(f, "{}{colon} {}", self.header, self.value)
    }
}

impl fmt::Display for Hop {
    /// `cloudflare (cf-ray 8f2a1c-FRA)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seen.first() {
            Some(first) => write!(f, "{} ({first})", self.product.name()),
            None => f.write_str(self.product.name()),
        }
    }
}

/// Where a change probably happens, in words. Names an interval or what is seen, never one hop as
/// the culprit; None: no hop shows itself.
pub fn likely(hops: &[Hop]) -> Option<String> {
    match hops {
        [] => None,
        [only] => Some(format!(
            "at or around {only}, the only hop that shows itself"
        )),
        [first, .., last] => Some(format!("between {first} and {last}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn answer(lines: &[(&str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&str, &str)| {
            (
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::try_from(*value).unwrap(),
            )
        };
        lines.iter().map(line).collect()
    }

    fn arrived(lines: &[(&str, &str)]) -> Vec<Line> {
        let line = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        lines.iter().map(line).collect()
    }

    #[test]
    fn hops_are_told_with_their_evidence_and_none_is_the_culprit() {
        let answer = answer(&[("server", "cloudflare"), ("cf-ray", "8f2a1c-FRA")]);
        let hops = seen(&answer, &arrived(&[("Via", "1.1 nginx")]));

        assert_eq!(hops.len(), 2);
        assert_eq!(hops[0].seen.len(), 2);
        assert_eq!(
            likely(&hops).unwrap(),
            "between cloudflare (cf-ray 8f2a1c-FRA) and nginx (via: 1.1 nginx)"
        );
        assert_eq!(
            likely(&hops[..1]).unwrap(),
            "at or around cloudflare (cf-ray 8f2a1c-FRA), the only hop that shows itself"
        );
        assert_eq!(likely(&[]), None);
    }

    #[test]
    fn via_tells_the_order_where_it_names_them() {
        let hops = seen(&answer(&[]), &arrived(&[("via", "1.1 Caddy, 1.1 haproxy")]));
        let names: Vec<_> = hops.iter().map(|hop| hop.product).collect();
        assert_eq!(names, [Product::Caddy, Product::HaProxy]);
    }

    #[test]
    fn a_via_that_names_nobody_is_a_proxy() {
        let hops = seen(&answer(&[("via", "1.1 gw-7")]), &[]);
        assert_eq!(hops[0].to_string(), "a proxy (via: 1.1 gw-7)");
    }

    #[test]
    fn an_edgespan_that_answers_is_no_hop_and_one_before_it_is() {
        assert_eq!(seen(&answer(&[("via", "1.1 edgespan")]), &[]), []);
        let hops = seen(&answer(&[]), &arrived(&[("via", "1.1 edgespan")]));
        assert_eq!(hops[0].product, Product::Edgespan);
    }
}
