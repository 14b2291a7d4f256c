"""Envoy's authorization over gRPC: a service of gRPC's own Python library decides for edgespan, by
the published messages; and edgespan decides for Envoy, within Envoy's trace.
"""

import concurrent.futures
import json
import threading

import grpc

import envoy_config
import programs
from behind import cookies
from harness import curl, expect, free_port, listens, scenario

programs.envoys_messages()

from envoy.config.core.v3 import base_pb2  # noqa: E402
from envoy.service.auth.v3 import external_auth_pb2 as auth  # noqa: E402
from envoy.service.auth.v3 import external_auth_pb2_grpc as auth_grpc  # noqa: E402
from google.rpc import code_pb2, status_pb2  # noqa: E402

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
METHOD = "envoy.service.auth.v3.Authorization/Check"


def field(name, value):
    """A field as most authorizers write one: without a word of what it replaces."""
    return base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key=name, value=value))


class Authorizer(auth_grpc.AuthorizationServicer):
    """Decides by the path, and keeps what it was asked."""

    def __init__(self):
        self.asked = []
        self.leave = threading.Event()

    def Check(self, request, context):
        http = request.attributes.request.http
        self.asked.append((request.attributes, dict(context.invocation_metadata())))
        path = http.path.partition("?")[0]
        if path == "/slow":
            self.leave.wait(10)
        if path == "/broken":
            context.abort(grpc.StatusCode.INTERNAL, "out of order")
        if path == "/in":
            return self.allowed()
        if path == "/login":
            return self.refused(302, field("location", "https://login.example/?rd=%2Fin"),
                                field("set-cookie", "a=1"), field("set-cookie", "b=2"))  # fmt: skip
        return self.refused(403)

    @staticmethod
    def allowed():
        answer = auth.CheckResponse(status=status_pb2.Status(code=code_pb2.OK))
        answer.ok_response.headers.append(field("x-user", "ada"))
        answer.ok_response.headers_to_remove.append("authorization")
        answer.ok_response.response_headers_to_add.extend(
            [field("set-cookie", "a=1"), field("set-cookie", "b=2")]
        )
        answer.ok_response.query_parameters_to_set.add(key="user", value="a b")
        answer.ok_response.query_parameters_to_remove.append("token")
        answer.dynamic_metadata.update({"tier": "gold", "quota": 7})
        return answer

    @staticmethod
    def refused(status, *fields):
        answer = auth.CheckResponse(status=status_pb2.Status(code=code_pb2.PERMISSION_DENIED))
        answer.denied_response.status.code = status
        answer.denied_response.headers.extend(fields)
        answer.denied_response.body = "not you"
        return answer


class Running:
    """Its server."""

    def __init__(self):
        self.port = free_port()
        self.service = Authorizer()
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=4))
        auth_grpc.add_AuthorizationServicer_to_server(self.service, self._server)
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self):
        self.service.leave.set()
        self._server.stop(0).wait()


