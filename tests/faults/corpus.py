# SPDX-License-Identifier: Apache-2.0
"""The corpus of hostile requests: a list of Case. `sends` are the bytes in order; ANSWER among them waits for an answer
to what was sent so far. `where` says which pod must have got what:

  canary   every byte, at one canary pod          peer     every byte, at the connection's own peer, a base pod
  one      every byte at one pod, whichever: the tagged head was in order and sent alone, what follows is not
  requests the first ones, whole, at a canary pod, the rest at the own peer
  a tuple  the pod of each part between ANSWERs

`reason`: what `laneway stats` counts once; None: the connection is not opaque; ANY: one of several; EITHER: by how it was cut."""
from dataclasses import dataclass, field

ANSWER = object()
ANY = "any"
EITHER = "opaque-pipelined, or not opaque"
TAG = b"x-mse-tag: gray\r\n"
NOW = b"X-Answer: now\r\n"


@dataclass
class Case:
    name: str
    where: object
    reason: object
    sends: list = field(default_factory=list)
    slow: bool = True  # may be sent byte by byte


CASES = []
MALFORMED, NOT_HTTP, SIZE, PIPELINED = "opaque-malformed", "opaque-not-http", "opaque-head-size", "opaque-pipelined"


def case(name, where, reason, *sends, slow=True):
    """%ID in the bytes becomes the case's mark."""
    CASES.append(Case(name, where, reason, list(sends), slow))


def req(lines=b"", tag=TAG, start=b"GET /%ID HTTP/1.1", body=b""):
    return start + b"\r\nHost: w\r\n" + tag + lines + b"\r\n" + body


def post(lines, body, tag=TAG):
    return req(lines, tag, b"POST /%ID HTTP/1.1", body)


