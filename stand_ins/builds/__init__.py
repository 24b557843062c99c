"""Programs and archives from their projects, or put together from package registries where those cannot be reached."""
