"""LCR-SER in Keras 3 and TensorFlow: the model, its losses and its training."""
