//! What `run` and `demo` say when they start and when they end. Plain data in, text out, each
//! line ended; who writes it where is `run`'s business.

use super::escape;
use super::layout::Line;
use super::reach::Reach;
use super::style::{Paint, Surface};
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

/// Shorter times are told in milliseconds.
const TENTH: Duration = Duration::from_millis(100);
/// More listeners than this are counted instead of listed.
const LISTENERS_MAX: usize = 3;

/// Where `trace` asks if nothing else is said.
const TRACES_PORT: u16 = 9901;

/// A data listener as it came up.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Its name in the configuration.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub is_tls: bool,
}

impl Listening {
    fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destinations {
    /// To these: `http://127.0.0.1:4318/v1/traces (http/protobuf)`. Empty: nowhere, unless the
    /// terminal counts.
    To(Vec<String>),
    /// Nowhere, since `OTEL_TRACES_EXPORTER` says so.
    Declined,
    /// There are none: `OTEL_SDK_DISABLED`.
    NotRecorded,
}

/// What `run` says once it listens.
#[derive(Clone, Debug)]
pub struct RunBanner<'a> {
    /// Data listeners, in the configuration's order.
    pub listeners: &'a [Listening],
    /// The upstream of `--to` as it was written, and what came of knocking there.
    pub to: Option<(&'a str, &'a Reach)>,
    /// The upstream's host and port, for the warning.
    pub upstream: &'a str,
    /// Where the operator's door is, if anywhere.
    pub admin: Option<SocketAddr>,
    /// How much memory recent traces may take, in bytes. None: none are kept.
    pub kept: Option<usize>,
    /// Where spans go.
    pub export: &'a Destinations,
}

/// Where `run`'s values begin, and where they go on.
const RUN_INDENT: usize = 11;

impl RunBanner<'_> {
    /// At most six lines, where the terminal is as wide as usual.
    pub fn render(&self, surface: &Surface) -> String {
        let mut lines = self.listener_lines(surface);
        if let Some(admin) = self.admin {
            let address = format!("http://{admin}");
            let line = |what: &str| {
                let line = Line::new(RUN_INDENT).text(what);
                line.whole(surface.paint.bold(&address))
            };
            lines.push(match self.kept {
                Some(bytes) => {
                    let exported = if self.goes_nowhere() {
                        ", not exported"
                    } else {
                        ""
                    };
                    let note = format!("   {}{exported}", kept_text(bytes));
                    line("traces     ").text(&note)
                }
                None => line("admin      ").text("   metrics, health"),
            });
        }
        lines.extend(self.reachable_from_line());
        if self.admin.is_none() || self.kept.is_none() || !self.goes_nowhere() {
            let export = export_text(self.export, "the spans");
            lines.push(Line::new(RUN_INDENT).text("export     ").text(&export));
        }
        lines.extend(self.warning_line(surface));
        lines.iter().map(|line| line.render(surface)).collect()
    }

    /// Whether no collector gets the spans, for want of one.
    fn goes_nowhere(&self) -> bool {
        matches!(self.export, Destinations::To(to) if to.is_empty())
    }

    fn listener_lines(&self, surface: &Surface) -> Vec<Line> {
        let paint = surface.paint;
        let shown = self.listeners.iter().take(LISTENERS_MAX).map(|listener| {
            let url = listener.url();
            let line = Line::new(RUN_INDENT)
                .text("listening  ")
                .whole(paint.bold(&url));
            match self.to {
                Some((to, Reach::Answers(after))) => line
                    .text(" -> ")
                    .whole(paint.bold(to))
                    .text(&format!("   answers in {}", milliseconds(*after))),
                Some((to, _)) => line.text(" -> ").whole(paint.bold(to)),
                None if self.listeners.len() > 1 => line.text(&format!("   {}", listener.name)),
                None => line,
            }
        });
        let mut lines: Vec<_> = shown.collect();
        let rest = self.listeners.len().saturating_sub(LISTENERS_MAX);
        if rest > 0 {
            let ellipsis = surface.glyphs.ellipsis;
            let more = format!("           {ellipsis} and {rest} more");
            lines.push(Line::new(RUN_INDENT).text(&more));
        }
        lines
    }

    /// Said only where it is so, and where the flag that changes it exists.
    fn reachable_from_line(&self) -> Option<Line> {
        let [listener] = self.listeners else {
            return None;
        };
        if self.to.is_none() || !listener.address.ip().is_loopback() {
            return None;
        }
        let port = listener.address.port();
        let which = if self.admin.is_some() {
            "the first"
        } else {
            "it"
        };
        let flag = format!("--listen 0.0.0.0:{port}");
        let line = Line::new(RUN_INDENT).text("           for this machine only; ");
        Some(
            line.whole(Paint::default().bold(&flag))
                .text(&format!(" opens {which}")),
        )
    }

    fn warning_line(&self, surface: &Surface) -> Option<Line> {
        let (_, reach) = self.to?;
        let what = match reach {
            Reach::Answers(_) => return None,
            Reach::Refuses => "refuses connections; requests get 502 until then".to_owned(),
            Reach::Silent(after) => {
                format!(
                    "did not answer within {}; requests fail until then",
                    seconds(*after)
                )
            }
            Reach::Unknown => "has no address; requests get 502 until then".to_owned(),
            Reach::Fails(why) => format!("cannot be reached: {why}; requests get 502"),
        };
        let line = Line::new(2).whole(surface.paint.yellow("warning:"));
        Some(line.text(&format!(" {} {what}", self.upstream)))
    }
}

