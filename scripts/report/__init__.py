"""`cosmicai report`: what runs left behind, as one page with figures.

`run_facts` reads a run's folder, `run_figures` makes its figures, and `page` puts them into one HTML file that needs no
network. The figures are Vega-Lite specifications, which vl-convert brings into the page and draws as PNG and SVG.
"""
