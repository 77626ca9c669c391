# SPDX-License-Identifier: Apache-2.0
"""random_rules.py IP PORT FOLDER SEED ROUNDS LANEWAY SOCKET OWN_IP: rules at random, put into FOLDER in place of a line RULES of its
templates (tr-web, rollout-web), and requests at random. Each one's lane, and the header that its rule puts on, is asked for by word of
docs/rules.md as this program has it, which shares nothing with ours: Python's own expressions, and no automata. So it is of `laneway explain`."""
import json
import os
import random
import re
import subprocess
import sys

from wire import Wire

ip, port, folder, seed, rounds, laneway, socket, own_ip = sys.argv[1:]
dice = random.Random(int(seed))
NAMES = ("x-user", "X-Region", "user-agent", "x-a")
VALUES = ("a", "b", "ab", "aab", "a b", "b-1", "abba")
COOKIES = ("beta", "Beta", "b", "always")
PARAMS = ("user", "u", "User", "a%20b")
ELEMENTS = ("a", "b", "api", "apix", "", "..", "a%2fb", "x.y")


def some(n, what):
    return [what() for _ in range(n)]


def expression(depth=0):
    def atom():
        kind = dice.randrange(10)
        if kind < 5 or depth > 2:
            return dice.choice(("a", "b", "-", "1", r"\.", "/", " "))
        if kind < 7:
            return dice.choice(("[ab]", "[^a]", "[a-c0-9]", r"\d", ".", r"\w"))
        return dice.choice(("(%s)", "(?:%s)")) % expression(depth + 1)

    def piece():
        # no repetition within another, over which Python's could think for hours
        return atom() + dice.choice(("", "", "", "?", "{2}") if depth else ("", "", "", "*", "+", "?", "{1,2}", "{2}", "*?"))

    return "|".join("".join(some(dice.randrange(1, 4), piece)) for _ in range(dice.choice((1, 1, 1, 2, 3))))


def value_match(names):
    if dice.random() < 0.5:
        return {"name": dice.choice(names), "type": "RegularExpression", "value": dice.choice(("", "", "^", ".*")) + "(%s)" % expression() + dice.choice(("", "$", ".*"))}
    match = {"name": dice.choice(names), "value": dice.choice(VALUES)}
    if dice.random() < 0.5:
        match["type"] = "Exact"
    return match


def path():
    return "/head" + "".join("/" + dice.choice(ELEMENTS) for _ in range(dice.randrange(3)))


def match_of(own):
    match, kinds = {}, dice.randrange(1, 8 if own else 2)
    if kinds & 1:
        match["headers"] = some(dice.choice((1, 1, 2, 3)), lambda: value_match(NAMES))
        if dice.random() < 0.25:
            match["headers"].append({"name": dice.choice(("canary-by-cookie", "Canary-By-Cookie")), "value": dice.choice(COOKIES)})
    if kinds & 2:
        match["queryParams"] = some(dice.choice((1, 1, 2)), lambda: value_match(PARAMS))
    if kinds & 4:
        kind = dice.choice(("Exact", "PathPrefix", "RegularExpression"))
        match["path"] = {"type": kind, "value": path() if kind != "RegularExpression" else "/head(%s)?" % expression() + dice.choice(("", "/.*"))}
    return match


def holds_value(match, value):
    if value is None:
        return False
    if match.get("type", "Exact") == "Exact":
        return value == match["value"]
    return re.fullmatch(match["value"], value, re.ASCII) is not None


def first(pairs, name, same=lambda a, b: a == b):
    return next((value for key, value in pairs if same(key, name)), None)


def no_case(a, b):
    return a.lower() == b.lower()


def once(entries, same):
    """Of two with one name the first counts."""
    kept = []
    for entry in entries:
        if not any(same(entry["name"], k["name"]) for k in kept):
            kept.append(entry)
    return kept


def holds(match, target, headers):
    for entry in once(match.get("headers", ()), no_case):
        if entry["name"].lower() == "canary-by-cookie":
            line = first(headers, "cookie", no_case) or ""
            cookies = [c.strip(" ").split("=", 1) for c in line.split(";") if "=" in c]
            if first(cookies, entry["value"]) != "always":
                return False
        elif not holds_value(entry, first(headers, entry["name"], no_case)):
            return False
    where, _, query = target.partition("?")
    params = [(p.split("=", 1) + [""])[:2] for p in query.split("&") if p]
    for entry in once(match.get("queryParams", ()), lambda a, b: a == b):
        if not holds_value(entry, first(params, entry["name"])):
            return False
    if "path" in match:
        kind, value = match["path"]["type"], match["path"]["value"]
        if kind == "Exact":
            return where == value
        if kind == "RegularExpression":
            return re.fullmatch(value, where, re.ASCII) is not None
        short = value.rstrip("/") if value.endswith("/") else value
        return where == value or where == short or where.startswith(short + "/")
    return True


