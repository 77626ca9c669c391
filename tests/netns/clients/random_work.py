# SPDX-License-Identifier: Apache-2.0
"""random_work.py WORLD SEED STEPS: a service that forwards nothing, or a trace header, does its work in whatever order: requests of several lanes
come in pieces, are read by one thread or another, looked at, handed to another process before they are read whole, asked on behalf of, answered
early, in pieces or not at all. What is asked for a request that is not in the lane never comes to a canary; what is asked for one that is comes
there where docs/propagation.md says that it is sure. The service (work.py) does one step at a time, so that what it is at work on is known here.
WORLD (JSON): laneway, socket, agent (its command line), pid (of the first), pid_file (for the last's), log, state, variants (folders APP.open and
APP.closed of what the state folder has then), control, port, work {ips, command}, clients {name: {netns, lane}}, apps {name: {lane, ips}}, of
ips, by address family, the canary's last; leaf: the service asks nobody until it has been left alone for a while (--leaf-after), and the world stays
as it is."""
import fcntl
import json
import os
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

from netns import enter

with open(sys.argv[1]) as f:
    world = json.load(f)
seed, steps = int(sys.argv[2]), int(sys.argv[3])
dice = random.Random(seed)
apps, clients, work = world["apps"], world["clients"], world["work"]
PROCESSES, THREADS = 6, 4
PROVEN = 32  # LW_TASK_PROVEN
DOUBT = 6  # seconds; LW_OLDER_DOUBT_NS, and one
SENDFILE_IS_SENDMSG = [int(n) for n in os.uname().release.split("-")[0].split(".")[:2]] >= [6, 5]
patience = 20 * int(os.environ.get("LW_SLOW", 1))
trail, tally = [], {}


def count(what):
    tally[what] = tally.get(what, 0) + 1


def fail(what):
    print("\n".join(trail[-200:]), file=sys.stderr)
    raise SystemExit(f"FAIL: seed {seed}, step {now}: {what}")


class Process:
    """One of the service's. `faithful`: each request is read, asked for and answered by one thread. `orderly`: no thread reads a request while
    another that it has read is not answered."""

    def __init__(self, name, stream):
        self.name, self.stream = name, stream
        self.faithful, self.orderly = name % 3 == 0, name % 3 != 2
        self.children = 0
        self.proven, self.turns, self.strays = 0, 0, False

    def do(self, thread, *order):
        trail.append(f"{now}: process {self.name} thread {thread}: {order}")
        self.stream.write(json.dumps([thread, *order]) + "\n")
        self.stream.flush()
        line = self.stream.readline()
        if not line:
            fail(f"the service's process {self.name} is gone")
        got, *error = json.loads(line)
        if error:
            fail(f"process {self.name}, {order}: {error[0]}")
        return got

    def at_work(self):
        return [r for r in at_work() if r.process is self]


class Request:
    def __init__(self, conn, tag, trace, head, body, expects):
        self.conn, self.tag, self.trace, self.expects = conn, tag, trace, expects
        self.had_expect = expects
        self.lane = None
        self.epoch = -1  # in which its head has come
        self.begin = conn.queued
        self.head_end = conn.queued + len(head)
        self.end = self.head_end + len(body)
        self.process = self.thread = None
        self.turn = 0
        self.called = False  # its thread has surely been seen to ask for it, since it was read
        self.piped = False  # read beside another of its connection, while nobody sees where each begins

    def __repr__(self):
        return f"({self.conn.name}, lane '{self.lane}', trace {self.trace}, read by {self.process and self.process.name}/{self.thread})"


class Conn:
    """A client's connection. Offsets are bytes from its beginning."""

    def __init__(self, name, client, family):
        self.name, self.client, self.family = name, client, family
        self.sock = None
        self.owner, self.thread = None, 0
        self.pending = b""  # written by the client, not sent yet
        self.queued = self.sent = self.read = 0
        self.since = 0  # from which byte on it has been seen in this epoch
        self.coming = []  # requests whose head has not been read whole
        self.request = None  # read, or looked at, and not answered
        self.before = []  # likewise those before it, where its client did not wait
        self.rest = ""  # of the answer before: not sent yet
        self.said = True  # the service has sent something since it has last read
        self.ended = False  # the client sends no more
        self.looked = False  # with MSG_PEEK
        self.lost = False  # which of its requests an answer is for, or where one begins, nobody can tell any more
        self.blind = False  # what was read last was read while nothing that arrives was
        self.unclear = set()  # processes that count what is read here as unknown


