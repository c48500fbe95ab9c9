"""What RAIL says of a qp file, as JSON. It runs in RAIL's own environment, and so imports nothing of this project."""

import json
import sys

import numpy as np
import qp
from qp.metrics.pit import PIT
from rail.evaluation.metrics.cdeloss import CDELoss

ensemble = qp.read(sys.argv[1])
# RAIL takes the PIT of a galaxy whose true redshift is NaN for 0.
ensemble = ensemble[np.isfinite(ensemble.ancil["redshift_true"])]
true = ensemble.ancil["redshift_true"].astype(float)
# RAIL's own grid has steps of 0.008, which is half a typical error bar: its loss is 4 % off.
grid = np.linspace(-0.2, 1.0, 12_001)
pits = PIT(ensemble, true)
print(
    json.dumps(
        {
            "cde_loss": CDELoss(ensemble, grid, true).evaluate().statistic,
            "pit_ks": pits.evaluate_PIT_KS().statistic,
            "pit": pits.pit_samps.tolist(),
        }
    )
)
