"""Compares what a client library reads of the fake GitHub with the fake's own state.

`cargo xtask rehearse --reader` runs a reader after the last step. The environment names the fake, and the
file with its state. A reader returns that state as the library shows it; each difference is a line.
"""

import json
import os
import sys

API = os.environ["GITHUB_API_URL"]
REPOSITORY = os.environ["GITHUB_REPOSITORY"]
TOKEN = os.environ["GITHUB_TOKEN"]
VERSION = os.environ["GITHUB_API_VERSION"]
WORKFLOW = "buildkit-weekly-build.yml"
# Parts of the state that GitHub's API lets nobody read back.
UNREADABLE = {"events", "pages"}
# So few that every list has several pages.
PER_PAGE = 2


def differences(expected, found, path=""):
    """The differences between two JSON values, one line each."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(expected.keys() | found.keys()):
            yield from differences(expected.get(key), found.get(key), f"{path}/{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, pair in enumerate(zip(expected, found)):
            yield from differences(*pair, f"{path}/{index}")
    elif expected != found:
        yield f"{path}: the library reads {found!r}, and the fake has {expected!r}"


def compare(read):
    """Ends the program: 0 if `read` returns the state in the file, else 1."""
    with open(os.environ["REHEARSED_STATE"], encoding="utf-8") as file:
        expected = {part: content for part, content in json.load(file).items() if part not in UNREADABLE}
    empty = [part for part, content in expected.items() if not content]
    found = [f"the fake has no {part}, so nothing is compared" for part in empty]
    found += differences(expected, read())
    print("\n".join(found), file=sys.stderr)
    sys.exit(1 if found else 0)
