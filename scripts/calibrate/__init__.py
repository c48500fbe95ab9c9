"""`cosmicai calibrate`: error bars for a model, learnt from labelled galaxies that it was not trained on.

`fitting` fits the network of a calibration and its scores. `command` predicts, and says by folds
how the error bars do on galaxies that a fit did not see.
"""
