"""The parts of scripts/train.py: which galaxies, what to learn of them, their images and the steps of the training."""
