"""The CuratedSchema component."""

import os
from pathlib import Path
from typing import Any

from tfx import types
from tfx.components.schema_gen.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import io_utils


class Executor(base_executor.BaseExecutor):
    """Writes the `schema` artifact from the parameter `text`, a schema as pbtxt; `code_hash` is for the cache alone."""

    def Do(  # noqa: D102
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        path = os.path.join(artifact_utils.get_single_uri(output_dict["schema"]), DEFAULT_FILE_NAME)
        io_utils.write_string_file(path, exec_properties["text"])
        io_utils.SchemaReader().read(path)  # raises for what is no schema


SCHEMA_FILE = Path(__file__).with_name("schema.pbtxt")


class CuratedSchemaSpec(ComponentSpec):
    """Parameters and output of CuratedSchema."""

    PARAMETERS = {name: ExecutionParameter(type=str) for name in ("text", "code_hash")}
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {"schema": ChannelParameter(type=standard_artifacts.Schema)}


class CuratedSchema(base_component.BaseComponent):
    """Put out a schema given as text.

    It stands in for ImportSchemaGen, which is cached by the path of its file and so never sees a change of it.
    """

    SPEC_CLASS = CuratedSchemaSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, text: str, code_hash: str) -> None:
        super().__init__(
            CuratedSchemaSpec(text=text, code_hash=code_hash, schema=types.Channel(type=standard_artifacts.Schema))
        )
