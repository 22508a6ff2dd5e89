"""The tools of the repository: what DVC and git lack, and nothing they have."""
