"""Swaps versions and asks each, and prints the memory in MB after each swap: `python swaps.py MODEL_DIR SWAPS CALLS`.

Once as it is, and once more with a leak: the sessions of versions that are no longer served stay open.
"""

import json
import os
import sys
from pathlib import Path

import psutil
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from serving.dev_server.config import ModelConfig
from serving.dev_server.manager import ModelManager
from serving.dev_server.servable import LoadedVersion


def main(model_dir, swaps, calls):
    sound = _memory(model_dir, swaps, calls)
    kept = []
    LoadedVersion.close = lambda version: kept.append(version)  # noqa: PLW0108 - a builtin is no method
    print(json.dumps({"sound": sound, "leaking": _memory(model_dir, swaps, calls)}))


def _memory(model_dir, swaps, calls):
    manager = ModelManager(ModelConfig("lcr_ser", Path(model_dir)), required=())
    request = predict_pb2.PredictRequest(model_spec={"name": "lcr_ser", "signature_name": "rows"})
    request.inputs["ids"].CopyFrom(tf.make_tensor_proto(list(range(100)), tf.int64))
    memory = []
    first = int(os.listdir(model_dir)[0])
    for version in range(first, first + int(swaps)):
        manager.refresh()
        for _ in range(int(calls)):
            with manager.servable(request.model_spec) as servable:
                assert servable.version == version
                servable.predict(request)
        memory.append(psutil.Process().memory_info().rss / 1e6)
        os.rename(Path(model_dir, str(version)), Path(model_dir, str(version + 1)))
    return memory


if __name__ == "__main__":
    main(*sys.argv[1:])
