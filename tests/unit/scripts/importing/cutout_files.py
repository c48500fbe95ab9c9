"""Cut-outs as surveys write them."""

import numpy as np
from astropy.io import fits


def legacy(image: np.ndarray, bands: str = "ugriz", ivar: np.ndarray | None = None, bits: np.ndarray | None = None):
    """As the Legacy Surveys' viewer writes cut-outs: BANDS, BAND0, ... and IMAGETYP in each HDU."""
    hdus = fits.HDUList([fits.PrimaryHDU(image)])
    if ivar is not None:
        hdus.append(fits.ImageHDU(ivar))
    if bits is not None:
        hdus.append(fits.ImageHDU(bits))
    for hdu, kind in zip(
        hdus, ["IMAGE"] + ["INVVAR"] * (ivar is not None) + ["MASKBITS"] * (bits is not None), strict=True
    ):
        hdu.header["IMAGETYP"], hdu.header["BANDS"] = kind, bands
        for place, band in enumerate(bands):
            hdu.header[f"BAND{place}"] = band
        hdu.header["CTYPE1"], hdu.header["CTYPE2"] = "RA---TAN", "DEC--TAN"
        hdu.header["CD1_1"], hdu.header["CD2_2"] = -0.262 / 3600, 0.262 / 3600
    return hdus


def of_rubin(image: np.ndarray, mask: np.ndarray, **planes: int) -> fits.HDUList:
    """As Rubin's pipelines write a cut-out, also of HSC: EXTTYPE in each HDU, and MP_* for the bits of the mask."""
    hdus = fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(each) for each in (image, mask, np.ones_like(image)))])
    for hdu, kind in zip(hdus[1:], ("IMAGE", "MASK", "VARIANCE"), strict=True):
        hdu.header["EXTTYPE"] = kind
    hdus[2].header.update({f"HIERARCH MP_{plane}": bit for plane, bit in planes.items()})
    return hdus
