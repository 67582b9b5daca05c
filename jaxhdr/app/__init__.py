"""The local web server of `jaxhdr serve`: photographs in, HDR images out.

The server (`server`) never decodes an image. It hands files to a process of its own
(`worker`), which reads, computes and writes, so a photograph that breaks a decoder
cannot end the server, and the server's memory does not grow.
"""
