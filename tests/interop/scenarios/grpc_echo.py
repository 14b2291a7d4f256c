"""gRPC's own Python library on both sides: streaming, trailers, errors, deadlines, metadata."""

import concurrent.futures
import importlib
import pathlib
import sys
import time

import grpc
from grpc_tools import protoc

import programs
from harness import EITHER, certificate, expect, free_port, scenario

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


def generated():
    """The Python that grpcio-tools makes of echo.proto."""
    folder = programs.CACHE / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    proto = programs.HERE / "echo.proto"
    made = protoc.main(
        ["protoc", f"-I{proto.parent}", f"--python_out={folder}", f"--grpc_python_out={folder}",
         str(proto)]
    )  # fmt: skip
    expect(made, 0, "exit code of protoc")
    sys.path.insert(0, str(folder))
    return importlib.import_module("echo_pb2"), importlib.import_module("echo_pb2_grpc")


echo, echo_grpc = generated()


class Service(echo_grpc.EchoServicer):
    """Knows nothing of tracing; keeps the metadata that it got."""

    def __init__(self):
        self.metadata = []

    def Unary(self, request, context):
        self.metadata.append([(pair.key, pair.value) for pair in context.invocation_metadata()])
        context.set_trailing_metadata([("x-served-by", "echo"), ("x-blob-bin", b"\x00\xff")])
        return echo.Note(text=request.text)

    def Collect(self, requests, context):
        return echo.Note(times=sum(note.times for note in requests))

    def Expand(self, request, context):
        for time_ in range(request.times):
            yield echo.Note(text=request.text, times=time_)

    def Chat(self, requests, context):
        for note in requests:
            yield echo.Note(text=f"you said {note.text}")

    def Fail(self, request, context):
        context.set_trailing_metadata([("x-reason", "stock")])
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "nothing left: 0 % of it")

    def Sleep(self, request, context):
        time.sleep(3)
        return request


class Wire:
    """Server, edgespan and a client's stub."""

    def __init__(self, world, authority=None):
        """In the clear; with an authority over TLS on both sides."""
        port = free_port()
        self.service = Service()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=8))
        echo_grpc.add_EchoServicer_to_server(self.service, self.server)
        world.keep(self)
        if authority:
            self.server.add_secure_port(f"127.0.0.1:{port}", credentials(authority))
            config = world.gateway(
                endpoint=f"https://127.0.0.1:{port}",
                upstream={"tls": {"ca": authority.certificate}},
                listener={"tls": {"certificates": [certificate(authority.issue("edge"))]}},
            )
        else:
            self.server.add_insecure_port(f"127.0.0.1:{port}")
            config = world.gateway(endpoint=f"h2c://127.0.0.1:{port}")
        self.server.start()
        self.edge = world.edgespan(config)
        address = f"127.0.0.1:{self.edge.port}"
        if authority:
            roots = pathlib.Path(authority.certificate).read_bytes()
            self.channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(roots))
        else:
            self.channel = grpc.insecure_channel(address)
        self.stub = echo_grpc.EchoStub(self.channel)

    def stop(self):
        """Ends the server; the channel goes first, or it would try to connect again."""
        if hasattr(self, "channel"):
            self.channel.close()
        self.server.stop(grace=None).wait()


def credentials(authority):
    """What a gRPC server shows over TLS."""
    chain, key = (pathlib.Path(file).read_bytes() for file in authority.issue("service"))
    return grpc.ssl_server_credentials([(key, chain)])


def call_spans(world, method, status):
    """Both edges of a call, with what every rpc span has to say."""
    server, client = world.edges()
    for span in (server, client):
        expect(span.name, f"interop.Echo/{method}", f"name of the {span.kind} span")
        expect(span.attributes.get("rpc.system.name"), "grpc", "rpc.system.name")
        expect(span.attributes.get("rpc.method"), f"interop.Echo/{method}", "rpc.method")
        code = span.attributes.get("rpc.response.status_code")
        expect(code, status, f"rpc.response.status_code of the {span.kind} span")
    return server, client


def counted(spans, requests, answers):
    """Expects these numbers of messages, each span telling them from its own side."""
    server, client = spans
    for span, sent, received in [(server, answers, requests), (client, requests, answers)]:
        got = [span.attributes.get(f"edgespan.rpc.messages_{way}") for way in ("sent", "received")]
        expect(got, [sent, received], f"messages sent and received of the {span.kind} span")


@scenario
def a_unary_call_with_metadata_and_trailers(world):
    wire = Wire(world)
    metadata = [
        ("traceparent", f"00-{TRACE}-{CALLER}-01"),
        ("tracestate", "vendor=one"),
        ("baggage", "tenant=7;p , k=v"),
        ("x-blob-bin", b"\x00\x01\xff"),
    ]

    answer, call = wire.stub.Unary.with_call(echo.Note(text="hi"), metadata=metadata, timeout=10)

    expect(answer.text, "hi", "answer")
    trailers = dict(call.trailing_metadata())
    expect(trailers["x-served-by"], "echo", "trailer")
    expect(trailers["x-blob-bin"], b"\x00\xff", "binary trailer")
    server, client = call_spans(world, "Unary", "OK")
    counted((server, client), 1, 1)
    expect((server.trace_id, server.parent_span_id), (TRACE, CALLER), "parent")
    seen = dict(wire.service.metadata[0])
    expect(seen["traceparent"], f"00-{TRACE}-{client.span_id}-01", "traceparent at the service")
    expect(seen["tracestate"], "vendor=one", "tracestate at the service")
    expect(seen["baggage"], "tenant=7;p , k=v", "baggage at the service")
    expect(seen["x-blob-bin"], b"\x00\x01\xff", "binary metadata at the service")


