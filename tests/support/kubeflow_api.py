"""A stand-in for the API of Kubeflow Pipelines 2, as far as `lcr-ser submit` speaks to it.

The real one needs a cluster. It keeps what it is sent, answers as the API's own documents say, and asks for a token.
"""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class KubeflowApi:
    """What was sent, and how to answer.

    Attributes:
        states: of the run, one for each time it is looked at; the last one stays.
        steps: states of steps by name, one dictionary for each look.
        authorization: the header that is asked for; None asks for none.
        cookie: the same of the session's cookie.
        status: to answer everything with, in place of 200.
        page: whether a login's page answers.
        calls: method and path of each call.
        headers: of the calls.
    """

    def __init__(self) -> None:
        self.states, self.steps = ["SUCCEEDED"], [{}]
        self.authorization: str | None = None
        self.cookie: str | None = None
        self.status = 200
        self.page = False
        self.calls: list[tuple[str, str]] = []
        self.headers: list[Any] = []
        self.runs: list[dict[str, Any]] = []
        self.pipelines: dict[str, str] = {}
        self.versions: list[dict[str, str]] = []
        self.recurring: dict[str, dict[str, Any]] = {}
        self.looks = 0
        self.on_look = lambda: None

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        """What a call comes to; None is unknown."""
        name = path.removeprefix("/apis/v2beta1/")
        if name == "healthz":
            return {"multi_user": False}
        if name == "experiments":
            return {"experiment_id": "e1", "display_name": body["display_name"]} if method == "POST" else {}
        if name == "runs" and method == "POST":
            self.runs.append(body)
            return {"run_id": "r1", "display_name": body["display_name"]}
        if name == "runs/r1":
            return self._run()
        if name.startswith("recurringruns"):
            return self._recurring_run(method, name, body)
        return self._pipeline(name, query)

    def _pipeline(self, name: str, query: dict[str, str]) -> Any:
        if name == "pipelines":
            return {"pipelines": [{"pipeline_id": i, "display_name": n} for i, n in self.pipelines.items()]}
        if name == "pipelines/upload":
            self.pipelines["p1"] = query["name"]
            return {"pipeline_id": "p1", "display_name": query["name"]}
        if name == "pipelines/upload_version":
            self.versions.append({"id": f"v{len(self.versions) + 1}", "name": query["name"], "of": query["pipelineid"]})
            return {"pipeline_version_id": self.versions[-1]["id"], "pipeline_id": query["pipelineid"]}
        return None

    def _recurring_run(self, method: str, name: str, body: Any) -> Any:
        if name == "recurringruns" and method == "POST":
            made = f"j{len(self.calls)}"
            self.recurring[made] = {**body, "recurring_run_id": made}
            return self.recurring[made]
        if name == "recurringruns":
            return {"recurringRuns": list(self.recurring.values())}
        if match := re.fullmatch(r"recurringruns/(\w+)(:disable)?", name):
            if method == "DELETE":
                del self.recurring[match[1]]
            return {}
        return None

    def _run(self) -> dict[str, Any]:
        look = self.looks
        self.looks += 1
        self.on_look()
        steps = self.steps[min(look, len(self.steps) - 1)]
        return {
            "run_id": "r1",
            "state": self.states[min(look, len(self.states) - 1)],
            "run_details": {"task_details": [{"display_name": n, "state": s} for n, s in steps.items()]},
        }


@contextlib.contextmanager
def serving(api: KubeflowApi) -> Iterator[str]:
    """Answer on loopback meanwhile; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            parts = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            json_body = "json" in (self.headers.get("Content-Type") or "") and content
            api.calls.append((self.command, parts.path))
            api.headers.append(self.headers)
            status, answer = api.status, {"message": "so it is"}
            wanted = {"Authorization": api.authorization, "Cookie": api.cookie}
            if any(value and self.headers.get(name) != value for name, value in wanted.items()):
                status = 401
            if status == 200:
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                answer = api.answer(self.command, parts.path, query, json.loads(content) if json_body else None)
                status = 404 if answer is None else 200
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if api.page else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _any  # noqa: N815

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
