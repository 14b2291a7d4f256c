//! What it costs to find a route, and to give a request one reading, as the number of routes
//! grows. Ten thousand are to cost what ten do.

#![allow(clippy::unwrap_used, reason = "a bench stops where it cannot go on")]

use divan::{Bencher, black_box};
use edgespan::message::normalize::{NormalizePolicy, normalize};
use edgespan::message::target::PathRules;
use edgespan::route::{HeaderRule, PathRule, RouteRequest, RouteSpec, RouteTable, ValueRule};
use http::{HeaderMap, HeaderName, Method, Request};

const COUNTS: [usize; 3] = [10, 1_000, 10_000];

fn main() {
    divan::main();
}

fn route(name: String, path: PathRule) -> RouteSpec {
    RouteSpec {
        name: name.into(),
        hosts: vec!["app.example.com".parse().unwrap()],
        path,
        methods: vec![Method::GET],
        headers: Vec::new(),
        query: Vec::new(),
    }
}

/// Templates with captures below as many services, and one prefix for what is left.
fn table(count: usize) -> RouteTable<usize> {
    let mut routes: Vec<(RouteSpec, usize)> = (1..count)
        .map(|n| {
            let template = format!("/api/v1/service{n}/orders/{{order_id}}");
            let path = PathRule::template(&template).unwrap();
            (route(format!("r{n}"), path), n)
        })
        .collect();
    let rest = PathRule::prefix("/api").unwrap();
    routes.push((route("rest".to_owned(), rest), 0));
    RouteTable::build(routes).unwrap()
}

fn request<'r>(path: &'r str, headers: &'r HeaderMap) -> RouteRequest<'r> {
    RouteRequest {
        host: "app.example.com",
        path,
        query: None,
        method: &Method::GET,
        headers,
    }
}

#[divan::bench(args = COUNTS)]
fn template(bencher: Bencher, count: usize) {
    let table = table(count);
    let headers = HeaderMap::new();
    let path = format!("/api/v1/service{}/orders/4711", count / 2);
    let request = request(&path, &headers);
    bencher.bench_local(|| table.find(black_box(&request)).map(|found| *found.value));
}

#[divan::bench(args = COUNTS)]
fn prefix_after_coming_back(bencher: Bencher, count: usize) {
    let table = table(count);
    let headers = HeaderMap::new();
    let path = format!("/api/v1/service{}/refunds/4711", count / 2);
    let request = request(&path, &headers);
    bencher.bench_local(|| table.find(black_box(&request)).map(|found| *found.value));
}

#[divan::bench(args = COUNTS)]
fn none(bencher: Bencher, count: usize) {
    let table = table(count);
    let headers = HeaderMap::new();
    let request = request("/index.html", &headers);
    bencher.bench_local(|| table.find(black_box(&request)).is_some());
}

/// The documented exception: routes that agree in host and path are asked one by one.
#[divan::bench(args = [10, 100])]
fn one_path_many_conditions(bencher: Bencher, count: usize) {
    let name = HeaderName::from_static("x-tenant");
    let routes = (0..count)
        .map(|n| {
            let mut spec = route(format!("r{n:05}"), PathRule::template("/a").unwrap());
            spec.headers.push(HeaderRule {
                name: name.clone(),
                value: ValueRule::Exact(format!("t{n}").into()),
            });
            (spec, n)
        })
        .collect();
    let table = RouteTable::build(routes).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(name, format!("t{}", count - 1).parse().unwrap());
    let request = request("/a", &headers);
    bencher.bench_local(|| table.find(black_box(&request)).map(|found| *found.value));
}

#[divan::bench(args = COUNTS)]
fn build(bencher: Bencher, count: usize) {
    bencher.bench_local(|| table(black_box(count)).len());
}

#[divan::bench(args = ["/api/v1/orders/4711?full=1", "/api/v1/%6frders/47%2C11"])]
fn one_reading(bencher: Bencher, target: &str) {
    let policy = NormalizePolicy {
        path: PathRules::default(),
        header_bytes_max: 65_536,
        header_count_max: 100,
    };
    bencher
        .with_inputs(|| {
            let mut request = Request::builder()
                .uri(target)
                .header("host", "app.example.com");
            for n in 0..12 {
                request = request.header(format!("x-header-{n}"), "some value of a header");
            }
            request.body(()).unwrap()
        })
        .bench_local_refs(|request| normalize(request, &policy).is_ok());
}
