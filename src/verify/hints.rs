//! What usually mends it. `docs/verify.md` has the same table with more words.

use super::compare::Kind;
use super::hops::{Hop, Product};
use super::verdict::{Change, How, Verdict};

/// Signs of a verdict that hints go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Cut,
    FirstLine,
    Reshaped,
    LostContext,
    Refused,
    Restarted,
    Unsampled,
    Decoded,
}

struct Hint {
    product: Option<Product>,
    kind: Option<Kind>,
    sign: Sign,
    what: &'static str,
}

const fn hint(
    product: Option<Product>,
    kind: Option<Kind>,
    sign: Sign,
    what: &'static str,
) -> Hint {
    Hint {
        product,
        kind,
        sign,
        what,
    }
}

/// The most special first: those of products before those of all.
const HINTS: &[Hint] = &[
    hint(
        Some(Product::Caddy),
        Some(Kind::Tracestate),
        Sign::FirstLine,
        "send tracestate as one line: Go's tracing in Caddy and Traefik reads the first alone",
    ),
    hint(
        Some(Product::Traefik),
        Some(Kind::Tracestate),
        Sign::FirstLine,
        "send tracestate as one line: Go's tracing in Caddy and Traefik reads the first alone",
    ),
    hint(
        Some(Product::Caddy),
        Some(Kind::Baggage),
        Sign::Reshaped,
        "set OTEL_PROPAGATORS=tracecontext for Caddy, so that baggage passes untouched",
    ),
    hint(
        Some(Product::Traefik),
        Some(Kind::Baggage),
        Sign::Reshaped,
        "set OTEL_PROPAGATORS=tracecontext for Traefik, so that baggage passes untouched",
    ),
    hint(
        Some(Product::Nginx),
        None,
        Sign::Refused,
        "raise large_client_header_buffers in nginx (4 8k by default; one line must fit into one)",
    ),
    hint(
        Some(Product::HaProxy),
        None,
        Sign::Refused,
        "raise tune.bufsize in HAProxy (16384 by default), or send less baggage",
    ),
    hint(
        Some(Product::Envoy),
        None,
        Sign::Refused,
        "raise max_request_headers_kb in Envoy (60 by default); Consul sets it by a proxy-defaults override",
    ),
    hint(
        Some(Product::AwsAlb),
        None,
        Sign::Refused,
        "an AWS ALB takes 16 KB a line and 64 KB in all, and that is fixed: send less",
    ),
    hint(
        Some(Product::Vercel),
        None,
        Sign::Refused,
        "Vercel bounds the headers of a request, and that is fixed: send less baggage",
    ),
    hint(
        Some(Product::Envoy),
        Some(Kind::Traceparent),
        Sign::Unsampled,
        "Envoy 1.39 and later decide anew: set random_sampling to 100 there, or use its parent-based sampler",
    ),
    hint(
        Some(Product::Envoy),
        None,
        Sign::Restarted,
        "send x-request-id as a UUID, or let Envoy make it: other ids switch its tracing off",
    ),
    hint(
        Some(Product::Cloudflare),
        None,
        Sign::Restarted,
        "a Worker in between makes requests of its own: copy traceparent, tracestate and baggage in its fetch",
    ),
    hint(
        Some(Product::Cloudflare),
        None,
        Sign::LostContext,
        "look for a Worker or a Transform Rule that removes it; the tunnel itself passes all of W3C's",
    ),
    hint(
        Some(Product::AwsAlb),
        None,
        Sign::LostContext,
        "look at routing.http.drop_invalid_header_fields of the ALB, and at what stands behind it",
    ),
    hint(
        Some(Product::Vercel),
        None,
        Sign::LostContext,
        "copy the header in the rewrite, middleware or function that calls the origin",
    ),
    hint(
        None,
        None,
        Sign::Unsampled,
        "let the hop's sampler follow its parent (parentbased_*)",
    ),
    hint(
        None,
        None,
        Sign::Restarted,
        "let the hop that traces extract this format (OTEL_PROPAGATORS), or turn its tracing off",
    ),
    hint(
        None,
        Some(Kind::Baggage),
        Sign::Decoded,
        "a hop reads and rewrites baggage: take it out of that hop's propagators",
    ),
    hint(
        None,
        Some(Kind::Baggage),
        Sign::Reshaped,
        "a hop reads and rewrites baggage: take it out of that hop's propagators",
    ),
    hint(
        None,
        Some(Kind::Tracestate),
        Sign::FirstLine,
        "send tracestate as one line, or let the hop join several (RFC 9110 section 5.3)",
    ),
    hint(
        None,
        None,
        Sign::Refused,
        "keep the header smaller, or raise that hop's header limit",
    ),
];