/// What `demo` says before its first tree.
#[derive(Clone, Debug)]
pub struct DemoBanner<'a> {
    /// Where to send requests.
    pub gateway: SocketAddr,
    /// Where the operator's door is, if anywhere.
    pub admin: Option<SocketAddr>,
    /// How much memory recent traces may take, in bytes. None: none are kept.
    pub kept: Option<usize>,
    /// The services and their ports.
    pub services: &'a [(&'a str, u16)],
    /// Where spans go beside the terminal.
    pub export: &'a Destinations,
    /// From the process's start until everything listened.
    pub ready_after: Duration,
    /// Whether sample traffic runs.
    pub has_traffic: bool,
}

/// Where the demo's values begin, and where they go on.
const DEMO_INDENT: usize = 12;

impl DemoBanner<'_> {
    /// At most eight lines, where the terminal is as wide as usual.
    pub fn render(&self, surface: &Surface) -> String {
        let paint = surface.paint;
        let (version, count) = (env!("CARGO_PKG_VERSION"), number_word(self.services.len()));
        let title = format!(
            "edgespan {version} demo: {count} services that know nothing of tracing, one gateway"
        );
        let mut lines = vec![Line::new(2).text(&title)];
        let mut place = |what: &str, address: SocketAddr, path: &str, note: &str| {
            let url = format!("http://{address}{path}");
            let line = Line::new(DEMO_INDENT).text(what).whole(paint.bold(&url));
            lines.push(line.text(note));
        };
        place("  gateway   ", self.gateway, "", "   send requests here");
        let people = "   as ada or bob";
        place("  log in    ", self.gateway, "/account", people);
        if let Some(admin) = self.admin {
            match self.kept {
                Some(bytes) => {
                    let note = format!("   {}", kept_text(bytes));
                    place("  traces    ", admin, "", &note);
                }
                None => place("  admin     ", admin, "", "   metrics, health"),
            }
        }
        let mut services = Line::new(DEMO_INDENT).text("  services");
        for (name, port) in self.services {
            let service = format!("{} :{port}", paint.cyan(name));
            let columns = escape::columns(name) + format!(" :{port}").len();
            services = services.text("  ").styled(columns, service);
        }
        lines.push(services);
        let export = export_text(self.export, "the same spans");
        lines.push(Line::new(DEMO_INDENT).text("  export    ").text(&export));
        let ready = seconds(self.ready_after);
        let traffic = if self.has_traffic {
            "sample traffic 2 a second (--no-traffic)"
        } else {
            "no sample traffic"
        };
        lines.push(Line::new(2).text(&format!("ready in {ready}; {traffic}; Ctrl-C stops")));
        lines.iter().map(|line| line.render(surface)).collect()
    }
}

/// What to try next, after the demo's first tree. `traces` is where they can be asked for.
pub fn demo_try(gateway: SocketAddr, traces: Option<SocketAddr>, surface: &Surface) -> String {
    let paint = surface.paint;
    let look = format!("curl -i http://{gateway}/api/v1/orders/7");
    let act = format!("curl -i -X POST http://{gateway}/api/v1/orders/7/release");
    let mut text = format!("Try: {}\n     {}\n", paint.bold(&look), paint.bold(&act));
    if let Some(address) = traces {
        let mut find = "edgespan trace find".to_owned();
        if address.port() != TRACES_PORT {
            find.push_str(&format!(" --url http://{address}"));
        }
        text.push_str(&format!("     {}\n", paint.bold(&find)));
    }
    text
}

/// A drain has begun; its line is ended by [`drained`].
pub fn draining(requests: u64, deadline: Duration) -> String {
    let within = seconds_whole(deadline);
    match requests {
        0 => format!("draining, up to {within} (Ctrl-C again stops now) ... "),
        1 => format!("draining 1 request, up to {within} (Ctrl-C again stops now) ... "),
        more => format!("draining {more} requests, up to {within} (Ctrl-C again stops now) ... "),
    }
}

/// The drain is over, with this many requests cut off.
pub fn drained(after: Duration, cut_off: u64) -> String {
    match cut_off {
        0 => format!("done in {}\n", seconds(after)),
        1 => format!("1 request cut off after {}\n", seconds(after)),
        more => format!("{more} requests cut off after {}\n", seconds(after)),
    }
}

/// The drain was cut short by a second Ctrl-C.
pub const fn stopped_now() -> &'static str {
    "stopped\n"
}

/// The last line: what became of every span.
pub fn account(account: &dyn Display) -> String {
    format!("{account}\n")
}

fn kept_text(bytes: usize) -> String {
    format!("kept here ({} MB, oldest go)", bytes >> 20)
}

fn export_text(export: &Destinations, what: &str) -> String {
    let to = match export {
        Destinations::To(to) => to.as_slice(),
        Destinations::Declined => return "none, as OTEL_TRACES_EXPORTER says".to_owned(),
        Destinations::NotRecorded => {
            return "off, as OTEL_SDK_DISABLED says: no spans, context passes untouched".to_owned();
        }
    };
    match to {
        [] => format!("none; OTEL_EXPORTER_OTLP_ENDPOINT=URL sends {what} there"),
        [first] => first.clone(),
        [first, second] => format!("{first} and {second}"),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

fn number_word(count: usize) -> String {
    match count {
        2 => "two".to_owned(),
        3 => "three".to_owned(),
        4 => "four".to_owned(),
        5 => "five".to_owned(),
        other => other.to_string(),
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// `0.4 s`, and `12 ms` where that would be `0.0 s`.
fn seconds(duration: Duration) -> String {
    if duration < TENTH {
        format!("{} ms", duration.as_millis().max(1))
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

fn seconds_whole(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        seconds(duration)
    }
}

#[cfg(test)]
mod tests;
