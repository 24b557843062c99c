"""Programs and archives from their projects, or built from package registries where those are unreachable."""