def lane_of(tag, client):
    """None: it would have been in one, were any open."""
    lane = tag if tag in ("gray", "blue") else clients[client]["lane"]
    return lane if lane in lanes() else None if lane and not lanes() else ""


def at_work():
    """Requests that the service works on."""
    return [r for c in conns for r in (*c.before, c.request) if r]


conns, processes, used = [], [], {}
now = serial = 0
is_open = {app: True for app in apps}
leaf = world["leaf"]
quiet = steps // 3 if leaf else 0  # so many steps the service asks nobody
epoch = 0  # since when what is at work is known: an agent's time, or that of an open lane
not_before = 0.0  # time until which an agent that has just come cannot tell what has been answered
agents = []


def lanes():
    return {apps[app]["lane"] for app in apps if is_open[app]}


def laneway(*args):
    done = subprocess.run([world["laneway"], *args, "--socket", world["socket"]], capture_output=True, text=True)
    if done.returncode:
        fail(f"laneway {args}: {done.stdout}{done.stderr}")
    return done.stdout


def all_arrives():
    """All that clients have sent is there."""
    end = time.monotonic() + patience
    for c in conns:
        while struct.unpack("i", fcntl.ioctl(c.sock, termios.TIOCOUTQ, bytes(4)))[0]:
            if time.monotonic() > end:
                fail(f"{c.name}: what was sent does not arrive")
            time.sleep(0.001)


def begins_anew():
    """From here on nothing is sure of what was there before."""
    global epoch
    epoch += 1
    for p in processes:
        p.proven = 0
    for c in list(conns):
        c.unclear, c.looked, c.since = {c.owner}, True, c.sent
        # a body's bytes may come first, and be taken for a head; or be read, and be taken for a request, which nobody answers
        c.lost |= bool(c.pending) or (not c.request and (c.sent > c.read or not c.said))
        if dice.random() < (0.2 if c.request else 0.7):
            close(c)


def left_alone():
    to = f"{apps['web']['ips'][0][0]}:{world['port']}"
    return json.loads(laneway("explain", "--from", work["ips"][0], "--to", to, "-o", "json"))["learned"]["left_alone"]


def first_call():
    """The service has asked nobody, and is left alone; now it asks."""
    all_arrives()
    end = time.monotonic() + patience
    while not left_alone():
        if time.monotonic() > end:
            fail("it asks nobody, and is not left alone")
        time.sleep(0.02)
    trail.append(f"{now}: the first call")
    app = dice.choice(sorted(apps))
    process = dice.choice(processes)
    pod = process.do(0, "ask", dice.choice(apps[app]["ips"][0][:-1]), world["port"], [], False)
    # what it has read before it was left alone is known
    if canary_of(pod) not in ("", *(r.lane for r in process.at_work())):
        fail(f"WRONG LANE: the first call: answered by {pod}, at work {process.at_work()}")
    if left_alone():
        fail("it has asked, and is left alone still")
    begins_anew()
    for c in conns:
        c.blind = True
        # the rest of a body may be read behind the answer, and be taken for a request that nobody answers
        c.lost |= c.sent > c.read


def turn(app):
    """A release begins, or ends."""
    all_arrives()
    is_open[app] = not is_open[app]
    trail.append(f"{now}: {app} {'open' if is_open[app] else 'closed'}")
    want = os.path.join(world["variants"], f"{app}.{'open' if is_open[app] else 'closed'}")
    for name in os.listdir(want):
        shutil.copy(os.path.join(want, name), os.path.join(world["state"], name + ".new"))
        os.rename(os.path.join(world["state"], name + ".new"), os.path.join(world["state"], name))
    if not is_open[app]:
        for name in set(os.listdir(os.path.join(world["variants"], f"{app}.open"))) - set(os.listdir(want)):
            os.unlink(os.path.join(world["state"], name))
    laneway("status", "--wait", "30")
    for p in processes:
        p.do(0, "forget")
    if lanes() == {apps[app]["lane"]}:
        begins_anew()
    count("releases begun" if is_open[app] else "releases over")


def stop(pid, child, how):
    """The first agent is no child of this program."""
    fd = os.pidfd_open(pid)
    os.kill(pid, how)
    if not select.select([fd], [], [], patience)[0]:
        fail(f"the agent, {pid}, does not end")
    os.close(fd)
    if child:
        child.wait()


