"""Which engine Beam's steps run on."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Runner = Literal["local", "portable", "prism", "flink", "spark", "dataflow"]
Workers = Literal["loopback", "process", "pool", "docker"]
_WITH_JOB_SERVER = ("portable", "flink", "spark")


class BeamEngine(BaseModel):
    """Settings of the engine. docs/scale.md has a recipe for each.

    Attributes:
        runner: "local", one process of Beam's in-memory runner; "prism", Beam's own portable runner, which
            `make engine` builds and a run starts; "flink" and "spark", a cluster by way of Beam's job server for it;
            "portable", any other job server; "dataflow", Google's.
        endpoint: `host:port` of the job server. "prism" needs none, and starts one.
        workers: where our code runs: "loopback", in the process that submits; "process", in one that the engine starts
            by our boot program; "pool", in one that the pool at `worker_pool` starts; "docker", in a container of
            `image`. None is what fits the runner.
        worker_pool: `host:port` of a pool, as the engine's machines reach it.
        image: that holds this environment.
        args: of Beam, after what is filled in, and so over it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    runner: Runner = "local"
    endpoint: str | None = Field(default=None, pattern=r"^[^\s/]+:\d+$")
    workers: Workers | None = None
    worker_pool: str = Field(default="localhost:50000", pattern=r"^[^\s/]+:\d+$")
    image: str | None = Field(default=None, min_length=1)
    args: tuple[str, ...] = ()

    @property
    def chosen_workers(self) -> Workers | None:
        """Where our code runs; None in this process, without workers."""
        if self.runner == "local":
            return None
        if self.runner == "dataflow":
            return "docker"
        return self.workers or ("process" if self.runner in ("flink", "spark") else "loopback")

    @model_validator(mode="after")
    def _parts_fit(self) -> "BeamEngine":
        if self.runner in _WITH_JOB_SERVER and self.endpoint is None:
            raise ValueError(
                f"`endpoint` should be host:port of Beam's job server where `runner` is {self.runner}. Received: None."
            )
        if self.runner in ("local", "dataflow") and self.endpoint is not None:
            raise ValueError(
                f"`endpoint` should be null where `runner` is {self.runner}, which has no job server. "
                f"Received: {self.endpoint}."
            )
        if self.runner in ("local", "dataflow") and self.workers not in (None, self.chosen_workers):
            raise ValueError(f"`workers` should be null where `runner` is {self.runner}. Received: {self.workers}.")
        if (self.chosen_workers == "docker") != (self.image is not None):
            raise ValueError(
                "`image` should name the image of the workers where these are docker, and be null elsewhere. "
                f"Received: {self.image}, {self.chosen_workers}."
            )
        return self
