//! `run --config` reads its file anew: by signal and by itself, and keeps the last good one.

use super::program::{Program, edgespan};
use crate::support::client::{get, patiently};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::time::Duration;

fn answering(body: &str) -> String {
    format!(
        "admin: {{address: '127.0.0.1:0'}}\n\
         listeners: {{web: {{address: '127.0.0.1:0'}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, answer: {{status: 200, body: {body}}}}}]\n"
    )
}

fn run(flags: &[&str]) -> Program {
    let mut arguments = vec!["run"];
    arguments.extend(flags);
    arguments.push("--config");
    edgespan(&arguments)
        .file("edgespan.yaml", &answering("first"))
        .start()
}

/// Where requests go, and where operators ask.
async fn doors(program: &Program) -> (SocketAddr, SocketAddr) {
    let admin = program.address_behind("admin listening").await;
    (program.address_behind("listening").await, admin)
}

async fn answers(address: SocketAddr, body: &str) {
    patiently(async {
        while get(address, "/", &[]).await.text() != body {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

fn write(program: &Program, text: &str) {
    std::fs::write(program.home().join("edgespan.yaml"), text).unwrap();
}

#[tokio::test]
async fn a_changed_file_is_in_force_by_itself() {
    let program = run(&[]);
    let (address, _) = doors(&program).await;
    answers(address, "first").await;

    write(&program, &answering("second"));

    answers(address, "second").await;
    program.tells("configuration in force").await;
    assert_eq!(program.stopped().await.code, Some(0));
}

#[tokio::test]
async fn kubernetes_swap_of_its_link_is_a_changed_file() {
    let program = edgespan(&["run", "--config", "mounted/edgespan.yaml"]);
    let folder = program.folder();
    let publish = |version: &str, body: &str| {
        let mounted = folder.join("mounted");
        std::fs::create_dir_all(mounted.join(version)).unwrap();
        std::fs::write(mounted.join(version).join("edgespan.yaml"), answering(body)).unwrap();
        symlink(version, mounted.join("..data_tmp")).unwrap();
        std::fs::rename(mounted.join("..data_tmp"), mounted.join("..data")).unwrap();
    };
    publish("..1", "first");
    symlink("..data/edgespan.yaml", folder.join("mounted/edgespan.yaml")).unwrap();
    let program = program.start();
    let (address, _) = doors(&program).await;

    for (version, body) in [("..2", "second"), ("..3", "third")] {
        publish(version, body);
        answers(address, body).await;
    }
}

#[tokio::test]
async fn a_bad_file_is_refused_with_every_reason_and_the_last_good_one_stays() {
    let program = run(&["--no-watch"]);
    let (address, admin) = doors(&program).await;

    write(&program, "listeners: {web: {adress: 1}}\nroutez: []\n");
    program.signal(Signal::HUP);

    program.tells("the last good one stays").await;
    let told = program.stderr();
    assert!(told.contains("adress") && told.contains("routez"), "{told}");
    answers(address, "first").await;
    let told = get(admin, "/config", &[("host", "localhost")]).await;
    let told = told.text();
    assert!(
        told.contains(": refused; what follows below is still in force.\n#"),
        "{told}"
    );
    assert!(told.contains("adress") && told.contains("routez"), "{told}");
    assert!(told.ends_with(&answering("first")), "{told}");
    let page = get(admin, "/metrics", &[("host", "localhost")]).await;
    let page = page.text();
    assert!(
        page.contains("edgespan_config_reloads_total{outcome=\"refused\"} 1")
            && page.contains("edgespan_config_last_reload_success 0"),
        "{page}"
    );

    write(&program, &answering("second"));
    program.signal(Signal::HUP);

    answers(address, "second").await;
    let told = get(admin, "/config", &[("host", "localhost")]).await;
    assert!(told.text().contains(": applied;"), "{}", told.text());
    let page = get(admin, "/metrics", &[("host", "localhost")]).await;
    let page = page.text();
    assert!(
        page.contains("edgespan_config_reloads_total{outcome=\"applied\"} 1")
            && page.contains("edgespan_config_last_reload_success 1"),
        "{page}"
    );
}

#[tokio::test]
async fn without_watching_only_the_signal_counts() {
    let program = run(&["--no-watch"]);
    let (address, _) = doors(&program).await;

    write(&program, &answering("second"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    answers(address, "first").await;
    program.signal(Signal::HUP);

    answers(address, "second").await;
}

#[tokio::test]
async fn a_file_that_a_refused_document_names_puts_it_in_force_when_it_is_there() {
    let program = run(&[]);
    let (address, _) = doors(&program).await;
    let secret = program.home().join("token");

    // Nobody listens there, and nothing has to be sent.
    let export = format!(
        "export: [{{otlp: {{endpoint: 'http://127.0.0.1:9', headers: {{x-token: {{file: '{}'}}}}}}}}]",
        secret.display()
    );
    write(&program, &format!("{}{export}\n", answering("second")));
    program.tells("the last good one stays").await;
    answers(address, "first").await;
    std::fs::write(&secret, "hunter2").unwrap();

    answers(address, "second").await;
}

#[tokio::test]
async fn a_signal_that_comes_as_soon_as_it_listens_is_a_reload() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let text =
        answering("first").replacen("web: {address: '127.0.0.1:0'}", "web: {address: 'X'}", 1);
    let text = text.replace('X', &address.to_string());
    let program = edgespan(&["run", "--no-watch", "--config"])
        .file("edgespan.yaml", &text)
        .start();
    patiently(async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;

    program.signal(Signal::HUP);

    program.tells("configuration in force").await;
    assert_eq!(program.stopped().await.code, Some(0));
}