def next_agent():
    """Another agent, behind one that was killed, or in its place."""
    global not_before
    all_arrives()
    how = dice.choice(("killed", "taken over from"))
    trail.append(f"{now}: the agent is {how}")
    old = agents.pop() if agents else None
    pid = old.pid if old else world["pid"]
    if how == "killed":
        stop(pid, old, signal.SIGKILL)
    else:
        world["socket"] += "x"
    args = ["--socket", world["socket"]] + (["--take-over"] if how != "killed" else [])
    with open(world["log"], "a") as log:
        agents.append(subprocess.Popen(world["agent"] + args, stdout=log, stderr=log))
    with open(world["pid_file"], "w") as f:
        f.write(str(agents[-1].pid))
    end = time.monotonic() + patience
    while subprocess.run([world["laneway"], "status", "--wait", "30", "-o", "json", "--socket", world["socket"]], capture_output=True, text=True).returncode:
        if time.monotonic() > end:
            fail("the next agent does not steer")
        time.sleep(0.02)
    if how != "killed":
        stop(pid, old, signal.SIGTERM)
    not_before = time.monotonic() + DOUBT
    begins_anew()
    count("agents " + how)


def connect():
    global serial
    serial += 1
    client = dice.choice(sorted(clients))
    family = dice.randrange(len(work["ips"]))
    conn = Conn(f"c{serial}", client, family)
    enter(f"/run/netns/{clients[client]['netns']}")
    conn.sock = socket.create_connection((work["ips"][family], world["port"]), patience)
    enter(f"/proc/{os.getppid()}/ns/net")
    conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    conn.owner = dice.choice(processes)
    conn.thread = dice.randrange(THREADS)
    trail.append(f"{now}: {conn.name} from {client}, family {family}")
    conn.owner.do(conn.thread, "accept", conn.name)
    conns.append(conn)


def new_request(conn):
    """Queues a request at the client."""
    tag = dice.choice(("", "", "gray", "gray", "blue")) if not clients[conn.client]["lane"] else ""
    trace = None
    lines = ["Host: work"]
    if dice.random() < 0.4:
        # the same id again only by the same address family: an id is looked up by the pod's address
        known = [t for t in used if used[t]["family"] == conn.family and used[t]["epoch"] == epoch]
        trace = dice.choice(known) if known and dice.random() < 0.3 else f"{dice.getrandbits(127) + 1:032x}"
        used.setdefault(trace, {"family": conn.family, "epoch": epoch, "lanes": set(), "seen": True})
        lines.append(f"traceparent: 00-{trace}-00f067aa0ba902b7-01")
    if tag:
        lines.append(f"x-mse-tag: {tag}")
    for i in range(dice.randrange(3)):
        lines.append(f"x-{i}: " + "x" * dice.choice((3, 30, 300, 2000)))
    expects = dice.random() < 0.15
    if expects:
        lines.append("Expect: 100-continue")
    body, method = b"", "GET"
    if expects or dice.random() < 0.3:
        method, data = "POST", b"GET / HTTP/1.1\r\n\r\n" * dice.choice((0, 1, 5, 300))
        if dice.random() < 0.5:
            lines.append(f"Content-Length: {len(data)}")
            body = data
        else:
            lines.append("Transfer-Encoding: chunked")
            while data:
                n = dice.randrange(1, 2000)
                body += b"%x\r\n" % len(data[:n]) + data[:n] + b"\r\n"
                data = data[n:]
            body += b"0\r\n\r\n"
    dice.shuffle(lines)
    head = ("\r\n".join([f"{method} /{conn.name} HTTP/1.1", *lines]) + "\r\n\r\n").encode()
    request = Request(conn, tag, trace, head, body, expects)
    trail.append(f"{now}: {conn.name} will ask: {method}, {len(head)}+{len(body)} bytes up to {request.end}, tag '{tag}', trace {trace}, expects {expects}")
    conn.coming.append(request)
    conn.pending += head + body
    conn.queued = request.end


def push(conn):
    """Some of what the client has written goes out."""
    n = len(conn.pending) if dice.random() < 0.5 else dice.randrange(1, len(conn.pending) + 1)
    data, conn.pending = conn.pending[:n], conn.pending[n:]
    trail.append(f"{now}: {conn.name} sends {n} bytes, up to {conn.sent + n}")
    for r in conn.coming:
        if conn.sent < r.head_end <= conn.sent + n:
            r.lane, r.epoch = lane_of(r.tag, conn.client), epoch if r.begin >= conn.since else -1
            if r.trace:
                used[r.trace]["lanes"].add(r.lane)
                used[r.trace]["seen"] &= bool(lanes()) and not conn.lost and r.epoch == epoch
    conn.sock.sendall(data)
    conn.sent += n


