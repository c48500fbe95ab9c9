"""cosmicai import: partitions out of the files that astronomers have.

`opening` tells a format by its content, and a module for each format (`*_files`) gives its arrays by name. `choosing`
says which array is what, by flags or by guesses that are shown. `images`, `cutouts` and `magnitudes` bring them into
the form of a partition, a batch at a time, and `galaxies` puts them together. astropy, h5py and pyarrow are imported
where a file of their format is read, and never by the Lambda image.
"""
