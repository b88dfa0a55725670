#!/usr/bin/env python3
"""Rehearses with `emulate`, an emulator of GitHub that this project did not write.

Each task of the rehearsal runs twice: with emulate, then with our fake. At the end both have to have the same
releases and issues. Workflows cannot be made in emulate, so that their runs are those of our fake; a proxy
decides by the path. What else emulate does not do is in `KNOWN`, and is not compared. The address of an asset
has no tag in emulate, so that nothing published can be downloaded: `release` says so, and `verify` runs with our
fake alone.

    emulate.py run NODE EMULATE XTASK WORK     starts emulate and the proxy, and rehearses
    emulate.py task WORK ARGUMENTS...          what the rehearsal runs instead of xtask
    emulate.py read WORK                       what the rehearsal runs after the last step
"""

import http.server
import json
import os
import pathlib
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

REPOSITORY = "octo-riscv/docker-for-riscv64"
UPSTREAM = "moby/buildkit"
# As rehearse makes them up: xtask/src/rehearse/checkout.rs.
TOKENS = ["ghs_rehearsal0tracking0000000000000000001", "ghs_rehearsal0release00000000000000000002"]
UPSTREAM_TOKEN = "ghs_emulate0upstream"
# Parts of the fake's state that emulate 0.12 does not have, with the reason.
KNOWN = {
    "digest": "emulate computes no digest of an asset",
    "latest": "emulate ignores make_latest",
    "target": "emulate makes no tag of it",
    "pull_request": "the rehearsal's pull request is not opened in emulate",
}
# The issue of `verify --all`, as xtask/src/github/changed_issue.rs has it.
CHANGED = "What was published has changed"
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ask(url, token=None, document=None):
    """The JSON of a GET, or of a POST if there is a document."""
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, body, {"User-Agent": "emulate.py"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def every(url, token):
    """All entries of a list."""
    entries, page = [], 1
    while found := ask(f"{url}{'&' if '?' in url else '?'}per_page=100&page={page}", token):
        entries, page = entries + found, page + 1
    return entries


def proxy(work, port, emulate):
    """Serves emulate, and below /actions/ the fake of the rehearsal."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self):
            is_run = "/actions/" in self.path
            to = (work / "fake").read_text() if is_run else emulate
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size) if size else None
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP | {"host"}}
            request = urllib.request.Request(to + self.path, body, headers, method=self.command)
            try:
                response = urllib.request.build_opener(NoRedirect).open(request, timeout=60)
            except urllib.error.HTTPError as error:
                response = error
            content = response.read()
            self.send_response(response.status)
            for name, value in response.headers.items():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = forward

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def run(node, emulate, xtask, work):
    work = pathlib.Path(work)
    work.mkdir(parents=True, exist_ok=True)
    port, behind = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    owners = [REPOSITORY.split("/"), UPSTREAM.split("/")]
    seed = {
        "tokens": {
            token: {"login": login, "scopes": ["repo"]}
            for token, login in [(TOKENS[0], owners[0][0]), (TOKENS[1], owners[0][0]), (UPSTREAM_TOKEN, owners[1][0])]
        },
        "github": {
            "users": [{"login": owner} for owner, _ in owners],
            "repos": [{"owner": owner, "name": name, "auto_init": True} for owner, name in owners],
        },
    }
    (work / "seed.json").write_text(json.dumps(seed))
    (work / "settings.json").write_text(json.dumps({"url": url, "xtask": xtask}))
    here = pathlib.Path(__file__).resolve()
    for role in ["task", "read"]:
        words = shlex.join(["exec", sys.executable, str(here), role, str(work)])
        (work / role).write_text(f'#!/bin/sh\n{words} "$@"\n')
        (work / role).chmod(0o755)
    arguments = ["start", "--service", "github", "--port", str(behind), "--seed", str(work / "seed.json")]
    # Of the Python package, `node` is a script that starts the real one, which would outlive it.
    node = subprocess.run([node, "-p", "process.execPath"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    command = [node, emulate, *arguments, "--base-url", url]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        proxy(work, port, f"http://127.0.0.1:{behind}")
        wait_for(f"http://127.0.0.1:{behind}")
        programs = ["--program", str(work / "task"), "--reader", str(work / "read")]
        return subprocess.run([xtask, "rehearse", *programs], check=False).returncode
    finally:
        server.terminate()
        server.wait()


def wait_for(url):
    for _ in range(100):
        try:
            ask(f"{url}/repos/{REPOSITORY}", TOKENS[0])
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    sys.exit("emulate does not answer after ten seconds")


def task(work, *arguments):
    """Runs a task with emulate, and if that succeeds with the fake."""
    work = pathlib.Path(work)
    settings = json.loads((work / "settings.json").read_text())
    fake = os.environ["GITHUB_API_URL"]
    (work / "fake").write_text(fake)
    # Both download assets, whose addresses are wrong in emulate.
    if arguments[0] in ("verify", "package"):
        return subprocess.run([settings["xtask"], *arguments], check=False).returncode
    publish_upstream(fake, settings["url"])
    # A checkout of its own: what a task remembers of one GitHub is not true of the other.
    checkout = work / "checkout"
    (checkout / "xtask").mkdir(parents=True, exist_ok=True)
    (checkout / ".gitmodules").touch()
    command = [settings["xtask"], *arguments]
    environment = os.environ | {
        "GITHUB_API_URL": settings["url"],
        "GITHUB_OUTPUT": str(checkout / "github-output"),
        "GITHUB_STEP_SUMMARY": str(checkout / "github-summary"),
    }
    print("with emulate:", file=sys.stderr, flush=True)
    first = subprocess.run(command, env=environment, cwd=checkout, stdout=subprocess.PIPE, check=False)
    if "--json" in arguments and not first.returncode:
        steps = json.loads(first.stdout)["steps"]
        if steps:
            sys.exit(f"with emulate the plan is not empty: {steps}")
    if first.returncode:
        return first.returncode
    print("with the fake:", file=sys.stderr, flush=True)
    return subprocess.run(command, check=False).returncode


def publish_upstream(fake, emulate):
    """Publishes in emulate what upstream has in the fake, oldest first."""
    known = {release["tag_name"] for release in every(f"{emulate}/repos/{UPSTREAM}/releases", UPSTREAM_TOKEN)}
    for release in reversed(every(f"{fake}/repos/{UPSTREAM}/releases", None)):
        if release["tag_name"] not in known:
            fields = ["tag_name", "name", "body", "prerelease"]
            document = {field: release[field] for field in fields}
            ask(f"{emulate}/repos/{UPSTREAM}/releases", UPSTREAM_TOKEN, document)


def read(work):
    """Compares emulate's releases and issues with the fake's state."""
    from snapshot import differences

    url = json.loads((pathlib.Path(work) / "settings.json").read_text())["url"] + f"/repos/{REPOSITORY}"
    expected = json.loads(pathlib.Path(os.environ["REHEARSED_STATE"]).read_text())
    releases, issues = every(f"{url}/releases", TOKENS[1]), every(f"{url}/issues?state=all", TOKENS[1])
    found = {
        "releases": {
            release["tag_name"]: {
                "tag": release["tag_name"],
                "name": release["name"],
                "body": release["body"],
                "draft": release["draft"],
                "prerelease": release["prerelease"],
                "assets": sorted(
                    [{name: asset[name] for name in ["name", "size", "state"]} for asset in release["assets"]],
                    key=lambda asset: asset["name"],
                ),
            }
            for release in releases
        },
        "issues": {
            issue["title"]: with_runs(
                {
                    "title": issue["title"],
                    "body": issue["body"],
                    "open": issue["state"] == "open",
                    "reason": issue["state_reason"],
                    "labels": [label["name"] for label in issue["labels"]],
                    "comments": [one["body"] for one in every(f"{url}/issues/{issue['number']}/comments", TOKENS[1])],
                }
            )
            for issue in issues
        },
    }
    counts = [len(releases) - len(found["releases"]), len(issues) - len(found["issues"])]
    if any(counts):
        sys.exit(f"emulate has two releases or issues of one name: {counts}")
    wanted = {
        "releases": {release["tag"]: without_known(release) for release in expected["releases"]},
        "issues": {
            issue["title"]: with_runs(without_known(issue))
            for issue in expected["issues"]
            if not issue["pull_request"] and issue["title"] != CHANGED
        },
    }
    # Issues cannot be switched off in emulate: it has that of the release which the fake published without one.
    for title in found["issues"].keys() - wanted["issues"].keys():
        if not found["issues"][title]["open"]:
            del found["issues"][title]
    lines = list(differences(wanted, found))
    print("\n".join(lines), file=sys.stderr)
    return 1 if lines or not releases or not issues else 0


def with_runs(issue):
    """An issue, and the runs that it names: in a comment, or in the body if the run was there before the issue."""
    texts = [issue["body"], *issue["comments"]]
    issue["runs"] = [run for text in texts for run in re.findall(r"<!-- xtask:run (\d+) -->", text)]
    issue["body"] = re.sub(r"Build started: \S+\s+<!-- xtask:run \d+ -->\s+", "", issue["body"])
    issue["comments"] = [text for text in issue["comments"] if "<!-- xtask:run" not in text]
    return issue


def without_known(value):
    """A part of the fake's state without what emulate does not have."""
    if isinstance(value, dict):
        return {name: without_known(part) for name, part in value.items() if name not in KNOWN}
    return [without_known(part) for part in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit({"run": run, "task": task, "read": read}[sys.argv[1]](*sys.argv[2:]))
