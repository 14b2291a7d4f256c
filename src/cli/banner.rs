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
    /// At most seven lines, where the terminal is as wide as usual.
    pub fn render(&self, surface: &Surface) -> String {
        let paint = surface.paint;
        let (version, count) = (env!("CARGO_PKG_VERSION"), number_word(self.services.len()));
        let title = format!(
            "edgespan {version} demo: {count} services that know nothing of tracing, one gateway"
        );
        let mut lines = vec![Line::new(2).text(&title)];
        let mut place = |what: &str, address: SocketAddr, note: &str| {
            let url = format!("http://{address}");
            let line = Line::new(DEMO_INDENT).text(what).whole(paint.bold(&url));
            lines.push(line.text(note));
        };
        place("  gateway   ", self.gateway, "   send requests here");
        if let Some(admin) = self.admin {
            match self.kept {
                Some(bytes) => {
                    let note = format!("   {}", kept_text(bytes));
                    place("  traces    ", admin, &note);
                }
                None => place("  admin     ", admin, "   metrics, health"),
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
mod tests {
    use super::*;
    use crate::cli::escape;
    use crate::cli::style::{Glyphs, Paint};

    static NOWHERE: Destinations = Destinations::To(Vec::new());

    fn to(places: &[&str]) -> Destinations {
        Destinations::To(places.iter().map(|place| (*place).to_owned()).collect())
    }

    fn surface(columns: usize, colour: bool) -> Surface {
        Surface::fixed(columns, Paint::new(colour), Glyphs::UNICODE)
    }

    /// The same text on terminals of 80, 60 and 40 columns, one below the other.
    fn on_all(render: impl Fn(&Surface) -> String) -> String {
        let texts = [80, 60, 40].map(|columns| {
            let text = render(&surface(columns, false));
            for line in text.lines() {
                assert!(escape::columns(line) <= columns, "too wide: {line}");
            }
            format!("--- {columns} columns\n{text}")
        });
        texts.concat()
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn listening(address: &str) -> Listening {
        Listening {
            name: "web".to_owned(),
            address: at(address),
            is_tls: false,
        }
    }

    fn run<'a>(listeners: &'a [Listening], reach: &'a Reach) -> RunBanner<'a> {
        RunBanner {
            listeners,
            to: Some(("http://127.0.0.1:3000", reach)),
            upstream: "127.0.0.1:3000",
            admin: Some(at("127.0.0.1:9901")),
            kept: Some(64 << 20),
            export: &NOWHERE,
        }
    }

    fn demo(export: &Destinations) -> DemoBanner<'_> {
        DemoBanner {
            gateway: at("127.0.0.1:8080"),
            admin: Some(at("127.0.0.1:9901")),
            kept: Some(64 << 20),
            services: &[
                ("login", 41001),
                ("orders", 41002),
                ("chat", 41003),
                ("payout", 41004),
            ],
            export,
            ready_after: Duration::from_millis(200),
            has_traffic: true,
        }
    }

    #[test]
    fn the_demo_says_where_everything_is() {
        let lines = demo(&NOWHERE).render(&surface(80, false)).lines().count();
        assert!(lines < 10);
        insta::assert_snapshot!(on_all(|surface| demo(&NOWHERE).render(surface)));
    }

    #[test]
    fn the_demo_in_colour() {
        let exported = to(&["http://127.0.0.1:4318/v1/traces (http/protobuf)"]);
        let surface = surface(80, true);
        let text = demo(&exported).render(&surface)
            + &demo_try(at("127.0.0.1:8080"), Some(at("127.0.0.1:9901")), &surface);
        insta::assert_snapshot!(text.replace('\u{1b}', "\\e"));
    }

    #[test]
    fn run_says_where_it_listens_and_whether_the_upstream_answers() {
        let listeners = [listening("127.0.0.1:8080")];
        let reach = Reach::Answers(Duration::from_micros(1200));
        let banner = run(&listeners, &reach);
        insta::assert_snapshot!(on_all(|surface| banner.render(surface)));
        insta::assert_snapshot!(banner.render(&surface(80, true)).replace('\u{1b}', "\\e"));
    }

    #[test]
    fn run_warns_of_an_upstream_that_is_not_there() {
        let listeners = [listening("127.0.0.1:8080")];
        let outcomes = [
            Reach::Refuses,
            Reach::Silent(Duration::from_millis(500)),
            Reach::Unknown,
            Reach::Fails("no such file or directory".to_owned()),
        ];
        let text = on_all(|surface| {
            let texts = outcomes
                .iter()
                .map(|reach| run(&listeners, reach).render(surface));
            texts.collect()
        });
        insta::assert_snapshot!(text);
    }

    #[test]
    fn run_with_a_file_names_its_listeners() {
        let mut secure = listening("0.0.0.0:8443");
        secure.is_tls = true;
        let others = ["[::1]:80", "127.0.0.1:1", "127.0.0.1:2"].map(listening);
        let listeners: Vec<_> = std::iter::once(secure).chain(others).collect();
        let banner = RunBanner {
            to: None,
            export: &to(&["http://collector:4317 (grpc)"]),
            ..run(&listeners, &Reach::Refuses)
        };
        insta::assert_snapshot!(on_all(|surface| banner.render(surface)));
    }

    #[test]
    fn where_traces_are_not_kept_the_door_is_for_metrics() {
        let listeners = [listening("127.0.0.1:8080")];
        let exported = to(&["http://collector:4317 (grpc)"]);
        let check = |kept, admin: Option<&str>, export, expected: &[&str]| {
            let banner = RunBanner {
                kept,
                admin: admin.map(at),
                export,
                ..run(&listeners, &Reach::Refuses)
            };
            let text = banner.render(&surface(80, false));
            let told = text.lines().filter(|line| {
                let words = ["traces ", "admin ", "export "];
                words.iter().any(|word| line.starts_with(word))
            });
            assert_eq!(told.collect::<Vec<_>>(), expected);
        };
        let door = Some("127.0.0.1:9901");
        let admin = "admin      http://127.0.0.1:9901   metrics, health";
        let none = "export     none; OTEL_EXPORTER_OTLP_ENDPOINT=URL sends the spans there";
        let kept = "traces     http://127.0.0.1:9901   kept here (64 MB, oldest go)";
        let only = "traces     http://127.0.0.1:9901   kept here (64 MB, oldest go), not exported";
        let sent = "export     http://collector:4317 (grpc)";
        check(Some(64 << 20), door, &NOWHERE, &[only]);
        check(Some(64 << 20), door, &exported, &[kept, sent]);
        check(None, door, &NOWHERE, &[admin, none]);
        check(Some(64 << 20), None, &NOWHERE, &[none]);
    }

    #[test]
    fn what_to_try_names_the_door_only_where_it_is_not_the_usual_one() {
        let tried = |traces: Option<&str>| {
            let surface = surface(80, false);
            demo_try(at("127.0.0.1:8080"), traces.map(at), &surface)
        };
        assert!(tried(Some("127.0.0.1:9901")).ends_with("     edgespan trace find\n"));
        let elsewhere = "     edgespan trace find --url http://127.0.0.1:41000\n";
        assert!(tried(Some("127.0.0.1:41000")).ends_with(elsewhere));
        assert!(!tried(None).contains("trace find"));
    }

    #[test]
    fn a_listener_open_to_others_is_not_called_local() {
        let listeners = [listening("0.0.0.0:8080")];
        let text = run(&listeners, &Reach::Refuses).render(&surface(80, false));
        assert!(!text.contains("this machine only"));
    }

    #[test]
    fn where_spans_go_is_told_in_every_case() {
        let check = |export: &Destinations, expected: &str| {
            assert_eq!(export_text(export, "the spans"), expected);
        };
        let none = "none; OTEL_EXPORTER_OTLP_ENDPOINT=URL sends the spans there";
        check(&NOWHERE, none);
        check(&to(&["a"]), "a");
        check(&to(&["a", "the terminal"]), "a and the terminal");
        check(&to(&["a", "b", "c"]), "a and 2 more");
        check(
            &Destinations::Declined,
            "none, as OTEL_TRACES_EXPORTER says",
        );
        let off = "off, as OTEL_SDK_DISABLED says: no spans, context passes untouched";
        check(&Destinations::NotRecorded, off);
    }

    #[test]
    fn a_time_is_never_told_as_nothing() {
        let check = |micros, expected: &str| {
            assert_eq!(seconds(Duration::from_micros(micros)), expected);
        };
        check(0, "1 ms");
        check(12_400, "12 ms");
        check(99_999, "99 ms");
        check(100_000, "0.1 s");
        check(412_000, "0.4 s");
    }

    #[test]
    fn a_drain_counts_what_it_waits_for() {
        let ten = Duration::from_secs(10);
        let text = draining(3, ten) + &drained(Duration::from_millis(400), 0);
        assert_eq!(
            text,
            "draining 3 requests, up to 10 s (Ctrl-C again stops now) ... done in 0.4 s\n"
        );
        assert!(draining(1, ten).starts_with("draining 1 request, "));
        assert!(draining(0, ten).starts_with("draining, up to 10 s"));
        assert_eq!(drained(ten, 2), "2 requests cut off after 10.0 s\n");
    }
}