def reader(conn):
    return conn.thread if conn.owner.faithful else dice.randrange(THREADS)


def read(conn):
    """The service reads some of what has come."""
    n = conn.sent - conn.read if dice.random() < 0.6 else dice.randrange(1, conn.sent - conn.read + 1)
    process = conn.owner
    thread = reader(conn)
    if conn.lost:
        # any byte of it may be a request
        conn.unclear.add(process)
        process.strays |= busy(process, thread)
    if conn.looked:
        conn.unclear.add(process)
    if dice.random() < 0.05:
        conn.unclear.add(process)
        conn.looked = True
        process.do(thread, "peek", conn.name, n)
    heads = [r for r in conn.coming if r.head_end <= conn.read + n]
    if process.orderly and (len(heads) > 1 or (heads and (busy(process, thread, heads[0]) or conn.request not in (None, heads[0])))):
        return
    process.do(thread, "splice" if dice.random() < 0.1 else "read", conn.name, n)
    conn.read += n
    conn.said = False
    for r in heads:
        conn.blind &= r.epoch != epoch
        if conn.looked and not conn.lost and r.epoch == epoch:
            conn.unclear = set()
        if conn.request and conn.request is not r:
            conn.before.append(conn.request)
            r.piped = now < quiet
            conn.lost = process.strays = True
            conn.unclear.add(process)
        if busy(process, thread, r):
            process.strays = True
        process.turns += 1
        r.process, r.thread, r.turn, r.called = process, thread, process.turns, False
        conn.request = r
        conn.coming.remove(r)
        count("read")


def busy(process, thread, but=None):
    return any(r.thread == thread and r is not but for r in process.at_work())


def look(conn):
    """The service works on a request before it has read it."""
    r, thread = conn.coming[0], reader(conn)
    if conn.owner.orderly and busy(conn.owner, thread):
        return
    conn.unclear.add(conn.owner)
    conn.looked = True
    conn.owner.do(thread, "peek", conn.name, r.head_end - conn.read)
    r.process, r.thread = conn.owner, thread
    conn.request = r
    count("looked at")


def drain(conn, n):
    while n:
        got = conn.sock.recv(n)
        if not got:
            fail(f"{conn.name}: end of file, {n} bytes before the end of an answer")
        n -= len(got)


def write(conn, thread, data, how="write"):
    conn.owner.do(thread, how, conn.name, data)
    conn.said = True
    drain(conn, len(data))


