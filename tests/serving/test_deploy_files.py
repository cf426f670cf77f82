"""The shipped configuration against the schemas of those who read it: TF Serving, Kubernetes, KServe, Prometheus."""

import copy
import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.config import model_server_config_pb2

from model import contract
from model.contract import MAX_CANDIDATES, MAX_PAIRS
from serving import limits

DEPLOY = Path(__file__).parents[2] / "serving" / "deploy"
KUBERNETES = sorted(path.name for path in (DEPLOY / "kubernetes").iterdir() if path.name != "inference-service.yaml")
VERSIONS = ("1.27", "1.30", "1.37")

_STRING, _BOOL, _INT64, _MESSAGE = 9, 8, 3, 11
_WRAPPER = ".google.protobuf.{}Value"
PROTOS = {
    "SSLConfig": [
        ("server_key", 1, _STRING), ("server_cert", 2, _STRING), ("custom_ca", 3, _STRING), ("client_verify", 4, _BOOL),
    ],
    "PrometheusConfig": [("enable", 1, _BOOL), ("path", 2, _STRING)],
    "MonitoringConfig": [("prometheus_config", 1, ".tensorflow.serving.PrometheusConfig")],
    "BatchingParameters": [
        ("max_batch_size", 1, _WRAPPER.format("Int64")),
        ("batch_timeout_micros", 2, _WRAPPER.format("Int64")),
        ("max_enqueued_batches", 3, _WRAPPER.format("Int64")),
        ("num_batch_threads", 4, _WRAPPER.format("Int64")),
        ("thread_pool_name", 5, _WRAPPER.format("String")),
        ("allowed_batch_sizes", 6, _INT64),
        ("pad_variable_length_inputs", 7, _BOOL),
        ("enable_large_batch_splitting", 8, _WRAPPER.format("Bool")),
        ("max_execution_batch_size", 9, _WRAPPER.format("Int64")),
    ],
}  # fmt: skip
"""Messages of TF Serving 2.16.1 that tensorflow-serving-api lacks: field, number, type (config/*.proto and
servables/tensorflow/session_bundle_config.proto)."""


def serving_message(name):
    file = descriptor_pb2.FileDescriptorProto(name="serving.proto", package="tensorflow.serving", syntax="proto3")
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    for message, fields in PROTOS.items():
        declared = file.message_type.add(name=message)
        for field, number, kind in fields:
            added = declared.field.add(name=field, number=number, label=3 if field == "allowed_batch_sizes" else 1)
            if isinstance(kind, int):
                added.type = kind
            else:
                added.type, added.type_name = _MESSAGE, kind
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    pool.Add(wrappers)
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName(f"tensorflow.serving.{name}")
    newer = getattr(message_factory, "GetMessageClass", None)
    return (newer(descriptor) if newer else message_factory.MessageFactory(pool).GetPrototype(descriptor))()


def load(name):
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def deployed():
    """Name of a manifest -> the pod in it."""
    return {
        "deployment": load("kubernetes/deployment.yaml")[0]["spec"]["template"]["spec"],
        "inference service": load("kubernetes/inference-service.yaml")[0]["spec"]["predictor"],
    }


@pytest.mark.parametrize("name", ["models.config", "models.canary.config"])
def test_the_models_are_what_the_server_reads(name):
    config = text_format.Parse((DEPLOY / name).read_text(), model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.model_platform) == ("lcr_ser", "tensorflow")
    assert model.base_path == "/run/serving/models/lcr_ser", "where `start` puts what it verified"
    assert not model.HasField("logging_config"), "the stock server refuses to start with it"


def test_labels_name_versions_that_are_served():
    text = (DEPLOY / "models.canary.config").read_text()
    (model,) = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    assert set(model.version_labels) == {"stable", "canary"}
    assert set(model.version_labels.values()) == set(model.model_version_policy.specific.versions)


