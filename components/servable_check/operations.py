"""What is in the files of a SavedModel, and the operations that it must not have."""

import os
from collections.abc import Iterable, Mapping

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

WARM_UP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")

_PYTHON = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
_FILES = frozenset(
    {
        "ReadFile",
        "WriteFile",
        "MatchingFiles",
        "WholeFileReader",
        "WholeFileReaderV2",
        "TextLineReader",
        "TextLineReaderV2",
        "TFRecordReader",
        "TFRecordReaderV2",
        "FixedLengthRecordReader",
        "FixedLengthRecordReaderV2",
        "TextLineDataset",
        "TFRecordDataset",
        "TFRecordDatasetV2",
        "FixedLengthRecordDataset",
        "FixedLengthRecordDatasetV2",
        "MatchingFilesDataset",
        "CSVDataset",
        "CSVDatasetV2",
        "SqlDataset",
        "CacheDataset",
        "CacheDatasetV2",
        "SaveDataset",
        "SaveDatasetV2",
        "LoadDataset",
        "SnapshotDataset",
        "SnapshotDatasetV2",
        "DatasetToTFRecord",
        "CreateSummaryFileWriter",
        "CreateSummaryDbWriter",
        "Save",
        "SaveSlices",
        "SaveV2",
        "Restore",
        "RestoreSlice",
        "RestoreV2",
        "MergeV2Checkpoints",
    }
)
"""Not `InitializeTableFromTextFileV2`: it reads the vocabularies among the model's own assets."""
_SAVER = frozenset({"Save", "SaveSlices", "SaveV2", "Restore", "RestoreSlice", "RestoreV2", "MergeV2Checkpoints"})
"""Loading runs them once, on the model's own variables: they are fine in the saver, and only there."""

Nodes = Iterable[node_def_pb2.NodeDef]


def forbidden_operations(saved_model_dir: str) -> list[str]:
    """Say which operations keep a SavedModel from being served, a line each; none for a good one.

    Those that run Python, those that read or write files, and those that plain TensorFlow does not know: TF Serving's
    standard build has no libraries of custom operations. All graphs are looked at, with their function libraries.

    Raises:
        tf.errors.OpError, google.protobuf.message.DecodeError: if there is no readable `saved_model.pb`.
    """
    saved = read_saved_model(saved_model_dir)
    found = {(name, place) for graph in saved.meta_graphs for name, place in _operations(graph)}
    return [f"the operation {name} in {place} {why}" for name, place in sorted(found) if (why := _why_not(name))]


def read_saved_model(saved_model_dir: str) -> saved_model_pb2.SavedModel:
    """Parse `saved_model.pb`."""
    with tf.io.gfile.GFile(f"{saved_model_dir}/saved_model.pb", "rb") as file:
        return saved_model_pb2.SavedModel.FromString(file.read())


def signature_names(saved_model_dir: str) -> set[str]:
    """Names of the signatures, without TensorFlow's own."""
    graphs = read_saved_model(saved_model_dir).meta_graphs
    return {name for graph in graphs for name in graph.signature_def if not name.startswith("__")}


def _why_not(name: str) -> str | None:
    if name in _PYTHON:
        return "runs Python"
    if name in _FILES:
        return "reads or writes files"
    if name == "PrintV2 to a file":
        return "writes a file"
    return None if name.startswith("PrintV2") or hasattr(tf.raw_ops, name) else "is not one of TensorFlow's own"


def _operations(meta_graph: meta_graph_pb2.MetaGraphDef) -> set[tuple[str, str]]:
    """Names of operations, and where each is; those of the saver that are the saver's are left out."""
    graph = meta_graph.graph_def
    functions = {function.signature.name: function.node_def for function in graph.library.function}
    ends = {
        name.split(":")[0] for name in (meta_graph.saver_def.save_tensor_name, meta_graph.saver_def.restore_op_name)
    }
    others = _reached([node for node in graph.node if node.name not in ends], functions)
    of_saver = _reached([node for node in graph.node if node.name in ends], functions) - others
    found = {(_name(node), "the graph") for node in graph.node if node.op not in functions}
    for function, nodes in functions.items():
        found |= {
            (_name(node), function)
            for node in nodes
            if node.op not in functions and not (function in of_saver and node.op in _SAVER)
        }
    return found


def _name(node: node_def_pb2.NodeDef) -> str:
    # The console is fine: TF Serving has one.
    is_file = node.op == "PrintV2" and node.attr["output_stream"].s.startswith(b"file:")
    return "PrintV2 to a file" if is_file else node.op


def _reached(nodes: Nodes, functions: Mapping[str, Nodes]) -> set[str]:
    """Names of the functions that nodes call, and those call in turn."""
    reached: set[str] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        called = {node.op} | {
            function.name for value in node.attr.values() for function in (value.func, *value.list.func)
        }
        for name in (called & functions.keys()) - reached:
            reached.add(name)
            waiting += functions[name]
    return reached
