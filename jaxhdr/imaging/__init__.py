"""Light, cameras and images as pure functions; no network and no file is known here."""
