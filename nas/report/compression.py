"""Large pictures made smaller for a page."""

from io import BytesIO

_WIDEST, _QUALITY = 1600, 85


def compressed(png: bytes) -> tuple[str, bytes]:
    """Return the format and the content of a picture for a page: JPEG, at most 1,600 pixels wide.

    Where Pillow is not there, or cannot read it, the picture stays as it is.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ModuleNotFoundError:
        return "png", png
    made = BytesIO()
    try:
        with Image.open(BytesIO(png)) as found:
            image = found.convert("RGB")
            image.thumbnail((_WIDEST, 100 * _WIDEST))
            image.save(made, "JPEG", quality=_QUALITY)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return "png", png
    return "jpeg", made.getvalue()
