//! Health checks and outlier detection of upstreams.

use super::{Compiler, headers};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::config::scalar::{self, Misread};
use crate::upstream::{
    HealthCheck, HealthSettings, HttpCheck, OutlierSettings, SuccessRateSettings,
};
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode};
use std::sync::Arc;

/// Active checks; None was told.
pub(super) fn health(
    written: &Spanned<raw::Health>,
    compiler: &mut Compiler<'_>,
) -> Option<HealthSettings> {
    let (span, written) = (&written.span, &written.value);
    let given = [
        ("http", written.http.is_some()),
        ("grpc", written.grpc.is_some()),
        ("tcp", written.tcp == Some(true)),
    ];
    compiler.exactly_one(span, &given);
    let http = written
        .http
        .as_ref()
        .map(|http| check(&http.value, compiler));
    let grpc = written.grpc.as_ref().map(|grpc| HealthCheck::Grpc {
        service: grpc
            .service
            .as_ref()
            .map_or_else(|| Arc::from(""), |service| Arc::from(&*service.value)),
    });
    let tcp = (written.tcp == Some(true)).then_some(HealthCheck::Tcp);
    let default = HealthSettings::new(http.or(grpc).or(tcp)?);
    let settings = HealthSettings {
        interval: compiler.duration_or(written.interval.as_ref(), default.interval),
        timeout: compiler.duration_or(written.timeout.as_ref(), default.timeout),
        healthy_after: count(written.healthy.as_ref(), default.healthy_after),
        unhealthy_after: count(written.unhealthy.as_ref(), default.unhealthy_after),
        ..default
    };
    Some(settings)
}

fn check(written: &raw::HealthHttp, compiler: &mut Compiler<'_>) -> HealthCheck {
    let path = written.path.as_ref().and_then(|path| {
        let read = path_and_query(&path.value.0);
        compiler.value(&path.span, Code::Path, read)
    });
    let host = written.host.as_ref().and_then(|host| {
        let read = scalar::authority(&host.value.0);
        let host = compiler.value(&host.span, Code::Host, read)?;
        HeaderValue::from_str(&host).ok()
    });
    let statuses = written.statuses.0.iter();
    HealthCheck::Http(HttpCheck {
        path: path.unwrap_or_else(|| PathAndQuery::from_static("/")),
        host,
        headers: headers::fields(&written.headers, compiler),
        statuses: statuses
            .filter_map(|status| StatusCode::from_u16(status.value.0).ok())
            .collect(),
    })
}

fn path_and_query(text: &str) -> Result<PathAndQuery, Misread> {
    let path = text.starts_with('/').then(|| text.parse().ok()).flatten();
    path.ok_or_else(|| {
        Misread::new("this is no path to ask for").label("path and query, such as /healthz")
    })
}

/// Outlier detection.
pub(super) fn outlier(
    written: &Spanned<raw::Outlier>,
    compiler: &mut Compiler<'_>,
) -> OutlierSettings {
    let (span, written) = (&written.span, &written.value);
    let default = OutlierSettings::default();
    let mut off_or = |written: Option<&Spanned<raw::OffOrCount>>, default| match written {
        None => default,
        Some(written) if written.value.0 == "off" => None,
        Some(written) => {
            let read = written.value.0.parse().ok().filter(|count| *count > 0);
            let misread = || Misread::new("this is neither a count nor `off`").label("at least 1");
            compiler.value(&written.span, Code::OutOfRange, read.ok_or_else(misread))
        }
    };
    let consecutive_errors = off_or(
        written.consecutive_errors.as_ref(),
        default.consecutive_errors,
    );
    let consecutive_failures = off_or(
        written.consecutive_failures.as_ref(),
        default.consecutive_failures,
    );
    let success_rate = written
        .success_rate
        .as_ref()
        .map(|rate| success_rate(&rate.value, compiler));
    if consecutive_errors.is_none() && consecutive_failures.is_none() && success_rate.is_none() {
        let diagnostic = Diagnostic::at(Code::NoEffect, span, "`outlier` has no effect");
        compiler.tell(diagnostic.label("nothing ejects"));
    }
    let share = written.ejected_share.as_ref();
    OutlierSettings {
        consecutive_errors,
        consecutive_failures,
        success_rate,
        ejection: compiler.duration_or(written.ejection.as_ref(), default.ejection),
        ejection_max: compiler.duration_or(written.ejection_max.as_ref(), default.ejection_max),
        ejected_share_max: share.map_or(default.ejected_share_max, |share| share.value.0),
    }
}

fn success_rate(written: &raw::SuccessRate, compiler: &mut Compiler<'_>) -> SuccessRateSettings {
    let default = SuccessRateSettings::default();
    let endpoints = written.endpoints.as_ref();
    let deviations = written.deviations.as_ref();
    SuccessRateSettings {
        window: compiler.duration_or(written.window.as_ref(), default.window),
        endpoints_min: endpoints.map_or(default.endpoints_min, |count| count.value.0),
        attempts_min: count(written.attempts.as_ref(), default.attempts_min),
        deviations: deviations.map_or(default.deviations, |one| one.value.0),
    }
}

fn count(written: Option<&Spanned<raw::Count>>, default: u32) -> u32 {
    written.map_or(default, |count| {
        u32::try_from(count.value.0).unwrap_or(u32::MAX)
    })
}