def request():
    """Half of them have what a match asks for by the letter."""
    match = dice.choice(rules["matches"] + [{}] * len(rules["matches"]))
    headers = [(e["name"], e["value"]) for e in match.get("headers", ()) if e.get("type") != "RegularExpression" and e["name"].lower() != "canary-by-cookie"]
    for _ in range(dice.randrange(5)):
        name = dice.choice(NAMES)
        name = dice.choice((name, name.upper(), name.title()))
        headers.append((name, dice.choice(VALUES + ("", "abab", "aaa", "a1", "b.b"))))
    if dice.random() < 0.4:
        headers.insert(dice.randrange(len(headers) + 1), ("Cookie", dice.choice(("; ", ";")).join(
            "%s=%s" % (dice.choice(COOKIES), dice.choice(("always", "always", "never", "", "alwaysx"))) for _ in range(dice.randrange(1, 4)))))
    target = match["path"]["value"] if match.get("path", {}).get("type", "RegularExpression") != "RegularExpression" else path()
    target += "".join("?" + e["name"] + "=" + e["value"].replace(" ", "+") for e in match.get("queryParams", ())[:1])
    if "?" not in target and dice.random() < 0.6:
        target += "?" + "&".join(dice.choice(PARAMS) + dice.choice(("=", "=", "=", "")) + dice.choice(VALUES).replace(" ", "+") for _ in range(dice.randrange(1, 4)))
    return target, headers


def put(name, text):
    with open(os.path.join(folder, name + ".new"), "w") as f:
        f.write(text)
    os.rename(os.path.join(folder, name + ".new"), os.path.join(folder, name + ".yaml"))


def rules_text(template, indent, rules):
    return template.replace(" " * indent + "RULES\n", "".join(" " * indent + f"{k}: {json.dumps(v)}\n" for k, v in rules.items()))


def laneway_says(*args):
    return subprocess.run([laneway, *args, "--socket", socket], check=True, capture_output=True, text=True).stdout


def fail(what, want, got, target, headers):
    raise SystemExit(f"FAIL: seed {seed}, round {turn}: {what}: expected {want}, got {got}\n{json.dumps(rules)}\n{target} {headers}")


templates = {}
for name in ("tr-web", "rollout-own", "rollout-tr"):
    with open(os.path.join(folder, name + ".template")) as f:
        templates[name] = f.read()
steered = asked = 0
for turn in range(int(rounds)):
    own = dice.random() < 0.6
    rules = {"matches": some(dice.choice((1, 2, 3, 6)), lambda: match_of(own)),
             "requestHeaderModifier": {"set": [{"name": "x-mse-tag", "value": "gray"}, {"name": "x-set", "value": f"round-{turn}"}]}}
    put("tr-web", "" if own else rules_text(templates["tr-web"], 4, rules))
    put("rollout-web", rules_text(templates["rollout-own"], 8, rules) if own else templates["rollout-tr"])
    laneway_says("status", "--wait", "30")
    wire = Wire(ip, int(port))
    for n in range(60):
        target, headers = request()
        tag = dice.choice((None,) * 8 + ("gray", "nosuch"))
        enters = any(holds(m, target, headers) for m in rules["matches"])
        want = ("gray" if enters or tag == "gray" else "base", f"round-{turn}" if enters and tag != "gray" else None)
        blank = dice.choice(("", " ", "  ", "\t"))
        data = wire.head("GET", target, [f"{k}:{blank}{v}{dice.choice(('', '', ' '))}" for k, v in headers], tag)
        cut = dice.choice((len(data), dice.randrange(1, len(data))))
        wire.send(data[:cut])
        if cut < len(data):
            wire.send(data[cut:])
        answer = wire.response()
        got = (answer.lane, first(wire.fields(answer.body.decode("latin-1").split("\r\n")[1:-2]).items(), "x-set"))
        if got != want:
            fail("lane and header", want, got, target, headers)
        steered += enters
        asked += 1
        if n % 12 == 0:
            args = [a for k, v in headers for a in ("-H", f"{k}: {v}")] + (["-H", f"x-mse-tag: {tag}"] if tag else [])
            said = json.loads(laneway_says("explain", "--from", own_ip, "--to", f"{ip}:{port}", "--path", target, "-o", "json", *args))["lane"]
            if said != want[0]:
                fail("explain", want[0], said, target, headers)
print(f"{asked} requests in {rounds} rounds, {steered} entered by a rule")
if not asked // 20 < steered < asked * 19 // 20:
    raise SystemExit("FAIL: rules that nearly all requests fulfil, or nearly none")
