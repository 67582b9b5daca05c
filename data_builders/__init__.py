"""The TFDS data sets of this project, one folder each; they need no TensorFlow."""