@scenario
def an_authorizer_of_another_language_decides_over_grpc(world):
    authorizer = world.keep(Running())
    forward = {
        "url": f"http://127.0.0.1:{authorizer.port}", "dialect": "grpc", "timeout": "1s",
        "identity_headers": ["x-user"], "metadata_attributes": ["tier", "quota"],
        "context": {"tenant": "seven"},
    }  # fmt: skip
    edge = world.edgespan(
        world.gateway(route={"auth": "opa"}), auth={"opa": {"forward": forward}}
    )

    passed = curl(
        world, "-H", f"traceparent: 00-{TRACE}-{CALLER}-01", "-H", "x_user: mallory",
        "-H", "X-User: mallory", "-H", "authorization: Bearer secret", "-H", "cookie: k=v",
        f"{edge.url}/in?token=t&z=1",
    )  # fmt: skip
    login = curl(world, f"{edge.url}/login")
    refused = curl(world, f"{edge.url}/out")
    broken = curl(world, f"{edge.url}/broken")
    slow = curl(world, f"{edge.url}/slow")
    authorizer.stop()
    gone = curl(world, f"{edge.url}/in")

    statuses = [one.status for one in (passed, login, refused, broken, slow, gone)]
    expect(statuses, [200, 302, 403, 503, 504, 503], "statuses")
    expect(cookies(passed), ["a", "b"], "cookies of who passes")
    expect(cookies(login), ["a", "b"], "cookies of who is sent to log in")
    expect(login.header("location"), "https://login.example/?rd=%2Fin", "location")
    expect(refused.body, b"not you", "body of a refusal")
    [seen] = world.origin.requests
    expect(seen["path"], "/in?z=1&user=a%20b", "what the origin was asked")
    expect(seen.header("x-user"), ["ada"], "identity")
    expect((seen.header("x_user"), seen.header("authorization")), ([], []), "what is gone")
    attributes, metadata = authorizer.service.asked[0]
    expect(attributes.request.http.headers["cookie"], "k=v", "cookie at the authorizer")
    expect(attributes.context_extensions["tenant"], "seven", "context")
    expect(attributes.source.address.socket_address.address, "127.0.0.1", "client")
    spans = world.receiver.wait(lambda span: span.trace_id == TRACE, 4)
    [decision] = [span for span in spans if span.name == "auth opa"]
    [call] = [span for span in spans if span.parent_span_id == decision.span_id]
    expect(call.name, METHOD, "span of the call")
    expect(metadata["traceparent"], f"00-{TRACE}-{call.span_id}-01", "context of the call")
    expect(decision.attributes["edgespan.auth.metadata.tier"], "gold", "metadata")
    expect(decision.attributes["edgespan.auth.metadata.quota"], 7, "metadata")


@scenario
def the_span_of_envoys_own_check_is_the_parent_of_the_decision(world):
    decides, port = free_port(), free_port()
    world.edgespan(
        {
            "service": {"name": "authz"},
            "listeners": {"web": {"mode": "gateway"}, "authz": {
                "address": f"127.0.0.1:{decides}", "mode": "decision",
                "trusted_proxies": ["127.0.0.1"],
            }},
            "auth": {"here": {"ip": ["127.0.0.0/8"]}},
            "upstreams": {"content": {"endpoints": [world.origin.url]}},
            "routes": [{"name": "all", "match": {"prefix": "/"}, "auth": "here",
                        "upstream": "content"}],
            "sampling": {"default": 1.0},
            "export": [{"otlp": {"endpoint": world.receiver.grpc_endpoint, "protocol": "grpc",
                                 "queue": {"delay": "50ms"}}}],
        }
    )  # fmt: skip
    origin_port = int(world.origin.url.rpartition(":")[2])
    receiver_port = int(world.receiver.http_endpoint.rpartition(":")[2])
    config = envoy_config.gateway(
        "host", port, origin_port, otlp_port=receiver_port, spans_in_export=1
    )
    resources = config["static_resources"]
    resources["clusters"].append(envoy_config.cluster("edgespan", decides, http2=True))
    [filters] = resources["listeners"][0]["filter_chains"][0]["filters"]
    filters["typed_config"]["http_filters"].insert(0, {
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": f"{envoy_config.TYPES}.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": "edgespan"}, "timeout": "2s"},
        },
    })  # fmt: skip
    file = world.folder / "envoy.json"
    file.write_text(json.dumps(config))
    command = [programs.envoy(), "--config-path", file, "--concurrency", "1"]
    command += ["--disable-hot-restart", "--log-level", "warning"]
    world.program("envoy", command).ready(lambda: listens(port))

    answer = curl(world, "-H", f"traceparent: 00-{TRACE}-{CALLER}-01", f"http://127.0.0.1:{port}/a")

    expect(answer.status, 200, "status")
    ours = world.receiver.wait(lambda span: span.service == "authz" and span.kind == "SERVER", 1)
    hosts = world.receiver.wait(lambda span: span.service == "host", 3)
    expect({span.trace_id for span in [*ours, *hosts]}, {TRACE}, "traces")
    [parent] = [span for span in hosts if span.span_id == ours[0].parent_span_id]
    assert "ext_authz" in parent.name or "check" in parent.name.lower(), parent
    expect(ours[0].name, METHOD, "name of the decision's span")
    expect(ours[0].attributes["edgespan.original.path"], "/a", "path asked about")
