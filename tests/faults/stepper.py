# SPDX-License-Identifier: Apache-2.0
"""stepper.py RULES THREADS IP:PORT...: requests without a tag and with one while a release is stepped, over kept and fresh connections, until
SIGTERM; each answer is checked by the rule in force. RULES is a file that is replaced: "NUMBER RULE" while RULE alone is in force,
"NUMBER RULE NEXT" from before the next one can be until it must be. Even numbers are of the former, odd of the latter. A rule is
`closed` (no request enters, a tag counts for nothing), `stable` (no request enters), `user:NAME` (those with that x-user enter), or
`weight:N` (so many of a hundred). Prints the figures of a load (lib.sh), "base" of requests that must not enter. Exit 1: any was wrong or
lost, or shares that are not the weights'."""
import json
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns/clients"))
from wire import Wire  # noqa: E402

rules, nthreads, targets = sys.argv[1], int(sys.argv[2]), [t.rsplit(":", 1) for t in sys.argv[3:]]
over, lock = threading.Event(), threading.Lock()
signal.signal(signal.SIGTERM, lambda *_: over.set())
count = {kind: dict(sent=0, ok=0, fell_back=0, lost=0, wrong=0, slowest_ms=0, how={}) for kind in ("base", "lane")}
shares, seen, unjudged = {}, set(), 0
REST = (int(os.environ.get("LW_SLOW", 1)) - 1) / 50 + 0.002  # seconds


def in_force():
    number, *which = open(rules, encoding="ascii").read().split()
    return int(number), which


def may(rule, user, tag):
    """Whether a request may be in the lane, and whether it may be in base."""
    if rule == "closed":
        return False, True
    if tag:
        return (True, True) if rule == "stable" else (True, False)
    if rule.startswith("weight:"):
        n = int(rule[7:])
        return n > 0, n < 100
    lane = rule == f"user:{user}"
    return lane, not lane


def judge(before, after, user, tag, lane):
    """None: nobody can know which was in force."""
    if after[0] - before[0] > 1:
        return None
    which = [may(r, user, tag)[not lane] for r in {*before[1], *after[1]}]
    return any(which)


def work(n):
    global unjudged
    rng, wires, i = random.Random(n), {}, 0
    while not over.is_set():
        i += 1
        user, tag = rng.choice((None, "li", "wang")), rng.random() < 0.2
        at = rng.randrange(len(targets))
        ident = f"{n}-{i}"
        headers = [f"X-Id: {ident}"] + ([f"x-user: {user}"] if user else [])
        before, since, wrong, lane = in_force(), time.monotonic(), None, False
        try:
            # one that is older than the release stays with its pod
            if at not in wires or rng.random() < 0.1 or (wires[at][1] and "closed" not in before[1]):
                wires[at] = Wire(targets[at][0].strip("[]"), int(targets[at][1])), "closed" in before[1]
            r = wires[at][0].request("GET", "/id", headers, "gray" if tag else None)
            lane = r.lane == "gray"
            if (r.status, r.headers.get("x-id")) != (200, ident):
                wrong = f"{r.status} {r.headers}"
            elif (r.headers.get("x-lane-seen") == "gray") != (tag or lane):
                wrong = f"tag {r.headers.get('x-lane-seen')!r} at {r.pod}"
            lost = None
        except Exception as error:  # noqa: BLE001 any failure is one of the request
            wires.pop(at, None)
            lost = f"{type(error).__name__} {error}"
        after, took = in_force(), int((time.monotonic() - since) * 1000)
        right = judge(before, after, user, tag, lane)
        with lock:
            kind = "lane" if lane or tag else "base"
            c = count[kind]
            c["sent"] += 1
            c["slowest_ms"] = max(c["slowest_ms"], took)
            if lost:
                c["lost"] += 1
                print(f"lost: {ident}: {lost}", file=sys.stderr)
            elif wrong or right is False:
                c["wrong"] += 1
                print(f"wrong: {ident}: user {user}, tag {tag}, lane {lane}, rules {before} {after}: {wrong}", file=sys.stderr)
            else:
                c["ok"] += 1
            unjudged += right is None
            if not lost and before == after and len(after[1]) == 1:
                seen.add(after[0])
                if after[1][0].startswith("weight:") and not tag:
                    share = shares.setdefault(int(after[1][0][7:]), [0, 0])
                    share[0] += 1
                    share[1] += lane
        time.sleep(rng.random() * 2 * REST)


threads = [threading.Thread(target=work, args=(n,)) for n in range(nthreads)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
bad = False
for weight, (n, k) in sorted(shares.items()):
    p = weight / 100
    # 1 in a million of right ones is further off
    if abs(k - n * p) > 5 * (n * p * (1 - p)) ** 0.5:
        bad = True
        print(f"wrong: of {n} requests {k} entered by a weight of {weight}", file=sys.stderr)
print(json.dumps(dict(count, shares={str(w): {"of": n, "entered": k} for w, (n, k) in shares.items()}, steps_seen=len(seen), unjudged=unjudged,
                      shares_wrong=int(bad))))
sys.exit(bad or any(c["wrong"] or c["lost"] for c in count.values()))
