# SPDX-License-Identifier: Apache-2.0
"""table.py RESULTS JSON STATS [INBOUND]: medians over the rounds, each variant's ratio to direct taken within a round.
INBOUND: what inbound.py has written; its rows are printed and in the JSON, too."""
import json
import os
import platform
import statistics
import sys

import inbound

results, out, stats = sys.argv[1:4]
served = json.load(open(sys.argv[4], encoding="utf-8")) if sys.argv[4:] else None
data, variants = {}, []
for line in open(results, encoding="utf-8"):
    number, size, case, variant, text = line.rstrip("\n").split("\t")
    if variant not in variants:
        variants.append(variant)
    data.setdefault((size, case), {}).setdefault(variant, {})[int(number)] = json.loads(text)
ORDER = ["direct", "untouched", "base", "steered", "rule", "haproxy", "nginx"]
variants.sort(key=ORDER.index)


def rate(r):
    return r["requests"] / r["seconds"]


def median(values):
    return statistics.median(values) if values else None


def number(value, form):
    return "-" if value is None else format(value, form)


rows = []
for (size, case), by in data.items():
    direct = by.get("direct", {})
    for variant in variants:
        runs = by[variant]
        pairs = [(runs[i], direct[i]) for i in runs if i in direct and direct[i]["requests"]]
        ratios = [rate(a) / rate(b) for a, b in pairs]
        rows.append({
            "size": size, "case": case, "variant": variant,
            "requests_per_second": median([rate(r) for r in runs.values()]),
            "p50_us": median([r["p50"] for r in runs.values()]),
            "p99_us": median([r["p99"] for r in runs.values()]),
            "throughput_ratio": median(ratios),
            "throughput_ratio_range": [min(ratios), max(ratios)] if ratios else None,
            "p50_ratio": median([a["p50"] / b["p50"] for a, b in pairs if b["p50"]]),
            "p50_added_us": median([a["p50"] - b["p50"] for a, b in pairs]),
            "errors": sum(r["errors"] for r in runs.values()),
            "rounds": list(runs.values()),
        })


def find(size, case, variant):
    return next((r for r in rows if (r["size"], r["case"], r["variant"]) == (size, case, variant)), None)


# What the documentation promises; a report, not a test.
goals = []
for size, case in data:
    base, steered, plain = (find(size, case, v) for v in ("base", "steered", "untouched"))
    proxies = [p for p in (find(size, case, v) for v in ("haproxy", "nginx")) if p]
    haproxy = find(size, case, "haproxy")
    floor = 0.97 if size == "small" else 0.9
    where = f"{size}, {case}"
    if base and base["throughput_ratio"]:
        goals.append((where, f"base >= {floor} of direct", base["throughput_ratio"], base["throughput_ratio"] >= floor))
        if size == "small":
            goals.append((where, "base p50 <= 1.05 of direct", base["p50_ratio"], base["p50_ratio"] <= 1.05))
    if steered and haproxy and size == "small" and haproxy["p50_added_us"] > 0:
        share = steered["p50_added_us"] / haproxy["p50_added_us"]
        goals.append((where, "steered adds <= 1/4 of HAProxy's p50", share, share <= 0.25))
    if steered and size == "small" and proxies:
        best = max(p["requests_per_second"] for p in proxies)
        times = steered["requests_per_second"] / best
        goals.append((where, "steered >= 1.5 x the better proxy", times, times >= 1.5))
    if steered and size != "small" and steered["throughput_ratio"]:
        goals.append((where, "steered >= 0.9 of direct", steered["throughput_ratio"], steered["throughput_ratio"] >= 0.9))
    if plain and plain["throughput_ratio_range"]:
        low, high = plain["throughput_ratio_range"]
        goals.append((where, "untouched: direct lies in its range", plain["throughput_ratio"], low <= 1 <= high))

selftests_us = int(os.environ.get("BENCH_SELFTESTS_US") or 0)
if selftests_us:
    goals.append(("at start", "self-tests <= 200 ms", selftests_us / 1000, selftests_us <= 200000))
if served:
    goals += inbound.goals(served)

cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")), "")
result = {
    "machine": {"kernel": platform.release(), "cpu": cpu, "cpus": os.cpu_count()},
    "results": rows,
    "inbound": served,
    "selftests_us": selftests_us or None,
    "goals": [{"case": w, "goal": g, "value": v, "reached": ok} for w, g, v, ok in goals],
    "stats": json.load(open(stats, encoding="utf-8")) if os.path.exists(stats) and os.path.getsize(stats) else None,
}
with open(out + ".tmp", "w", encoding="utf-8") as f:
    json.dump(result, f, indent=1)
os.replace(out + ".tmp", out)

print(f"{platform.release()}, {os.cpu_count()} CPUs {cpu}; medians of {len(next(iter(data.values()))[variants[0]])} rounds; ratios to direct")
for size, case in data:
    what = "one request a connection, 16 at once" if case == "close" else f"keep-alive, {case} connection{'s' * (case != '1')}"
    print(f"\n{size}, {what}")
    print(f"  {'':10} {'requests/s':>11} {'ratio':>6} {'(range)':>13} {'p50 us':>8} {'added':>7} {'ratio':>6} {'p99 us':>8}  errors")
    for variant in variants:
        r = find(size, case, variant)
        low, high = r["throughput_ratio_range"] or (None, None)
        print(f"  {variant:10} {r['requests_per_second']:>11.0f} {number(r['throughput_ratio'], '.2f'):>6}"
              f" {'(' + number(low, '.2f') + '-' + number(high, '.2f') + ')':>13} {r['p50_us']:>8.0f}"
              f" {number(r['p50_added_us'], '+.0f'):>7} {number(r['p50_ratio'], '.2f'):>6} {r['p99_us']:>8.0f}"
              f"  {r['errors'] or ''}")
if served:
    print()
    inbound.show(served)
if goals:
    inbound.show_goals(goals)
print(f"\nwritten: {out}")
