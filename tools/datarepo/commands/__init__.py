"""What a user asks for: each gathers the facts once, decides purely, acts, and reports."""
