"""Sends a compiled pipeline to Kubeflow and follows its run."""

import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

TOKEN, COOKIE = "KUBEFLOW_TOKEN", "KUBEFLOW_COOKIE"  # noqa: S105  # names of environment variables
_POLL_SECONDS = 10.0
_ANSWER_SECONDS = 20.0
_ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
_GOOD = "SUCCEEDED"
_LOGIN = (
    f"Give a token by --token-file (read again whenever it is needed) or {TOKEN}, or the session's cookie by {COOKIE}"
)


class SubmitError(Exception):
    """What stands against a submission, in one line that says what to do."""


class Submission(NamedTuple):
    """What goes to the cluster.

    Attributes:
        file: compiled pipeline.
        name: of the pipeline.
        experiment: that runs belong to.
        namespace: of Kubeflow's profile; "" where there is one user only.
        service_account: of the pods; "" takes the namespace's own.
        pipeline_root: URI below which artifacts are kept.
    """

    file: Path
    name: str
    experiment: str
    namespace: str
    service_account: str
    pipeline_root: str


class Cluster(NamedTuple):
    """The API of a Kubeflow, and a `kfp.Client` that is logged in there."""

    host: str
    client: Any


def connect(host: str, namespace: str, token_file: Path | None = None, ca_file: Path | None = None) -> Cluster:
    """Reach Kubeflow's API, logged in by a token file, or a token or cookie of the environment, where there is one.

    A token in a file is read for each call, since a service account's is renewed while a long run is followed.

    Raises:
        SubmitError: for a token file that cannot be read, or a host that does not answer.
    """
    import kfp.client

    credentials, token = None, os.environ.get(TOKEN)
    if token_file is not None:
        if not os.access(token_file, os.R_OK):
            raise SubmitError(f"`--token-file` should be a file that can be read. Received: {token_file}.")
        credentials, token = kfp.client.ServiceAccountTokenVolumeCredentials(str(token_file)), token_file.read_text()
    _require_answer(host, token and token.strip(), ca_file)
    with _told(host):
        client = kfp.client.Client(
            host=host,
            namespace=namespace or "kubeflow",
            credentials=credentials,
            existing_token=None if credentials else token,
            cookies=os.environ.get(COOKIE),
            ssl_ca_cert=str(ca_file) if ca_file else None,
        )
    return Cluster(host, client)