# -- in order: they go where they belong, or all of the rest would prove nothing
for tag, where in ((TAG, "canary"), (b"", "peer")):
    kind = "tagged" if tag else "untagged"
    case(f"{kind}", where, None, req(tag=tag))
    case(f"{kind}, length", where, None, post(b"Content-Length: 3\r\n", b"abc", tag))
    case(f"{kind}, chunked", where, None, post(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n", tag))
    case(f"{kind}, chunk extensions", where, None,
         post(b"Transfer-Encoding: chunked\r\n", b'3;a=b;c="d e"\r\nabc\r\n000A;x\r\n0123456789\r\n0;q\r\nT: 1\r\n\r\n', tag))
    case(f"{kind}, Chunked and a tab", where, None, post(b"transfer-encoding:\tChunked\r\n", b"0\r\n\r\n", tag))
    case(f"{kind}, HTTP/1.0", where, None, req(tag=tag, start=b"GET /%ID HTTP/1.0"))
    case(f"{kind}, absolute form", where, None, req(tag=tag, start=b"GET http://w/%ID HTTP/1.1"))
    case(f"{kind}, bytes over 127", where, None, req(b"A: \xc3\xa9\xff\r\n", tag))
    case(f"{kind}, a request in the body", where, None, post(
        b"Content-Length: 47\r\n", (b"GET / HTTP/1.1\r\nHost: w\r\n" + (b"" if tag else TAG) + b"\r\n").ljust(47, b"."), tag))
    case(f"{kind}, 100 headers", where, None, req(b"".join(b"H%d: v\r\n" % i for i in range(100)), tag), slow=False)
    case(f"{kind}, a head of 15 KiB", where, None, req(b"A: " + b"a" * 15000 + b"\r\n", tag), slow=False)
    # cut, a head may be held back together with the next one's beginning: then all of it is the own peer's, if no answer is due
    case(f"{kind}, three pipelined", "requests" if tag else where, EITHER if tag else None, req(NOW, tag) * 2 + req(tag=tag))

# -- two framings, or one that is in doubt
for tag in (TAG, b""):
    kind = "tagged" if tag else "untagged"
    inner = b"GET /inner HTTP/1.1\r\nHost: w\r\n" + (b"" if tag else TAG) + b"\r\n"
    for name, lines in {
        "CL.TE": b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "TE.CL": b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        "CL.TE, far apart": b"Content-Length: 6\r\nA: b\r\nB: c\r\ntransfer-ENCODING: chunked\r\n",
        "CL.CL": b"Content-Length: 0\r\nContent-Length: 6\r\n",
        "CL.CL, alike": b"Content-Length: 6\r\nContent-Length: 6\r\n",
        "TE.TE": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
        "TE.TE, alike": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "TE.TE, identity first": b"Transfer-Encoding: identity, chunked\r\n",
        "TE.TE, chunked first": b"Transfer-Encoding: chunked, identity\r\n",
        "TE xchunked": b"Transfer-Encoding: xchunked\r\n",
        "TE quoted": b'Transfer-Encoding: "chunked"\r\n',
        "TE comma": b"Transfer-Encoding: ,chunked\r\n",
        "TE empty": b"Transfer-Encoding: \r\n",
        "TE vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
        "TE blank before colon": b"Transfer-Encoding : chunked\r\n",
        "TE tab before colon": b"Transfer-Encoding\t: chunked\r\n",
        "TE folded": b"Transfer-Encoding:\r\n chunked\r\n",
        "TE hidden by a fold": b"A: b\r\n Transfer-Encoding: chunked\r\n",
        "TE behind a bare CR": b"A: b\rTransfer-Encoding: chunked\r\n",
        "TE behind a bare LF": b"A: b\nTransfer-Encoding: chunked\r\n",
        "TE behind a NUL": b"A: b\0\r\nTransfer-Encoding: chunked\r\n",
        "CL blank before colon": b"Content-Length : 6\r\n",
        "CL -6": b"Content-Length: -6\r\n",
        "CL +6": b"Content-Length: +6\r\n",
        "CL 0x6": b"Content-Length: 0x6\r\n",
        "CL 6, 6": b"Content-Length: 6, 6\r\n",
        "CL 6 6": b"Content-Length: 6 6\r\n",
        "CL 6_0": b"Content-Length: 6_0\r\n",
        "CL 6.0": b"Content-Length: 6.0\r\n",
        "CL empty": b"Content-Length: \r\n",
        "CL 2^63": b"Content-Length: 9223372036854775808\r\n",
        "CL 2^64+6": b"Content-Length: 18446744073709551622\r\n",
        "CL of 40 digits": b"Content-Length: " + b"9" * 40 + b"\r\n",
        "CL full-width digit": b"Content-Length: \xef\xbc\x96\r\n",
        "CL with a NUL": b"Content-Length: 6\0\r\n",
    }.items():
        case(f"{kind}, {name}", "peer", MALFORMED, post(lines, b"0\r\n\r\nX" + inner, tag))

# -- the head's lines
for name, data in {
    "bare LF everywhere": b"GET /%ID HTTP/1.1\nHost: w\n" + TAG.replace(b"\r", b"") + b"\n",
    "bare LF at the end": b"GET /%ID HTTP/1.1\r\nHost: w\r\n" + TAG + b"\n",
    "bare LF after the start line": b"GET /%ID HTTP/1.1\n" + TAG + b"\r\n",
    "bare CR": b"GET /%ID HTTP/1.1\r\nA: b\rc\r\n" + TAG + b"\r\n",
    "bare CR before the end": b"GET /%ID HTTP/1.1\r\n" + TAG + b"\r\r\n\r\n",
    "NUL in a value": req(b"A: b\0c\r\n"),
    "NUL in a name": req(b"A\0: b\r\n"),
    "NUL in the target": req(start=b"GET /%ID\0 HTTP/1.1"),
    "NUL in the tag": req(tag=b"x-mse-tag: gray\0\r\n"),
    "control byte in a value": req(b"A: \x01\r\n"),
    "fold": req(b"A: b\r\n c\r\n"),
    "fold with a tab": req(b"A: b\r\n\tc\r\n"),
    "fold of the tag": req(tag=b"x-mse-tag:\r\n gray\r\n"),
    "fold at the first line": b"GET /%ID HTTP/1.1\r\n Host: w\r\n" + TAG + b"\r\n",
    "blank before colon": req(tag=b"x-mse-tag : gray\r\n"),
    "no colon": req(b"nothing\r\n"),
    "no name": req(b": b\r\n"),
    "blank in a name": req(b"A B: c\r\n"),
    "33 tags": req(tag=TAG * 33),
}.items():
    # what ends the start line too early makes it no start line
    case(name, "peer", ANY if "everywhere" in name or "start line" in name or "target" in name else MALFORMED, data,
         slow=len(data) < 250)

# -- the start line
for name, start, reason in (
    ("no version", b"GET /%ID", ANY), ("HTTP/2.0", b"GET /%ID HTTP/2.0", ANY), ("HTTP/0.9", b"GET /%ID HTTP/0.9", ANY),
    ("HTTP/1.10", b"GET /%ID HTTP/1.10", ANY), ("http/1.1", b"GET /%ID http/1.1", ANY), ("HTTP /1.1", b"GET /%ID HTTP /1.1", ANY),
    ("two blanks", b"GET  /%ID HTTP/1.1", ANY), ("tab", b"GET\t/%ID HTTP/1.1", ANY), ("blank at the end", b"GET /%ID HTTP/1.1 ", ANY),
    ("blank in the target", b"GET /%ID a HTTP/1.1", ANY), ("no target", b"GET HTTP/1.1", ANY),
    ("blank before", b" GET /%ID HTTP/1.1", ANY), ("method with a colon", b"G:ET /%ID HTTP/1.1", ANY),
):
    case(f"start line: {name}", "peer", reason, req(b"Y: %ID\r\n", start=start))

# -- heads over the limits
case("a head of 17 KiB", "peer", SIZE, req(b"A: " + b"a" * 17000 + b"\r\n"), slow=False)
case("a head without an end", "peer", SIZE, req(b"A: " + b"a" * 100000), slow=False)
case("a flood of headers", "peer", SIZE, req(b"A: b\r\n" * 20000), slow=False)
case("a start line of 40 KiB", "peer", SIZE, req(start=b"GET /%ID" + b"a" * 40000 + b" HTTP/1.1"), slow=False)

# -- chunks. The head is in order; sent alone it has its route before anybody can know
for tag, where in ((TAG, "one"), (b"", "peer")):
    for name, body in {
        "size zz": b"zz\r\nabc\r\n0\r\n\r\n", "size -1": b"-1\r\nabc\r\n0\r\n\r\n", "size +3": b"+3\r\nabc\r\n0\r\n\r\n",
        "size 0x3": b"0x3\r\nabc\r\n0\r\n\r\n", "size empty": b"\r\nabc\r\n0\r\n\r\n", "size of 17 digits": b"1" * 17 + b"\r\nabc\r\n0\r\n\r\n",
        "blank before size": b" 3\r\nabc\r\n0\r\n\r\n",
        "size, bare LF": b"3\nabc\r\n0\r\n\r\n", "size, bare CR": b"3\rabc\r\n0\r\n\r\n", "data too long": b"3\r\nabcd\r\n0\r\n\r\n",
        "data, bare LF": b"3\r\nabc\n0\r\n\r\n", "extension, bare LF": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
        "extension, bare CR": b"3;a\rb\r\nabc\r\n0\r\n\r\n", "extension, NUL": b"3;\0\r\nabc\r\n0\r\n\r\n",
        "trailer, bare LF": b"0\r\nA: b\n\r\n",
    }.items():
        case(f"chunks{'' if tag else ', untagged'}: {name}", where, MALFORMED,
             post(b"Transfer-Encoding: chunked\r\n", body + req(tag=b"" if tag else TAG), tag))

# -- no HTTP at all
hello = bytes.fromhex("16030102000100") + bytes(range(1, 250))
for name, data in {
    "TLS": hello, "zeros": bytes(3000), "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "proxy protocol": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + req(), "proxy protocol 2": b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c" + req(),
    "redis": b"*1\r\n$4\r\nPING\r\n", "a response": b"HTTP/1.1 200 OK\r\n" + TAG + b"\r\n", "memcached": b"get k\r\n",
    "high bytes": b"\xff" * 100, "WebSocket frame": b"\x81\x85abcdefghi",
}.items():
    case(f"not HTTP: {name}", "peer", ANY, data + b"\0%ID")

# -- over one connection, in turn and at once
def ask(tag):
    return req(NOW, tag)


case("tagged, untagged, tagged", ("canary", "peer", "canary"), None, ask(TAG), ANSWER, ask(b""), ANSWER, req())
case("untagged, tagged, untagged", ("peer", "canary", "peer"), None, ask(b""), ANSWER, ask(TAG), ANSWER, req(tag=b""))
case("untagged, then tagged before its answer", "peer", PIPELINED, req(tag=b"") + req(), slow=False)
case("tagged, then untagged before its answer", "one", PIPELINED, req() + req(tag=b""), slow=False)
bad = b"POST /%ID HTTP/1.1\r\nHost: w\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
case("tagged, then in doubt: doubt is base", ("canary", "peer"), MALFORMED, ask(TAG), ANSWER, bad)
case("tagged, then in doubt, then in order", ("canary", "peer", "peer"), MALFORMED, ask(TAG), ANSWER,
     bad.replace(b"Host: w\r\n", b"Host: w\r\n" + NOW), ANSWER, req(tag=b""))
case("tagged, then too long: base", ("canary", "peer"), SIZE, ask(TAG), ANSWER, req(b"A: " + b"a" * 17000 + b"\r\n", b""), slow=False)
case("tagged, then TLS: base", ("canary", "peer"), ANY, ask(TAG), ANSWER, hello + b"\0%ID")
case("untagged, then in doubt with the tag", ("peer", "peer"), MALFORMED, ask(b""), ANSWER, bad.replace(b"Host: w\r\n", TAG))
