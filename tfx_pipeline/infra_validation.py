"""The stock InfraValidator, where Docker is at hand: TF Serving itself loads the model and answers."""

from tfx.components import InfraValidator
from tfx.proto import infra_validator_pb2
from tfx.types import BaseChannel

from model import contract
from tfx_pipeline.settings import InfraValidation


def require_docker() -> None:
    """Look before hours of training whether there is what the component runs on; without it, it blesses nothing.

    Raises:
        ValueError: where no Docker answers.
    """
    import docker

    try:
        docker.from_env().ping()
    except docker.errors.DockerException as error:
        raise ValueError(
            "`infra_validation.platform` docker should find a Docker that answers. Received: "
            f"{str(error).splitlines()[0]}. Start it, or set `infra_validation` to null."
        ) from error


def infra_validator(settings: InfraValidation, model: BaseChannel, examples: BaseChannel, name: str) -> InfraValidator:
    """Make the component.

    Args:
        settings: of it.
        model: with the SavedModel.
        examples: raw, with a test split.
        name: under which the model is served.
    """
    serving = infra_validator_pb2.ServingSpec(
        tensorflow_serving=infra_validator_pb2.TensorFlowServing(image_name=settings.image, tags=settings.tags),
        model_name=name,
    )
    serving.local_docker.SetInParent()
    signatures = infra_validator_pb2.TensorFlowServingRequestSpec(
        signature_names=[contract.SIGNATURE_DEFAULT, contract.SIGNATURE_RANK_EVAL]
    )
    return InfraValidator(
        model=model,
        examples=examples,
        serving_spec=serving,
        validation_spec=infra_validator_pb2.ValidationSpec(
            max_loading_time_seconds=settings.max_load_seconds, num_tries=settings.tries
        ),
        request_spec=infra_validator_pb2.RequestSpec(
            tensorflow_serving=signatures, split_name="test", num_examples=settings.requests
        ),
    )
