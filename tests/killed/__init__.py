"""The Python startup file of a command that is to be killed; a folder for PYTHONPATH."""