def answer(conn):
    r, process = (conn.before or [conn.request])[0], conn.owner
    # by what it has asked for a thread comes to be trusted
    if process.faithful and not r.called and lanes() and now >= quiet and dice.random() < 0.9:
        ask(r)
    thread = r.thread if process.faithful or (process.orderly and dice.random() < 0.7) else dice.randrange(THREADS)
    if conn.rest:
        write(conn, thread, conn.rest)
        conn.rest = ""
        if dice.random() < 0.5:
            return
    if r.expects and dice.random() < 0.7:
        r.expects = False
        write(conn, thread, "HTTP/1.1 100 Continue\r\n\r\n")
        return
    if dice.random() < 0.1:
        write(conn, thread, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        return
    whole = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome text"
    n = len(whole) if dice.random() < 0.8 else dice.choice((20, len(whole) - 9, len(whole) - 3))
    # what a file says is not seen: of a request with Expect so short an answer could be an interim one
    seen = SENDFILE_IS_SENDMSG and not r.had_expect
    write(conn, thread, whole[:n], "sendfile" if seen and dice.random() < 0.1 else "write")
    conn.rest = whole[n:]
    if thread == r.thread:
        process.proven += process.turns != r.turn and r.epoch == epoch and r.called and bool(lanes())
        process.turns += 1
    else:
        process.strays = True
    if conn.before:
        conn.before.pop(0)
    else:
        conn.request = None
    count("answered")


def finish(conn):
    """The rest of an answer, before there is another request."""
    write(conn, reader(conn), conn.rest, dice.choice(("write", "sendfile")))
    conn.rest = ""


def half_close(conn):
    """The client has asked its last."""
    trail.append(f"{now}: {conn.name} says that it sends no more")
    conn.ended = True
    conn.sock.shutdown(socket.SHUT_WR)
    count("half-closed")


def close(conn):
    how = dice.choice(("service", "client", "reset"))
    trail.append(f"{now}: {conn.name} is closed: {how}")
    if how == "reset":
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    if how != "service":
        conn.sock.close()
    conn.owner.do(reader(conn), "close", conn.name)
    conn.sock.close()
    conns.remove(conn)
    count("closed by " + how)


def canary_of(pod):
    """The lane that a pod's name shows; of a base pod none."""
    if "[" not in pod:
        fail(f"no pod has answered: {pod!r}")
    return next((lane for lane in ("gray", "blue") if f"{lane}[" in pod), "")


def ask(asked_for=None):
    """A request of the service's own, for one that it is at work on."""
    r = asked_for or dice.choice(at_work())
    process = r.process
    thread = r.thread if process.faithful else dice.randrange(THREADS)
    app = dice.choice(asked_for and [a for a in sorted(apps) if is_open[a]] or sorted(apps))
    beside = [q for q in at_work() if not q.lane and any(o.lane for o in q.process.at_work())]
    if beside and not asked_for and dice.random() < 0.5:
        # what is most easily taken for another's: of base, by a thread that has read one of a lane, asked of that lane's canary
        r = dice.choice([q for q in beside if q.epoch != epoch] or beside)
        process = r.process
        other = dice.choice([o for o in process.at_work() if o.lane])
        thread = r.thread if process.faithful else other.thread
        app = next(a for a in apps if apps[a]["lane"] == other.lane)
    family = dice.randrange(len(apps[app]["ips"]))
    passes = r.trace and dice.random() < 0.5
    headers = [f"traceparent: 00-{r.trace}-00f067aa0ba902b7-01"] if passes else []
    here = apps[app]["lane"] if is_open[app] else None
    to = [dice.choice(apps[app]["ips"][family][: None if here else -1]), world["port"]]
    child, keep = dice.random() < 0.1, dice.random() < 0.8
    in_lanes = any(q.lane and q.epoch == epoch and not q.conn.lost and not q.piped for q in at_work())
    pod = process.do(thread, "child", *to, headers, dice.random() < 0.5) if child else process.do(thread, "ask", *to, headers, keep)
    got = canary_of(pod)
    # a connection's first request is, and all are that are sent while the service is at work for a lane, but for those with a known trace
    if here and not child and not passes and (in_lanes or not keep):
        for q in process.at_work():
            q.called |= q.thread == thread
    if r.lane is None or r.piped:
        return
    others = [q for q in process.at_work() if q is not r]
    what = f"{r}, asked {app} ({to[0]}) by thread {thread}{' by a child' if child else ''}{', with its trace' if passes else ''}; beside it {others}"
    if passes and not used[r.trace]["seen"] and len(used[r.trace]["lanes"]) > 1:
        return  # docs/propagation.md: it counts for those that were seen
    if not r.lane and r.epoch != epoch and any(q.lane and q.epoch == epoch for q in others):
        count("of base and of before, beside a lane")
    if got and not got == r.lane == here:
        fail(f"WRONG LANE: {what}: answered by {pod}")
    if r.lane != here:
        count("base stays base")
        return
    older = time.monotonic() < not_before or any(r.epoch != epoch for r in at_work())
    if r.epoch != epoch or r.conn.lost or (leaf and (older or any(c.blind for c in conns))):
        sure = False
    elif passes and family == r.conn.family:
        sure = len(used[r.trace]["lanes"]) == 1 and "by its trace"
    elif older or any(process in c.unclear for c in conns):
        sure = False
    elif all(q.lane == r.lane for q in others):
        sure = "all of one lane"
    else:
        sure = process.faithful and not process.strays and process.proven >= PROVEN and "by its thread"
    if sure and got != r.lane:
        fail(f"MISSED: {what}: sure {sure}, answered by {pod}")
    count(f"kept, {sure}" if sure else "kept" if got else "missed, as may be")


started = []


def start_child():
    """One for a request that is at work; it will ask when it is told to, however much later."""
    r = dice.choice(at_work())
    process = r.process
    app = dice.choice([a for a in sorted(apps) if is_open[a]] or sorted(apps))
    to = [dice.choice(dice.choice(apps[app]["ips"])[: None if is_open[app] else -1]), world["port"]]
    process.children += 1
    name = f"child{process.children}"
    process.do(r.thread if process.faithful else dice.randrange(THREADS), "start", name, *to)
    started.append((process, name, r, app, to))


def tell_child():
    process, name, r, app, to = started.pop(dice.randrange(len(started)))
    pod = process.do(dice.randrange(THREADS), "tell", name)
    got = canary_of(pod)
    if r.lane is not None and not r.piped and is_open[app] and got not in ("", r.lane):
        fail(f"WRONG LANE: {name}, started for {r}, asked {app} ({to[0]}): answered by {pod}; at work {process.at_work()}")
    count("asked by children late" + (", kept" if got else ""))


def another(process):
    """In its place, and without its connections."""
    for c in [c for c in conns if c.owner is process]:
        close(c)
    for entry in [e for e in started if e[0] is process]:
        started.remove(entry)
    process.stream.write('[0, "end"]\n')
    process.stream.flush()
    if process.stream.readline():
        fail(f"process {process.name} does not end")
    service.stdin.write(f"{process.name}\n")
    service.stdin.flush()
    welcome()
    for c in conns:
        c.unclear.discard(process)
    count("processes replaced")


def give(conn):
    """To another process, while no request is at work on it."""
    to = dice.choice([p for p in processes if p is not conn.owner])
    conn.owner.do(dice.randrange(THREADS), "give", conn.name, to.name)
    conn.owner, conn.thread = to, dice.randrange(THREADS)
    to.do(conn.thread, "take", conn.name)
    count("given away")


def step():
    every = 1500 if now < steps // 2 else 150  # so many steps the world changes
    todo = [(3, connect)] if len(conns) < 24 else []
    for c in conns:
        if c.pending:
            todo.append((3, lambda c=c: push(c)))
        elif c.rest and not c.request and dice.random() < 0.5:
            todo.append((1, lambda c=c: finish(c)))
        elif not c.coming and c.request and not c.ended and dice.random() < 0.02:
            todo.append((1, lambda c=c: half_close(c)))
        elif not c.ended and not c.coming and (not c.request or dice.random() < (0.01 if c.owner.orderly else 0.15)):
            todo.append((1, lambda c=c: new_request(c)))
        if c.sent > c.read:
            todo.append((3, lambda c=c: read(c)))
        if c.coming and not c.request and c.coming[0].head_end <= c.sent and dice.random() < 0.05:
            todo.append((3, lambda c=c: look(c)))
        if c.before or (c.request and c.request not in c.coming):
            # those of before linger
            todo.append((2 if c.request and c.request.epoch == epoch else 0.2, lambda c=c: answer(c)))
        elif not c.request and dice.random() < 0.05 and not c.lost:
            todo.append((1, lambda c=c: give(c)))
        if dice.random() < (0.3 if c.lost or (c.ended and not c.request) else 0.02):
            todo.append((1, lambda c=c: close(c)))
    asks = now >= quiet
    if at_work() and asks:
        todo.append((8, ask))
    if at_work() and asks and len(started) < 8:
        todo.append((1, start_child))
    if started:
        todo.append((1, tell_child))
    if now % every == every // 2:
        p = dice.choice(processes[1:])  # the first is to live until its threads are trusted
        todo = [(1, lambda: another(p))]
    elif dice.random() < 0.01:
        idle = [(p, t) for p in processes for t in range(THREADS) if not p.faithful or not busy(p, t)]
        if idle:
            p, t = dice.choice(idle)
            todo.append((5, lambda: p.do(t, "leave")))
    if now == quiet and leaf:
        todo = [(1, first_call)]
    elif now % every == every - 1 and not leaf:
        todo = [(1, next_agent), (4, lambda: turn("web")), (4, lambda: turn("shop")), (3, lambda: None)]
    dice.choices([f for _, f in todo], [n for n, _ in todo])[0]()


def welcome():
    """A process of the service says who it is."""
    stream = control.accept()[0].makefile("rw")
    index = json.loads(stream.readline())
    processes[index] = Process(index, stream)


control = socket.socket(socket.AF_UNIX)
control.bind(world["control"])
control.listen()
control.settimeout(patience)
service = subprocess.Popen(work["command"] + [world["control"], str(world["port"]), str(PROCESSES), str(THREADS)], stdin=subprocess.PIPE, text=True)
processes += [None] * PROCESSES
for _ in range(PROCESSES):
    welcome()
for now in range(steps):
    step()
print(f"{steps} steps: " + ", ".join(f"{n} {what}" for what, n in sorted(tally.items())))
few = not leaf and [what for what, n in (("base stays base", 20), ("kept, all of one lane", 2000), ("kept, by its trace", 2000), ("missed, as may be", 1000)) if tally.get(what, 0) < steps // n]
if few:
    raise SystemExit(f"FAIL: too few of {few}")
