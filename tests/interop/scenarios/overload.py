"""Overload: ten times what an origin can do, at a constant rate. What is left of it, and who waits."""

import time

import offered
from harness import expect, free_port, get, listens, scenario, until

PLACES, SERVICE = 4, 0.1
SECONDS, SETTLED = 18, 6


@scenario
def at_ten_times_the_capacity_goodput_stays_with_a_limit_that_was_set(world):
    shown(world, {"limits": {"requests": 2 * PLACES}}, "upstream")


@scenario
def at_ten_times_the_capacity_goodput_stays_with_a_limit_that_finds_itself(world):
    shown(world, {"overload": {"adaptive": True}}, "adaptive")


def shown(world, upstream, reason):
    origin = world.keep(offered.SlowOrigin(port := free_port(), PLACES, SERVICE))
    until(lambda: listens(port), "the origin is up")
    edge = world.edgespan(world.gateway(endpoint=f"http://127.0.0.1:{port}", upstream=upstream))

    # What an origin that is never asked for too much gives is the best there is.
    best = offered.Offered(edge.port, 0.9 * origin.capacity, 3).outcome()
    expect(set(best.statuses()), {200}, "answers below the capacity")
    load = offered.Offered(edge.port, 10 * origin.capacity, SECONDS)
    slowest = 0.0
    end = time.monotonic() + SECONDS - 1
    while time.monotonic() < end:
        began = time.monotonic()
        expect(get(edge.admin + "/ready")[0], 200, "readiness under load")
        get(edge.admin + "/metrics")
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.1)
    seen = load.outcome()

    settled = seen.between(SETTLED, SECONDS)
    good = settled.statuses()[200] / (SECONDS - SETTLED)
    waits, refusals = settled.waits(200), settled.waits(503)
    print(f"        capacity {origin.capacity:.0f}/s, offered {10 * origin.capacity:.0f}/s: "
          f"good {good:.1f}/s ({good / origin.capacity:.0%}), "
          f"answers after {middle(waits):.0f} ms, refusals after {middle(refusals):.1f} ms, "
          f"the operator's two pages within {slowest * 1000:.0f} ms, {dict(seen.statuses())}")  # fmt: skip
    assert good >= 0.9 * origin.capacity, f"goodput {good:.1f}/s of {origin.capacity:.0f}/s"
    assert slowest < 1, f"the operator waited {slowest:.2f} s"
    expect(set(settled.statuses()), {200, 503}, "answers")
    _, page = get(edge.admin + "/metrics")
    shed = [line for line in page.splitlines() if f'shed_total{{reason="{reason}"}}' in line]
    expect(int(float(shed[0].split()[1])), seen.statuses()[503], "requests shed")
    untold = [one for one in seen.answers if one[2] == 503 and not one[3]]
    expect(untold, [], "refusals without Retry-After")


def middle(waits):
    return 1000 * waits[len(waits) // 2] if waits else 0.0
