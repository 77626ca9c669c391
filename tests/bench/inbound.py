# SPDX-License-Identifier: Apache-2.0
"""What it costs servers that their arriving requests are read: medians over the rounds of inbound.sh, and the ratio of
"inbound" to AGAINST, taken within a round.

inbound.py RESULTS JSON AGAINST: writes them, and prints a table. table.py takes them up from there.
"""
import json
import platform
import statistics
import sys

# The servers by name, what the row says, what it is called among the goals, and the goal.
SERVERS = {
    "calls": ("base pod that calls for each request", "base pod, calls", "read >= 0.97 of not read"),
    "called": ("base pod that has called once", "base pod, called", "read >= 0.97 of not read"),
    "leaf": ("base pod that calls nothing", "base pod, leaf", "read >= 0.97 of not read"),
    "apart": ("server in no lane, under the read hook", "no lane", "no measurable difference: 1 in range"),
}
STATES = ["inbound", "no-inbound", "no-agent"]


def rate(r):
    return r["requests"] / r["seconds"]


def summary(path, against):
    runs = {}
    for line in open(path, encoding="utf-8"):
        number, where, case, state, text = line.rstrip("\n").split("\t")
        runs.setdefault((where, case), {}).setdefault(state, {})[number] = json.loads(text)
    rows = []
    for (where, case), by in runs.items():
        ratios = [rate(r) / rate(by[against][n]) for n, r in by["inbound"].items()]
        ratio = statistics.median(ratios)
        rows.append({
            "server": where, "connections": int(case),
            "requests_per_second": {s: statistics.median(map(rate, by[s].values())) for s in by},
            "p50_us": {s: statistics.median(r["p50"] for r in by[s].values()) for s in by},
            "errors": sum(r["errors"] for s in by.values() for r in s.values()),
            "ratio": ratio, "ratio_range": [min(ratios), max(ratios)],
            "reached": ratio >= 0.97 if where != "apart" else min(ratios) <= 1 <= max(ratios),
        })
    return {"kernel": platform.release(), "against": against, "results": rows}


def show(data):
    states = sorted(data["results"][0]["requests_per_second"], key=STATES.index)
    print(f"arriving requests are read; ratio of inbound to {data['against']}")
    print(f"  {'':39} {'connections':>11}" + "".join(f" {s + '/s':>12}" for s in states) + f" {'ratio':>6} {'(range)':>13}  errors")
    for r in data["results"]:
        low, high = r["ratio_range"]
        print(f"  {SERVERS[r['server']][0]:39} {r['connections']:>11}"
              + "".join(f" {r['requests_per_second'][s]:>12.0f}" for s in states)
              + f" {r['ratio']:>6.2f} {f'({low:.2f}-{high:.2f})':>13}  {r['errors'] or ''}")


def goals(data):
    """(case, goal, value, reached)"""
    return [(f"{SERVERS[r['server']][1]}, {r['connections']}", SERVERS[r["server"]][2], r["ratio"], r["reached"]) for r in data["results"]]


def show_goals(found):
    print("\ngoals")
    for where, goal, value, ok in found:
        print(f"  {'reached' if ok else 'MISSED ':8} {where:21} {goal:38} {value:.2f}")


if __name__ == "__main__":
    result = summary(sys.argv[1], sys.argv[3])
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
    show(result)
    show_goals(goals(result))
    print(f"\nwritten: {sys.argv[2]}")
