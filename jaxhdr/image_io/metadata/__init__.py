"""What files say of an image besides its pixels: EXIF, XMP, notes of jaxhdr."""
