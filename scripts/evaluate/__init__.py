"""`cosmicai evaluate`: how good a model's redshifts are, for which galaxies, and what its images are worth."""
