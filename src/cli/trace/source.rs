//! Whom the trace commands ask, and how a failure to ask is told.

use crate::backend::{Access, Address, Backend, BackendError};
use crate::cli::failure::{ExitStatus, Failure};
use crate::cli::trust::TrustArgs;
use crate::client::{Client, TIMEOUT};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// Credentials for a backend, as `Authorization: Bearer`. A flag would show them in every list of
/// processes.
pub const TOKEN_VARIABLE: &str = "EDGESPAN_TOKEN";
/// Tempo's name of a tenant.
const TENANT: HeaderName = HeaderName::from_static("x-scope-orgid");

/// Which backend, and what it is sent beside the question.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Backend")]
pub struct SourceArgs {
    /// Whom to ask: an edgespan, Tempo, Jaeger or Zipkin
    ///
    /// Which of them it is, is found out by asking; `jaeger+http://…`, `tempo+`, `zipkin+` and
    /// `edgespan+` say so.
    #[arg(
        long,
        value_name = "URL",
        env = "EDGESPAN_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:9901"
    )]
    pub url: Address,
    /// A header of every question; may be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    #[arg(hide_short_help = true)]
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The tenant asked about, as X-Scope-OrgID
    #[arg(long, value_name = "ID", value_parser = header_value, hide_short_help = true)]
    pub tenant: Option<HeaderValue>,
    /// Whose certificates are believed.
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// `NAME: VALUE`.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as `NAME: VALUE`")?;
    let name = name
        .trim()
        .parse()
        .map_err(|_| "this is no name of a header")?;
    Ok((name, header_value(value.trim())?))
}

fn header_value(text: &str) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(text);
    let mut value = value.map_err(|_| "a header cannot hold this value")?;
    // It may be a credential: never shown by `Debug`.
    value.set_sensitive(true);
    Ok(value)
}

impl SourceArgs {
    /// What is sent with every question.
    ///
    /// # Errors
    /// If the token cannot stand in a header, or the authorities cannot be read.
    pub fn access(&self, token: Option<&str>) -> Result<Access, Failure> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token.filter(|token| !token.is_empty()) {
            let bearer = header_value(&format!("Bearer {token}")).map_err(|_| {
                let message = format!("{TOKEN_VARIABLE} holds what no header can hold");
                Failure::new(ExitStatus::Usage, message)
            })?;
            headers.insert(AUTHORIZATION, bearer);
        }
        headers.extend(self.tenant.iter().map(|tenant| (TENANT, tenant.clone())));
        for (name, value) in &self.headers {
            // What was typed goes before what the environment says.
            if *name == AUTHORIZATION {
                headers.insert(name, value.clone());
            } else {
                headers.append(name, value.clone());
            }
        }
        Ok(Access {
            client: self.client()?,
            headers,
            timeout: TIMEOUT,
        })
    }

    /// Plain HTTP needs no authorities: a container may have none, and reading them takes a while.
    fn client(&self) -> Result<Client, Failure> {
        if self.url.base.scheme() == "http" && self.trust.ca.is_none() {
            return Ok(Client::without_tls());
        }
        self.trust.client()
    }

    /// The backend, found to be there.
    ///
    /// # Errors
    /// As a person reads them.
    pub async fn reach(&self) -> Result<Backend, Failure> {
        let token = std::env::var(TOKEN_VARIABLE).ok();
        let access = self.access(token.as_deref())?;
        let reached = Backend::reach(&self.url, access).await;
        reached.map_err(|error| failure(&self.url.shown(), error))
    }
}

/// What a person reads of a question that got no answer, and what to do.
pub fn failure(url: &str, error: BackendError) -> Failure {
    if error.is_unreachable()
        && let BackendError::Ask { source, .. } = error
    {
        let message = format!("nobody to ask for traces at {url}");
        return Failure::new(ExitStatus::Unreachable, message)
            .because(source)
            .help("is it running, and is this its address? --url or EDGESPAN_URL names another");
    }
    let help = match (&error, error.status()) {
        (BackendError::Unknown { .. }, _) => {
            "an edgespan answers at its admin address (http://127.0.0.1:9901), unless its store is \
             off; others where their own page asks"
        }
        (
            BackendError::Unsupported {
                what: "TraceQL", ..
            },
            _,
        ) => "use --service, --route, --flow, --tag, --error, --min and --max",
        (_, Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
            "EDGESPAN_TOKEN is sent as a bearer token, and -H 'NAME: VALUE' as any header; --tenant \
             names a tenant"
        }
        (_, Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)) => {
            "it is busy: try again in a moment"
        }
        (_, Some(StatusCode::BAD_REQUEST)) => {
            "the question was not understood: mind --query, --tag"
        }
        (_, _) => "",
    };
    let message = format!("{url} could not say");
    let failure = match &error {
        BackendError::Unknown { .. } | BackendError::Unsupported { .. } => {
            Failure::new(ExitStatus::Failed, error.to_string())
        }
        BackendError::Ask { .. }
        | BackendError::Url(_)
        | BackendError::Refused { .. }
        | BackendError::Unreadable { .. }
        | BackendError::TooLong { .. } => Failure::new(ExitStatus::Failed, message).because(error),
    };
    if help.is_empty() {
        failure
    } else {
        failure.help(help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(headers: &[&str]) -> SourceArgs {
        SourceArgs {
            url: "http://127.0.0.1:1".parse().unwrap(),
            headers: headers.iter().map(|text| header(text).unwrap()).collect(),
            tenant: Some(header_value("team").unwrap()),
            trust: TrustArgs::default(),
        }
    }

    #[test]
    fn the_token_is_sent_unless_a_header_was_typed() {
        let headers = source(&["X-A: 1", "X-A: 2"])
            .access(Some("secret"))
            .unwrap()
            .headers;
        assert_eq!(headers[AUTHORIZATION], "Bearer secret");
        assert_eq!(headers[TENANT], "team");
        assert_eq!(headers.get_all("x-a").iter().count(), 2);
        let typed = source(&["Authorization: Basic eA=="])
            .access(Some("secret"))
            .unwrap();
        assert_eq!(typed.headers.get_all(AUTHORIZATION).iter().count(), 1);
        assert_eq!(typed.headers[AUTHORIZATION], "Basic eA==");
    }

    #[test]
    fn no_secret_is_shown_of_what_was_typed() {
        let shown = format!("{:?}", source(&["Authorization: Basic eA=="]));
        assert!(!shown.contains("eA=="), "{shown}");
        assert!(source(&[]).access(Some("a\nb")).is_err());
        assert!(header("no colon").is_err() && header("a b: c").is_err());
    }
}