@scenario
def tls_on_both_sides_speaks_http_2(world):
    wire = Wire(world, world.authority())

    answer, call = wire.stub.Unary.with_call(echo.Note(text="hi"), timeout=10)

    expect(answer.text, "hi", "answer")
    expect(dict(call.trailing_metadata())["x-served-by"], "echo", "trailer")
    for span in call_spans(world, "Unary", "OK"):
        expect(span.attributes["network.protocol.version"], "2", f"version of {span.kind}")


@scenario
def a_stream_from_the_client(world):
    wire = Wire(world)

    answer = wire.stub.Collect((echo.Note(times=n) for n in range(500)), timeout=10)

    expect(answer.times, sum(range(500)), "sum")
    counted(call_spans(world, "Collect", "OK"), 500, 1)


@scenario
def a_stream_from_the_server(world):
    wire = Wire(world)
    text = "x" * 10_000

    answers = list(wire.stub.Expand(echo.Note(text=text, times=300), timeout=20))

    expect([note.times for note in answers], list(range(300)), "order")
    expect({note.text for note in answers}, {text}, "texts")
    counted(call_spans(world, "Expand", "OK"), 1, 300)


@scenario
def a_conversation_is_not_held_up(world):
    wire = Wire(world)
    spoken = iter(["one", "two", "three"])
    heard = []

    # Each next word is said only when the last one was answered: nothing may be buffered.
    def turns():
        for count, word in enumerate(spoken):
            while len(heard) < count:
                time.sleep(0.005)
            yield echo.Note(text=word)

    for answer in wire.stub.Chat(turns(), timeout=10):
        heard.append(answer.text)

    expect(heard, ["you said one", "you said two", "you said three"], "answers")
    counted(call_spans(world, "Chat", "OK"), 3, 3)


@scenario
def an_error_keeps_its_code_message_and_trailers(world):
    wire = Wire(world)

    failure = fails(wire.stub.Fail, timeout=10)

    expect(failure.code(), grpc.StatusCode.FAILED_PRECONDITION, "code")
    expect(failure.details(), "nothing left: 0 % of it", "message")
    expect(dict(failure.trailing_metadata())["x-reason"], "stock", "trailer")
    server, client = call_spans(world, "Fail", "FAILED_PRECONDITION")
    expect(client.status, "ERROR", "status of the CLIENT span")
    expect(server.status, "UNSET", "status of the SERVER span: the caller's mistake")


@scenario
def a_deadline_ends_the_call_and_its_spans(world):
    wire = Wire(world)

    failure = fails(wire.stub.Sleep, timeout=0.3)

    expect(failure.code(), grpc.StatusCode.DEADLINE_EXCEEDED, "code")
    # The spans end then and not when the service wakes up. Who acts first at the moment that client
    # and service share is open: the client resets the stream, or the service says so in trailers.
    server, client = world.edges(seconds=2, left=EITHER)
    told = server.attributes.get("rpc.response.status_code")
    left = server.attributes.get("edgespan.client_disconnected")
    assert left or told or server.status == "ERROR", "the SERVER span does not say how it ended"
    assert client.end - client.start < 2_000_000_000, "the CLIENT span waited for the service"


@scenario
def the_edge_keeps_a_deadline_that_the_client_forgets(world):
    wire = Wire(world)

    # The client sends a deadline of its own making and waits for ever: only the edge can act.
    try:
        wire.stub.Sleep(echo.Note(text="hi"), metadata=[("grpc-timeout", "300m")])
        raise AssertionError("the call succeeded")
    except grpc.RpcError as failure:
        expect(failure.code(), grpc.StatusCode.DEADLINE_EXCEEDED, "code")
    server, client = world.edges()
    code = server.attributes.get("rpc.response.status_code")
    expect(code, "DEADLINE_EXCEEDED", "rpc.response.status_code of the SERVER span")
    # The service itself has told nothing.
    expect(client.attributes.get("rpc.response.status_code"), None, "that of the CLIENT span")
    assert client.end - client.start < 2_000_000_000, "the CLIENT span waited for the service"
    for span in (server, client):
        told = (span.status, span.attributes.get("error.type"))
        expect(told, ("ERROR", "timeout"), f"status of the {span.kind} span")


@scenario
def compressed_messages_are_counted_alike(world):
    wire = Wire(world)
    text = "x" * 10_000

    answers = wire.stub.Expand(
        echo.Note(text=text, times=20), timeout=10, compression=grpc.Compression.Gzip
    )

    expect(len(list(answers)), 20, "answers")
    counted(call_spans(world, "Expand", "OK"), 1, 20)


@scenario
def a_failure_of_the_edge_is_told_in_trailers(world):
    wire = Wire(world)
    wire.server.stop(grace=None).wait()

    failure = fails(wire.stub.Unary, timeout=10)

    expect(failure.code(), grpc.StatusCode.UNAVAILABLE, "code")
    [server] = world.receiver.wait(lambda span: span.kind == "SERVER")
    expect(server.status, "ERROR", "status of the SERVER span")


def fails(method, timeout):
    """The error of a call that must not succeed."""
    try:
        method(echo.Note(text="hi"), timeout=timeout)
    except grpc.RpcError as failure:
        return failure
    raise AssertionError("the call succeeded")
