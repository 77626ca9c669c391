# SPDX-License-Identifier: Apache-2.0
"""hostile.py IP PORT DIR LANEWAY SOCKET SEED: sends the corpus to the base pod at IP, each case whole, byte by byte, and cut at
random, and compares what the recorders in DIR got. The last line is JSON: {"sent", "wrong", "lost", "opaque"}."""
import collections
import glob
import json
import os
import random
import socket
import subprocess
import sys

from corpus import ANSWER, ANY, CASES, EITHER, TAG

ip, port, folder, laneway, control, seed = sys.argv[1], int(sys.argv[2]), *sys.argv[3:6], int(sys.argv[6])
rng = random.Random(seed)
figures = collections.Counter()
faults = []
# for hangs
PATIENCE = 30 * int(os.environ.get("LW_SLOW", "1"))
# what becomes of requests while the agent gets no processor: their lanes are not said of it
AWAY = ("agent-stale", "unreachable")


def stats():
    out = json.loads(subprocess.run([laneway, "stats", "-o", "json", "--socket", control], check=True, capture_output=True).stdout)
    total = collections.Counter()
    for row in out["stats"]:
        total[row["reason"]] += row["count"]
    return total


def counts():
    return collections.Counter({reason: n for reason, n in stats().items() if reason.startswith("opaque-")})


def away():
    return sum(stats()[reason] for reason in AWAY)


def pieces(data, how):
    if how == "whole":
        return [data]
    if how == "bytes":
        return [data[i : i + 1] for i in range(len(data))]
    cuts = sorted(rng.sample(range(1, len(data)), min(len(data) - 1, rng.randrange(1, 6))))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]


def one_answer(sock, buf):
    while b"\r\n\r\nok\n" not in buf:
        data = sock.recv(65536)
        if not data:
            return None, buf
        buf += data
    head, rest = buf.split(b"\r\n\r\nok\n", 1)
    return head.decode("latin-1"), rest


def recorded(mark):
    """[(pod, file, bytes)] of the connections that have the case's bytes, and of those that have others. An empty one may wait in a pool."""
    got, strays = [], []
    for path in glob.glob(f"{folder}/*"):
        with open(path, "rb") as f:
            data = f.read()
        if data:
            (got if mark in data else strays).append((os.path.basename(path).split(".")[0], path, data))
    return got, strays


def run(case, how, n):
    name = f"{case.name} ({how})"
    mark = f"case={n}-{how};".encode()
    sends = [s if s is ANSWER else s.replace(b"%ID", mark) for s in case.sends]
    parts = [b"".join(group) for group in split(sends)]
    before, errors = counts(), len(faults)
    answers, buf = [], b""
    with socket.create_connection((ip, port), PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for s in sends:
                if s is ANSWER:
                    head, buf = one_answer(sock, buf)
                    answers.append(head)
                    continue
                for piece in pieces(s, how):
                    sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
            while True:
                head, buf = one_answer(sock, buf)
                if head is None:
                    break
                answers.append(head)
        except OSError as error:
            figures["lost"] += 1
            faults.append(f"{name}: {type(error).__name__} {error} after {len(answers)} answers")
    figures["sent"] += 1
    if buf:
        faults.append(f"{name}: {len(buf)} bytes that are no answer: {buf[:100]!r}")
    for head in answers:
        if head is None or not head.startswith("HTTP/1.1 200"):
            faults.append(f"{name}: no answer: {head!r}")
        elif f"X-Case: {n}-{how}\r\n" not in head:
            faults.append(f"{name}: another's answer: {head!r}")
    got, strays = recorded(mark)
    for pod, _, data in strays:
        # half a body that a second pod got, too: only the pod of its head has the mark
        faults.append(f"{name}: {pod} got {len(data)} bytes that are not for it: {data[:100]!r}")
    where = case.where
    pods = {"canary": "c", "peer": "b"}
    everything = b"".join(parts)
    if where == "requests":
        # the first of them at the canary, the rest at the peer; none in two places
        at = {pod: b"".join(data for p, _, data in got if p[0] == pod) for pod in "cb"}
        if at["c"] + at["b"] != everything or at["c"][-4:] not in (b"", b"\r\n\r\n") or len(got) != sum(map(bool, at.values())):
            faults.append(f"{name}: {len(everything)} bytes sent, arrived: {[(p, len(d)) for p, _, d in got]}")
    elif isinstance(where, str):
        if len(got) != 1 or got[0][2] != everything:
            faults.append(f"{name}: {len(everything)} bytes sent, arrived: {[(p, len(d)) for p, _, d in got]}")
        elif where != "one" and got[0][0][0] != pods[where]:
            faults.append(f"{name}: expected at {where}, got at {got[0][0]}")
    else:
        want = collections.defaultdict(bytes)
        for pod, part in zip(where, parts):
            want[pods[pod]] += part
        have = collections.defaultdict(bytes)
        for pod, _, data in got:
            have[pod[0]] += data
        if want != have or len(got) != len(want):
            faults.append(f"{name}: expected {[(p, len(d)) for p, d in want.items()]}, got {[(p, len(d)) for p, _, d in got]}")
    for pod, _, data in got:
        # what has no tag anywhere has no business at a canary
        if pod[0] == "c" and TAG not in data:
            faults.append(f"{name}: {pod} got bytes of a request without a tag")
    after = counts() - before
    figures["opaque"] += sum(after.values())
    want = {None: 0, EITHER: len(after)}.get(case.reason, 1)
    if case.reason is EITHER and after and list(after) != ["opaque-pipelined"]:
        faults.append(f"{name}: counted {dict(after)}")
    elif sum(after.values()) != want or (case.reason not in (None, ANY, EITHER) and list(after) != [case.reason]):
        faults.append(f"{name}: expected {case.reason} to be counted, got {dict(after)}")
    if len(faults) > errors and os.environ.get("HOSTILE_DUMP"):
        print(name, [len(x) if x is not ANSWER else x for x in sends])
        for path in glob.glob(f"{folder}/*"):
            if os.path.getsize(path):
                with open(path, "rb") as f:
                    print("   ", os.path.basename(path), f.read()[:500])
    for _, path, _ in got + strays:
        os.unlink(path)


def split(sends):
    group = []
    for s in sends:
        if s is ANSWER:
            yield group
            group = []
        else:
            group.append(s)
    yield group


for n, case in enumerate(CASES):
    for how in ("whole", "bytes", "cut"):
        if how == "bytes" and not case.slow:
            continue
        for again in range(10):
            errors, before, since = len(faults), figures.copy(), away()
            run(case, how, n)
            if len(faults) == errors or away() == since:
                break
            if again < 9:
                del faults[errors:]
                figures = before
        figures["wrong"] += len(faults) > errors
for fault in faults:
    print("FAIL:", fault)
print(json.dumps({k: figures[k] for k in ("sent", "wrong", "lost", "opaque")}))