def _require_answer(host: str, token: str | None, ca_file: Path | None) -> None:
    """Ask the API for its health once: the client itself asks five times in 25 s, and forgets why it failed."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if cookie := os.environ.get(COOKIE):
        headers["Cookie"] = cookie
    url = f"{host.rstrip('/')}/apis/v2beta1/healthz"
    if not url.startswith(("http://", "https://")):
        raise SubmitError(f"`--host` should begin with http:// or https://. Received: {host!r}.")
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    try:
        asked = urllib.request.Request(url, headers=headers)  # noqa: S310  # of the two schemes above
        with urllib.request.urlopen(asked, timeout=_ANSWER_SECONDS, context=context) as answer:  # noqa: S310
            if "json" not in (answer.headers.get("Content-Type") or ""):
                raise SubmitError(f"{host} answers with a page for people, most likely that of a login. {_LOGIN}.")
    except urllib.error.HTTPError as error:
        raise _refused(host, error.code, error.reason) from None
    except OSError as error:
        raise _silent(host, getattr(error, "reason", error)) from None


def start(cluster: Cluster, submission: Submission, run_name: str, cache: bool) -> str:
    """Start one run.

    Args:
        cluster: of `connect`.
        submission: what to run.
        run_name: as it is listed.
        cache: whether steps may be taken from earlier runs.

    Returns:
        Its id.
    """
    with _told(cluster.host):
        experiment = cluster.client.create_experiment(submission.experiment, namespace=submission.namespace or None)
        run = cluster.client.run_pipeline(
            experiment.experiment_id,
            run_name,
            pipeline_package_path=str(submission.file),
            pipeline_root=submission.pipeline_root,
            enable_caching=None if cache else False,
            service_account=submission.service_account or None,
        )
    return str(run.run_id)


def schedule(cluster: Cluster, submission: Submission, version: str, cron: str, cache: bool) -> str:
    """Upload a version of the pipeline, and move its recurring run to that.

    The new recurring run is there before the old one goes; only one of them runs at a time, as both are named alike and
    the old one is stopped first.

    Args:
        cluster: of `connect`.
        submission: what to run.
        version: name of the pipeline's version.
        cron: when, in Kubeflow's six fields (seconds first).
        cache: whether steps may be taken from earlier runs.

    Returns:
        Id of the recurring run.
    """
    with _told(cluster.host):
        experiment = cluster.client.create_experiment(submission.experiment, namespace=submission.namespace or None)
        pipeline_id = cluster.client.get_pipeline_id(submission.name)
        if pipeline_id is None:
            # The upload of a new pipeline makes a first version of its name; ours comes beside it.
            pipeline_id = cluster.client.upload_pipeline(
                str(submission.file), submission.name, namespace=submission.namespace or None
            ).pipeline_id
        uploaded = cluster.client.upload_pipeline_version(str(submission.file), version, pipeline_id=pipeline_id)
        old = [
            run for run in _recurring(cluster.client, experiment.experiment_id) if run.display_name == submission.name
        ]
        for run in old:
            cluster.client.disable_recurring_run(run.recurring_run_id)
        made = cluster.client.create_recurring_run(
            experiment.experiment_id,
            submission.name,
            cron_expression=cron,
            max_concurrency=1,
            no_catchup=True,  # one run sees all days of the log, so those missed need none of their own
            pipeline_id=pipeline_id,
            version_id=uploaded.pipeline_version_id,
            pipeline_root=submission.pipeline_root,
            enable_caching=None if cache else False,
            service_account=submission.service_account or None,
        )
        for run in old:
            cluster.client.delete_recurring_run(run.recurring_run_id)
    return str(made.recurring_run_id)


def follow(cluster: Cluster, run_id: str, say: Callable[[str], None], poll_seconds: float = _POLL_SECONDS) -> list[str]:
    """Tell of each step whose state changes until the run ends.

    Args:
        cluster: of `connect`.
        run_id: of the run.
        say: called with a line.
        poll_seconds: between two looks.

    Returns:
        What went wrong, a line each; nothing where the run succeeded.
    """
    seen: dict[str, str] = {}
    while True:
        try:
            with _told(cluster.host):
                run = cluster.client.get_run(run_id)
        except SubmitError as error:
            raise SubmitError(f"{error} The run goes on; `lcr-ser submit --follow {run_id}` looks again.") from error
        for step in (run.run_details and run.run_details.task_details) or []:
            if step.state and seen.get(step.display_name) != step.state:
                seen[step.display_name] = step.state
                say(f"{step.display_name:<20} {step.state.lower()}")
        if run.state in _ENDED:
            break
        time.sleep(poll_seconds)
    if run.state == _GOOD:
        return []
    failed = [name for name, state in seen.items() if state == "FAILED" and not name.startswith(("root", "driver"))]
    reason = getattr(run.error, "message", None) or ""
    return [
        f"the run ended as {run.state.lower()}{f': {reason}' if reason else ''}",
        *(f"{one} failed" for one in failed),
    ]


def _recurring(client: Any, experiment_id: str) -> Iterator[Any]:
    token = ""
    while True:
        page = client.list_recurring_runs(page_token=token, page_size=100, experiment_id=experiment_id)
        yield from page.recurring_runs or []
        if not (token := page.next_page_token or ""):
            return


@contextmanager
def _told(host: str) -> Iterator[None]:
    """Turn what the API refuses into one line; a token is never part of it."""
    import urllib3
    from kfp_server_api.exceptions import ApiException

    try:
        yield
    except ApiException as error:
        raise _refused(host, error.status, error.body or error.reason) from None
    except (urllib3.exceptions.HTTPError, OSError, TimeoutError) as error:
        raise _silent(host, getattr(error, "reason", error)) from None


def _refused(host: str, status: int, detail: Any) -> SubmitError:
    if status == 401:
        return SubmitError(f"{host} does not know who asks (401). {_LOGIN}.")
    if status == 403:
        return SubmitError(
            f"{host} does not allow this (403): the login lacks a right in the namespace. Ask its owner for the role "
            "kubeflow-edit, or name another by --namespace."
        )
    return SubmitError(f"{host} answered {status}: {' '.join(str(detail).split())[:300]}")


def _silent(host: str, reason: Any) -> SubmitError:
    return SubmitError(
        f"{host} should be the address of Kubeflow's API. It does not answer: {' '.join(str(reason).split())}"
    )
