"""The `city_scene` data set: small panoramas of a city, rendered."""
