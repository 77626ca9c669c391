# SPDX-License-Identifier: Apache-2.0
"""random_world.py WORLD SEED ROUNDS: pods that are ready, not ready or leaving at random; requests at random, from pods and others, to pods and
Services, on new connections and on such as have lived through the rounds before. Where each may be answered is asked of this program's own model
of a cluster, which shares nothing with ours. WORLD (JSON): laneway, socket, state, variants (a folder of POD.ready, POD.unready, POD.leaving),
port, clients {name: {netns, ips, lane}}, pods {name: {app, lane, ips}}, apps {name: {vips, lane}}; addresses are IPv4 and, where the machine has it, IPv6."""
import json
import os
import random
import shutil
import subprocess
import sys

from netns import enter
from wire import Wire

with open(sys.argv[1]) as f:
    world = json.load(f)
seed, rounds = int(sys.argv[2]), int(sys.argv[3])
dice = random.Random(seed)
pods, apps, clients = world["pods"], world["apps"], world["clients"]
is_now = {name: "ready" for name in pods}
kept = {}


def laneway_says(*args):
    return subprocess.run([world["laneway"], *args, "--socket", world["socket"]], check=True, capture_output=True, text=True).stdout


def connect(client, address):
    enter(f"/run/netns/{clients[client]['netns']}")
    return Wire(address, world["port"] if address in own_address else 80)


def turn_over():
    for name in dice.sample(sorted(pods), dice.randrange(1, 4)):
        want = dice.choice(("ready", "ready", "unready", "leaving"))
        # there is always a base pod that is ready
        others = [p for p in pods if p != name and pods[p]["app"] == pods[name]["app"] and not pods[p]["lane"] and is_now[p] == "ready"]
        if not pods[name]["lane"] and not others:
            want = "ready"
        is_now[name] = want
        new = os.path.join(world["state"], f"pod-{name}.new")
        shutil.copy(os.path.join(world["variants"], f"{name}.{want}"), new)
        os.rename(new, os.path.join(world["state"], f"pod-{name}.yaml"))
    laneway_says("status", "--wait", "30")


def ready(app, lane):
    return {p for p in pods if pods[p]["app"] == app and pods[p]["lane"] == lane and is_now[p] == "ready"}


def lane_of(client, app, tag, user):
    if tag in ("gray", "blue"):
        return tag
    if clients[client]["lane"]:
        return clients[client]["lane"]
    return apps[app]["lane"] if user else ""


def may_answer(app, peer, lane):
    """peer: the pod that was asked for, None of a Service."""
    if not apps[app]["lane"]:
        return {peer} if peer else ready(app, "")
    canaries = ready(app, lane) if lane else set()
    if canaries:
        return {peer} if peer in canaries else canaries
    return {peer} if peer and not pods[peer]["lane"] else ready(app, "")


own_address = {a: p for p in pods for a in pods[p]["ips"]}
asked, how = 0, {"to a canary": 0, "on a kept connection": 0, "away from the peer": 0}
for turn in range(rounds):
    turn_over()
    for n in range(50):
        client = dice.choice(sorted(clients))
        app = dice.choice(sorted(apps))
        peer = dice.choice([p for p in sorted(pods) if pods[p]["app"] == app])
        address = dice.choice(pods[peer]["ips"])
        if dice.random() < 0.3 and apps[app]["lane"]:
            address, peer = dice.choice(apps[app]["vips"]), None
        if peer == client:
            continue
        tag, user = dice.choice(("", "", "gray", "blue", "nosuch")), dice.random() < 0.3
        may = may_answer(app, peer, lane_of(client, app, tag, user))
        headers = ["x-user: xiaoming"] if user else []
        key = (client, address)
        # which pod a Service's connection has is not known, and one that is leaving keeps its clients
        keep = peer and dice.random() < 0.7
        wire = kept.pop(key, None) if keep else None
        how["on a kept connection"] += bool(wire)
        answer = (wire := wire or connect(client, address)).request("GET", "/id", headers, tag or None)
        got = answer.pod.split("[")[0]
        got = next((p for p in pods if got in (p, p + pods[p]["lane"])), got)
        what = f"seed {seed}, round {turn}: {client} to {address} ({app}, {peer}), tag '{tag}', {headers}; pods {is_now}"
        if got not in may:
            raise SystemExit(f"FAIL: {what}: answered by {got}, not by one of {sorted(may)}")
        # what is in no release is nothing that it could explain
        if n % 10 == 0 and apps[app]["lane"]:
            args = [a for h in headers + ([f"x-mse-tag: {tag}"] if tag else []) for a in ("-H", h)]
            to = f"[{address}]" if ":" in address else address
            source = next(a for a in clients[client]["ips"] if (":" in a) == (":" in address))
            said = json.loads(laneway_says("explain", "--from", source, "--to", f"{to}:{world['port'] if peer else 80}", "-o", "json", *args))
            if said["lane"] != (lane_of(client, app, tag, user) or "base"):
                raise SystemExit(f"FAIL: {what}: explain says {said['lane']}")
        asked += 1
        how["to a canary"] += bool(pods[got]["lane"])
        how["away from the peer"] += bool(peer and got != peer)
        if keep:
            kept[key] = wire
print(f"{asked} requests in {rounds} rounds, of these " + ", ".join(f"{v} {k}" for k, v in how.items()))
if min(how.values()) < asked // 20:
    raise SystemExit("FAIL: too few of some")
