"""`cosmicai sweep`: many runs over world sizes, batch sizes and amounts of data, and tables of them.

`configuration` says what one run is, and `presets` lists the runs of the published documents. `folder` keeps each run
that has ended in a file of its own, so that a sweep that was interrupted goes on where it stopped. `measure` makes one
run, and `tables` puts all of them together.
"""
