"""What git and DVC keep: the catalogue, the stages, the remotes, the state."""
