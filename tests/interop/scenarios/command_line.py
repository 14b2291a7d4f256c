"""curl: what a person types, in every version of HTTP that edgespan speaks."""

import hashlib
import json

from harness import certificate, curl, expect, free_port, scenario
from origin import Origin

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


@scenario
def a_plain_request_gets_its_two_edges(world):
    edge = world.edgespan()

    answer = curl(world, f"{edge.url}/orders/7?token=secret&page=2")

    expect((answer.status, answer.version), (200, "1.1"), "answer")
    server, client = world.edges()
    [seen] = world.origin.requests
    expect(seen["path"], "/orders/7?token=secret&page=2", "path at the origin")
    [context] = seen.header("traceparent")
    expect(context, f"00-{client.trace_id}-{client.span_id}-03", "context at the origin")
    expect(server.attributes["http.response.status_code"], 200, "status")
    expect(server.attributes["network.protocol.version"], "1.1", "version")
    assert "secret" not in str(server.attributes) + str(client.attributes), "a secret in a span"
    expect(edge.finish_with_everything_exported().accepted, 2, "spans")


@scenario
def http_2_with_prior_knowledge(world):
    edge = world.edgespan()

    answer = curl(world, "--http2-prior-knowledge", f"{edge.url}/orders/7")

    expect((answer.status, answer.version), (200, "2"), "answer")
    server, client = world.edges()
    expect(server.attributes["network.protocol.version"], "2", "version of the SERVER span")
    expect(client.attributes["network.protocol.version"], "1.1", "version of the CLIENT span")


@scenario
def tls_offers_both_versions(world):
    authority = world.authority()
    tls = {"certificates": [certificate(authority.issue("app.example.test"))]}
    edge = world.edgespan(world.gateway(listener={"tls": tls}))
    name = f"app.example.test:{edge.port}"
    trusting = ["--cacert", authority.certificate]
    trusting += ["--resolve", f"{name}:127.0.0.1", f"https://{name}/"]

    for flag, version in [("--http1.1", "1.1"), ("--http2", "2")]:
        world.receiver.forget()
        answer = curl(world, flag, *trusting)

        expect((answer.status, answer.version), (200, version), f"answer to {flag}")
        server, _ = world.edges()
        expect(server.attributes["url.scheme"], "https", "scheme")
        expect(server.attributes["server.address"], "app.example.test", "address")
    # A client that does not know the certificate's issuer must fail to connect.
    curl(world, edge.url, code=60)


@scenario
def an_origin_that_asks_for_a_certificate_gets_one(world):
    authority = world.authority()
    origin = world.keep(Origin(free_port(), authority.certificate, authority.issue("origin")))
    trusting = {"ca": authority.certificate}
    shown = {"certificate": certificate(authority.issue("edge"))}

    for tls, status in [({**trusting, **shown}, 200), (trusting, 502), (shown, 502)]:
        world.receiver.forget()
        edge = world.edgespan(world.gateway(origin.url, upstream={"tls": tls}))
        answer = curl(world, f"{edge.url}/orders/7")

        expect(answer.status, status, f"status with {sorted(tls)}")
        server, client = world.edges()
        wanted = "UNSET" if status == 200 else "ERROR"
        expect((server.status, client.status), (wanted, wanted), f"spans with {sorted(tls)}")
        edge.finish_with_everything_exported()
    expect(len(origin.requests), 1, "requests that the origin took")


@scenario
def a_client_is_known_by_its_certificate(world):
    authority = world.authority()
    tls = {
        "certificates": [certificate(authority.issue("edge"))],
        "client": {"ca": authority.certificate, "allow": ["shop.example.test"],
                   "header": "x-forwarded-client-cert"},
    }  # fmt: skip
    edge = world.edgespan(world.gateway(listener={"tls": tls}))
    trusting = ["--cacert", authority.certificate]

    def shows(name):
        chain, key = authority.issue(name)
        return [*trusting, "--cert", chain, "--key", key, edge.url]

    for flag in ["--http1.1", "--http2", "--tls-max=1.2"]:
        world.receiver.forget()
        forged = ["-H", "x-forwarded-client-cert: Hash=00"]
        flags = ["--tls-max", "1.2"] if "max" in flag else [flag]
        answer = curl(world, *flags, *forged, *shows("shop.example.test"))

        expect(answer.status, 200, f"status with {flag}")
        server, _ = world.edges()
        identity = server.attributes["edgespan.client.identity"]
        expect(identity, "shop.example.test", f"identity with {flag}")
        [told] = world.origin.requests[-1].header("x-forwarded-client-cert")
        assert "DNS=shop.example.test" in told and "Hash=00" not in told, told
    # One that is not allowed, and none at all: refused in the handshake, which TLS 1.3 lets a
    # client see only when it reads.
    curl(world, *shows("other.example.test"), code=(35, 55, 56))
    curl(world, *trusting, edge.url, code=(35, 55, 56))
    expect(len(world.origin.requests), 3, "requests that the origin took")


