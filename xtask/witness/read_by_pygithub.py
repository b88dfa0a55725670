#!/usr/bin/env python3
"""Reads the fake GitHub with PyGithub, a client that this project did not write."""

import github

from snapshot import API, PER_PAGE, REPOSITORY, TOKEN, VERSION, WORKFLOW, compare


def read():
    client = github.Github(
        auth=github.Auth.Token(TOKEN),
        base_url=API,
        per_page=PER_PAGE,
        retry=None,
        seconds_between_requests=None,
        api_version=VERSION,
    )
    repository = client.get_repo(REPOSITORY)
    releases = list(repository.get_releases())
    issues = list(repository.get_issues(state="all"))
    latest = repository.get_latest_release().id
    published = [release.tag_name for release in releases if not release.draft]
    for tag in published:
        assert repository.get_release(tag).tag_name == tag
    return {
        "releases": [release_of(release, latest) for release in reversed(releases)],
        "issues": [issue_of(issue) for issue in reversed(issues)],
        "labels": sorted(label.name for label in repository.get_labels()),
        "runs": [run_of(run) for run in reversed(list(repository.get_workflow(WORKFLOW).get_runs()))],
        "tags": {tag: repository.get_git_ref(f"tags/{tag}").object.sha for tag in published},
    }


def release_of(release, latest):
    assets = sorted(release.get_assets(), key=lambda asset: asset.name)
    return {
        "tag": release.tag_name,
        "name": release.name,
        "body": release.body,
        "target": release.target_commitish,
        "draft": release.draft,
        "prerelease": release.prerelease,
        "latest": release.id == latest,
        "assets": [
            {"name": asset.name, "size": asset.size, "digest": asset.digest, "state": asset.state} for asset in assets
        ],
    }


def issue_of(issue):
    return {
        "title": issue.title,
        "body": issue.body,
        "open": issue.state == "open",
        "reason": issue.state_reason,
        "labels": [label.name for label in issue.labels],
        "comments": [comment.body for comment in issue.get_comments()],
        "pull_request": issue.pull_request is not None,
    }


def run_of(run):
    return {"title": run.display_title, "event": run.event, "status": run.status, "conclusion": run.conclusion}


compare(read)
