//! Where traces are kept and can be asked for: edgespan itself and Tempo, Jaeger, Zipkin.
//!
//! One question each, over [`crate::client`]: nothing is cached and nothing is tried again, which
//! is for whoever asks to decide.

mod address;
mod ask;
mod error;
mod filter;
mod jaeger;
mod query;
mod read;
mod summary;
mod tempo;
mod traceql;
mod zipkin;

pub use address::{Address, BadAddress, Kind};
pub use ask::Access;
pub use error::BackendError;
pub use query::{Found, Query, Summary};

use crate::clock::Timestamp;
use ask::Way;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use std::time::Duration;

/// How many of the newest traces are looked at for one whose id begins as asked, where a backend
/// cannot be asked for that.
const RECENT_MAX: usize = 200;
/// How far back they may have begun.
const RECENT: Duration = Duration::from_secs(3 * 3600);

/// A backend that is there.
#[derive(Clone)]
pub struct Backend {
    way: Way,
    dialect: Dialect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Edgespan,
    Tempo,
    Jaeger(jaeger::Api),
    Zipkin,
}

/// What came after a moment in a live feed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tailed {
    /// What to ask after next.
    pub next: Option<u64>,
    /// Traces that came or grew, in their order.
    pub traces: Vec<Summary>,
    /// Whether more came than is told.
    pub has_missed: bool,
}

impl Backend {
    /// Finds out who is there; what the address says is believed as far as it goes.
    ///
    /// # Errors
    /// If nobody is there, or nobody who is known.
    pub async fn reach(address: &Address, access: Access) -> Result<Self, BackendError> {
        let way = Way::new(address.clone(), access);
        let dialect = match address.kind {
            Some(Kind::Edgespan) => Some(Dialect::Edgespan),
            Some(Kind::Tempo) => Some(Dialect::Tempo),
            Some(Kind::Jaeger) => jaeger::detect(&way).await?.map(Dialect::Jaeger),
            Some(Kind::Zipkin) => Some(Dialect::Zipkin),
            None => detect(&way).await?,
        };
        let url = || address.shown();
        let dialect = dialect.ok_or_else(|| BackendError::Unknown { url: url() })?;
        Ok(Self { way, dialect })
    }

    /// Which kind it is.
    pub const fn kind(&self) -> Kind {
        match self.dialect {
            Dialect::Edgespan => Kind::Edgespan,
            Dialect::Tempo => Kind::Tempo,
            Dialect::Jaeger(_) => Kind::Jaeger,
            Dialect::Zipkin => Kind::Zipkin,
        }
    }

    /// Its address, as people write it.
    pub fn shown(&self) -> String {
        self.way.address.shown()
    }

    /// The traces that `query` wants, newest first, at most as many as it says.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn find(&self, query: &Query) -> Result<Found, BackendError> {
        match self.dialect {
            Dialect::Edgespan => tempo::find_own(&self.way, query).await,
            Dialect::Tempo => tempo::find(&self.way, query).await,
            Dialect::Jaeger(api) => jaeger::find(&self.way, api, query).await,
            Dialect::Zipkin => zipkin::find(&self.way, query).await,
        }
    }

    /// Everything that is known of a trace; None if nothing is.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn trace(&self, id: TraceId) -> Result<Option<Vec<ResourceSpans>>, BackendError> {
        match self.dialect {
            Dialect::Edgespan | Dialect::Tempo => tempo::trace(&self.way, id).await,
            Dialect::Jaeger(api) => jaeger::trace(&self.way, api, id).await,
            Dialect::Zipkin => zipkin::trace(&self.way, id).await,
        }
    }

    /// Ids that begin with `prefix` (lower case hexadecimal). An edgespan knows them all, of the
    /// others the newest before `now` are looked at.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn ids(&self, prefix: &str, now: Timestamp) -> Result<Vec<TraceId>, BackendError> {
        if self.dialect == Dialect::Edgespan {
            return tempo::ids(&self.way, prefix).await;
        }
        let back = u64::try_from(RECENT.as_nanos()).unwrap_or(u64::MAX);
        let recent = Query {
            start: Timestamp::from_unix_nanos(now.as_unix_nanos().saturating_sub(back)),
            end: now,
            limit: RECENT_MAX,
            ..Query::default()
        };
        let found = self.find(&recent).await?;
        let ids = found.traces.iter().map(|trace| trace.id);
        Ok(ids
            .filter(|id| id.to_string().starts_with(prefix))
            .collect())
    }

    /// When the oldest trace began that is kept; None if the backend does not say.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn began(&self) -> Result<Option<Timestamp>, BackendError> {
        match self.dialect {
            Dialect::Edgespan => tempo::began(&self.way).await,
            Dialect::Tempo | Dialect::Jaeger(_) | Dialect::Zipkin => Ok(None),
        }
    }

    /// Values that an attribute has, for completions: `tag` with its scope (`span.flow`). Only of
    /// backends that speak Tempo's API.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn values(&self, tag: &str) -> Result<Vec<String>, BackendError> {
        match self.dialect {
            Dialect::Edgespan | Dialect::Tempo => tempo::values(&self.way, tag).await,
            Dialect::Jaeger(_) | Dialect::Zipkin => Ok(Vec::new()),
        }
    }

    /// The names of services that it has spans of.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn services(&self) -> Result<Vec<String>, BackendError> {
        match self.dialect {
            Dialect::Edgespan | Dialect::Tempo => {
                tempo::values(&self.way, "resource.service.name").await
            }
            Dialect::Jaeger(api) => jaeger::services(&self.way, api).await,
            Dialect::Zipkin => zipkin::services(&self.way).await,
        }
    }

    /// Waits up to `wait` for traces that come after `after`; None begins with what comes now.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] of all but an edgespan: those are asked again and again.
    pub async fn tail(
        &self,
        after: Option<u64>,
        query: &Query,
        wait: Duration,
    ) -> Result<Tailed, BackendError> {
        if self.dialect != Dialect::Edgespan {
            return Err(BackendError::Unsupported {
                backend: self.kind().name(),
                what: "a live feed",
            });
        }
        tempo::tail(&self.way, after, &query.traceql(), wait).await
    }
}

/// Who is there, by what each answers. The first question tells whether anybody is.
async fn detect(way: &Way) -> Result<Option<Dialect>, BackendError> {
    let echo = way.get("/api/echo", &[]).await?;
    let echoes = echo
        .success()
        .is_ok_and(|said| said.trim_ascii() == b"echo");
    if echoes {
        let own = way.get("/api/edgespan/store", &[]).await?;
        let is_own = own.json().is_ok_and(|document| document.is_object());
        return Ok(Some(if is_own {
            Dialect::Edgespan
        } else {
            Dialect::Tempo
        }));
    }
    if let Some(api) = jaeger::detect(way).await? {
        return Ok(Some(Dialect::Jaeger(api)));
    }
    Ok(zipkin::detect(way).await?.then_some(Dialect::Zipkin))
}
