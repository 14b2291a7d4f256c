//! A proxy made from a configuration, in this process.

use super::collector::Collector;
use super::origin::Origin;
use edgespan::app::{Changes, Next, Options, Running, StartError, Stopped};
use edgespan::config::{self, Environment, Overrides, Plan};
use edgespan::trace::sink::SpanSink;
use std::net::SocketAddr;
use std::sync::Arc;

pub struct Proxy {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    running: Running,
}

/// What a proxy is made of: `${origin}` and `${collector}` in the text are filled in.
pub struct Setup {
    text: String,
    sinks: Vec<Arc<dyn SpanSink>>,
    variables: Vec<(String, String)>,
}

impl Setup {
    /// With this configuration. Listener `web` and the admin listener are added with free ports
    /// unless the text has its own.
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            sinks: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// One route for everything, to this origin.
    pub fn front(origin: &Origin) -> Self {
        Self::new(
            "upstreams: {origin: {service: content, endpoints: ['http://${origin}']}}\n\
             routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
        )
        .origin(origin)
    }

    pub fn origin(self, origin: &Origin) -> Self {
        let address = origin.address.to_string();
        self.fill("origin", &address)
    }

    pub fn fill(mut self, name: &str, value: &str) -> Self {
        self.text = self.text.replace(&format!("${{{name}}}"), value);
        self
    }

    /// Another text in place of one that is there.
    pub fn replace(mut self, this: &str, by: &str) -> Self {
        self.text = self.text.replace(this, by);
        self
    }

    /// Adds lines at the top level.
    pub fn with(mut self, text: &str) -> Self {
        self.text.push('\n');
        self.text.push_str(text);
        self.text.push('\n');
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Exports to this collector, soon.
    pub fn export_to(self, collector: &Collector) -> Self {
        let endpoint = collector.endpoint();
        self.with(&format!(
            "export: [{{otlp: {{endpoint: '{endpoint}', protocol: http/protobuf, \
             compression: none, queue: {{delay: 5ms}}}}}}]"
        ))
    }

    /// Hands spans to this, too.
    pub fn sink(mut self, sink: impl SpanSink + 'static) -> Self {
        self.sinks.push(Arc::new(sink));
        self
    }

    pub async fn start(mut self) -> Proxy {
        let options = Options {
            sinks: std::mem::take(&mut self.sinks),
            ..Options::default()
        };
        let running = Running::start(self.plan(), options).await.expect("a proxy");
        let address = running.listeners()[0].1;
        let admin = running.admin.expect("an admin address");
        Proxy {
            address,
            admin,
            running,
        }
    }

    fn plan(mut self) -> Plan {
        let has = |text: &str, key: &str| text.lines().any(|line| line.starts_with(key));
        for (key, default) in [
            ("listeners:", "listeners: {web: {address: '127.0.0.1:0'}}"),
            ("admin:", "admin: {address: '127.0.0.1:0'}"),
        ] {
            if !has(&self.text, key) {
                self = self.with(default);
            }
        }
        let variables = self
            .variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let environment = Environment::from_iter(variables);
        let compiled =
            config::compile_text("test.yaml", &self.text, &environment, &Overrides::default());
        compiled
            .unwrap_or_else(|refused| panic!("{refused:?}\n{}", self.text))
            .plan
    }
}

impl Proxy {
    /// The address of a listener by its name.
    pub fn listener(&self, name: &str) -> SocketAddr {
        let listeners = self.running.listeners();
        let found = listeners.iter().find(|(listener, _)| &**listener == name);
        found.expect("a listener of that name").1
    }

    /// Where services send spans of their own, by the setting that asks for it.
    pub fn otlp_door(&self, name: &str) -> SocketAddr {
        let doors = self.running.otlp_doors();
        let found = doors.iter().find(|(door, _)| &**door == name);
        found.expect("a door of that name").1
    }

    /// Puts another configuration in force.
    pub async fn reload(&mut self, setup: Setup) -> Result<Changes, StartError> {
        self.running.reload(setup.plan()).await
    }

    pub fn requests(&self) -> usize {
        self.running.requests()
    }

    pub async fn renew_certificates(&self) {
        self.running.renew_certificates().await;
    }

    pub async fn stop(self) -> Stopped {
        self.running.stop(Next::Nobody).await
    }
}
