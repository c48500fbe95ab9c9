"""What the columns of a run's predictions mean: units, UCDs, descriptions, and the names that Rubin has for them.

UCDs are words of UCD1+ 1.6 (IVOA, 2024). SDSS g lies in the vocabulary's band B (400 to 500 nm), and SDSS z in its I
(750 to 1,000 nm). Rubin's photometric redshifts in Data Previews 1 and 2 are columns such as `lephare_z_best` and
`lephare_z_err68_low`, which is the lower bound of the interval that holds 68% and not a difference.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
from pyarrow import compute

from lambda_image.data.columns import TABLE_COLUMNS
from lambda_image.data.distributions import IN_CATALOGUES
from lambda_image.data.quality import UNPREDICTABLE, Quality
from lambda_image.errors import UsageError
from scripts.catalogue.ids import is_id_type
from scripts.catalogue.table import Catalogue, Meaning
from scripts.id_names import is_id_name

OURS = "cosmicai_"  # before a name that is taken
PHOTOMETRIC = "src.redshift.phot"
BANDS = {"u": "em.opt.U", "g": "em.opt.B", "r": "em.opt.R", "i": "em.opt.I", "z": "em.opt.I"}
POSITIONS = {  # by a name in lower case; only these are known to be in degrees
    **dict.fromkeys(("ra", "ra_deg", "raj2000", "ra_j2000", "coord_ra", "target_ra"), "pos.eq.ra"),
    **dict.fromkeys(("dec", "dec_deg", "dej2000", "dec_j2000", "coord_dec", "target_dec"), "pos.eq.dec"),
}
NUMBERED = re.compile(r"mag_\d{1,4}")  # a magnitude in a band of which a run knows no more
# What Rubin calls the quantiles that a run computes.
QUANTILES = dict(zip(IN_CATALOGUES, ("err95_low", "err68_low", "median", "err68_high", "err95_high"), strict=True))
INTERVAL = ("redshift_err68_low", "redshift_err68_high")  # from a standard deviation, where there are no quantiles

FLAGS = ", ".join(f"{flag.value} {flag.name.lower()}" for flag in Quality if flag.name)
WITHOUT = ", ".join(str(flag.value) for flag in Quality if flag & UNPREDICTABLE)
COMPUTED = {  # what a run computes, with the ends of Rubin's names
    "redshift": ("z_best", Meaning("", PHOTOMETRIC, "Predicted redshift; none where quality says that it has none")),
    "redshift_err": ("z_err", Meaning("", f"stat.error;{PHOTOMETRIC}", "Error bar of the predicted redshift")),
    INTERVAL[0]: ("z_err68_low", Meaning("", f"{PHOTOMETRIC};stat.min", "redshift - redshift_err")),
    INTERVAL[1]: ("z_err68_high", Meaning("", f"{PHOTOMETRIC};stat.max", "redshift + redshift_err")),
    "z_mode": ("z_mode", Meaning("", PHOTOMETRIC, "Mode of p(z)")),
    "quality": (
        "quality",
        Meaning("", "meta.code.qual", f"Sum of flags, 0 where nothing is wrong: {FLAGS}; no prediction with {WITHOUT}"),
    ),
}
GIVEN = {  # what a run has from its partitions
    "source": Meaning("", "meta.id;meta.file", "Partition that the galaxy comes from"),
    "row": Meaning("", "meta.record", "Row in the dataset, from 0"),
    "redshift_true": Meaning("", "src.redshift", "Redshift that the dataset gives"),
    **{
        f"mag_{band}": Meaning("mag", f"phot.mag;{ucd}", f"Magnitude in {band} as given") for band, ucd in BANDS.items()
    },
}


def computed(names: Sequence[str]) -> list[str]:
    """Chooses the columns that a run computes; the others came with its partitions."""
    return [name for name in names if name in COMPUTED or name in QUANTILES]


def user_columns(names: Sequence[str]) -> list[str]:
    """Chooses the columns that a user has put into the partitions."""
    own = {*TABLE_COLUMNS, *computed(names)}
    return [name for name in names if name not in own and not NUMBERED.fullmatch(name)]


def id_columns(schema: pa.Schema) -> list[str]:
    """Chooses the columns of a user that can identify a galaxy."""
    return [name for name in user_columns(schema.names) if is_id_type(schema.field(name).type)]


def columns_to_join(schema: pa.Schema) -> list[str]:
    """Chooses what a join needs of predictions: what a run computes, and ids."""
    return [*id_columns(schema), *computed(schema.names)]


def meanings_of(table: pa.Table, main_id: str | None) -> dict[str, Meaning]:
    """Says what the columns of predictions mean.

    Args:
        table: the predictions of a run.
        main_id: the column that identifies a galaxy, if there is one.

    Returns:
        Meanings by the column's name. A column of the user whose name says nothing has none.
    """
    found = {name: _computed(name) for name in computed(table.column_names)}
    found |= {name: GIVEN[name] for name in table.column_names if name in GIVEN}
    found |= {
        name: Meaning("mag", "phot.mag", "Magnitude as given")
        for name in table.column_names
        if NUMBERED.fullmatch(name)
    }
    return found | guessed(table.select(user_columns(table.column_names)), {}, main_id)


def guessed(table: pa.Table, known: Mapping[str, Meaning], main_id: str | None) -> dict[str, Meaning]:
    """Guesses what columns of a user mean by their names: positions, which count as degrees, and ids.

    Args:
        table: the columns.
        known: the meanings that their file gives. They stay, and a UCD that it gives is not guessed.
        main_id: the column that identifies a galaxy, if there is one.

    Returns:
        Meanings by the column's name, those that are known among them.
    """
    found = dict(known)
    has_main = any("meta.main" in meaning.ucd for meaning in known.values() if meaning.ucd.startswith("meta.id"))
    for field in table.schema:
        meaning = found.get(field.name, Meaning())
        if meaning.ucd:
            continue
        if field.name == main_id and not has_main:
            found[field.name] = replace(
                meaning, ucd="meta.id;meta.main", text=meaning.text or "Identifier of the galaxy"
            )
        elif field.name.lower() in POSITIONS and pa.types.is_floating(field.type):
            found[field.name] = replace(meaning, ucd=POSITIONS[field.name.lower()], unit=meaning.unit or "deg")
        elif is_id_name(field.name) and is_id_type(field.type):
            found[field.name] = replace(meaning, ucd="meta.id")
    return found


def _computed(name: str) -> Meaning:
    if name in COMPUTED:
        return COMPUTED[name][1]
    ends = {"low": ";stat.min", "high": ";stat.max", "median": ";stat.median"}
    ucd = PHOTOMETRIC + ends[QUANTILES[name].rpartition("_")[2]]
    return Meaning("", ucd, f"Quantile {name[1:]} of p(z)")


def rubin_names(names: Sequence[str], prefix: str) -> dict[str, str]:
    """Finds the names that Rubin's tables would give to what a run computes.

    Args:
        names: columns of predictions.
        prefix: the name of the algorithm, as `lephare` is.

    Returns:
        The new name by the old, for every computed column.
    """
    ends = {name: COMPUTED[name][0] if name in COMPUTED else f"z_{QUANTILES[name]}" for name in computed(names)}
    return {name: f"{prefix}_{end}" for name, end in ends.items()}


def added_names(present: Sequence[str], added: Sequence[str], prefix: str | None) -> dict[str, str]:
    """Chooses names for what a run computes beside columns that are there.

    Args:
        present: the columns that are there, which keep their names.
        added: columns of predictions.
        prefix: gives Rubin's names; without it they stay, but for those that are taken, which get `cosmicai_`.

    Returns:
        The new name by the old.

    Raises:
        UsageError: a new name is taken, too. The case of letters does not count.
    """
    taken = {name.lower() for name in present}
    if prefix is not None:
        names, again = rubin_names(added, prefix), "give another --prefix"
    else:
        names = {name: OURS + name if name.lower() in taken else name for name in added}
        again = "name the new ones by --prefix"
    if there := [name for name in names.values() if name.lower() in taken]:
        raise UsageError(f"there is a column {there[0]} already: {again}")
    return names


def renamed(catalogue: Catalogue, prefix: str) -> Catalogue:
    """Gives what a run computes the names that Rubin's tables would give it; see `added_names`."""
    given = catalogue.table.column_names
    results = computed(given)
    names = added_names([name for name in given if name not in results], results, prefix)
    meanings = {names.get(name, name): meaning for name, meaning in catalogue.meanings.items()}
    table = catalogue.table.rename_columns([names.get(name, name) for name in given])
    return Catalogue(table, meanings, catalogue.text)


def with_interval(table: pa.Table) -> pa.Table:
    """Adds the bounds of the interval that holds 68%, where a run gives a standard deviation and no quantiles."""
    names = table.column_names
    if "redshift_err" not in names or "q0.16" in names or set(INTERVAL) & set(names):
        return table
    place = names.index("redshift_err") + 1
    low, high = (bound(table["redshift"], table["redshift_err"]) for bound in (compute.subtract, compute.add))
    return table.add_column(place, INTERVAL[0], low).add_column(place + 1, INTERVAL[1], high)
