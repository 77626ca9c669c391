# SPDX-License-Identifier: Apache-2.0
"""table.py line RESULTS: what the last cell gave, in one line.

table.py table RESULTS OUT FORWARDED: the table, on standard output and in OUT.md, all figures in OUT.json. Exit code 1 if in
any cell an answer was wrong or lost, or with RUNTIME_TARGETS=1 a cell misses its target: all tagged requests in the lane
where a trace header is forwarded; without one where one thread serves a request, once that is known of the program, and for
all programs one at a time.
"""
import json
import os
import platform
import sys


NAMES = {"none": "no header", "warm": "no header, warm"}


def percent(part, whole):
    """Cut, not rounded: 100 is all of them."""
    text = f"{part * 10000 // whole / 100:.2f}" if whole else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


def counters(stats):
    return {(s["workload"], s["lane"], s["evidence"], s["reason"]): s["count"] for s in stats}


def cell(line):
    raw = json.loads(line)
    before, after = counters(raw["before"]), counters(raw["after"])
    grown = {k: n - before.get(k, 0) for k, n in after.items() if n > before.get(k, 0)}
    caller = raw["caller"] or {"requests": 0, "tagged": 0, "kept": 0, "wrong": 0, "lost": 1, "seconds": 0}
    return {
        "name": raw["name"], "model": raw["model"], "what": raw["what"], "header": raw["header"], "level": int(raw["level"]),
        **caller,
        "kept_percent": percent(caller["kept"], caller["tagged"]),
        "ambiguous": sum(n for k, n in grown.items() if k[2] == "ambiguous"),
        "decisions": [dict(zip(("workload", "lane", "evidence", "reason"), k), count=n) for k, n in sorted(grown.items())],
    }


def must_be_all(c):
    return c["header"] == "trace" or c["level"] == 1 or (c["header"] == "warm" and c["model"] == "thread")


def short(c):
    text = c["kept_percent"]
    return text + (f" ({percent(c['ambiguous'], c['requests'])})" if c["ambiguous"] else "")


def print_line(c):
    others = ", ".join(f"{d['evidence']}/{d['reason']} {d['count']}" for d in c["decisions"] if d["reason"] != "ok")
    rate = c["requests"] / c["seconds"] if c["seconds"] else 0
    print(f"{c['name']}, {c['header']}, {c['level']} at once: {c['kept_percent']} % in the lane, ambiguous "
          f"{percent(c['ambiguous'], c['requests'])} %, wrong {c['wrong']}, lost {c['lost']}; {rate:.0f}/s"
          + (f" ({others})" if others else ""), flush=True)


def print_table(cells, out, forwarded):
    columns = list(dict.fromkeys((c["header"], c["level"]) for c in cells))
    rows = {}
    for c in cells:
        rows.setdefault(c["name"], {})[c["header"], c["level"]] = c
    head = ["program", *[f"{NAMES.get(h, h)}, {n}" for h, n in columns], "wrong", "lost", "requests"]
    lines = []
    for name, row in rows.items():
        lines.append([name, *[short(row[k]) if k in row else "-" for k in columns],
                      *[str(sum(c[k] for c in row.values())) for k in ("wrong", "lost", "requests")]])
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    print()
    for line in [head, *lines]:
        print("  ".join(f"{text:{'<' if not i else '>'}{w}}" for i, (text, w) in enumerate(zip(line, widths))))

    with open(out + ".md", "w", encoding="utf-8") as f:
        f.write(f"Percent of the tagged requests that stayed in the lane (and percent of all that were ambiguous, where any were), by "
                f"requests at once; Linux {platform.release()}. Of each request the program forwards "
                + {"none": "nothing", "trace": "the trace header, if there is one", "tag": "the tag"}[forwarded] + ".\n\n")
        f.write("| " + " | ".join(["program", "what"] + head[1:]) + " |\n| --- | --- |" + " ---: |" * (len(head) - 1) + "\n")
        for line in lines:
            f.write("| " + " | ".join([line[0], next(iter(rows[line[0]].values()))["what"]] + line[1:]) + " |\n")
    with open(out + ".json", "w", encoding="utf-8") as f:
        json.dump({"kernel": platform.release(), "forwarded": forwarded, "cells": cells}, f, indent=1)
    print(f"written: {out}.md, {out}.json")


cells = [cell(line) for line in open(sys.argv[2], encoding="utf-8")]
if sys.argv[1] == "line":
    print_line(cells[-1])
    sys.exit(0)
if not cells:
    sys.exit("no program ran")
print_table(cells, sys.argv[3], sys.argv[4])
failed = False
for c in cells:
    where = f"{c['name']}, {c['header']}, {c['level']} at once"
    if c["wrong"] or c["lost"] or not c["requests"]:
        print(f"FAIL: {where}: {c['wrong']} wrong, {c['lost']} lost of {c['requests']}")
        failed = True
    if os.environ.get("RUNTIME_TARGETS") == "1" and must_be_all(c) and c["kept"] != c["tagged"]:
        print(f"FAIL: {where}: the lane kept {c['kept']} of {c['tagged']}, and should have kept all")
        failed = True
sys.exit(failed)
