"""`make bench`: what this repository costs beside what a user would use instead, on this machine."""
