"""HDR-VDP-2 and HDR-VDP-3, and the parts of the visual system that both model."""
