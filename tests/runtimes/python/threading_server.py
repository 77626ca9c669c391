# SPDX-License-Identifier: Apache-2.0
"""http.server, a thread a connection; urllib.request, a connection a call."""
from urllib.request import Request, urlopen

from threads import serve


def ask(url, headers):
    with urlopen(Request(url, headers=headers), timeout=20) as answer:
        return answer.read()


serve(ask)
