"""What a user asks for: each command of `tools/`, as it is typed."""
