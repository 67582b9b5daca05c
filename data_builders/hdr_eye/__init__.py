"""The `hdr_eye` data set: 46 scenes of nine exposures each."""
