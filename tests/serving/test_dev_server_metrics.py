"""Metrics under TF Serving's names, as Prometheus's own reader reads them."""

import urllib.error
import urllib.request

import grpc
import pytest
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from prometheus_client.parser import text_string_to_metric_families
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from serving.dev_server.metrics import REQUEST_LATENCY, REQUESTS, Metrics
from serving.dev_server.server import METRICS_PATH, RankingServer


def _samples(text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_and_histograms_are_read_back():
    metrics = Metrics()
    for _ in range(3):
        metrics.count(REQUESTS, model_name='a "quoted"\\ name', status="OK")
    for micros in (1, 10, 11, 1e12):
        metrics.observe(REQUEST_LATENCY, micros / 1e6, model_name="m", API="Predict", entrypoint="GRPC")
    samples = _samples(metrics.text())
    labels = (("model_name", 'a "quoted"\\ name'), ("status", "OK"))
    assert samples[":tensorflow:serving:request_count_total", labels] == 3  # the reader adds `_total`
    name = ":tensorflow:serving:request_latency"
    labels = (("API", "Predict"), ("entrypoint", "GRPC"), ("model_name", "m"))
    buckets = {float(dict(key)["le"]): value for (sample, key), value in samples.items() if sample == f"{name}_bucket"}
    limits = sorted(buckets)
    assert limits[:3] == [10, 18, 32.4]
    assert limits[-2:] == [pytest.approx(10 * 1.8**32, rel=1e-5), float("inf")]
    assert [buckets[limit] for limit in (10, 18, limits[-2], limits[-1])] == [1, 3, 3, 4]
    assert samples[f"{name}_count", labels] == 4
    assert samples[f"{name}_sum", labels] == pytest.approx(1e12 + 22)


@pytest.fixture(scope="module")
def measured(exported, tmp_path_factory):
    import shutil

    folder = tmp_path_factory.mktemp("measured")
    shutil.copytree(exported(1), folder / "1")
    with RankingServer(folder, rest_port=0) as server:
        server.manager.refresh()
        yield server


def _get(server, path):
    with urllib.request.urlopen(f"http://{server.rest_address}{path}", timeout=10) as response:
        return response.read().decode()


def test_a_server_counts_calls_by_status_and_names_nobody_serves_as_one(measured):
    with grpc.insecure_channel(measured.address) as channel:
        for name in ("lcr_ser", "x1", "x2"):
            with pytest.raises(grpc.RpcError):
                PredictionServiceStub(channel).Predict(predict_pb2.PredictRequest(model_spec={"name": name}))
    samples = _samples(_get(measured, METRICS_PATH))
    counts = {
        (labels["model_name"], labels["status"]): value
        for (name, key), value in samples.items()
        if name == ":tensorflow:serving:request_count_total" and (labels := dict(key))
    }
    assert counts == {("lcr_ser", "INVALID_ARGUMENT"): 1, ("", "NOT_FOUND"): 2}
    loads = ":tensorflow:cc:saved_model:load_attempt_count_total"
    assert [value for (name, _), value in samples.items() if name == loads] == [1]


def test_rest_is_tf_servings(measured):
    with pytest.raises(urllib.error.HTTPError, match="use TF Serving"):
        _get(measured, "/v1/models/lcr_ser")


def test_reflection_lists_the_services(measured):
    with grpc.insecure_channel(measured.address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert {
            "tensorflow.serving.PredictionService",
            "tensorflow.serving.ModelService",
            "grpc.health.v1.Health",
        } < set(database.get_services())
        file = database.FindFileContainingSymbol("tensorflow.serving.PredictionService")
        assert "Predict" in {method.name for method in file.service[0].method}