/// What to do about a verdict, given who was seen on the way. None: nothing that is known.
pub(super) fn what_to_do(kind: Kind, verdict: &Verdict, hops: &[Hop]) -> Option<String> {
    let sign = sign_of(verdict)?;
    if let (
        Sign::Cut,
        Verdict::Changed(Change {
            how: How::Cut { bytes, .. },
            ..
        }),
    ) = (sign, verdict)
    {
        return Some(keep_under(kind, *bytes));
    }
    let fits = |hint: &&Hint| {
        let product = |product| hops.iter().any(|hop| hop.product == product);
        let is_w3c = matches!(kind, Kind::Traceparent | Kind::Tracestate | Kind::Baggage);
        hint.sign == sign
            && (sign != Sign::LostContext || is_w3c)
            && hint.kind.is_none_or(|own| own == kind)
            && hint.product.is_none_or(product)
    };
    HINTS.iter().find(fits).map(|hint| hint.what.to_owned())
}

fn keep_under(kind: Kind, bytes: usize) -> String {
    let name = match kind {
        Kind::Traceparent => "traceparent",
        Kind::Tracestate => "tracestate",
        Kind::Baggage => "baggage",
        Kind::B3 | Kind::B3Multi | Kind::Plain => "it",
    };
    let size = if bytes >= 1024 && bytes.is_multiple_of(1024) {
        format!("{} KiB", bytes / 1024)
    } else {
        format!("{bytes} bytes")
    };
    format!("keep {name} under {size}, or raise that hop's header limit")
}

const fn sign_of(verdict: &Verdict) -> Option<Sign> {
    match verdict {
        Verdict::Changed(change) => match change.how {
            How::Cut { .. } => Some(Sign::Cut),
            How::LinesLost { .. } => Some(Sign::FirstLine),
            How::Reencoded => Some(Sign::Decoded),
            How::MembersLost { .. } | How::PropertiesLost | How::Other => Some(Sign::Reshaped),
            How::Shortened | How::Case => None,
        },
        Verdict::Reordered | Verdict::Duplicated => Some(Sign::Reshaped),
        Verdict::Lost => Some(Sign::LostContext),
        Verdict::Refused(_) => Some(Sign::Refused),
        Verdict::Restarted => Some(Sign::Restarted),
        Verdict::Unsampled => Some(Sign::Unsampled),
        Verdict::Intact
        | Verdict::Untold
        | Verdict::Joined { .. }
        | Verdict::Extended(_)
        | Verdict::Merged
        | Verdict::Split
        | Verdict::Respaced => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_says_how_much_gets_through() {
        let cut = |bytes| {
            let how = How::Cut {
                bytes,
                in_member: true,
            };
            Verdict::Changed(Change::between("a", "b", how))
        };
        assert_eq!(
            what_to_do(Kind::Baggage, &cut(4096), &[]).unwrap(),
            "keep baggage under 4 KiB, or raise that hop's header limit"
        );
        assert_eq!(
            what_to_do(Kind::Plain, &cut(1000), &[]).unwrap(),
            "keep it under 1000 bytes, or raise that hop's header limit"
        );
    }

    #[test]
    fn the_product_that_shows_itself_decides_what_helps() {
        let hop = |product| Hop {
            product,
            seen: Vec::new(),
        };
        let refused = Verdict::Refused(Some(400));
        let told = |product| what_to_do(Kind::Baggage, &refused, &[hop(product)]).unwrap();
        assert!(told(Product::Nginx).starts_with("raise large_client_header_buffers"));
        assert!(told(Product::HaProxy).starts_with("raise tune.bufsize"));
        assert!(told(Product::Other).starts_with("keep the header smaller"));
        assert_eq!(what_to_do(Kind::B3, &Verdict::Lost, &[]), None);
    }

    #[test]
    fn every_hint_stands_in_the_documentation() {
        let docs = include_str!("../../docs/verify.md");
        let words = docs
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace('`', "");
        for hint in HINTS {
            assert!(
                words.contains(hint.what),
                "docs/verify.md lacks: {}",
                hint.what
            );
        }
    }
}
