"""LCR-SER in Keras 3 and TensorFlow: the model, its losses and its training.

The paper's symbols, as all shapes here are given in, and the settings of `model.config` that they are:

| symbol | meaning | setting |
|---|---|---|
| B | requests in a batch | `batch_size`, `eval_batch_size` of either stage |
| Lr, Ls | clicks and searches of a history, padded; L is either | `RankerConfig.rec_length`, `search_length` |
| W | words of a query | `RankerConfig.words_per_search` |
| M | clicked items of a search | `RankerConfig.items_per_search` |
| K | reasoning steps | `LcrSerConfig.reasoning_steps` |
| d | width of an embedding and of a state | `RankerConfig.dim` |
| C | candidates of a request | 1 + `num_negatives` in training; otherwise as many as are asked about |
| N | trajectories of a group, 1 outside of the reinforcement stage | `GrpoConfig.num_trajectories` |
"""
