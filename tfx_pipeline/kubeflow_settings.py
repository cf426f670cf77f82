"""The section `kubeflow` of the settings: where a cluster keeps what the pipeline writes, and what a step may use."""

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

OBJECT_STORES = ("gs", "s3", "minio")
"""Schemes that Kubeflow's launcher copies artifacts from and to."""
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti|k|M|G|T)?")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def quantity(text: str) -> float:
    """The bytes of an amount of memory as Kubernetes writes it.

    Raises:
        ValueError: where it is none.
    """
    if not (match := _QUANTITY.fullmatch(text)):
        raise ValueError(
            f"An amount of memory should be a number with Ki, Mi, Gi, Ti, k, M, G or T. Received: {text!r}."
        )
    return float(match[1]) * _UNITS[match[2] or ""]


def _is_memory(text: str) -> str:
    quantity(text)
    return text


def _names_one_image(image: str) -> str:
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if not digest and tag in ("", "latest"):
        raise ValueError(
            "An image should be named by its digest (`NAME@sha256:...`) or by a tag that is not `latest`: a step "
            f"that is tried again, or run next week, must find the same one. Received: {image!r}."
        )
    return image


def _holds_no_secret(uri: str) -> str:
    if "@" in urlsplit(uri).netloc:
        raise ValueError(
            "A URI should hold no user and no password: it is written into the compiled pipeline, which many can read. "
            "Give a step its credentials by `kubeflow.secrets` or its service account. "
            f"Received: a URI of {uri.rpartition('@')[2]!r} with one."
        )
    return uri


def _is_an_object_store(uri: str) -> str:
    scheme, separator, _ = uri.partition("://")
    if not separator or scheme not in OBJECT_STORES:
        raise ValueError(
            f"`kubeflow.pipeline_root` should be a URI of {', '.join(f'{one}://' for one in OBJECT_STORES)}: the "
            "artifacts of a run travel between its pods through object storage, and Kubeflow takes no path and no "
            f"volume for them. Received: {uri!r}."
        )
    return uri


def _is_shared(place: str) -> str:
    if "://" not in place and not place.startswith("/"):
        raise ValueError(
            "`kubeflow.output_dir` should be a URI, or the absolute path of a volume that each step mounts "
            f"(`kubeflow.volumes`). Received: {place!r}."
        )
    return place


Image = Annotated[str, AfterValidator(_names_one_image)]
Uri = Annotated[str, AfterValidator(_holds_no_secret)]
Memory = Annotated[str, AfterValidator(_is_memory)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Resources(_Section):
    """What a step may use at the most.

    Attributes:
        cpus: number of them.
        memory: with a unit, as Kubernetes writes it.
        gpus: number of them.
    """

    cpus: PositiveFloat = 2
    memory: Memory = "8Gi"
    gpus: NonNegativeInt = 0


class Secret(_Section):
    """A secret of the cluster that steps get; the compiled pipeline holds its name and never its value.

    Attributes:
        name: of the Kubernetes Secret.
        keys: environment variable by key of the secret.
        mount_path: where its keys lie as files; "" mounts none.
    """

    name: str = Field(min_length=1)
    keys: Mapping[str, str] = {}
    mount_path: str = ""


class Volume(_Section):
    """A PersistentVolumeClaim that steps mount.

    Attributes:
        claim: its name.
        mount_path: absolute.
    """

    claim: str = Field(min_length=1)
    mount_path: str = Field(pattern="^/")


class Toleration(_Section):
    """A Kubernetes toleration, field by field."""

    key: str = ""
    operator: str = Field(default="Equal", pattern="^(Equal|Exists)$")
    value: str = ""
    effect: str = Field(default="", pattern="^(|NoSchedule|PreferNoSchedule|NoExecute)$")


class Kubeflow(_Section):
    """How the pipeline is compiled for a cluster, and where it is submitted.

    Attributes:
        image: of every step.
        gpu_image: of the trainers where they have GPUs; None: `image`.
        pipeline_root: URI below which Kubeflow keeps artifacts.
        output_dir: URI, or path of a mounted volume, of what outlives a run: pushed versions, statistics, checkpoints,
            spans that were read.
        resources: limits by component; `default` is that of all others.
        accelerator: resource name of a GPU in the cluster; on Vertex the type of the accelerator.
        retries: of a step that failed, before the run fails.
        retry_seconds: before the first of them; each wait is twice the one before.
        cache: whether a step whose inputs and parameters are known is taken from an earlier run.
        secrets, volumes: that every step gets.
        node_selector, tolerations: of every step's pod.
        shared_memory: size of `/dev/shm` in memory, for steps with GPUs; None leaves the cluster's.
        host: address of the pipeline's API.
        namespace, experiment: of a run.
        service_account: of a run's pods.
    """

    image: Image
    gpu_image: Image | None = None
    pipeline_root: Annotated[Uri, AfterValidator(_is_an_object_store)]
    output_dir: Annotated[Uri, AfterValidator(_is_shared)]
    resources: Mapping[str, Resources] = {}
    accelerator: str = "nvidia.com/gpu"
    retries: NonNegativeInt = 2
    retry_seconds: PositiveInt = 30
    cache: bool = True
    secrets: tuple[Secret, ...] = ()
    volumes: tuple[Volume, ...] = ()
    node_selector: Mapping[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    shared_memory: Memory | None = None
    host: Uri | None = None
    namespace: str | None = None
    experiment: str | None = None
    service_account: str | None = None

    def limits(self, component: str) -> Resources:
        """What the step of a component may use."""
        return self.resources.get(component, self.resources.get("default", Resources()))

    def image_of(self, component: str) -> str:
        """The image of the step of a component."""
        return self.gpu_image if self.gpu_image and self.limits(component).gpus else self.image

    def platform_settings(self) -> dict[str, Any]:
        """Those that Kubernetes alone understands, where they are set."""
        names = ("secrets", "volumes", "node_selector", "tolerations", "shared_memory")
        return {name: value for name in names if (value := getattr(self, name))}
