"""`cosmicai calibrate`: error bars for a model, learnt from labelled galaxies that it was not trained on.

`fitting` fits the network of a calibration and its scores. `command` splits the galaxies, predicts, and says how the
error bars do on galaxies that the fit did not see.
"""