@pytest.mark.parametrize("cpus", [1, 8])
def test_batches_stay_within_the_limits(cpus):
    added = f"num_batch_threads {{ value: {cpus} }}\nmax_enqueued_batches {{ value: {2 * cpus} }}"
    text = (DEPLOY / "batching.config").read_text() + added
    config = text_format.Parse(text, serving_message("BatchingParameters"))
    assert config.max_batch_size.value * MAX_CANDIDATES <= MAX_PAIRS
    assert config.pad_variable_length_inputs
    assert config.batch_timeout_micros.value == 0
    assert not config.enable_large_batch_splitting.value and not config.allowed_batch_sizes
    assert f"ROWS={config.max_batch_size.value} " in (DEPLOY / "start").read_text()


def test_a_misspelt_parameter_is_noticed():
    with pytest.raises(text_format.ParseError, match="max_batch_sise"):
        text_format.Parse("max_batch_sise { value: 1 }", serving_message("BatchingParameters"))


def test_the_metrics_lie_where_the_proxy_and_prometheus_look():
    config = text_format.Parse((DEPLOY / "monitoring.config").read_text(), serving_message("MonitoringConfig"))
    assert config.prometheus_config.enable
    path = config.prometheus_config.path
    assert f"location = {path} {{" in (DEPLOY / "proxy/nginx.conf").read_text()
    jobs = load("prometheus.yaml")[0]["scrape_configs"]
    assert {job["metrics_path"] for job in jobs} == {path, "/monitoring/versions"}


