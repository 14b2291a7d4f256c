//! `error.type`: what made a span an error (semantic conventions 1.44.0, Stable).

use super::rpc::GrpcStatus;
use super::span::OpenSpan;

/// The value of `error.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorType<'a> {
    /// A word of low cardinality.
    Word(&'a str),
    /// An HTTP status code.
    Status(u16),
}

impl<'a> ErrorType<'a> {
    /// What makes a SERVER span an error: a 5xx; a gRPC status that is the server's fault; or
    /// `cause`, something that went wrong beside the status, such as a body cut short. A 4xx
    /// never does.
    pub(super) fn of_server(
        status: Option<u16>,
        grpc: Option<GrpcStatus>,
        cause: Option<&'a str>,
    ) -> Option<Self> {
        let cause = cause.map(Self::Word);
        let grpc = grpc.filter(|status| status.is_server_error());
        let grpc = grpc.map(|status| Self::Word(status.name()));
        match status {
            Some(status) if status >= 500 => cause.or(grpc).or(Some(Self::Status(status))),
            Some(400..=499) => grpc,
            _ => cause.or(grpc),
        }
    }

    /// What makes a CLIENT span an error: a 4xx or 5xx; a gRPC status other than OK; or `cause`,
    /// something that went wrong beside the status.
    pub(super) fn of_client(
        status: Option<u16>,
        grpc: Option<GrpcStatus>,
        cause: Option<&'a str>,
    ) -> Option<Self> {
        let grpc = grpc.filter(|status| status.is_client_error());
        let grpc = grpc.map(|status| Self::Word(status.name()));
        let status = status.filter(|&status| status >= 400).map(Self::Status);
        cause.map(Self::Word).or(grpc).or(status)
    }

    /// Makes the span an error of this type.
    pub(super) fn write(self, span: &mut OpenSpan) {
        span.set_error();
        match self {
            Self::Word(word) => span.str("error.type", word),
            Self::Status(status) => span.str("error.type", &status.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome<'a> = (Option<u16>, Option<u32>, Option<&'a str>);

    #[track_caller]
    fn check((status, grpc, cause): Outcome<'_>, server: Option<&str>, client: Option<&str>) {
        let grpc = grpc.map(GrpcStatus::from_number);
        let text = |error: ErrorType<'_>| match error {
            ErrorType::Word(word) => word.to_owned(),
            ErrorType::Status(status) => status.to_string(),
        };
        let of_server = ErrorType::of_server(status, grpc, cause).map(text);
        let of_client = ErrorType::of_client(status, grpc, cause).map(text);
        assert_eq!(
            (of_server.as_deref(), of_client.as_deref()),
            (server, client)
        );
    }

    #[test]
    fn a_4xx_is_the_fault_of_whoever_sent_the_request() {
        check((None, None, None), None, None);
        for status in [101, 200, 304, 399] {
            check((Some(status), None, None), None, None);
        }
        check((Some(404), None, None), None, Some("404"));
        check(
            (Some(413), None, Some("body_too_large")),
            None,
            Some("body_too_large"),
        );
        check((Some(500), None, None), Some("500"), Some("500"));
    }

    #[test]
    fn a_cause_says_more_than_a_status() {
        check(
            (Some(504), None, Some("timeout")),
            Some("timeout"),
            Some("timeout"),
        );
        check(
            (Some(200), None, Some("upstream_reset")),
            Some("upstream_reset"),
            Some("upstream_reset"),
        );
        check(
            (None, None, Some("connection_refused")),
            Some("connection_refused"),
            Some("connection_refused"),
        );
    }

    #[test]
    fn a_grpc_status_is_judged_from_both_sides() {
        check((Some(200), Some(0), None), None, None);
        check((Some(200), Some(5), None), None, Some("NOT_FOUND"));
        check(
            (Some(200), Some(14), None),
            Some("UNAVAILABLE"),
            Some("UNAVAILABLE"),
        );
        check(
            (Some(200), Some(4), Some("timeout")),
            Some("timeout"),
            Some("timeout"),
        );
        check(
            (Some(503), Some(14), None),
            Some("UNAVAILABLE"),
            Some("UNAVAILABLE"),
        );
    }
}