@scenario
def an_answer_is_compressed_for_who_asks(world):
    edge = world.edgespan(compression={"algorithms": ["zstd", "gzip"], "min_bytes": "100B"})
    long = ["-H", "x-long: " + "so it goes " * 200, f"{edge.url}/orders"]

    for accepted, coding in [("gzip", "gzip"), ("zstd", "zstd"), ("br, gzip;q=0.5", "gzip")]:
        for flag in ["--http1.1", "--http2-prior-knowledge"]:
            answer = curl(world, flag, "--compressed", "-H", f"Accept-Encoding: {accepted}", *long)

            expect(answer.status, 200, "status")
            expect(answer.header("content-encoding"), coding, f"coding for {accepted}")
            expect(answer.header("vary"), "accept-encoding", "vary")
            # What curl has decoded is what the origin said.
            expect(json.loads(answer.body)["path"], "/orders", "answer")
    plain = curl(world, *long)
    expect(plain.header("content-encoding"), None, "coding for who asks for none")


@scenario
def head_has_a_length_and_no_body(world):
    edge = world.edgespan()

    for flag in ["--http1.1", "--http2-prior-knowledge"]:
        whole = curl(world, flag, "-H", "x-same: 1", f"{edge.url}/status/200")
        answer = curl(world, flag, "-H", "x-same: 1", "--head", f"{edge.url}/status/200")

        expect(answer.status, 200, "status")
        expect(answer.header("content-length"), str(len(whole.body)), "length")
        expect(world.origin.requests[-1]["method"], "HEAD", "method at the origin")


@scenario
def an_upload_waits_for_the_origins_100_continue(world):
    edge = world.edgespan()
    upload = world.folder / "upload"
    upload.write_bytes(b"x" * 2_000_000)
    expecting = ["--http1.1", "-H", "Expect: 100-continue", "--expect100-timeout", "15"]
    expecting += ["--data-binary", f"@{upload}"]

    taken = curl(world, *expecting, f"{edge.url}/upload")

    expect(taken.status, 200, "status")
    assert "HTTP/1.1 100 Continue" in taken.verbose, "no 100 Continue"
    expect(json.loads(taken.body)["bytes"], 2_000_000, "bytes at the origin")

    refused = curl(world, *expecting, f"{edge.url}/refuses-bodies")

    expect(refused.status, 413, "status of the refusal")
    assert "HTTP/1.1 100 Continue" not in refused.verbose, "100 Continue that nobody said"
    expect(refused.uploaded, 0, "bytes sent in vain")


@scenario
def a_chunked_upload_arrives_whole(world):
    edge = world.edgespan()
    upload = world.folder / "upload"
    upload.write_bytes(bytes(range(256)) * 12_000)
    digest = hashlib.sha256(upload.read_bytes()).hexdigest()

    for flag in ["--http1.1", "--http2-prior-knowledge"]:
        chunked = ["-H", "Transfer-Encoding: chunked"] if flag == "--http1.1" else []
        put = [flag, *chunked, "-H", "Expect:", "--upload-file", str(upload)]
        answer = curl(world, *put, f"{edge.url}/upload")

        expect(answer.status, 200, f"status with {flag}")
        expect(json.loads(answer.body)["sha256"], digest, f"body with {flag}")


