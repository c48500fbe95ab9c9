"""How the weights, the mixtures and the sample galaxies that ship are made and judged. train.py is the recipe."""
