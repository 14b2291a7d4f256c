"""What Prometheus and the kubelet ask: /metrics in both formats, read by Prometheus' own library."""

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from harness import curl, expect, free_port, get, scenario

REQUESTS = 7

# What the two formats call themselves, and who reads them.
FORMATS = [
    ("application/openmetrics-text; version=1.0.0", openmetrics),
    ("text/plain; version=0.0.4", parser),
]


@scenario
def both_formats_are_read_by_the_real_parser(world):
    edge = world.edgespan()
    for _ in range(REQUESTS):
        curl(world, f"{edge.url}/orders/7")
    world.receiver.wait(lambda span: span.service == "edge", 2 * REQUESTS)

    for accepted, reader in FORMATS:
        answer = curl(world, "-H", f"Accept: {accepted}", f"{edge.admin}/metrics")

        expect(answer.status, 200, "status")
        kind = answer.header("content-type")
        assert kind.startswith(accepted), f"{kind} for {accepted}"
        metrics = Metrics(reader, answer.body.decode())
        for name in ["http_server_request_duration_seconds", "http_client_request_duration_seconds"]:
            expect(metrics.sum(f"{name}_count"), REQUESTS, f"{name} in {accepted}")
            wanted = {"http_request_method": "GET", "http_response_status_code": "200"}
            for key, text in wanted.items():
                expect(metrics.labels(f"{name}_count", key), {text}, f"{key} of {name}")
            expect(metrics.sum(f"{name}_bucket", le="+Inf"), REQUESTS, f"buckets of {name}")


@scenario
def the_account_of_spans_holds_while_the_receiver_is_away(world):
    world.receiver.stop()
    edge = world.edgespan()
    for _ in range(REQUESTS):
        curl(world, edge.url)

    answer = curl(world, "-H", f"Accept: {FORMATS[0][0]}", f"{edge.admin}/metrics")
    metrics = Metrics(openmetrics, answer.body.decode())

    accepted = metrics.sum("edgespan_spans_accepted_total")
    ways = ["exported_total", "rejected_total", "dropped_total", "pending"]
    expect(accepted, 2 * REQUESTS, "accepted")
    expect(sum(metrics.sum(f"edgespan_spans_{way}") for way in ways), accepted, "account")


@scenario
def the_second_door_has_probes_and_metrics_and_nothing_else(world):
    probes = f"127.0.0.1:{free_port()}"
    world.edgespan(world.gateway(), admin={"probes": probes})

    for path in ["/live", "/ready", "/metrics"]:
        expect(get(f"http://{probes}{path}")[0], 200, path)
    for path in ["/", "/drain", "/config"]:
        expect(get(f"http://{probes}{path}")[0], 404, path)


class Metrics:
    """Every sample of an exposition."""

    def __init__(self, reader, text):
        families = reader.text_string_to_metric_families(text)
        self.samples = [sample for family in families for sample in family.samples]

    def named(self, name, **labels):
        """The samples of that name and with those labels; there is at least one."""
        found = [
            sample
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        known = sorted({sample.name for sample in self.samples})
        assert found, f"no {name} {labels} among {known}"
        return found

    def sum(self, name, **labels):
        """The sum of those samples."""
        return sum(sample.value for sample in self.named(name, **labels))

    def labels(self, name, key):
        """Every value of a label."""
        return {sample.labels.get(key) for sample in self.named(name)}
