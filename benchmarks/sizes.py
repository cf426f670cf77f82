"""Sizes that all benchmarks share: those of UniSAR's timings for Amazon, at which peers were timed."""

from model.config import LcrSerConfig, SupervisedConfig

BATCH = 1024
USERS = 8192
SHAPE = LcrSerConfig(
    num_users=68_223,
    num_items=61_935,
    num_words=1_866,
    dim=64,
    num_heads=2,
    rec_length=30,
    search_length=30,
    words_per_search=8,
    items_per_search=5,
    reasoning_steps=3,
    mlp_units=(200, 80),
    dropout=0.1,
)
SUPERVISED = SupervisedConfig(batch_size=BATCH, num_negatives=4, tcl_weight=0.1, l2_weight=1e-5)
