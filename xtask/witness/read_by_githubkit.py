#!/usr/bin/env python3
"""Reads the fake GitHub with githubkit, whose models are generated from GitHub's description of one version.

A field that is missing, or of another type than the description has, is an error of the models.
"""

from githubkit import GitHub

from snapshot import API, PER_PAGE, REPOSITORY, TOKEN, VERSION, WORKFLOW, compare

OWNER, NAME = REPOSITORY.split("/")


def value(field):
    """A field's value, or None if the answer has no such field, as optional fields may be left out."""
    return field if field or isinstance(field, (bool, int, str)) else None


def read():
    client = GitHub(TOKEN, base_url=API, http_cache=False, auto_retry=False)
    rest = client.rest(VERSION)
    where = {"owner": OWNER, "repo": NAME}

    def every(operation, pick=None, **arguments):
        return list(client.rest.paginate(operation, map_func=pick, per_page=PER_PAGE, **where, **arguments))

    rest.repos.get(**where)
    releases = every(rest.repos.list_releases)
    issues = every(rest.issues.list_for_repo, state="all")
    latest = rest.repos.get_latest_release(**where).parsed_data.id
    runs = every(
        rest.actions.list_workflow_runs, lambda response: response.parsed_data.workflow_runs, workflow_id=WORKFLOW
    )
    published = [release.tag_name for release in releases if not release.draft]
    for tag in published:
        assert rest.repos.get_release_by_tag(tag=tag, **where).parsed_data.tag_name == tag

    def release_of(release):
        assets = every(rest.repos.list_release_assets, release_id=release.id)
        return {
            "tag": release.tag_name,
            "name": release.name,
            "body": value(release.body),
            "target": release.target_commitish,
            "draft": release.draft,
            "prerelease": release.prerelease,
            "latest": release.id == latest,
            "assets": [
                {"name": asset.name, "size": asset.size, "digest": asset.digest, "state": asset.state}
                for asset in sorted(assets, key=lambda asset: asset.name)
            ],
        }

    def issue_of(issue):
        comments = every(rest.issues.list_comments, issue_number=issue.number)
        return {
            "title": issue.title,
            "body": value(issue.body),
            "open": issue.state == "open",
            "reason": value(issue.state_reason),
            "labels": [label if isinstance(label, str) else label.name for label in issue.labels],
            "comments": [comment.body for comment in comments],
            "pull_request": bool(issue.pull_request),
        }

    def tag_of(tag):
        return rest.git.get_ref(ref=f"tags/{tag}", **where).parsed_data.object_.sha

    return {
        "releases": [release_of(release) for release in reversed(releases)],
        "issues": [issue_of(issue) for issue in reversed(issues)],
        "labels": sorted(label.name for label in every(rest.issues.list_labels_for_repo)),
        "runs": [
            {"title": run.display_title, "event": run.event, "status": run.status, "conclusion": run.conclusion}
            for run in reversed(runs)
        ],
        "tags": {tag: tag_of(tag) for tag in published},
    }


compare(read)