def test_the_ssl_configuration_holds_key_and_certificates(tmp_path):
    texts = {name: f"-----BEGIN {name}-----\nMIIB+/=\n-----END {name}-----\n" for name in ("KEY", "CERT", "CA")}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    command = [DEPLOY / "ssl-config", *(tmp_path / name for name in texts)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    config = text_format.Parse(printed, serving_message("SSLConfig"))
    assert (config.server_key, config.server_cert, config.custom_ca) == tuple(texts.values())
    assert config.client_verify


@pytest.mark.parametrize("name", KUBERNETES)
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_the_manifests(name, version):
    for manifest in load(f"kubernetes/{name}"):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schema_notices_a_misspelt_field():
    (manifest,) = load("kubernetes/deployment.yaml")
    manifest["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


KSERVE = {
    "minReplicas": int, "maxReplicas": int, "scaleMetric": str, "scaleTarget": int, "timeout": int,
    "canaryTrafficPercent": int, "deploymentStrategy": dict,
}  # fmt: skip
"""What KServe's predictor (v1beta1, ComponentExtensionSpec) adds to Kubernetes' PodSpec, as far as one may use it."""


@pytest.mark.parametrize("version", VERSIONS)
def test_kserve_takes_the_inference_service(version):
    (service,) = load("kubernetes/inference-service.yaml")
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    predictor = copy.deepcopy(service["spec"].pop("predictor"))
    assert not service["spec"]
    for field in KSERVE.keys() & predictor.keys():
        assert isinstance(predictor.pop(field), KSERVE[field])
    (deployment,) = load("kubernetes/deployment.yaml")
    deployment["spec"]["template"]["spec"] = predictor
    kubernetes_validate.validate(deployment, version, strict=True)
    first = predictor["containers"][0]
    assert (first["name"], first["ports"][0]["name"]) == ("kserve-container", "h2c"), "the port that KServe serves"
    listen = (DEPLOY / "proxy/listen-h2c.conf").read_text()
    assert f"listen {first['ports'][0]['containerPort']} http2;" in listen


@pytest.mark.parametrize("pod", ["deployment", "inference service"])
def test_a_pod_may_do_no_more_than_it_must(pod):
    spec = deployed()[pod]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} == set(container["resources"]["limits"])
        assert not re.search(":latest$|^[^:@]*$", container["image"]), "an image is named with its version"
    (server,) = (container for container in spec["containers"] if container["name"] == "tf-serving")
    mounts = {mount["name"]: mount for mount in server["volumeMounts"]}
    assert mounts["models"]["readOnly"] and "ports" not in server
    (models,) = (volume for volume in spec["volumes"] if volume["name"] == "models")
    assert models["persistentVolumeClaim"]["readOnly"]


@pytest.mark.parametrize("pod", ["deployment", "inference service"])
def test_the_server_outlives_the_proxy_and_both_the_calls(pod):
    spec = deployed()[pod]
    containers = {container["name"]: container for container in spec["containers"]}
    server = containers.pop("tf-serving")
    (proxy,) = containers.values()
    seconds = [int(text) for text in re.findall(r"sleep (\d+)", proxy["lifecycle"]["preStop"]["exec"]["command"][-1])]
    stays = int(server["lifecycle"]["preStop"]["exec"]["command"][-1])
    running = int(re.search(r"worker_shutdown_timeout (\d+)s", (DEPLOY / "proxy/nginx.conf").read_text())[1])
    assert seconds[0] >= 5, "calls still arrive until the endpoints are known to be gone"
    assert seconds[1] >= running
    assert sum(seconds) <= stays < spec["terminationGracePeriodSeconds"]


def test_a_probe_reads_the_state():
    for spec in deployed().values():
        (server,) = (container for container in spec["containers"] if container["name"] == "tf-serving")
        for probe in ("startupProbe", "readinessProbe"):
            assert server[probe]["exec"]["command"] == ["/etc/lcr-ser/ready"]
        # A version may take as long as ServableCheck allows, 120 s, several times over.
        assert server["startupProbe"]["periodSeconds"] * server["startupProbe"]["failureThreshold"] >= 600


def test_only_the_proxy_and_the_metrics_are_reached():
    (policy,) = load("kubernetes/network-policy.yaml")
    (proxy,) = (container for container in deployed()["deployment"]["containers"] if container["name"] == "proxy")
    opened = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
    assert opened == {port["name"] for port in proxy["ports"]} == {"grpc", "metrics"}
    assert policy["spec"]["egress"] == [] and "Egress" in policy["spec"]["policyTypes"]
    assert all(rule["from"] for rule in policy["spec"]["ingress"])
    (service,) = load("kubernetes/service.yaml")
    assert service["spec"]["clusterIP"] == "None", "one address would pin a channel to one pod"


def test_the_autoscaler_looks_at_the_server_alone():
    (autoscaler,) = load("kubernetes/autoscaler.yaml")
    (deployment,) = load("kubernetes/deployment.yaml")
    target = autoscaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == (deployment["kind"], deployment["metadata"]["name"])
    (metric,) = autoscaler["spec"]["metrics"]
    assert metric["type"] == "ContainerResource"
    assert metric["containerResource"]["container"] == "tf-serving"
    assert autoscaler["spec"]["minReplicas"] >= deployment["spec"]["replicas"]


def test_the_config_map_holds_what_the_pod_reads():
    (kustomization,) = load("kustomization.yaml")
    (generated,) = kustomization["configMapGenerator"]
    files = dict((line.split("=") if "=" in line else (line, line)) for line in generated["files"])
    for path in (*files.values(), *kustomization["resources"]):
        assert (DEPLOY / path).is_file()
    assert {*KUBERNETES} == {Path(path).name for path in kustomization["resources"]}
    text = (DEPLOY / "start").read_text() + (DEPLOY / "proxy/nginx.conf").read_text()
    read = set(re.findall(r"(?:\$CONFIG|/etc/lcr-ser)/([a-z.]+)(?![a-z./])", text))
    assert files.keys() == read | {"start", "ready", "nginx.conf"}
    images = {image["name"]: image["newTag"] for image in kustomization["images"]}
    for spec in deployed().values():
        assert {tuple(container["image"].split(":")) for container in spec["containers"]} == set(images.items())


def test_compose_is_confined_like_a_pod():
    (compose,) = load("compose.yaml")
    services = compose["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"pod": ["8443:8443", "127.0.0.1:9090:9090"]}
    for service in services.values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and not service["user"].startswith("0")
        assert service["security_opt"] == ["no-new-privileges:true"] and service["mem_limit"]
    server = services["tf-serving"]
    assert server["volumes"][0].endswith(":/models/lcr_ser:ro")
    assert services["proxy"]["depends_on"] == ["tf-serving"], "so that the proxy stops first"
    (kustomization,) = load("kustomization.yaml")
    images = {f"{image['name']}:{image['newTag']}" for image in kustomization["images"]}
    assert {re.search(r":-(.*)}", service["image"])[1] for service in services.values()} == images
    for spec in deployed().values():
        (container,) = (container for container in spec["containers"] if container["name"] == "tf-serving")
        limits = container["resources"]["limits"]
        assert (str(server["cpus"]), server["mem_limit"].upper() + "i") == (limits["cpu"], limits["memory"])


ALERTS = {
    "served_late": ("PushedVersionNotServed", {"lcr_ser_served_version": "1+0x40", "lcr_ser_pushed_version": "2+0x40"}),
    "served": (None, {"lcr_ser_served_version": "2+0x40", "lcr_ser_pushed_version": "2+0x40"}),
    "stale": ("VersionsUnknown", {"lcr_ser_versions_checked_seconds": "0+0x40"}),
    "failing": (
        "CallsFail",
        {
            ':tensorflow:serving:request_count{status="OK"}': "0+98x40",
            ':tensorflow:serving:request_count{status="UNAVAILABLE"}': "0+2x40",
        },
    ),
    "refused": (
        None,
        {
            ':tensorflow:serving:request_count{status="OK"}': "0+98x40",
            ':tensorflow:serving:request_count{status="INVALID_ARGUMENT"}': "0+20x40",
        },
    ),
    "slow": (
        "CallsAreSlow",
        {
            ':tensorflow:serving:request_latency_bucket{le="200000"}': "0+97x40",
            ':tensorflow:serving:request_latency_bucket{le="400000"}': "0+100x40",
            ':tensorflow:serving:request_latency_bucket{le="+Inf"}': "0+100x40",
        },
    ),
}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus")
@pytest.mark.parametrize("case", ALERTS)
def test_an_alert_fires_when_it_should(case, tmp_path):
    expected, series = ALERTS[case]
    fresh = {} if "lcr_ser_versions_checked_seconds" in series else {"lcr_ser_versions_checked_seconds": "0+60x40"}
    named = {
        name[:-1] + ',instance="a"}' if name.endswith("}") else name + '{instance="a"}': values
        for name, values in {**series, **fresh}.items()
    }
    (rules,) = load("alerts.yaml")
    names = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    wanted = [{"eval_time": "30m", "alertname": name, "exp_alerts": [{}] if name == expected else []} for name in names]
    for rule, want in zip(rules["groups"][0]["rules"], wanted, strict=True):
        if want["exp_alerts"]:
            want["exp_alerts"] = [{"exp_labels": {**rule["labels"], "instance": "a"}}]
        rule.pop("annotations")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    test = {
        "rule_files": ["rules.yaml"], "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m", "alert_rule_test": wanted,
                "input_series": [{"series": name, "values": values} for name, values in named.items()],
            }
        ],
    }  # fmt: skip
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    command = ["promtool", "test", "rules", tmp_path / "test.yaml"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_limits_in_the_security_page_are_those_of_the_code():
    page = (DEPLOY.parents[1] / "SECURITY.md").read_text()
    rows = re.findall(r"^\| `(MAX_\w+)` \| ([\d,]+) ", page, re.MULTILINE)
    written = {name: int(value.replace(",", "")) for name, value in rows}
    coded = {name: value for module in (contract, limits) for name, value in vars(module).items() if "MAX_" in name}
    assert written == coded
