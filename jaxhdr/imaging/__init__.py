"""Pure functions of light, cameras and images, without networks or files."""