@scenario
def trailers_arrive_behind_the_body(world):
    edge = world.edgespan()
    body = b"first\nsecond\n"

    for flag in ["--http1.1", "--http2-prior-knowledge", "--http1.0"]:
        world.receiver.forget()
        answer = curl(world, flag, "-H", "TE: trailers", f"{edge.url}/trailers")

        expect(answer.body, body, f"body with {flag}")
        # HTTP/1.0 has no place for trailers.
        wanted = None if flag == "--http1.0" else hashlib.sha256(body).hexdigest()
        expect(answer.header("x-checksum"), wanted, f"trailer with {flag}")
        world.edges()


@scenario
def a_client_that_leaves_ends_its_spans(world):
    edge = world.edgespan()

    for flag in ["--http1.1", "--http2-prior-knowledge"]:
        world.receiver.forget()
        curl(world, flag, "--max-time", "0.5", f"{edge.url}/silent", code=28)

        server, client = world.edges(seconds=2, left=True)
        expect((server.status, client.status), ("UNSET", "UNSET"), f"spans with {flag}")
    edge.finish_with_everything_exported()


@scenario
def context_comes_through_intact(world):
    edge = world.edgespan()
    baggage = ["tenant=a%20b;source=edge , k1 = v1", "z=1,a=2"]

    answer = curl(
        world, f"{edge.url}/",
        "-H", f"traceparent: 00-{TRACE}-{CALLER}-01",
        "-H", "tracestate: vendor=one", "-H", "tracestate: other=two,third=3",
        "-H", f"baggage: {baggage[0]}", "-H", f"baggage: {baggage[1]}",
        "-H", "Connection: close, traceparent, baggage",
    )  # fmt: skip

    expect(answer.status, 200, "status")
    server, client = world.edges()
    expect((server.trace_id, server.parent_span_id), (TRACE, CALLER), "parent of the SERVER span")
    expect(server.trace_state, "vendor=one,other=two,third=3", "tracestate of the SERVER span")
    [seen] = world.origin.requests
    expect(seen.header("traceparent"), [f"00-{TRACE}-{client.span_id}-01"], "traceparent")
    state = ",".join(seen.header("tracestate"))
    expect(state, "vendor=one,other=two,third=3", "tracestate")
    expect(seen.header("baggage"), baggage, "baggage")


@scenario
def an_unsampled_trace_stays_unsampled_and_unrecorded(world):
    edge = world.edgespan()

    curl(world, "-H", f"traceparent: 00-{TRACE}-{CALLER}-00", f"{edge.url}/")

    [seen] = world.origin.requests
    [context] = seen.header("traceparent")
    assert context.startswith(f"00-{TRACE}-") and context.endswith("-00"), context
    expect(edge.finish().accepted, 0, "spans")


@scenario
def a_refusal_names_its_trace_and_nothing_inside(world):
    config = world.gateway(route={"match": {"prefix": "/api"}})
    edge = world.edgespan(config)
    world.origin.stop()

    for path, status in [("/nowhere", 404), ("/api/orders", 502)]:
        world.receiver.forget()
        answer = curl(world, f"{edge.url}{path}")

        expect(answer.status, status, "status")
        expect(answer.header("content-type"), "application/problem+json", "content-type")
        problem = json.loads(answer.body)
        expect(problem["status"], status, "status in the body")
        [server] = world.receiver.wait(lambda span: span.kind == "SERVER")
        expect(problem["trace_id"], server.trace_id, "trace id to quote")
        expect(server.status, "ERROR" if status == 502 else "UNSET", "status of the span")
        assert str(world.origin.url).rpartition(":")[2] not in answer.body.decode(), "an address"


@scenario
def with_tracing_disabled_everything_passes_untouched(world):
    edge = world.edgespan(env={"OTEL_SDK_DISABLED": "true"})
    odd = ["-H", "traceparent: not-a-context", "-H", "tracestate: kept=1", "-H", "baggage: k=v;p"]

    answer = curl(world, *odd, f"{edge.url}/")

    expect(answer.status, 200, "status")
    [seen] = world.origin.requests
    for name, wanted in [("traceparent", "not-a-context"), ("tracestate", "kept=1")]:
        expect(seen.header(name), [wanted], name)
    expect(seen.header("baggage"), ["k=v;p"], "baggage")
    expect(world.receiver.spans(), [], "spans")
