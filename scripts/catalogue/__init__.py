"""Predictions as a catalogue: read from a run, joined to a user's own by id, written in the formats of the field.

    run_source       where a run's results lie
    run_predictions  its predictions
    meanings         what their columns mean, in units and UCDs, and what Rubin calls them
    reading          a user's catalogue (reading_csv, reading_fits, votable)
    ids              which column names the object, and how ids of different types are compared
    joining          each row of a catalogue with its prediction
    writing          all of it to a file (writing_fits, votable)

Tables are Arrow's, because it knows nulls in every type and joins 10 million ids in seconds. pyarrow and astropy are
imported here and never in the images.
"""
