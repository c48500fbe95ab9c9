"""What columns that identify an object are called."""

# As `folded` has them, the more telling ones first.
ID_NAMES = (
    *("objid", "objectid", "targetid", "sourceid", "specobjid", "photoobjid", "coaddobjectid", "coaddobjectsid", "id"),
    *("galaxyid", "galid", "catid", "designation", "iauname", "mainid", "name", "objname", "uniqueid", "uid", "lsid"),
)


def folded(name: str) -> str:
    """Writes a name as `OBJECT_ID`, `objectId` and `ObjectID` have it in common."""
    return "".join(character for character in name.lower() if character.isalnum())


def is_id_name(name: str) -> bool:
    """Tells whether a column of this name usually identifies an object."""
    return folded(name) in ID_NAMES
