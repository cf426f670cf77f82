"""On which device a stage trains."""

import contextlib
import subprocess
import sys

import pytest
import tensorflow as tf

from components.trainer import placement
from components.trainer.settings import DistributionSettings
from model.config import GrpoConfig, LcrSerConfig, SupervisedConfig
from tfx_pipeline.settings import load

SMALL = LcrSerConfig(num_users=2, num_items=2, num_words=2, dim=32, rec_length=15, search_length=10)
LARGE = LcrSerConfig(num_users=2, num_items=2, num_words=2)


@pytest.fixture
def card(monkeypatch):
    """A machine with a card, as far as TensorFlow tells."""
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [f"the {kind}"])


def entered(monkeypatch, settings, model, stage):
    """The devices whose scopes a stage trains in."""
    devices = []
    monkeypatch.setattr(tf, "device", lambda name: contextlib.nullcontext(devices.append(name)))
    with placement.placed(settings, model, stage):
        pass
    return devices


def test_work_is_rows_by_events_by_width():
    assert placement.work(SMALL, SupervisedConfig(batch_size=256)) == 256 * 25 * 32
    assert placement.work(SMALL, GrpoConfig(batch_size=256)) == 15 * 256 * 25 * 32
    assert placement.work(LARGE, SupervisedConfig(batch_size=1024)) == 1024 * 60 * 64


@pytest.mark.parametrize(
    ("profile", "leaving"), [("demo", [True, True]), ("own", [False, False]), ("kuaisar", [False] * 2)]
)
def test_the_demo_leaves_the_card_and_a_log_of_ones_own_does_not(profile, leaving):
    """Measured on the demo log: the card takes 2 to 3 times as long as one core (docs/gpu.md)."""
    run = load(profile)
    stages = (run.supervised, run.grpo)
    assert [placement.leaves_the_card(run.distribution, run.model, stage) for stage in stages] == leaving


@pytest.mark.parametrize(
    ("stage", "pays"),
    [
        # 1,000 rows of 3,840 units take 0.384 s on a core and 0.05 s on a card, which starts in 10 s.
        (SupervisedConfig(batch_size=1000), True),
        (SupervisedConfig(batch_size=1000, max_steps=29), False),
        (SupervisedConfig(batch_size=1000, max_steps=30), True),
        # 0.05 s on either.
        (SupervisedConfig(batch_size=130), False),
        (SupervisedConfig(batch_size=131), True),
        # Of GRPO 15 times as long: 0.576 s on a core.
        (GrpoConfig(batch_size=100, max_steps=19), False),
        (GrpoConfig(batch_size=100, max_steps=20), True),
    ],
)
def test_a_card_pays_where_its_steps_save_more_than_its_start_takes(stage, pays):
    assert placement.pays(LARGE, stage) == pays


@pytest.mark.parametrize(
    ("device", "model", "devices"),
    [
        ("auto", SMALL, ["CPU"]), ("auto", LARGE, []), ("cpu", LARGE, ["CPU"]), ("gpu", SMALL, []),
    ],
)  # fmt: skip
def test_a_stage_trains_on_the_cpu_where_that_is_chosen(card, monkeypatch, device, model, devices):
    settings = DistributionSettings(device=device)
    assert entered(monkeypatch, settings, model, SupervisedConfig(batch_size=256)) == devices


def test_a_strategy_chooses_its_devices_itself(card, monkeypatch):
    settings = DistributionSettings(strategy="mirrored")
    assert entered(monkeypatch, settings, SMALL, SupervisedConfig(batch_size=8)) == []


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_a_card_nothing_is_chosen(monkeypatch, device):
    assert entered(monkeypatch, DistributionSettings(device=device), SMALL, SupervisedConfig()) == []


def test_a_card_that_is_asked_for_and_missing_ends_the_stage():
    settings = DistributionSettings(device="gpu")
    with (
        pytest.raises(ValueError, match="`distribution.device` should be auto or cpu where .* Received: gpu"),
        placement.placed(settings, LARGE, SupervisedConfig()),
    ):
        pass


def test_stages_that_leave_the_card_are_told():
    stages = {"supervised": SupervisedConfig(batch_size=256), "grpo": GrpoConfig(batch_size=256, max_steps=30)}
    assert placement.told(DistributionSettings(), SMALL, stages) == (
        "supervised and grpo on the CPU: work this small is done sooner there (distribution.device: auto)"
    )
    assert placement.told(DistributionSettings(device="cpu"), LARGE, {"grpo": GrpoConfig()}) == (
        "grpo on the CPU: that is set (distribution.device: cpu)"
    )
    assert placement.told(DistributionSettings(device="gpu"), SMALL, stages) == ""


# Two parts of the CPU stand for the card, the first one, and the CPU.
TWO_DEVICES = """
import tensorflow as tf
[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np

tf.constant(1.0)  # a step before has used the devices: what is visible can be changed no more
with tf.device("CPU:1"):
    layer = keras.layers.Dense(3)
    layer.build((None, 2))
    optimizer = keras.optimizers.Adam()
    optimizer.build(layer.trainable_variables)

    @tf.function(autograph=False)
    def step(rows):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(rows) ** 2)
        optimizer.apply(tape.gradient(loss, layer.trainable_variables))
        return loss, tf.random.stateless_uniform([2], [1, 2])

    results = step(tf.constant(np.ones((4, 2), np.float32)))
places = {one.device for one in (*results, *(v.value for v in (*layer.variables, *optimizer.variables)))}
print(*places)
[node] = [n for n in step.get_concrete_function(tf.TensorSpec([None, 2])).graph.get_operations() if n.type == "Sum"]
print("pinned to", repr(node.device))
print(tf.constant(1.0).device)
"""


@pytest.mark.slow
def test_a_scope_holds_weights_and_compiled_steps_and_leaves_no_mark_in_a_graph():
    reply = subprocess.run([sys.executable, "-c", TWO_DEVICES], stdout=subprocess.PIPE, text=True, check=True)
    places, pinned, after = reply.stdout.splitlines()[-3:]
    assert places.endswith("/device:CPU:1") and len(places.split()) == 1
    assert pinned == "pinned to ''"
    assert after.endswith("/device:CPU:0")
