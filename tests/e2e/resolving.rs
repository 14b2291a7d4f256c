//! Names stand for addresses that come and go.

use crate::support::client::{get, patiently};
use crate::support::collector::Collector;
use crate::support::dns::NameServer;
use crate::support::fleet::Fleet;
use crate::support::origin::{Origin, Speaks, text};
use crate::support::proxy::{Proxy, Setup};
use crate::support::until;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};

const NAME: &str = "app.test";

/// Everything goes to this endpoint, and names are asked for often.
fn setup(endpoint: &str, names: &NameServer) -> Setup {
    Setup::new(
        "upstreams: {origin: {endpoints: ['${endpoint}'], timeouts: {connect: 5s}, \
         dns: {refresh_min: 10ms, refresh_max: 1s, servers: ['${names}'], timeout: 200ms}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin, rewrite: {host: endpoint}}]\n",
    )
    .fill("endpoint", endpoint)
    .fill("names", &names.address.to_string())
}

fn at_name(fleet: &Fleet, names: &NameServer) -> Setup {
    setup(&format!("http://{NAME}:{}", fleet.port), names)
}

async fn ok(proxy: &Proxy) {
    let reply = get(proxy.address, "/", &[]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

async fn metric(proxy: &Proxy, name: &str) -> u64 {
    let page = get(proxy.admin, "/metrics", &[("host", "localhost")])
        .await
        .text();
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("{name} in\n{page}"));
    line.trim().parse().unwrap()
}

/// Sends until this origin has got one more request.
async fn reach(proxy: &Proxy, origin: &Origin) {
    let before = origin.received().len();
    patiently(async {
        while origin.received().len() == before {
            ok(proxy).await;
        }
    })
    .await;
}

#[tokio::test]
async fn every_address_of_a_name_is_an_endpoint() {
    let (collector, names) = (Collector::start().await, NameServer::start().await);
    let fleet = Fleet::start(3).await;
    names.host(NAME, &["127.0.0.3", "127.0.0.1", "127.0.0.2"], 300);
    let proxy = at_name(&fleet, &names).export_to(&collector).start().await;

    for _ in 0..6 {
        ok(&proxy).await;
    }

    assert_eq!(fleet.received(), [2, 2, 2]);
    assert_eq!(fleet.connections(), [1, 1, 1], "each has a pool of its own");
    let authority = format!("{NAME}:{}", fleet.port);
    assert_eq!(fleet.origins[0].received()[0].one("host"), authority);
    let edges = collector.next_edges().await;
    let client = edges.client();
    assert_eq!(client.text("server.address"), Some(NAME));
    assert_eq!(client.int("server.port"), Some(fleet.port.into()));
    let mut peers = HashSet::from([client.text("network.peer.address").map(str::to_owned)]);
    for _ in 0..5 {
        let edges = collector.next_edges().await;
        let peer = edges.client().text("network.peer.address");
        peers.insert(peer.map(str::to_owned));
    }
    assert_eq!(peers.len(), 3, "{peers:?}");
    let available = "edgespan_upstream_endpoints{upstream=\"origin\",state=\"available\"}";
    assert_eq!(metric(&proxy, available).await, 3);
}

#[tokio::test]
async fn the_first_request_waits_for_the_first_answer() {
    let (collector, names) = (Collector::start().await, NameServer::start().await);
    let fleet = Fleet::start(1).await;
    names.ignore_all();
    let proxy = at_name(&fleet, &names).export_to(&collector).start().await;
    let address = proxy.address;
    let waiting = tokio::spawn(async move { get(address, "/", &[]).await });
    names.asked(1).await;

    names.host(NAME, &["127.0.0.1"], 300);
    names.recover();

    assert_eq!(patiently(waiting).await.unwrap().status, 200);
    let edges = collector.next_edges().await;
    assert_eq!(edges.clients().len(), 1, "waiting is no attempt");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_502_and_says_so_on_its_span() {
    let (collector, names) = (Collector::start().await, NameServer::start().await);
    let fleet = Fleet::start(1).await;
    let proxy = at_name(&fleet, &names).export_to(&collector).start().await;

    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!(reply.status, 502);
    assert_eq!(reply.json()["code"], "upstream");
    let edges = collector.next_edges().await;
    let client = edges.client();
    assert_eq!(client.text("error.type"), Some("name_resolution_error"));
    assert_eq!(client.text("server.address"), Some(NAME));
    assert_eq!(client.status(), StatusCode::Error);

    // It may exist later.
    names.host(NAME, &["127.0.0.1"], 300);
    patiently(async { while get(proxy.address, "/", &[]).await.status != 200 {} }).await;
}

#[tokio::test]
async fn a_name_server_that_says_nothing_costs_no_more_than_the_time_to_connect() {
    let (collector, names) = (Collector::start().await, NameServer::start().await);
    let fleet = Fleet::start(1).await;
    names.ignore_all();
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://app.test:1'], timeouts: {connect: 100ms}, \
         dns: {servers: ['${names}']}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .fill("names", &names.address.to_string())
    .export_to(&collector)
    .start()
    .await;

    let reply = patiently(get(proxy.address, "/", &[])).await;

    assert_eq!(reply.status, 502);
    let edges = collector.next_edges().await;
    let error = edges.client().text("error.type").map(str::to_owned);
    assert_eq!(error.as_deref(), Some("name_resolution_error"));
    drop(fleet);
}

#[tokio::test]
async fn an_address_that_stays_keeps_its_connection_when_others_come_and_go() {
    let names = NameServer::start().await;
    let fleet = Fleet::start(3).await;
    names.host(NAME, &["127.0.0.1", "127.0.0.2"], 0);
    let proxy = at_name(&fleet, &names).start().await;
    reach(&proxy, &fleet.origins[0]).await;

    names.host(NAME, &["127.0.0.3", "127.0.0.1"], 0);
    reach(&proxy, &fleet.origins[2]).await;
    let left = fleet.received()[1];
    for _ in 0..4 {
        ok(&proxy).await;
    }

    assert_eq!(fleet.connections()[0], 1);
    assert_eq!(fleet.received()[1], left, "who has left gets nothing");
}

#[tokio::test]
async fn a_family_that_the_name_server_fails_to_tell_is_used_as_it_was() {
    let names = NameServer::start().await;
    let fleet = Fleet::start(1).await;
    names.host(NAME, &["127.0.0.1", "::1"], 0);
    let proxy = at_name(&fleet, &names).start().await;
    ok(&proxy).await;

    names.host(NAME, &["::1"], 0);
    names.fail_v4(NAME);
    names.asked(12).await;

    for _ in 0..4 {
        ok(&proxy).await;
    }
    assert_eq!(fleet.received(), [5]);
}

#[tokio::test]
async fn a_host_of_a_service_that_the_name_server_fails_to_tell_stays() {
    let names = NameServer::start().await;
    let fleet = Fleet::start(3).await;
    for (last, name) in [(1, "a.test"), (2, "b.test")] {
        names.host(name, &[&format!("127.0.0.{last}")], 0);
    }
    let port = fleet.port;
    let service = [(0, 1, port, "a.test."), (0, 1, port, "b.test.")];
    names.service("_web._tcp.app.test", &service);
    let proxy = setup("srv+http://_web._tcp.app.test", &names);
    let proxy = proxy.start().await;
    reach(&proxy, &fleet.origins[0]).await;
    reach(&proxy, &fleet.origins[1]).await;

    names.fail_v4("a.test");
    names.host("b.test", &["127.0.0.3"], 0);

    // What is told of the others holds, and what is not told stays.
    reach(&proxy, &fleet.origins[2]).await;
    reach(&proxy, &fleet.origins[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_change_under_load_lose_no_request() {
    let names = NameServer::start().await;
    let fleet = Fleet::start(4).await;
    names.host(NAME, &["127.0.0.1"], 0);
    let proxy = Arc::new(at_name(&fleet, &names).start().await);
    let (done, sent) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (proxy, done, sent) = (Arc::clone(&proxy), Arc::clone(&done), Arc::clone(&sent));
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    ok(&proxy).await;
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    for round in 0..20_usize {
        let set = [round % 4 + 1, (round + 1) % 4 + 1].map(|last| format!("127.0.0.{last}"));
        names.host(NAME, &[&set[0], &set[1]], 0);
        let newest = &fleet.origins[(round + 1) % 4];
        let before = newest.received().len();
        until("requests at the newest address", || {
            newest.received().len() > before
        })
        .await;
    }
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("every request got its answer");
    }

    assert!(fleet.received().iter().all(|count| *count > 0));
    assert_eq!(
        fleet.received().iter().sum::<usize>(),
        sent.load(Ordering::Relaxed)
    );
}

#[tokio::test]
async fn what_is_known_is_kept_while_nobody_answers() {
    let names = NameServer::start().await;
    let fleet = Fleet::start(2).await;
    names.host(NAME, &["127.0.0.1"], 0);
    let proxy = at_name(&fleet, &names).start().await;
    ok(&proxy).await;
    let result = |result: &str| {
        format!("edgespan_upstream_lookups_total{{upstream=\"origin\",result=\"{result}\"}}")
    };

    for (trouble, counted) in [("fail", "error"), ("deny", "negative"), ("ignore", "error")] {
        let before = metric(&proxy, &result(counted)).await;
        match trouble {
            "fail" => names.fail_all(),
            "deny" => names.deny_all(),
            _ => names.ignore_all(),
        }
        patiently(async {
            while metric(&proxy, &result(counted)).await < before + 2 {
                ok(&proxy).await;
            }
        })
        .await;
    }

    names.host(NAME, &["127.0.0.2"], 0);
    names.recover();
    reach(&proxy, &fleet.origins[1]).await;
}

#[tokio::test]
async fn a_name_server_may_be_gone_for_a_while() {
    let names = NameServer::start().await;
    let fleet = Fleet::start(2).await;
    names.host(NAME, &["127.0.0.1"], 0);
    let proxy = at_name(&fleet, &names).start().await;
    ok(&proxy).await;
    let errors = "edgespan_upstream_lookups_total{upstream=\"origin\",result=\"error\"}";

    names.stop().await;
    patiently(async {
        while metric(&proxy, errors).await == 0 {
            ok(&proxy).await;
        }
    })
    .await;
    names.host(NAME, &["127.0.0.2"], 0);
    names.start_again().await;

    reach(&proxy, &fleet.origins[1]).await;
}

#[tokio::test]
async fn an_answer_is_not_asked_for_again_before_its_time() {
    let names = NameServer::start().await;
    let fleet = Fleet::start(1).await;
    names.host(NAME, &["127.0.0.1"], 3_600);
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://app.test:${port}'], \
         dns: {refresh_min: 10ms, servers: ['${names}'], families: v4}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .fill("port", &fleet.port.to_string())
    .fill("names", &names.address.to_string())
    .start()
    .await;
    ok(&proxy).await;

    tokio::time::sleep(Duration::from_millis(200)).await;
    ok(&proxy).await;

    assert_eq!(names.questions(), 1);
}

#[tokio::test]
async fn srv_records_say_host_port_weight_and_priority() {
    let (collector, names) = (Collector::start().await, NameServer::start().await);
    let fleet = Fleet::start(3).await;
    for last in 1..=3 {
        let name = format!("host{last}.test");
        names.host(&name, &[&format!("127.0.0.{last}")], 300);
    }
    let port = fleet.port;
    let records = [
        (10, 3, port, "host1.test"),
        (10, 1, port, "host2.test"),
        (20, 9, port, "host3.test"),
    ];
    names.service("_http._tcp.app.test", &records);
    let proxy = setup("srv+http://_http._tcp.app.test", &names)
        .export_to(&collector)
        .start()
        .await;

    for _ in 0..8 {
        ok(&proxy).await;
    }

    assert_eq!(fleet.received(), [6, 2, 0], "a lower priority is not asked");
    let host = format!("host2.test:{port}");
    assert_eq!(fleet.origins[1].received()[0].one("host"), host);
    let mut addresses = HashSet::new();
    for _ in 0..8 {
        let edges = collector.next_edges().await;
        let client = edges.client();
        addresses.insert(client.text("server.address").map(str::to_owned));
        assert_eq!(client.int("server.port"), Some(port.into()));
    }
    let expected = ["host1.test", "host2.test"].map(|host| Some(host.to_owned()));
    assert_eq!(addresses, HashSet::from(expected));
}

#[tokio::test]
async fn where_nobody_of_the_first_priority_takes_a_connection_the_second_is_asked() {
    let names = NameServer::start().await;
    let fleet = Fleet::start(1).await;
    names.host("main.test", &["127.0.0.9"], 300);
    names.host("spare.test", &["127.0.0.1"], 300);
    let records = [
        (1, 1, fleet.port, "main.test"),
        (2, 1, fleet.port, "spare.test"),
    ];
    names.service("_http._tcp.app.test", &records);
    let proxy = setup("srv+http://_http._tcp.app.test", &names)
        .start()
        .await;

    ok(&proxy).await;
    ok(&proxy).await;

    assert_eq!(fleet.received(), [2]);
}

#[tokio::test]
async fn a_service_without_records_is_a_502() {
    let names = NameServer::start().await;
    names.service("_http._tcp.app.test", &[(0, 0, 0, ".")]);
    let proxy = setup("srv+http://_http._tcp.app.test", &names)
        .start()
        .await;

    let reply = get(proxy.address, "/", &[]).await;

    assert_eq!(reply.status, 502);
}

/// An origin that listens on one family only is reached by `localhost`, and by a name that has
/// addresses in both families.
async fn check_family(listen: &str) {
    let (collector, names) = (Collector::start().await, NameServer::start().await);
    let Ok(listener) = TcpListener::bind(listen).await else {
        return; // a machine without this family
    };
    let port = listener.local_addr().unwrap().port();
    let origin = Origin::detached();
    let serving = origin.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::new(|_: &_| text(200, "hello"));
            tokio::spawn(serving.clone().connection(stream, Speaks::Http1, answer));
        }
    });
    names.host("both.test", &["127.0.0.1", "::1"], 300);
    for host in ["localhost", "both.test"] {
        let proxy = setup(&format!("http://{host}:{port}"), &names)
            .export_to(&collector)
            .start()
            .await;

        ok(&proxy).await;
        ok(&proxy).await;

        for _ in 0..2 {
            let edges = collector.next_edges().await;
            assert_eq!(edges.clients().len(), 1, "{host}");
            assert_eq!(edges.client().status(), StatusCode::Unset);
            assert_eq!(edges.client().text("server.address"), Some(host));
        }
    }
    assert_eq!(origin.received().len(), 4);
}

#[tokio::test]
async fn a_service_on_ipv4_alone_is_reached_by_a_name_with_both() {
    check_family("127.0.0.1:0").await;
}

#[tokio::test]
async fn a_service_on_ipv6_alone_is_reached_by_a_name_with_both() {
    check_family("[::1]:0").await;
}

#[tokio::test]
async fn addresses_names_and_unix_sockets_mix() {
    let names = NameServer::start().await;
    let fleet = Fleet::start(2).await;
    names.host(NAME, &["127.0.0.2"], 300);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let local = Origin::detached();
    let serving = local.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::new(|_: &_| text(200, "hello"));
            tokio::spawn(serving.clone().connection(stream, Speaks::Http1, answer));
        }
    });
    let proxy = Setup::new(
        "upstreams: {origin: {endpoints: ['http://127.0.0.1:${port}', 'http://app.test:${port}', \
         'unix:${path}'], dns: {servers: ['${names}']}}}\n\
         routes: [{name: all, match: {prefix: /}, upstream: origin}]\n",
    )
    .fill("port", &fleet.port.to_string())
    .fill("path", path.to_str().unwrap())
    .fill("names", &names.address.to_string())
    .start()
    .await;
    // Before its name is resolved, the second one gets nothing: the others serve.
    reach(&proxy, &fleet.origins[1]).await;

    let before = (fleet.received(), local.received().len());
    for _ in 0..6 {
        ok(&proxy).await;
    }

    let more: Vec<usize> = fleet
        .received()
        .iter()
        .zip(&before.0)
        .map(|(now, before)| now - before)
        .collect();
    assert_eq!((more, local.received().len() - before.1), (vec![2, 2], 2));
}
