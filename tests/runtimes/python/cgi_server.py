# SPDX-License-Identifier: Apache-2.0
"""http.server, a thread a connection; for each request a shell that runs curl, as a CGI script would."""
import subprocess

from threads import serve

# not its last command, or the shell would become it
SCRIPT = 'curl -sS --max-time 20 ${2:+-H "$2"} "$1"; exit'


def ask(url, headers):
    args = [url, *(f"{name}: {value}" for name, value in headers.items())]
    return subprocess.run(["sh", "-c", SCRIPT, "script", *args], stdout=subprocess.PIPE, check=True).stdout


serve(ask)
