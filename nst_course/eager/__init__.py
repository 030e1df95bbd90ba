"""The eager edition: today's TensorFlow 2, from a picture to its features, costs and gradient, and the run."""
