"""What git and DVC keep: the catalogue, and the hashes DVC is told."""
