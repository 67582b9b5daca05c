"""A web page to look at HDR images, which holds all that it needs."""
