//! How it ends: signals drain, a second Ctrl-C stops, a closed pipe is no failure.

use super::program::{Call, Program, edgespan};
use crate::support::client;
use crate::support::origin::{Origin, streamed, text};
use bytes::Bytes;
use http_body::Frame;
use rustix::process::Signal;
use std::net::SocketAddr;
use std::sync::Mutex;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

fn run_to(origin: &Origin) -> Call {
    let to = format!("http://{}", origin.address);
    edgespan(&["run", "--listen", "127.0.0.1:0", "--admin", "off", "--to"]).argument(to)
}

/// A proxy with one request whose answer has begun and ends when the test says so.
struct InFlight {
    program: Program,
    address: SocketAddr,
    sender: mpsc::Sender<Frame<Bytes>>,
    answer: http::Response<hyper::body::Incoming>,
}

async fn in_flight(call: impl FnOnce(&Origin) -> Call) -> InFlight {
    let (sender, answer) = streamed();
    let answer = Mutex::new(Some(answer));
    let origin = Origin::answering(move |_| {
        let streamed = answer.lock().unwrap().take();
        streamed.unwrap_or_else(|| text(200, "again"))
    })
    .await;
    let program = call(&origin).start();
    let address = program.address_behind("listening").await;
    let answer = client::begin(address, client::request("GET", "/slow", &[])).await;
    InFlight {
        program,
        address,
        sender,
        answer,
    }
}

#[tokio::test]
async fn either_signal_lets_requests_in_flight_finish_and_takes_no_new_ones() {
    for signal in [Signal::INT, Signal::TERM] {
        let InFlight {
            program,
            address,
            sender,
            answer,
        } = in_flight(run_to).await;

        program.signal(signal);
        program
            .tells("draining 1 request, up to 10 s (Ctrl-C again stops now) ... ")
            .await;
        let refused = TcpStream::connect(address).await;
        sender
            .send(Frame::data(Bytes::from("last words")))
            .await
            .unwrap();
        drop(sender);

        assert!(refused.is_err(), "{refused:?}");
        assert_eq!(client::whole(answer).await.text(), "last words");
        let ended = program.ended().await;
        assert_eq!(ended.code, Some(0));
        assert!(ended.stderr.contains(" ... done in "), "{}", ended.stderr);
        assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);
        assert_eq!(
            ended.last_word(),
            "spans accepted 2 = exported 2 (terminal) + rejected 0 + dropped 0 + pending 0"
        );
    }
}

#[tokio::test]
async fn a_second_ctrl_c_stops_at_once() {
    let flight = in_flight(run_to).await;
    flight.program.interrupt();
    flight.program.tells("draining 1 request").await;

    flight.program.interrupt();

    let ended = flight.program.ended().await;
    assert_eq!(ended.code, Some(130));
    assert!(ended.stderr.ends_with(" ... stopped\n"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_second_sigterm_changes_nothing() {
    let flight = in_flight(run_to).await;
    flight.program.signal(Signal::TERM);
    flight.program.tells("draining 1 request").await;

    flight.program.signal(Signal::TERM);
    drop(flight.sender);

    assert_eq!(client::whole(flight.answer).await.status, 200);
    assert_eq!(flight.program.ended().await.code, Some(0));
}

#[tokio::test]
async fn requests_that_outlast_the_drain_are_cut_off_and_counted() {
    let config = |origin: &Origin| {
        let text = format!(
            "listeners: {{web: {{address: '127.0.0.1:0'}}}}\n\
             upstreams: {{slow: {{endpoints: ['http://{}']}}}}\n\
             routes: [{{name: all, upstream: slow}}]\n\
             drain: {{timeout: 300ms}}\n",
            origin.address
        );
        edgespan(&["run", "--admin", "off", "--config"])
            .file("edgespan.yaml", &text)
            .on_terminal(80)
    };
    let flight = in_flight(config).await;

    flight.program.interrupt();

    let ended = flight.program.ended().await;
    assert_eq!(ended.code, Some(0));
    let told = ended.stdout;
    assert!(told.contains("draining 1 request, up to 0.3 s"), "{told}");
    assert!(told.contains("1 request cut off after 0."), "{told}");
}

#[tokio::test]
async fn on_a_terminal_a_tree_does_not_break_the_line_of_the_drain() {
    let flight = in_flight(|origin| run_to(origin).on_terminal(80)).await;
    flight.program.interrupt();
    flight.program.shows("draining 1 request").await;

    drop(flight.sender);

    let told = flight.program.ended().await.stdout;
    let after = told
        .split_once("stops now) ... \n")
        .expect("the line ends")
        .1;
    assert!(
        after.starts_with("\u{1b}[1mGET /slow\u{1b}[0m  200  "),
        "{after}"
    );
    assert!(after.contains("\ndone in "), "{after}");
}

#[tokio::test]
async fn a_reader_that_leaves_ends_it_in_silence() {
    let demo = ["demo", "--listen", "127.0.0.1:0", "--admin", "off"];
    let program = edgespan(&demo).read_one_line().start();

    let ended = program.ended().await;

    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.contains(" SERVER edgespan "));
    for word in ["panicked", "error", "ipe", "draining", "spans accepted"] {
        assert!(!ended.stderr.contains(word), "{word} in {}", ended.stderr);
    }
}
